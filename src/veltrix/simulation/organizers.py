"""What organizers do while people register: other capacities, other words, closing and opening, erasures.

They answer to nobody's plan: whatever the people are at, the event changes under them. An organizer's
requests carry keys too, and are repeated until there is an answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any, Final

from veltrix.simulation.cluster import Cluster, Host

PATIENCE_S: Final = 4.0
TRIES: Final = 4


class Organizers:
    """Each act is one decision of an organizer; `done` counts those that were answered, by kind."""

    def __init__(self, cluster: Cluster, headers: dict[str, str]) -> None:
        self._cluster = cluster
        self._headers = headers
        self._numbers = 0
        self.done: Counter[str] = Counter()

    async def act(self, random: Random, event: str, emails: list[str]) -> None:
        """One of them does something to an event."""
        drawn = random.random()
        if drawn < 0.35:
            await self._resize(random, event)
        elif drawn < 0.55:
            await self._reword(random, event)
        elif drawn < 0.75:
            await self._close_a_while(random, event)
        elif drawn < 0.77:
            await self._post(random, "cancel", f"/v1/events/{event}/cancel", None)
        elif emails:
            await self._erase(random, event, random.choice(emails))

    async def _resize(self, random: Random, event: str) -> None:
        """More seats, or fewer than are taken."""
        view = await self._ask(random, "GET", f"/v1/events/{event}", None)
        if view is None:
            return
        pools = [{"key": pool["key"], "capacity": random.choice([1, 5, 50, 300])} for pool in view["pools"]]
        await self._change(random, "capacity", event, {"pools": pools})

    async def _reword(self, random: Random, event: str) -> None:
        """Another title; or another hour, which everybody who registered is told."""
        change: dict[str, Any] = {"title": f"Event {random.randrange(1000)}"}
        if random.random() < 0.5:
            change = {"starts_at": f"2031-10-04T1{random.randrange(10)}:00"}
        await self._change(random, "words", event, change)

    async def _close_a_while(self, random: Random, event: str) -> None:
        if await self._post(random, "close", f"/v1/events/{event}/close", None) is not None:
            await asyncio.sleep(random.expovariate(2.0))
            await self._post(random, "open", f"/v1/events/{event}/open", None)

    async def _erase(self, random: Random, event: str, email: str) -> None:
        await self._post(random, "erase", f"/v1/events/{event}/erasures", {"email": email})

    async def _change(self, random: Random, kind: str, event: str, patch: dict[str, Any]) -> None:
        found = await self._ask(random, "PATCH", f"/v1/events/{event}", patch)
        self.done[kind] += found is not None

    async def _post(self, random: Random, kind: str, path: str, body: Any) -> Any:
        found = await self._ask(random, "POST", path, body)
        self.done[kind] += found is not None
        return found

    async def _ask(self, random: Random, method: str, path: str, body: Any) -> Any:
        """Under one key until there is an answer; None when there is none, or it is a refusal."""
        self._numbers += 1
        headers = {**self._headers, "prefer": "wait=3", "idempotency-key": f"organizer-{self._numbers:020d}"}
        if method == "GET":
            del headers["idempotency-key"]
        for _ in range(TRIES):
            hosts = [host for host in self._cluster.hosts.values() if host.kind == "registration"]
            host: Host = random.choice(hosts)
            found = await self._cluster.request("organizer", host, method, path, body, headers, PATIENCE_S)
            if found is not None and found[0] not in (202, 429, 503):
                return found[1] if found[0] < 300 else None
            await asyncio.sleep(0.5 * random.random())
        return None
