"""`judge`: from a command at an offset to a decision, by the rules version of its partition.

A decision is made of pure steps with `evolve` between them: promotions that are still due, the command
itself, and the promotions that its freed seats allow. A step reads state and returns facts or a
refusal; it changes nothing, so one that raises leaves the state as the last fact left it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from veltrix.domain import limits
from veltrix.domain.commands import (
    KIND_OF,
    Actor,
    AdoptRules,
    Command,
    ContinuePromotions,
    CreateEvent,
    Envelope,
    Remind,
)
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.identifiers import arrival_number
from veltrix.domain.outcomes import Decided, Decision, Outcome, Refusal
from veltrix.domain.rules import events, registrations
from veltrix.domain.rules.context import Context, refused
from veltrix.domain.seating import promotions
from veltrix.domain.state import EventState, PartitionState, evolve


class RulesUnknown(Exception):
    """The log asks for a rules version that this process does not know: it must not own the partition."""


@dataclass(slots=True)
class Judgement:
    """A decision with the facts it led to, in order. `more` asks for a continuation of promotions."""

    decision: Decision
    facts: list[Fact]
    more: bool = False


Step = Callable[[Context, Command], Decided]

RULES: dict[int, dict[type[Command], Step]] = {
    1: {**events.STEPS, **registrations.STEPS},
    2: {**events.STEPS_2, **registrations.STEPS},
}
"""Every rules version within the audit's horizon. A new one is added beside the old, never in its place."""

NEWEST_RULES = max(RULES)
"""The newest rules version that this process knows."""

REMINDING_RULES = min(version for version, steps in RULES.items() if Remind in steps)
"""The rules version from which on people are reminded."""

FREEING = frozenset(
    {
        FactKind.EVENT_CHANGED,
        FactKind.EVENT_OPENED,
        FactKind.REGISTRATION_CANCELLED,
        FactKind.REGISTRATION_SEAT_CANCELLED,
        FactKind.REGISTRATION_EXPIRED,
        FactKind.REGISTRATION_RELEASED,
        FactKind.REGISTRATION_MOVED,
    }
)
"""Facts after which what is free is offered to all who wait: a seat came free, or the line got shorter."""


def log_time(previous_ms: int, append_ms: int, stamp_ms: int | None) -> int:
    """The time a command is judged by: t(n) = max(t(n-1), min(append time, edge stamp + 5 s)).

    Without a valid stamp it stands still, so a broker with a wrong clock alone can move nothing.
    """
    if stamp_ms is None or stamp_ms < 0:
        return previous_ms
    return max(previous_ms, min(append_ms, stamp_ms + limits.STAMP_AHEAD_MS))


def judge(state: PartitionState, envelope: Envelope, offset: int, append_ms: int) -> Judgement:
    """Decide the command at `offset` and fold its facts into `state`.

    Everything that `collect_needs` names for the command must be loaded. Raises `RulesUnknown` for rules
    that this code does not have; any other exception is a defect, and its record is quarantined.
    """
    rules = RULES.get(state.rules_version)
    if rules is not None and type(envelope.body) not in rules and not isinstance(envelope.body, AdoptRules):
        # Whoever made these rules could not read it, and refused it as the record of another version.
        return refuse_record(state, offset, Refusal.UNKNOWN_VERSION, f"kind {envelope.kind!r} is unknown")
    now_ms = log_time(state.log_time_ms, append_ms, envelope.stamp_ms)
    before = state.decided.get(envelope.id)
    if before is not None:
        decision = _repeated(state, envelope, offset, now_ms, before)
        _advance(state, offset, now_ms)
        return Judgement(decision, [])
    rules_version = state.rules_version
    if rules is None:
        raise RulesUnknown(f"partition {state.partition} is under rules version {rules_version}")
    event = state.events.get(envelope.event)
    if event is not None and event.event.organizer != envelope.organizer:
        event = None  # what is somebody else's does not exist for this organizer
    most = limits.PROMOTIONS_PER_DECISION
    due = _promote(state, event, now_ms, most, offering=False)
    decided = _decide(state, event, envelope, offset, now_ms)
    for fact in decided.facts:
        evolve(state, fact)
    offering = _frees(envelope, decided.facts)
    left = most - len(due)
    seated = _promote(state, event, now_ms, left, offering=True) if offering else []
    facts = [*due, *decided.facts, *seated]
    assert len(facts) <= limits.FACTS_PER_DECISION, "a decision is bounded"
    decision = _first_decision(state.partition, rules_version, envelope, offset, now_ms, decided)
    if facts:
        decision.facts = len(facts)
        decision.first_seq = state.next_seq
        if decided.facts:
            decision.own_seq = state.next_seq + len(due)
        state.next_seq += len(facts)
    state.decided[envelope.id] = decision
    _advance(state, offset, now_ms)
    more = event is not None and len(seated) == left and bool(promotions(event, now_ms, 1, offering=offering))
    return Judgement(decision, facts, more)


