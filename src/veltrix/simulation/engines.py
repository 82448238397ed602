"""The engines as the services meet them: ports whose every call goes over the simulated network.

Each engine is one server whose state is that of the adapters in memory. They are meaner than real ones:
what was appended is seen late, effects happen whose answers are lost, leases end late at their holders, and
hints come twice, late or never.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar

from veltrix.adapters.memory import MemoryLedger, MemoryLog, MemoryNotices, MemoryVault
from veltrix.domain.facts import NumberedFact
from veltrix.domain.state import Needs
from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.ports.ledger import Changes, Due, Head, Loaded, Term
from veltrix.ports.log import Appended, LogIdentity, LogRecord, Record
from veltrix.ports.notices import Claimed, FanOut, Notice, NoticeStatus, Planned, Result
from veltrix.ports.queries import EventView, Filter
from veltrix.simulation.loop import LIFE, Life, SimulatedLoop
from veltrix.simulation.network import Network, Server

T = TypeVar("T")

VISIBLE_LATE_S: Final = 0.002


@dataclass
class Engines:
    """The state behind the network: one log, one ledger, one vault, one store of notices, one coordinator."""

    network: Network
    log: MemoryLog
    ledger: MemoryLedger
    vault: MemoryVault
    notices: MemoryNotices
    servers: dict[str, Server]
    random: Random
    visible: list[int] = field(default_factory=list)
    readers: list[dict[Life, asyncio.Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        partitions = self.log.identity.partitions
        self.visible = [0] * partitions
        self.readers = [{} for _ in range(partitions)]

    @property
    def loop(self) -> SimulatedLoop:
        """The loop that all of it runs on."""
        return self.network.loop


class SimLog:
    """The port `Log`, as one process sees the log."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._server = engines.servers["log"]

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._engines.log.identity

    async def append(self, partition: int, record: Record) -> Appended:
        """Append; who hears nothing does not know."""
        engines = self._engines

        async def effect() -> Appended:
            appended = await engines.log.append(partition, record)
            delay_s = VISIBLE_LATE_S * engines.random.random()
            engines.loop.later(self._server.life, delay_s, self._show, partition, appended.offset + 1)
            return appended

        return await engines.network.ask(self._server, effect, writes=True)

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Records below the high watermark; waits for a hint that there are more, or for its time."""
        engines, deadline_s = self._engines, self._engines.loop.time() + wait_s

        async def effect() -> list[LogRecord]:
            most = min(max_records, max(0, engines.visible[partition] - offset))
            return await engines.log.read(partition, offset, most, 0) if most else []

        while True:
            more = engines.readers[partition].setdefault(LIFE.get(), asyncio.Event())
            more.clear()
            found = await engines.network.ask(self._server, effect, writes=False)
            left_s = deadline_s - engines.loop.time()
            if found or left_s <= 0:
                return found
            try:
                async with asyncio.timeout(left_s):
                    await more.wait()
            except TimeoutError:
                return []

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first, next) as far as it can be seen."""

        async def effect() -> tuple[int, int]:
            return 0, self._engines.visible[partition]

        return await self._engines.network.ask(self._server, effect, writes=False)

    async def close(self) -> None:
        """Nothing is kept here."""

    def _show(self, partition: int, offset: int) -> None:
        engines = self._engines
        engines.visible[partition] = max(engines.visible[partition], offset)
        for life, more in list(engines.readers[partition].items()):
            if life.ended:
                del engines.readers[partition][life]
            else:
                engines.network.tell("log", life, more.set)


