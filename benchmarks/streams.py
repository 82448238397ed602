"""Many clients that listen to an event's seats: what one costs, and when a change has reached all."""

import asyncio
import re
import time
from dataclasses import dataclass, field
from statistics import median

from benchmarks.servers import Server, until_told
from veltrix.load.client import Connection, Target, open_connection, request_bytes
from veltrix.load.command import execute
from veltrix.load.crowd import connections_allowed, raise_file_limit
from veltrix.load.options import SINGLES_ONLY, LoadOptions

_OFFSET = re.compile(rb'"offset":\s*(\d+)')
_OPENING_AT_ONCE = 64
_REACH_TIMEOUT_S = 30.0
_OPEN_TIMEOUT_S = 120.0


class Listener(Connection):
    """One client of the stream: notes the greatest log offset that it was told of, and when it first was."""

    __slots__ = ("audience", "offset")

    def __init__(self, audience: "Audience") -> None:
        super().__init__(lambda *answer: None)
        self.audience = audience
        self.offset = -1

    def data_received(self, data: bytes) -> None:
        """Events are small: one never spans two reads here."""
        found = _OFFSET.findall(data)
        if found:
            if self.offset < 0:
                self.audience.greet()
            self.offset = max(self.offset, int(found[-1]))
            self.audience.heard(self.offset)


@dataclass
class Audience:
    """All listeners; `times_s` has when each heard of `wanted`."""

    listeners: list[Listener] = field(default_factory=list)
    wanted: int = -1
    times_s: list[float] = field(default_factory=list)
    size: int = 0
    greeted: int = 0
    seated: asyncio.Event = field(default_factory=asyncio.Event)
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def expect(self, offset: int) -> None:
        """From now on, wait until everybody has heard of `offset`."""
        self.wanted, self.times_s = offset, []
        self.complete.clear()

    def greet(self) -> None:
        """A listener was told how it stands, for the first time."""
        self.greeted += 1
        if self.greeted == self.size:
            self.seated.set()

    def heard(self, offset: int) -> None:
        """A listener was told of this offset."""
        if offset >= self.wanted:
            self.times_s.append(time.monotonic())
            if len(self.times_s) == self.size:
                self.complete.set()


@dataclass(frozen=True)
class Streaming:
    """What was seen: memory a client, and for each change the times from its answer until p50 and all."""

    clients: int
    kib_per_client: float
    half_s: list[float]
    all_s: list[float]

    def rows(self) -> list[tuple[str, str, str]]:
        """For the table: what, value, remark."""
        worst = f"worst of {len(self.all_s)}: {max(self.all_s):.2f} s"
        half = f"half of them after {median(self.half_s):.2f} s"
        return [
            (
                f"{self.clients:,} clients of a seats stream",
                f"{self.kib_per_client:.1f} KiB",
                "memory of each",
            ),
            ("a change has reached all after", f"{median(self.all_s):.2f} s", f"{half}; {worst}; goal: 1 s"),
        ]


async def measure(veltrix: Server, clients: int, changes: int) -> Streaming:
    """Open the streams of a fresh event, then let somebody register, again and again."""
    await until_told(veltrix)
    report = await execute(_registrations(veltrix, 1, 0))
    event = report.history.terms.event
    await until_told(veltrix)
    clients = connections_allowed(clients, raise_file_limit())
    target, audience = Target.of(veltrix.url), Audience()
    before = veltrix.memory_bytes()
    try:
        await _gather(target, event, audience, clients)
        gained = veltrix.memory_bytes() - before
        half_s, all_s = [], []
        for number in range(changes):
            answered_s, offset = await _change(veltrix, event, audience, number)
            async with asyncio.timeout(_REACH_TIMEOUT_S):
                await audience.complete.wait()
            assert offset >= 0
            times = sorted(audience.times_s)
            half_s.append(max(0.0, times[len(times) // 2] - answered_s))
            all_s.append(max(0.0, times[-1] - answered_s))
    finally:
        for listener in audience.listeners:
            listener.abort()
    return Streaming(clients, gained / clients / 1024, half_s, all_s)


async def _gather(target: Target, event: str, audience: Audience, clients: int) -> None:
    """Connect them all, and wait until each has heard how it stands."""
    payload = request_bytes(
        target, "GET", f"/v1/events/{event}/seats/stream", {"Accept": "text/event-stream"}
    )
    left = iter(range(clients))

    async def connect_some() -> None:
        for _ in left:
            listener = Listener(audience)
            await open_connection(target, listener)
            audience.listeners.append(listener)
            listener.send(payload)

    audience.size = clients
    audience.expect(1 << 60)
    await asyncio.gather(*(connect_some() for _ in range(_OPENING_AT_ONCE)))
    async with asyncio.timeout(_OPEN_TIMEOUT_S):
        await audience.seated.wait()


async def _change(veltrix: Server, event: str, audience: Audience, number: int) -> tuple[float, int]:
    """One person registers; when the answer was read, and at which offset it was decided."""
    audience.expect(max(listener.offset for listener in audience.listeners) + 1)
    report = await execute(_registrations(veltrix, 1, number + 1, event))
    (attempt,) = report.history.attempts
    assert attempt.answer is not None, attempt.detail
    assert attempt.received_ns is not None
    return attempt.received_ns / 1e9, attempt.answer.offset


def _registrations(veltrix: Server, people: int, seed: int, event: str = "") -> LoadOptions:
    return LoadOptions(
        url=f"{veltrix.url}/v1/events/{event}" if event else veltrix.url,
        api_key=None if event else veltrix.key,
        registrants=people,
        seed=seed,
        capacity=1_000,
        waitlist=None,
        one_per_email=False,
        pools=1,
        mix=SINGLES_ONLY,
    )
