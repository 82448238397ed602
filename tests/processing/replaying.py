"""Logs as lists of records, and what deciding them in batches leads to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from random import Random

from tests.domain.asking import Asker, any_intent, any_spec
from tests.domain.room import NOW_MS, Room
from veltrix.adapters.memory import MemoryLedger
from veltrix.domain import limits
from veltrix.domain.commands import Actor, AdoptRules, CreateEvent, Envelope, OpenEvent
from veltrix.domain.decider import NEWEST_RULES
from veltrix.domain.state import PartitionState
from veltrix.ports.ledger import Term
from veltrix.ports.log import LogIdentity, LogRecord
from veltrix.processing.batch import (
    Continuation,
    Outcome,
    decide_batch,
    forget_touched,
    merge,
    needs_of,
    read_entries,
)
from veltrix.wire import encode_command

LOG = LogIdentity("log-1", 1, 0)
TERM = Term(1, 1)
Rows = list[tuple[str, tuple[object, ...]]]


def record(offset: int, value: bytes | Envelope, append_ms: int = NOW_MS, reply_to: str = "") -> LogRecord:
    """A record as the log gives it back."""
    raw = value if isinstance(value, bytes) else encode_command(value)
    return LogRecord(offset, append_ms, raw, reply_to=reply_to)


def records_of(values: Iterable[tuple[bytes | Envelope, int]]) -> list[LogRecord]:
    """Values with their append times, one after the other."""
    return [record(offset, value, append_ms) for offset, (value, append_ms) in enumerate(values)]


def any_log(random: Random, length: int) -> list[LogRecord]:
    """What is asked in one random evening, with garbage, and with records that come twice."""
    room = Room()
    values: list[tuple[bytes | Envelope, int]] = []
    asker = Asker(room, [])
    if random.random() < 0.5:
        room.ask(AdoptRules(NEWEST_RULES), actor=Actor.SYSTEM)
        values.append(room.log[-1])
    for slug in ("first", "second"):
        created = room.judge(room.envelope(CreateEvent(any_spec(random, slug), "key_hash")))
        asker.events.append(created.decision.event)
        values.append(room.log[-1])
        room.judge(room.envelope(OpenEvent(), created.decision.event))
        values.append(room.log[-1])
    for _ in range(length):
        envelope = asker.envelope(any_intent(random))
        if envelope is not None:
            room.judge(envelope)
            values.append(room.log[-1])
        if random.random() < 0.05:
            values.append((any_garbage(random, values), room.now_ms))
            room.state.next_offset += 1  # what is no command moves nothing but the offset
        if random.random() < 0.05:
            envelope = random.choice(room.log)[0]
            room.judge(envelope)
            values.append(room.log[-1])
    return records_of(values)


def any_garbage(random: Random, values: Sequence[tuple[bytes | Envelope, int]]) -> bytes:
    """A record that is no command, of any kind."""
    value = random.choice(values)[0]
    whole = value if isinstance(value, bytes) else encode_command(value)
    return random.choice(
        [
            b"",
            random.randbytes(20),
            whole[:-10],
            whole.replace(b'"v":1', b'"v":2'),
            whole.replace(b'"kind":"', b'"kind":"un'),
            whole.ljust(limits.RECORD_MAX_BYTES + 1),
        ]
    )


def cut(records: Sequence[LogRecord], sizes: Iterable[int]) -> Iterator[Sequence[LogRecord]]:
    """The records in runs of these sizes, the rest one by one."""
    at = 0
    for size in chain(sizes, repeat(1)):
        if at >= len(records):
            return
        yield records[at : at + size]
        at += size


class Replay:
    """Decides a log into a ledger in memory, batch by batch."""

    def __init__(self, quarantined: Mapping[int, str] | None = None, partition: int = 0) -> None:
        self.ledger = MemoryLedger()
        self.quarantined = quarantined or {}
        self.state = PartitionState(partition)
        self.continuations: list[Continuation] = []
        self.events_cached = limits.EVENTS_CACHED
        self.log = LOG
        self._owned = False

    async def decide(self, records: Sequence[LogRecord]) -> list[Outcome]:
        """Decide these records in as few batches as may be."""
        if not self._owned:
            await self.ledger.take_over(self.state.partition, TERM, "me", self.log)
            self._owned = True
        outcomes: list[Outcome] = []
        left = records
        while left:
            entries = read_entries(left)
            needs = needs_of(self.state, entries)
            merge(self.state, entries, await self.ledger.load(self.state.partition, needs))
            outcome = decide_batch(self.state, entries, TERM, self.quarantined)
            await self.ledger.commit(outcome.changes)
            forget_touched(self.state, self.events_cached)
            self.continuations += outcome.continuations
            outcomes.append(outcome)
            left = left[len(entries) :]
        return outcomes

    async def rows(self) -> Rows:
        """All that the ledger holds, facts as bytes."""
        return [row async for row in self.ledger.rows()]


async def replayed(
    records: Sequence[LogRecord],
    sizes: Iterable[int] = (),
    quarantined: Mapping[int, str] | None = None,
    events_cached: int = limits.EVENTS_CACHED,
) -> Rows:
    """The ledger after these records, decided in batches of these sizes."""
    replay = Replay(quarantined)
    replay.events_cached = events_cached
    for batch in cut(records, sizes):
        await replay.decide(batch)
    return await replay.rows()
