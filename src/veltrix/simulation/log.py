"""The log as an engine that is mean, and the port `Log` as one process sees it.

A record counts once it is synced, and is acknowledged and shown after that only. What is not synced is lost
when the power goes, or stays: whoever appended it does not know. With weak acknowledgements (`weak`) it is
acknowledged before, which is what the promises forbid: such a log is here to see that it is noticed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from veltrix.adapters.memory import MemoryLog
from veltrix.ports.errors import Mismatch, OutcomeUnknown, PortError, Unavailable
from veltrix.ports.log import Appended, LogIdentity, LogRecord, Record
from veltrix.ports.system import Clock
from veltrix.simulation.loop import SimulatedLoop
from veltrix.simulation.network import PATIENCE_S, Reply, Server

if TYPE_CHECKING:
    from veltrix.simulation.engines import Engines

SYNC_S: Final = 0.0005
WEAK_SYNC_S: Final = 0.3
LEADER_STEP_MS: Final = 20_000


@dataclass(slots=True)
class LogMoods:
    """How mean the log is: shares of appends, records that a fetch does not show yet, seconds."""

    shown_late_s: float = 0.0
    ambiguous: float = 0.0
    duplicated: float = 0.0
    lag: int = 0
    quorum: bool = True
    weak: bool = False


class BrokerClock:
    """The clock of the partition's leader: another leader, another clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset_ms = 0

    def now_ms(self) -> int:
        """What this leader writes into records."""
        return self._clock.now_ms() + self.offset_ms

    def monotonic_s(self) -> float:
        """Seconds for measuring spans."""
        return self._clock.monotonic_s()


