"""From a run of log records to one ledger transaction: pure, shared by processing, audit and simulation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from veltrix.domain.commands import KIND_OF, ChangeEvent, ContinuePromotions, Envelope
from veltrix.domain.decider import Judgement, RulesUnknown, judge, refuse_record
from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.identifiers import partition_of
from veltrix.domain.outcomes import Outcome as Decided
from veltrix.domain.outcomes import Refusal
from veltrix.domain.state import EventState, Needs, PartitionState, collect_needs, is_waiting
from veltrix.ports.feed import Reply
from veltrix.ports.ledger import Changes, EventRow, Loaded, PoolRow, Term
from veltrix.ports.log import LogRecord
from veltrix.wire import WireError, decode_command

_CONTINUE: Final = KIND_OF[ContinuePromotions]


class Poisoned(Exception):
    """The decision of the record at `index` raised; the state may be half evolved and must be dropped."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.index = index


@dataclass(slots=True)
class Entry:
    """A record with what it says: a command, or why it is none."""

    record: LogRecord
    said: Envelope | WireError


@dataclass(slots=True)
class Continuation:
    """An event whose promotions go on after the decision at `offset`."""

    organizer: str
    event: str
    offset: int


@dataclass(slots=True)
class Outcome:
    """What a batch leads to: a transaction, and what follows once it is committed."""

    changes: Changes
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    continuations: list[Continuation] = field(default_factory=list)


def read_entries(records: Sequence[LogRecord]) -> list[Entry]:
    """Decode records up to, not including, a change of an event that is not the first.

    A change may move a capacity, and the ledger's rule for ceilings wants it at the head of its batch.
    """
    entries: list[Entry] = []
    for record in records:
        try:
            said: Envelope | WireError = decode_command(record.value)
        except WireError as error:
            said = error
        if entries and isinstance(said, Envelope) and isinstance(said.body, ChangeEvent):
            break
        entries.append(Entry(record, said))
    return entries


def needs_of(state: PartitionState, entries: Sequence[Entry]) -> Needs:
    """What these records touch and `state` does not hold yet.

    What people have is left out where an event that is held limits nobody; the first command may change
    that, as it may change anything of its event.
    """
    needs = Needs()
    for entry in entries:
        if isinstance(entry.said, Envelope):
            collect_needs(entry.said, needs)
    may_change = entries[0].said.event if entries and isinstance(entries[0].said, Envelope) else ""
    unlimited: set[str] = set()
    for event_id in needs.events & state.events.keys():
        event = state.events[event_id]
        if event is not None:
            needs.registrations -= event.registrations.keys()
            if event_id != may_change and not event.event.spec.limits_people:
                unlimited.add(event_id)
    needs.events -= state.events.keys()
    needs.people = {key for key in needs.people if key[0] not in unlimited}
    return needs


def merge(state: PartitionState, entries: Sequence[Entry], loaded: Loaded) -> None:
    """Put what was loaded where decisions look for it.

    An event of another partition has another owner: for this one it does not exist.
    """
    for event_id, event in loaded.events.items():
        ours = event is not None and partition_of(event_id) == state.partition
        state.events[event_id] = event if ours else None
    state.decided.update(loaded.decided)
    state.slugs.update(loaded.slugs)
    for (event_id, person), has in loaded.people.items():
        event = state.events.get(event_id)
        if event is not None:
            event.people[person] = has
    for registration in loaded.registrations.values():
        event = state.events.get(registration.event) if registration is not None else None
        if event is not None and registration is not None:
            event.registrations.setdefault(registration.id, registration)
    for (event_id, seat), owner in loaded.seat_owners.items():
        event = state.events.get(event_id)
        if event is not None:
            event.seat_owners[seat] = owner


