"""Processing on memory adapters, with errors on demand and signals to wait for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.domain.room import NOW_MS, Room
from veltrix.adapters.memory import (
    MemoryCluster,
    MemoryCoordinator,
    MemoryFeed,
    MemoryLedger,
    MemoryLog,
    MemoryReplies,
    MemoryVault,
)
from veltrix.domain.commands import Envelope
from veltrix.domain.facts import NumberedFact
from veltrix.observability.metrics import NullMetrics
from veltrix.ports.errors import PortError
from veltrix.ports.feed import Reply
from veltrix.ports.ledger import Changes, Term
from veltrix.ports.log import Record
from veltrix.processing.processor import Processor
from veltrix.processing.relay import Relay
from veltrix.processing.service import ProcessingService
from veltrix.processing.ticker import Ticker
from veltrix.wire import encode_command

PATIENCE_S = 20.0
"""How long a test waits for a signal before it fails: never for as long as things work."""


class HandClock:
    """A clock that moves when a test moves it."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self.ms

    def monotonic_s(self) -> float:
        """Seconds for measuring spans."""
        return self.ms / 1000


class Signals(NullMetrics):
    """Metrics that tests wait on: `seen` is what was told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []
        self.told = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is asked again whenever processing tells something."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.told.clear()
                await self.told.wait()

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """What was told under this name."""
        return [each[1:] for each in self.seen if each[0] == name]

    def tell(self, *said: Any) -> None:
        """Take note, and wake whoever waits."""
        self.seen.append(said)
        self.told.set()

    def progress(self, partition: int, next_offset: int, log_end: int) -> None:
        """A batch was decided."""
        self.tell("progress", partition, next_offset)

    def batch(self, partition: int, size: int, load_s: float, decide_s: float, commit_s: float) -> None:
        """A batch was committed."""
        self.tell("batch", size)

    def decided(self, kind: str, outcome: str, refusal: str, event: str = "") -> None:
        """A decision was committed."""
        del event
        self.tell("decided", kind, outcome, refusal)

    def owned(self, partition: int, owned: bool) -> None:
        """A partition was taken or given up."""
        self.tell("owned", partition, owned)

    def fenced(self, partition: int) -> None:
        """A newer term was met."""
        self.tell("fenced", partition)

    def ticked(self, appended: int) -> None:
        """A round ended."""
        self.tell("ticked", appended)

    def published(self, facts: int, seconds: float) -> None:
        """Facts went out."""
        del seconds
        self.tell("published", facts)

    def erased(self) -> None:
        """Keys were destroyed."""
        self.tell("erased")


class ShakyLedger(MemoryLedger):
    """A ledger whose next commits end as `script` says: an error before or after the rows are written."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock=clock)
        self.script: deque[tuple[str, Exception] | None] = deque()
        self.refuse: Callable[[Changes], Exception | None] = lambda _: None
        self.tries: list[tuple[int, int]] = []
        self.mark_errors: deque[Exception] = deque()

    async def commit(self, changes: Changes) -> None:
        """Commit, unless the script has something else in store."""
        self.tries.append((changes.old_offset, changes.new_offset))
        refused = self.refuse(changes)
        if refused is not None:
            raise refused
        when, error = (self.script.popleft() if self.script else None) or ("never", PortError())
        if when == "before":
            raise error
        await super().commit(changes)
        if when == "after":
            raise error

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Record the relay's position, unless an error is in store."""
        if self.mark_errors:
            raise self.mark_errors.popleft()
        await super().relayed(partition, term, seq)


class ShakyFeed(MemoryFeed):
    """A feed that fails when told to, and remembers what went out."""

    def __init__(self) -> None:
        super().__init__()
        self.script: deque[tuple[str, Exception] | None] = deque()
        self.out: list[int] = []
        self.offsets: list[int] = []
        self.tries = 0

    async def publish(self, partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        """Publish, with the script's errors before or after."""
        self.tries += 1
        await asyncio.sleep(0)
        when, error = (self.script.popleft() if self.script else None) or ("never", PortError())
        if when == "before":
            raise error
        self.out += [fact.seq for fact in facts]
        self.offsets.append(next_offset)
        await super().publish(partition, facts, next_offset)
        if when == "after":
            raise error


@dataclass
class Bench:
    """All that processing needs, and a room in which its commands are made up."""

    partitions: int = 1
    clock: HandClock = field(default_factory=HandClock)
    signals: Signals = field(default_factory=Signals)
    room: Room = field(default_factory=Room)
    cluster: MemoryCluster = field(default_factory=MemoryCluster)

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.partitions, clock=self.clock)
        self.ledger = ShakyLedger(self.clock)
        self.feed = ShakyFeed()
        self.replies = MemoryReplies()
        self.vault = MemoryVault()
        self.coordinator = MemoryCoordinator(self.cluster)
        self.answers: list[Reply] = []
        self.replies.listen(self.answers.extend)

    def service(self, coordinator: MemoryCoordinator | None = None, **changes: Any) -> ProcessingService:
        """A processing service on this bench."""
        parts: dict[str, Any] = {
            "log": self.log,
            "ledger": self.ledger,
            "feed": self.feed,
            "replies": self.replies,
            "vault": self.vault,
            "coordinator": coordinator or self.coordinator,
            "clock": self.clock,
            "metrics": self.signals,
            **changes,
        }
        return ProcessingService(**parts)

    async def processor(self, resource: str = "partition/0") -> Processor:
        """A processor with a grant, not yet running; its relay does not run by itself."""
        grant = await self.coordinator.acquire(resource)
        relay = self.relay(grant)
        return Processor(0, grant, self.log, self.ledger, self.replies, relay, self.clock, self.signals)

    def relay(self, grant: Any) -> Relay:
        """A relay under a grant, not yet running."""
        return Relay(0, grant, self.ledger, self.feed, self.vault, self.clock, self.signals)

    def ticker(self) -> Ticker:
        """A ticker, not yet running."""
        return Ticker(self.log, self.ledger, self.vault, self.coordinator, self.clock, self.signals)

    async def append(self, *values: Envelope | bytes, partition: int = 0) -> int:
        """Append records; the offset of the last."""
        offset = -1
        for value in values:
            raw = value if isinstance(value, bytes) else encode_command(value)
            appended = await self.log.append(partition, Record(raw, reply_to=self.replies.address))
            offset = appended.offset
        return offset

    async def append_asked(self, start: int = 0) -> int:
        """Append what was asked in the room from there on; the offset of the last."""
        return await self.append(*(envelope for envelope, _ in self.room.log[start:]))

    async def decided(self, upto: int, partition: int = 0) -> None:
        """Return once the record at that offset is decided."""
        await self.signals.until(
            lambda: any(
                on == partition and next_offset > upto for on, next_offset in self.signals.of("progress")
            )
        )

    async def decided_at_all(self, upto: int, partition: int = 0) -> None:
        """The same where the owner that decides may not live to tell: asks the ledger itself."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.next_offset(partition) <= upto:
                self.signals.told.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self.signals.told.wait()

    async def run_until_decided(self, processor: Processor, upto: int) -> None:
        """Let a processor run until it has decided so far, and stop it."""
        running = asyncio.create_task(processor.run())
        waiting = asyncio.create_task(self.decided(upto))
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        processor.stopping = True
        waiting.cancel()
        await running
        await asyncio.gather(waiting, return_exceptions=True)

    async def next_offset(self, partition: int = 0) -> int:
        """How far the ledger has decided."""
        head = await self.ledger.head(partition)
        return 0 if head is None else head.next_offset