@dataclass(slots=True, eq=False)
class _Fetch:
    """A reader who waits at the engine for the first record."""

    partition: int
    offset: int
    most: int
    reply: Reply
    timer: asyncio.TimerHandle | None = None
    over: bool = False

    def end(self, found: list[LogRecord], error: PortError | None = None) -> None:
        """Answer it, once."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
        self.reply(found, error)


class LogEngine(MemoryLog):
    """The brokers. `shown` is the high watermark, which the synced end is never behind."""

    def __init__(
        self, partitions: int, clock: Clock, loop: SimulatedLoop, server: Server, random: Random
    ) -> None:
        self.clock = BrokerClock(clock)
        super().__init__(partitions, clock=self.clock, topic_id="simulated")
        self.moods = LogMoods()
        self.lost_acknowledged = 0
        self._loop = loop
        self._server = server
        self._random = random
        self._synced = [0] * partitions
        self.shown = [0] * partitions
        self._syncing = [False] * partitions
        self._unanswered: list[list[tuple[Appended, Reply]]] = [[] for _ in range(partitions)]
        self._fetches: list[list[_Fetch]] = [[] for _ in range(partitions)]
        server.on_down = self._end_fetches

    def grow(self, partitions: int) -> None:
        """Add partitions; there is no way to remove any."""
        standing = self._identity.partitions
        if partitions < standing:
            raise Mismatch(f"the log has {standing} partitions: set at least {standing}")
        self._identity = LogIdentity(self._identity.topic_id, partitions, self._identity.generation)
        for _ in range(partitions - standing):
            self._records.append([])
            self._waiting.append(set())
            self._synced.append(0)
            self.shown.append(0)
            self._syncing.append(False)
            self._unanswered.append([])
            self._fetches.append([])

    # -- what is asked over the network ----------------------------------------------------------

    def take(self, partition: int, record: Record, reply: Reply) -> None:
        """Append; the answer comes when it is synced, if all goes well."""
        moods = self.moods
        ambiguous = moods.ambiguous and self._random.random() < moods.ambiguous
        if ambiguous and self._random.random() < 0.5:
            reply(None, OutcomeUnknown("the log's leader changed: not appended, but who knows"))
            return
        try:
            appended = _at_once(self.append(partition, record))
            if moods.duplicated and self._random.random() < moods.duplicated:
                _at_once(self.append(partition, record))
        except PortError as error:
            reply(None, error)
            return
        if ambiguous:
            reply(None, OutcomeUnknown("the log's leader changed: appended, but who knows"))
        elif moods.weak:
            reply(appended, None)
            self._show(partition, len(self._records[partition]))
        else:
            self._unanswered[partition].append((appended, reply))
        self._sync_soon(partition)

    def fetch(self, partition: int, offset: int, most: int, wait_s: float, reply: Reply) -> None:
        """Read what is shown; wait at the engine for the first record."""
        try:
            end = len(self._of(partition))
            if not 0 <= offset <= end:
                self._slice(partition, offset, most)
            found = self._shown(partition, offset, most)
        except PortError as error:
            reply(None, error)
            return
        if found or wait_s <= 0:
            reply(found, None)
            return
        fetch = _Fetch(partition, offset, most, reply)
        self._fetches[partition].append(fetch)
        fetch.timer = self._loop.later(self._server.life, wait_s, self._end_fetch, fetch)

    def ends(self, partition: int, reply: Reply) -> None:
        """(first, next) as far as it is shown."""
        try:
            self._of(partition)
        except PortError as error:
            reply(None, error)
        else:
            reply((0, self.shown[partition]), None)

    # -- what befalls it -------------------------------------------------------------------------

    def lose_tail(self) -> None:
        """Power is lost, or another broker leads: of what is not synced a part stays, perhaps nothing."""
        for partition, records in enumerate(self._records):
            synced = self._synced[partition]
            kept = synced + self._random.randint(0, len(records) - synced)
            self.lost_acknowledged += len(records) - kept if self.moods.weak else 0
            del records[kept:]
            self._synced[partition] = kept
            self.shown[partition] = min(self.shown[partition], kept)
            self._unanswered[partition].clear()

    def change_leader(self) -> None:
        """Another broker leads: its clock is another, and at first it shows less than the old one did."""
        self._end_fetches()
        self.lose_tail()
        self._server.reign += 1
        self.clock.offset_ms = self._random.randint(-LEADER_STEP_MS, LEADER_STEP_MS)
        for partition, shown in enumerate(self.shown):
            self.shown[partition] = max(0, shown - self._random.randint(0, 5))
            self._loop.later(self._server.life, self._random.random(), self._show, partition, shown)

    def resume(self) -> None:
        """What was kept from being synced or shown is, from now on."""
        for partition in range(self._identity.partitions):
            self._sync_soon(partition)

    def _sync_soon(self, partition: int) -> None:
        if not self._syncing[partition]:
            self._syncing[partition] = True
            delay_s = WEAK_SYNC_S if self.moods.weak else SYNC_S
            self._loop.later(
                self._server.life, delay_s * (0.5 + self._random.random()), self._sync, partition
            )

    def _sync(self, partition: int) -> None:
        self._syncing[partition] = False
        if not self.moods.quorum:
            return
        end = self._synced[partition] = len(self._records[partition])
        late_s = self.moods.shown_late_s
        if late_s:
            self._loop.later(self._server.life, late_s * self._random.random(), self._show, partition, end)
        else:
            self._show(partition, end)
        answers, self._unanswered[partition] = self._unanswered[partition], []
        for appended, reply in answers:
            reply(appended, None)

    def _show(self, partition: int, end: int) -> None:
        end = min(end, len(self._records[partition]))
        if end <= self.shown[partition]:
            return
        self.shown[partition] = end
        waiting, self._fetches[partition] = self._fetches[partition], []
        for fetch in waiting:
            found = self._shown(partition, fetch.offset, fetch.most)
            if found:
                fetch.end(found)
            else:
                self._fetches[partition].append(fetch)

    def _shown(self, partition: int, offset: int, most: int) -> list[LogRecord]:
        most = min(most, self.shown[partition] - self.moods.lag - offset)
        return self._slice(partition, offset, most) if most > 0 else []

    def _end_fetch(self, fetch: _Fetch) -> None:
        if not fetch.over:
            self._fetches[fetch.partition].remove(fetch)
            fetch.end(self._shown(fetch.partition, fetch.offset, fetch.most))

    def _end_fetches(self) -> None:
        for fetches in self._fetches:
            for fetch in fetches:
                fetch.end([], Unavailable("the log's leader is gone"))
            fetches.clear()


class SimLog:
    """The port `Log`, as one process sees the log."""

    def __init__(self, engines: Engines) -> None:
        self._engine = engines.log
        self._network = engines.network
        self._server = engines.servers["log"]
        self._appending: set[asyncio.Future[Any]] = set()
        self._reading: set[asyncio.Future[Any]] = set()
        self._closed = False

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._engine.identity

    async def append(self, partition: int, record: Record) -> Appended:
        """Append; who hears nothing does not know."""
        self._check_open()
        asked = self._network.begin(self._server, self._engine.take, partition, record, writes=True)
        self._appending.add(asked)
        try:
            appended: Appended = await asked
            return appended
        finally:
            self._appending.discard(asked)

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Records below the high watermark; waits at the log for the first."""
        self._check_open()
        asked = self._network.begin(
            self._server,
            self._engine.fetch,
            partition,
            offset,
            max_records,
            wait_s,
            writes=False,
            patience_s=wait_s + PATIENCE_S,
        )
        self._reading.add(asked)
        try:
            found: list[LogRecord] = await asked
            return found
        finally:
            self._reading.discard(asked)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first, next) as far as it is shown."""
        self._check_open()
        found: tuple[int, int] = await self._network.begin(
            self._server, self._engine.ends, partition, writes=False
        )
        return found

    async def close(self) -> None:
        """Finish what was appended; readers are told."""
        self._closed = True
        for asked in list(self._reading):
            if not asked.done():
                asked.set_exception(Unavailable("the log was closed"))
        if self._appending:
            await asyncio.wait(self._appending)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the log is closed")


def _at_once(appending: Any) -> Appended:
    """What the log in memory returns: it never waits."""
    try:
        appending.send(None)
    except StopIteration as done:
        appended: Appended = done.value
        return appended
    raise AssertionError("the log in memory waits")
