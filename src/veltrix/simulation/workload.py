"""People who register: hot events, herds, parties, second tries, other bodies under old keys, cancellations.

A client asks again under the same key until it has an answer, at whichever process it likes. Everything that
was said and heard is kept, with its times, for the checks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from veltrix.simulation.cluster import Cluster, Host
from veltrix.simulation.organizers import Organizers

PATIENCE_S: Final = 4.0
RATE_PER_S: Final = 20.0
ORGANIZER_SHARE: Final = 0.02
POLITE_SHARE: Final = 0.8
"""Of those who are told to come back later, so many do not at once."""
HERD_SHARE: Final = 0.002
HERDS: Final = (10, 20, 40, 150)
FREE: Final = {"amount_minor": 0, "currency": "EUR"}


@dataclass(slots=True)
class Said:
    """One request and what came back. Times are virtual seconds; `status` is None without an answer."""

    kind: str
    key: str
    event: str
    body: Any
    sent_s: float
    heard_s: float = -1.0
    status: int | None = None
    answer: Any = None
    tries: int = 1

    @property
    def settled(self) -> bool:
        """Whether the answer is a decision, accepted or refused, or that the key belongs to another body."""
        return self.status is not None and self.status not in (202, 429, 503)

    @property
    def place(self) -> tuple[int, int] | None:
        """(partition, offset) of the decision, where the answer names one."""
        decision = self.answer.get("decision") if isinstance(self.answer, dict) else None
        return None if decision is None else (decision["partition"], decision["offset"])


@dataclass
class Workload:
    """The clients. `history` has every request, in the order in which they were sent."""

    cluster: Cluster
    random: Random
    headers: dict[str, str]
    events: list[str] = field(default_factory=list)
    history: list[Said] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    categories: dict[str, list[str]] = field(default_factory=dict)
    _numbers: int = 0

    def __post_init__(self) -> None:
        self.organizers = Organizers(self.cluster, self.headers)

    async def publish(self, count: int) -> None:
        """Publish events of different kinds, while all is well."""
        for number in range(count):
            spec = self._spec(number)
            created = await self._ask("POST", "/v1/events", spec, self.headers)
            event = created["id"]
            await self._ask("POST", f"/v1/events/{event}/open", None, self.headers)
            self.events.append(event)
            self.categories[event] = [category["key"] for category in spec["categories"]]
        self.cluster.difficulties.calm = False

    async def run(self, seconds: float) -> None:
        """Clients come at random times for so long; returns when each has its answer, or gave up."""
        clients: list[asyncio.Task[None]] = []
        ends_s = self.cluster.loop.time() + seconds
        while self.cluster.loop.time() < ends_s:
            await asyncio.sleep(self.random.expovariate(RATE_PER_S))
            clients.append(asyncio.create_task(self._client()))
        await asyncio.gather(*clients)

    async def ask_again(self) -> None:
        """After all is well again: whoever has no decision asks once more under the same key."""
        for said in self.history:
            if not said.settled:
                await self._converse(said, most=20)

    def _spec(self, number: int) -> dict[str, Any]:
        random = self.random
        waitlist = {"size": random.choice([0, 5, 1000]), "mode": random.choice(["strict", "skip"])}
        spec: dict[str, Any] = {
            "slug": f"event-{number}",
            "title": "Event",
            "time_zone": "Europe/Berlin",
            "starts_at": "2031-10-04T19:00",
            "ends_at": "2031-10-04T22:00",
            "pools": [{"key": "main", "capacity": random.choice([3, 20, 200])}],
            "categories": [{"key": "std", "title": "S", "pools": ["main"], "price": FREE}],
        }
        if random.random() < 0.5:  # a dinner beside the talks: parties of both draw on two pools
            spec["pools"].append({"key": "dinner", "capacity": random.choice([2, 10, 100])})
            both = {"key": "dining", "title": "D", "pools": ["main", "dinner"], "price": FREE}
            spec["categories"].append(both)
        if waitlist["size"]:
            spec["waitlist"] = waitlist | {"promote_after_close": False}
        if random.random() < 0.3:
            spec["holds"] = {"ttl_s": 10}
        return spec

    async def _client(self) -> None:
        drawn = self.random.random()
        if drawn < ORGANIZER_SHARE:
            await self._organize()
        elif drawn < ORGANIZER_SHARE + HERD_SHARE:
            await self._herd()
        elif drawn < 0.15 and self.links:
            await self._cancel()
        elif drawn < 0.25 and self.history:
            await self._repeat(self.random.choice(self.history), other=self.random.random() < 0.3)
        else:
            await self._register()

    async def _organize(self) -> None:
        """The organizer does something, as a rule to the event that all want."""
        event = self._some_event()
        emails = [
            said.body["contact"]["email"]
            for said in self.history[-100:]
            if said.kind == "register" and said.event == event
        ]
        await self.organizers.act(self.random, event, emails)

    async def _herd(self) -> None:
        """Registration opened, or somebody famous spoke of it: many come in the same moment."""
        event = self._some_event()
        await asyncio.gather(*(self._register(event) for _ in range(self.random.choice(HERDS))))

    def _some_event(self) -> str:
        """Any of them, but mostly the hot one."""
        return self.events[0] if self.random.random() < 0.5 else self.random.choice(self.events)

    async def _register(self, event: str = "") -> None:
        self._numbers += 1
        number, random = self._numbers, self.random
        event = event or self._some_event()
        categories = self.categories[event]
        seats = [{"category": random.choice(categories)} for _ in range(random.choice([1, 1, 1, 2, 4]))]
        body = {
            "contact": {"name": f"Person {number}", "email": f"person{number}@example.org"},
            "seats": seats,
        }
        said = Said("register", f"key-{number:028d}", event, body, self.cluster.loop.time())
        self.history.append(said)
        await self._converse(said, most=6)
        if said.status == 201:
            self.links.append((said.answer["link"], event))

    async def _repeat(self, earlier: Said, *, other: bool) -> None:
        """The same request again, or another body under its key."""
        if earlier.kind != "register":
            return
        body = earlier.body
        if other:
            body = {**body, "contact": {**body["contact"], "name": "Somebody else"}}
        kind = "other body" if other else "register"
        said = Said(kind, earlier.key, earlier.event, body, self.cluster.loop.time())
        self.history.append(said)
        await self._converse(said, most=6)

    async def _cancel(self) -> None:
        link, event = self.links.pop(self.random.randrange(len(self.links)))
        self._numbers += 1
        said = Said("cancel", f"key-{self._numbers:028d}", event, {"link": link}, self.cluster.loop.time())
        self.history.append(said)
        await self._converse(said, most=6)

    async def _converse(self, said: Said, most: int) -> None:
        """Ask under one key until there is a decision, at most so often."""
        for _ in range(most):
            host = self._any_host()
            path, body = f"/v1/events/{said.event}/registrations", said.body
            if said.kind == "cancel":
                path, body = f"/v1/registrations/{said.body['link']}/cancel", {}
            headers = {"idempotency-key": said.key, "prefer": "wait=3"}
            client = f"client {self.random.randrange(50)}"
            found = await self.cluster.request(client, host, "POST", path, body, headers, PATIENCE_S)
            if found is not None:
                said.heard_s = self.cluster.loop.time()
                said.status, said.answer = found
                if said.settled:
                    return
            said.tries += 1
            polite = said.status in (429, 503) and self.random.random() < POLITE_SHARE
            await asyncio.sleep((2.0 if polite else 0.5) * self.random.random())

    def _any_host(self) -> Host:
        return self.random.choice(
            [host for host in self.cluster.hosts.values() if host.kind == "registration"]
        )

    async def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        found = await self.cluster.request("organizer", self._any_host(), method, path, body, headers, 20.0)
        assert found is not None and found[0] in (200, 201), f"{method} {path} while all is well: {found}"
        return found[1]