def refuse_record(
    state: PartitionState,
    offset: int,
    refusal: Refusal,
    detail: str,
    envelope: Envelope | None = None,
) -> Judgement:
    """The decision for a record that is no command, or whose decision raised; the offset moves on."""
    decision = Decision(
        partition=state.partition,
        offset=offset,
        outcome=Outcome.QUARANTINED if refusal is Refusal.QUARANTINED else Outcome.REFUSED,
        log_time_ms=state.log_time_ms,
        rules_version=state.rules_version,
        refusal=refusal,
        detail=detail[: limits.DETAIL_MAX_CHARS],
    )
    if envelope is not None:
        decision.kind = envelope.kind
        decision.organizer = envelope.organizer
        decision.event = envelope.event
        decision.person = envelope.person
        decision.key_id = envelope.box.key_id if envelope.box else None
        decision.fingerprint = envelope.fingerprint
        if envelope.id not in state.decided:
            decision.command = envelope.id
            state.decided[envelope.id] = decision
    _advance(state, offset, state.log_time_ms)
    return Judgement(decision, [])


def _decide(
    state: PartitionState, event: EventState | None, envelope: Envelope, offset: int, now_ms: int
) -> Decided:
    body = envelope.body
    if isinstance(body, AdoptRules):
        if body.version not in RULES:
            raise RulesUnknown(f"partition {state.partition} is to adopt rules version {body.version}")
        fact = Fact(FactKind.RULES_ADOPTED, "", envelope.organizer, rules_version=body.version)
        return Decided([fact])
    if event is None and (envelope.event or not isinstance(body, CreateEvent)):
        return refused(Refusal.UNKNOWN_EVENT, f"there is no event {envelope.event}")
    by_registrant = envelope.actor is Actor.REGISTRANT
    arrival = arrival_number(state.generation, offset)
    context = Context(state, cast(EventState, event), envelope, arrival, now_ms, by_registrant)
    return RULES[state.rules_version][type(body)](context, body)


def _first_decision(
    partition: int, rules_version: int, envelope: Envelope, offset: int, now_ms: int, decided: Decided
) -> Decision:
    """What is recorded of a command that came for the first time, but for the numbers of its facts."""
    body, own = envelope.body, decided.facts[0] if decided.facts else None
    box = getattr(body, "box", None)
    if own is None:
        subject = getattr(body, "registration", "") or envelope.event
    elif own.registration is not None:
        subject = own.registration.id
    else:
        subject = own.event
    return Decision(
        partition=partition,
        offset=offset,
        outcome=Outcome.ACCEPTED if decided.refusal is None else Outcome.REFUSED,
        log_time_ms=now_ms,
        rules_version=rules_version,
        command=envelope.id,
        kind=KIND_OF[type(body)],
        refusal=decided.refusal,
        detail=decided.detail,
        organizer=envelope.organizer,
        event=envelope.event or (own.event if own is not None else ""),
        subject=subject,
        person=getattr(body, "person", None),
        key_id=None if box is None else box.key_id,
        fingerprint=envelope.fingerprint,
    )


def _repeated(
    state: PartitionState, envelope: Envelope, offset: int, now_ms: int, before: Decision
) -> Decision:
    same = before.fingerprint == envelope.fingerprint
    key_id = envelope.box.key_id if envelope.box else None
    if key_id == before.key_id:
        key_id = None  # a record that was appended twice; its key is in use, and the first decision keeps it
    return Decision(
        partition=state.partition,
        offset=offset,
        outcome=Outcome.DUPLICATE if same else Outcome.KEY_REUSED,
        log_time_ms=now_ms,
        rules_version=state.rules_version,
        command=envelope.id,
        kind=envelope.kind,
        organizer=envelope.organizer,
        event=envelope.event or before.event,
        subject=before.subject,
        person=envelope.person,
        key_id=key_id,
        fingerprint=envelope.fingerprint,
        original=before.offset,
    )


def _frees(envelope: Envelope, facts: list[Fact]) -> bool:
    """Whether the command offers what is free to all who wait; a continuation goes on with an offer."""
    for fact in facts:
        if fact.kind in FREEING:
            return True
    return isinstance(envelope.body, ContinuePromotions)


def _promote(
    state: PartitionState, event: EventState | None, now_ms: int, most: int, *, offering: bool
) -> list[Fact]:
    if event is None or not event.waiting.parties:
        return []
    facts = promotions(event, now_ms, most, offering=offering)
    for fact in facts:
        evolve(state, fact)
    return facts


def _advance(state: PartitionState, offset: int, now_ms: int) -> None:
    state.next_offset = offset + 1
    state.log_time_ms = now_ms