def decide_batch(
    state: PartitionState,
    entries: Sequence[Entry],
    term: Term,
    quarantined: Mapping[int, str],
) -> Outcome:
    """Decide the records in order and gather one transaction; `quarantined` maps offsets to reasons.

    Raises `Poisoned` when a decision raises, `RulesUnknown` when this code must not decide at all.
    """
    changes = Changes(
        partition=state.partition,
        term=term,
        old_offset=state.next_offset,
        new_offset=state.next_offset,
        log_time_ms=state.log_time_ms,
        rules_version=state.rules_version,
        next_seq=state.next_seq,
        last_hash="",
    )
    outcome = Outcome(changes)
    touched: dict[str, EventState] = {}
    changed: dict[str, EventState] = {}
    due: dict[str, Continuation] = {}
    for index, entry in enumerate(entries):
        first_seq = state.next_seq
        offset = entry.record.offset
        try:
            judgement = _judge(state, entry, quarantined.get(offset))
        except RulesUnknown:
            raise
        except Exception as error:
            raise Poisoned(index, error) from error
        _number(outcome, entry, judgement, first_seq)
        for fact in judgement.facts:
            _touch(state, fact, touched, changed)
        decision = judgement.decision
        if judgement.more:
            due[decision.event] = Continuation(decision.organizer, decision.event, offset)
        elif decision.kind == _CONTINUE and decision.outcome is Decided.ACCEPTED:
            due.pop(decision.event, None)
    outcome.continuations = list(due.values())
    changes.new_offset = state.next_offset
    changes.log_time_ms = state.log_time_ms
    changes.rules_version = state.rules_version
    changes.next_seq = state.next_seq
    changes.last_hash = record_hash(entries[-1].record.value)
    _gather(changes, touched, changed)
    return outcome


def forget_touched(state: PartitionState, most_events: int) -> None:
    """Drop what only the last batch needed; events stay with their waiting lines, up to `most_events`."""
    state.decided.clear()
    state.slugs.clear()
    for event_id in [key for key, event in state.events.items() if event is None]:
        del state.events[event_id]
    while len(state.events) > most_events:
        del state.events[next(iter(state.events))]
    for event in state.events.values():
        assert event is not None
        event.whole = False
        event.people.clear()
        event.seat_owners.clear()
        if len(event.registrations) > len(event.waiting):
            event.registrations = {
                key: registration
                for key, registration in event.registrations.items()
                if registration is not None and is_waiting(registration)
            }


def record_hash(value: bytes) -> str:
    """What ties a ledger to its log: the hash of the last decided record."""
    return hashlib.blake2b(value, digest_size=16).hexdigest()


def _judge(state: PartitionState, entry: Entry, quarantine: str | None) -> Judgement:
    record = entry.record
    if isinstance(entry.said, WireError):
        return refuse_record(state, record.offset, entry.said.refusal, str(entry.said))
    if quarantine is not None:
        return refuse_record(state, record.offset, Refusal.QUARANTINED, quarantine, entry.said)
    return judge(state, entry.said, record.offset, record.append_ms)


def _number(outcome: Outcome, entry: Entry, judgement: Judgement, first_seq: int) -> None:
    decision, record = judgement.decision, entry.record
    own: NumberedFact | None = None
    for seq, fact in enumerate(judgement.facts, first_seq):
        numbered = NumberedFact(
            decision.partition, seq, record.offset, decision.command, decision.log_time_ms, record.trace, fact
        )
        outcome.changes.facts.append(numbered)
        if seq == decision.own_seq:
            own = numbered
    outcome.changes.decisions.append(decision)
    if record.reply_to:
        outcome.replies.setdefault(record.reply_to, []).append(Reply(decision, own))


def _touch(
    state: PartitionState, fact: Fact, touched: dict[str, EventState], changed: dict[str, EventState]
) -> None:
    event = state.events.get(fact.event)
    if event is None:
        return
    if fact.event_after is not None:
        touched[fact.event] = event
    elif fact.registration is not None and fact.kind is not FactKind.REGISTRATION_REFUSED:
        touched[fact.event] = event
        changed[fact.registration.id] = event


def _gather(changes: Changes, touched: dict[str, EventState], changed: dict[str, EventState]) -> None:
    for event_id, event in touched.items():
        changes.events.append(EventRow(event.event, event.next_seat, dict(event.code_uses)))
        changes.pools.extend(
            PoolRow(event_id, key, pool.capacity, pool.taken) for key, pool in event.pools.items()
        )
        kept = event.pools.keys()
        changes.pools_removed.extend((event_id, key) for key in event.pools_dropped - kept)
        event.pools_dropped.clear()
    for registration_id, event in changed.items():
        registration = event.registrations[registration_id]
        assert registration is not None
        changes.registrations.append(registration)