class SimLedger:
    """The ports `Ledger` and `Queries`, as one process sees the ledger."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._ledger = engines.ledger
        self._server = engines.servers["ledger"]

    async def _read(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await self._engines.network.ask(self._server, effect, writes=False)

    async def _write(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await self._engines.network.ask(self._server, effect, writes=True)

    async def take_over(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """A take-over whose answer is lost may be repeated: it is `Unavailable`."""
        try:
            return await self._write(lambda: self._ledger.take_over(partition, term, owner, log))
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def rebind(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Bind the partition to another log."""
        try:
            return await self._write(lambda: self._ledger.rebind(partition, term, owner, log))
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def erasures(self, partition: int, after_offset: int, limit: int) -> list[tuple[int, str, str]]:
        """Accepted erasures."""
        return await self._read(lambda: self._ledger.erasures(partition, after_offset, limit))

    async def load(self, partition: int, needs: Needs) -> Loaded:
        """What a batch touches."""
        return await self._read(lambda: self._ledger.load(partition, needs))

    async def commit(self, changes: Changes) -> None:
        """Commit a batch."""
        await self._write(lambda: self._ledger.commit(changes))

    async def head(self, partition: int) -> Head | None:
        """Where a partition stands."""
        return await self._read(lambda: self._ledger.head(partition))

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Committed facts."""
        return await self._read(lambda: self._ledger.facts(partition, after_seq, limit))

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Record how far facts are published."""
        try:
            await self._write(lambda: self._ledger.relayed(partition, term, seq))
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def due(self, partition: int, before_ms: int, limit: int) -> list[Due]:
        """Work whose time has come."""
        return await self._read(lambda: self._ledger.due(partition, before_ms, limit))

    async def keys_of(self, event: str, person: str, before_offset: int) -> list[str]:
        """The keys of a person's boxes."""
        return await self._read(lambda: self._ledger.keys_of(event, person, before_offset))

    async def unused_keys(
        self, partition: int, after_offset: int, before_ms: int, limit: int
    ) -> list[tuple[int, str]]:
        """The keys of boxes that came to nothing."""
        return await self._read(lambda: self._ledger.unused_keys(partition, after_offset, before_ms, limit))

    async def event(self, event: str) -> EventView | None:
        """One event."""
        return await self._read(lambda: self._ledger.event(event))

    async def event_by_slug(self, organizer: str, slug: str) -> EventView | None:
        """One event by its slug."""
        return await self._read(lambda: self._ledger.event_by_slug(organizer, slug))

    async def events(self, organizer: str, after: str, limit: int) -> list[EventView]:
        """A page of events."""
        return await self._read(lambda: self._ledger.events(organizer, after, limit))

    async def registration(self, registration: str) -> Any:
        """One registration."""
        return await self._read(lambda: self._ledger.registration(registration))

    async def registrations(self, wanted: Filter, after: int, limit: int) -> Any:
        """A page of registrations."""
        return await self._read(lambda: self._ledger.registrations(wanted, after, limit))

    async def waiting_ahead(self, registration: Any) -> int:
        """How many wait before it."""
        return await self._read(lambda: self._ledger.waiting_ahead(registration))

    async def decision(self, command: str) -> Any:
        """The decision of a command."""
        return await self._read(lambda: self._ledger.decision(command))

    async def barrier(self) -> None:
        """A write, so that an old primary cannot answer."""
        await self._write(self._ledger.barrier)

    async def close(self) -> None:
        """Nothing is kept here."""


class SimVault:
    """The port `Vault`."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._server = engines.servers["vault"]

    async def reserve(self, count: int) -> list[tuple[str, bytes]]:
        """New keys; a block whose answer was lost is never used."""
        try:
            return await self._ask(lambda: self._engines.vault.reserve(count), writes=True)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """Keys that still exist."""
        return await self._ask(lambda: self._engines.vault.keys(key_ids), writes=False)

    async def destroy(self, key_ids: Sequence[str]) -> None:
        """Destroy keys."""
        await self._ask(lambda: self._engines.vault.destroy(key_ids), writes=True)

    async def close(self) -> None:
        """Nothing is kept here."""

    async def _ask(self, effect: Callable[[], Coroutine[Any, Any, T]], *, writes: bool) -> T:
        return await self._engines.network.ask(self._server, effect, writes=writes)


class SimNotices:
    """The port `Notices`."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._notices = engines.notices
        self._server = engines.servers["notices"]

    async def _ask(self, effect: Callable[[], Coroutine[Any, Any, T]], *, writes: bool) -> T:
        return await self._engines.network.ask(self._server, effect, writes=writes)

    async def position(self, partition: int) -> int:
        """The last fact that was planned."""
        return await self._ask(lambda: self._notices.position(partition), writes=False)

    async def record(self, partition: int, after_seq: int, upto_seq: int, planned: Planned) -> list[str]:
        """Move the inbox and record what is planned."""
        return await self._ask(
            lambda: self._notices.record(partition, after_seq, upto_seq, planned), writes=True
        )

    async def claim(self, now_ms: int, limit: int, lease_ms: int) -> list[Claimed]:
        """Take due notices."""
        return await self._ask(lambda: self._notices.claim(now_ms, limit, lease_ms), writes=True)

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results."""
        return await self._ask(lambda: self._notices.finish(results), writes=True)

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open jobs."""
        return await self._ask(lambda: self._notices.jobs(limit), writes=False)

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job."""
        await self._ask(lambda: self._notices.advance(job, upto_arrival, notices), writes=True)

    async def of_registration(self, registration: str) -> list[tuple[Notice, NoticeStatus, int, str]]:
        """What is known of a registration's notices."""
        return await self._ask(lambda: self._notices.of_registration(registration), writes=False)

    async def hold(self, partition: int, upto_seq: int) -> int:
        """Hold notices that may have been sent."""
        return await self._ask(lambda: self._notices.hold(partition, upto_seq), writes=True)

    async def release(self, *, send: bool) -> int:
        """Let go what is held."""
        return await self._ask(lambda: self._notices.release(send=send), writes=True)

    async def held(self) -> int:
        """How many are held."""
        return await self._ask(self._notices.held, writes=False)

    async def counts(self) -> dict[NoticeStatus, int]:
        """How many stand in each status."""
        return await self._ask(self._notices.counts, writes=False)

    async def close(self) -> None:
        """Nothing is kept here."""
