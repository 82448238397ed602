"""A partition of a ledger, decided by the very code of processing; and Changes made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.conformance.adapters import WholeLedger
from tests.domain.room import NOW_MS, ORGANIZER, event_spec, sealed
from veltrix.domain import limits
from veltrix.domain.commands import Actor, Command, CreateEvent, Envelope, OpenEvent, Register
from veltrix.domain.event import EventSpec
from veltrix.domain.identifiers import command_id
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Registration
from veltrix.domain.state import PartitionState
from veltrix.ports.ledger import Changes, Head, Term
from veltrix.ports.log import LogIdentity, LogRecord
from veltrix.processing.batch import decide_batch, forget_touched, merge, needs_of, read_entries
from veltrix.wire import encode_command

LOG = LogIdentity("log-1", 4, 0)
TERM = Term(1, 1)


@dataclass
class Desk:
    """One owner of one partition: decides what it is given and commits it."""

    ledger: WholeLedger
    partition: int = 0
    term: Term = TERM
    owner: str = "me"
    state: PartitionState = field(default_factory=lambda: PartitionState(0))
    now_ms: int = NOW_MS
    asked: int = 0

    async def take_over(self) -> Head:
        """Own the partition, and start where the ledger stands."""
        head = await self.ledger.take_over(self.partition, self.term, self.owner, LOG)
        self.state = PartitionState(
            self.partition, 0, head.next_offset, head.log_time_ms, head.rules_version, head.next_seq
        )
        return head

    async def decide(self, *values: Envelope | bytes) -> Changes:
        """Decide records in one batch and commit it."""
        changes = await self.prepare(*values)
        await self.ledger.commit(changes)
        forget_touched(self.state, limits.EVENTS_CACHED)
        return changes

    async def prepare(self, *values: Envelope | bytes) -> Changes:
        """Decide records in one batch."""
        records = [
            LogRecord(offset, self.now_ms, value if isinstance(value, bytes) else encode_command(value))
            for offset, value in enumerate(values, self.state.next_offset)
        ]
        entries = read_entries(records)
        assert len(entries) == len(records), "a change of an event stands first in its batch"
        merge(self.state, entries, await self.ledger.load(self.partition, needs_of(self.state, entries)))
        return decide_batch(self.state, entries, self.term, {}).changes

    def ask(self, body: Command, event: str = "", actor: Actor = Actor.ORGANIZER, **rest: Any) -> Envelope:
        """A command under a key of its own."""
        self.asked += 1
        identity = command_id([str(self.partition), self.owner, str(self.asked)])
        return Envelope(identity, ORGANIZER, event, body, actor, self.now_ms, "f", **rest)

    def register(self, event: str, person: str | None = None, *categories: str) -> Envelope:
        """Somebody asks for seats, as a new person unless one is named."""
        envelope = self.ask(OpenEvent(), event)
        body = Register(person or f"person-{self.asked}", sealed(envelope.id), categories or ("std",), 1)
        return replace(envelope, body=body)

    async def create(self, spec: EventSpec | None = None) -> str:
        """An open event."""
        changes = await self.decide(self.ask(CreateEvent(spec or event_spec(), "key_hash")))
        assert changes.decisions[0].refusal is None, changes.decisions[0].detail
        event = changes.decisions[0].event
        await self.decide(self.ask(OpenEvent(), event))
        return event

    async def registered(self, event: str, person: str | None = None, *categories: str) -> Registration:
        """A registration as decided."""
        changes = await self.decide(self.register(event, person, *categories))
        (registration,) = changes.registrations
        return registration


async def desk(ledger: WholeLedger, partition: int = 0, **rest: Any) -> Desk:
    """A desk that owns its partition."""
    made = Desk(ledger, partition, **rest)
    await made.take_over()
    return made


async def rows(ledger: WholeLedger, *tables: str) -> list[tuple[str, tuple[object, ...]]]:
    """The canonical rows, of these tables or of all."""
    return [row async for row in ledger.rows() if not tables or row[0] in tables]


def by_hand(desk: Desk, *decisions: Decision, **rest: Any) -> Changes:
    """Changes that no decider made: what a defect might ask of the ledger."""
    state = desk.state
    return Changes(
        partition=desk.partition,
        term=desk.term,
        old_offset=state.next_offset,
        new_offset=state.next_offset + len(decisions),
        log_time_ms=state.log_time_ms,
        rules_version=state.rules_version,
        next_seq=state.next_seq + len(rest.get("facts", ())),
        last_hash="by hand",
        decisions=list(decisions),
        **rest,
    )


def in_batches(log: Iterable[tuple[Envelope, int]], sizes: Iterable[int]) -> list[list[LogRecord]]:
    """A room's log cut into batches of these sizes, over and over."""
    records = [
        LogRecord(offset, append_ms, encode_command(envelope))
        for offset, (envelope, append_ms) in enumerate(log)
    ]
    cut: list[list[LogRecord]] = []
    wanted = list(sizes)
    while records:
        size = wanted[len(cut) % len(wanted)]
        cut.append(records[:size])
        records = records[size:]
    return cut
