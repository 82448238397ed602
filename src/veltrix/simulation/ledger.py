"""The ledger as an engine that is mean, and the ports `Ledger` and `Queries` as one process sees them.

A commit may be refused before it happens, be cut off after it did, or happen long after its owner gave up.
Reads may come from a replica that is behind, as far as the ports let them: a process sees at least its own
writes, sees nothing older than it has seen, and past `barrier` nothing that is stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from veltrix.adapters.memory import MemoryLedger
from veltrix.domain.facts import NumberedFact
from veltrix.domain.state import Needs
from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.ports.ledger import Changes, Due, Head, Loaded, Term
from veltrix.ports.log import LogIdentity
from veltrix.ports.queries import EventView, Filter
from veltrix.ports.system import Clock

if TYPE_CHECKING:
    from veltrix.simulation.engines import Engines

T = TypeVar("T")
Write = tuple[int, str, tuple[Any, ...]]
"""When it was written (ms), and what: a method with its arguments."""


@dataclass(slots=True)
class LedgerMoods:
    """How mean the ledger is: shares of its writes, and seconds. `behind_s`: reads may be as old as that."""

    reset_before: float = 0.0
    reset_after: float = 0.0
    serialization: float = 0.0
    exhausted: float = 0.0
    slow: float = 0.0
    slow_s: float = 1.5
    behind_s: float = 0.0


class _WrittenAt:
    """The clock of a replica: when the primary wrote what it applies."""

    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self.ms

    def monotonic_s(self) -> float:
        """Seconds for measuring spans."""
        return self.ms / 1000


class EngineLedger(MemoryLedger):
    """The primary, and beside it a replica that applies its writes later, where anyone wants to read it."""

    def __init__(self, clock: Clock, *, replicated: bool = False) -> None:
        super().__init__(clock=clock)
        self.moods = LedgerMoods()
        self.replica: MemoryLedger | None = None
        self.version = 0
        self.applied = 0
        self.stale_reads = 0
        self.taken = asyncio.Event()
        """Set at each take-over; whoever waits for one clears it."""
        self._journal: list[Write] = []
        if replicated:
            self._replica_clock = _WrittenAt()
            self.replica = MemoryLedger(clock=self._replica_clock)

    async def take_over(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Take a partition under a term."""
        head = await super().take_over(partition, term, owner, log)
        self.taken.set()
        self._wrote("take_over", partition, term, owner, log)
        return head

    async def rebind(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Bind a partition to another log."""
        head = await super().rebind(partition, term, owner, log)
        self._wrote("rebind", partition, term, owner, log)
        return head

    async def commit(self, changes: Changes) -> None:
        """Commit a batch."""
        await super().commit(changes)
        self._wrote("commit", changes)

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Move the relay's position on."""
        await super().relayed(partition, term, seq)
        self._wrote("relayed", partition, term, seq)

    def readable(self, seen: int) -> MemoryLedger:
        """What a read may be answered by, for a process that has seen so many writes."""
        if self.replica is None or not self.moods.behind_s or seen >= self.version:
            return self
        before_ms = self._clock.now_ms() - self.moods.behind_s * 1000
        while self.applied < self.version:
            at_ms, method, args = self._journal[self.applied]
            if self.applied >= seen and at_ms > before_ms:
                self.stale_reads += 1
                return self.replica
            self._replica_clock.ms = at_ms
            _at_once(getattr(self.replica, method)(*args))
            self.applied += 1
        return self

    def _wrote(self, method: str, *args: Any) -> None:
        self.version += 1
        if self.replica is not None:
            self._journal.append((self._clock.now_ms(), method, args))


class SimLedger:
    """The ports `Ledger` and `Queries`, as one process sees the ledger."""

    def __init__(self, engines: Engines) -> None:
        self._network = engines.network
        self._ledger = engines.ledger
        self._server = engines.servers["ledger"]
        self._random = engines.random
        self._seen = 0
        self._closed = False

    async def take_over(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """A take-over whose answer is lost may be repeated: it is `Unavailable`."""
        return await self._again(lambda: self._ledger.take_over(partition, term, owner, log))

    async def rebind(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Bind the partition to another log."""
        return await self._again(lambda: self._ledger.rebind(partition, term, owner, log))

    async def erasures(self, partition: int, after_offset: int, limit: int) -> list[tuple[int, str, str]]:
        """Accepted erasures."""
        return await self._fresh(lambda: self._ledger.erasures(partition, after_offset, limit))

    async def load(self, partition: int, needs: Needs) -> Loaded:
        """What a batch touches."""
        return await self._read(lambda ledger: ledger.load(partition, needs))

    async def commit(self, changes: Changes) -> None:
        """Commit a batch."""
        await self._write(lambda: self._ledger.commit(changes))

    async def head(self, partition: int) -> Head | None:
        """Where a partition stands."""
        return await self._read(lambda ledger: ledger.head(partition))

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Committed facts."""
        return await self._read(lambda ledger: ledger.facts(partition, after_seq, limit))

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Record how far facts are published."""
        await self._again(lambda: self._ledger.relayed(partition, term, seq))

    async def due(self, partition: int, before_ms: int, limit: int, *, reminders: bool = True) -> list[Due]:
        """Work whose time has come."""
        return await self._fresh(lambda: self._ledger.due(partition, before_ms, limit, reminders=reminders))

    async def keys_of(self, event: str, person: str, before_offset: int) -> list[str]:
        """The keys of a person's boxes."""
        return await self._read(lambda ledger: ledger.keys_of(event, person, before_offset))

    async def unused_keys(
        self, partition: int, after_offset: int, before_ms: int, limit: int
    ) -> list[tuple[int, str]]:
        """The keys of boxes that came to nothing."""
        return await self._fresh(lambda: self._ledger.unused_keys(partition, after_offset, before_ms, limit))

    async def event(self, event: str) -> EventView | None:
        """One event."""
        return await self._read(lambda ledger: ledger.event(event))

    async def event_by_slug(self, organizer: str, slug: str) -> EventView | None:
        """One event by its slug."""
        return await self._read(lambda ledger: ledger.event_by_slug(organizer, slug))

    async def events(self, organizer: str, after: str, limit: int) -> list[EventView]:
        """A page of events."""
        return await self._read(lambda ledger: ledger.events(organizer, after, limit))

    async def registration(self, registration: str) -> Any:
        """One registration."""
        return await self._read(lambda ledger: ledger.registration(registration))

    async def registrations(self, wanted: Filter, after: int, limit: int) -> Any:
        """A page of registrations."""
        return await self._read(lambda ledger: ledger.registrations(wanted, after, limit))

    async def waiting_ahead(self, registration: Any) -> int:
        """How many wait before it."""
        return await self._read(lambda ledger: ledger.waiting_ahead(registration))

    async def decision(self, command: str) -> Any:
        """The decision of a command."""
        return await self._read(lambda ledger: ledger.decision(command))

    async def history(self, event: str, person: str, after: int, limit: int) -> Any:
        """The decisions that name a person."""
        return await self._read(lambda ledger: ledger.history(event, person, after, limit))

    async def barrier(self) -> None:
        """A write at the primary: what follows is read where it was written."""
        await self._again(self._ledger.barrier)

    async def close(self) -> None:
        """This process asks no more."""
        self._closed = True

    # -- the audit reads the engine itself -------------------------------------------------------

    def rows(self) -> Any:
        """The whole ledger as rows."""
        return self._ledger.rows()

    async def quarantined(self, partition: int) -> dict[int, str]:
        """What was quarantined."""
        return await self._fresh(lambda: self._ledger.quarantined(partition))

    # -- ways to ask -----------------------------------------------------------------------------

    async def _read(self, effect: Callable[[MemoryLedger], Coroutine[Any, Any, T]]) -> T:
        """From wherever this process may be answered."""
        self._check_open()
        ledger = self._ledger

        async def read() -> tuple[T, int]:
            answering = ledger.readable(self._seen)
            version = ledger.version if answering is ledger else ledger.applied
            return await effect(answering), version

        found, version = await self._network.ask(self._server, read, writes=False)
        self._seen = max(self._seen, version)
        return found

    async def _fresh(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._check_open()
        return await self._network.ask(self._server, effect, writes=False)

    async def _again(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """A write that may be repeated: when its outcome is unknown, it is `Unavailable`."""
        try:
            return await self._write(effect)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def _write(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._check_open()
        moods, ledger = self._ledger.moods, self._ledger
        if moods.exhausted and self._random.random() < moods.exhausted:
            await asyncio.sleep(0.2)
            raise Unavailable("no connection to the ledger is free")
        if moods.reset_before and self._random.random() < moods.reset_before:
            raise Unavailable("the connection was reset before anything was sent")
        if moods.serialization and self._random.random() < moods.serialization:
            raise Unavailable("could not serialize access due to concurrent update")
        reset = moods.reset_after and self._random.random() < moods.reset_after
        late_s = 0.0
        if moods.slow and self._random.random() < moods.slow:
            late_s = self._random.expovariate(1 / moods.slow_s)

        async def write() -> tuple[T, int]:
            return await effect(), ledger.version

        found, version = await self._network.ask(self._server, write, writes=True, late_s=late_s)
        if reset:
            raise OutcomeUnknown("the connection was reset while it was being committed")
        self._seen = max(self._seen, version)
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the ledger is closed")


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the ledger in memory waits")
