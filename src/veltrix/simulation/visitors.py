"""People who look, and people who come without a key: what they read and hear is judged like all else.

They come beside the crowd of `workload`: they read what they registered, again and again; they confirm a
hold at the very end of its time; and they register without a key of their own, once, whatever comes back.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from veltrix.simulation.cluster import BEGAN_MS, Cluster, Host
from veltrix.simulation.exchanges import Exchange, held_until_ms, link_in

PATIENCE_S: Final = 4.0
LOOKS: Final = 3
AROUND_S: Final = 0.3
"""So close to its end a hold is confirmed, before or after."""


class Visitors:
    """Clients who each do one of these things. `exchanges` is everything that anybody asked and heard."""

    def __init__(self, cluster: Cluster, events: list[str], exchanges: list[Exchange]) -> None:
        self._cluster = cluster
        self._events = events
        self._exchanges = exchanges
        self._numbers = 0

    async def visit(self, random: Random) -> None:
        """One of them comes."""
        self._numbers += 1
        name = f"visitor {self._numbers}"
        drawn = random.random()
        if drawn < 0.4:
            await self._look(name, random)
        elif drawn < 0.7:
            await self._confirm_late(name, random)
        else:
            await self._register_without_key(name, random)

    async def _look(self, name: str, random: Random) -> None:
        """Read a registration a few times, at any process."""
        link = self._some_link(random)
        if link is None:
            return
        for _ in range(LOOKS):
            strong = random.choice(["", "?consistency=strong"])
            await self._ask(name, random, "GET", f"/v1/registrations/{link}{strong}", None, {})
            await asyncio.sleep(random.expovariate(2.0))

    async def _confirm_late(self, name: str, random: Random) -> None:
        """Confirm a hold when its time is as good as over: before the expiry, or behind it."""
        held = [
            (until_ms, link)
            for exchange in self._exchanges[-200:]
            if (until_ms := held_until_ms(exchange)) is not None and (link := link_in(exchange)) is not None
        ]
        if not held:
            return
        until_ms, link = random.choice(held)
        at_s = (until_ms - BEGAN_MS) / 1000 + random.uniform(-AROUND_S, AROUND_S)
        await asyncio.sleep(max(0.0, at_s - self._cluster.loop.time()))
        headers = {"idempotency-key": f"confirm-{self._numbers:024d}", "prefer": "wait=3"}
        await self._ask(name, random, "POST", f"/v1/registrations/{link}/confirm", {}, headers)

    async def _register_without_key(self, name: str, random: Random) -> None:
        body = {
            "contact": {"name": name, "email": f"{name.replace(' ', '')}@example.org"},
            "seats": [{"category": "std"}],
        }
        event = random.choice(self._events)
        await self._ask(name, random, "POST", f"/v1/events/{event}/registrations", body, {"prefer": "wait=3"})

    def _some_link(self, random: Random) -> str | None:
        links = [link for exchange in self._exchanges[-200:] if (link := link_in(exchange)) is not None]
        return random.choice(links) if links else None

    async def _ask(
        self, name: str, random: Random, method: str, path: str, body: object, headers: dict[str, str]
    ) -> None:
        hosts = [host for host in self._cluster.hosts.values() if host.kind == "registration"]
        host: Host = random.choice(hosts)
        await self._cluster.request(name, host, method, path, body, headers, PATIENCE_S)
