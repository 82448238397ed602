"""Steps for commands about an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

from veltrix.domain.commands import (
    CancelEvent,
    ChangeEvent,
    CloseEvent,
    Command,
    ContinuePromotions,
    CreateEvent,
    EndEvent,
    ErasePerson,
    OpenEvent,
    Remind,
)
from veltrix.domain.event import Event, EventSpec, EventStatus
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.identifiers import EVENT, entity_id
from veltrix.domain.outcomes import Decided, Refusal
from veltrix.domain.rules.context import Context, accepted, refused
from veltrix.domain.soundness import check_change, check_spec


def create_event(context: Context, body: CreateEvent) -> Decided:
    """A draft, unless the organizer already has an event of that slug."""
    taken = context.state.slugs.get((context.envelope.organizer, body.spec.slug))
    if taken is not None:
        return refused(Refusal.SLUG_TAKEN, f"slug {body.spec.slug!r} is event {taken}")
    faults = check_spec(body.spec)
    if faults:
        return refused(Refusal.INVALID_CHANGE, f"{faults[0].field} {faults[0].fault}")
    event = Event(
        id=entity_id(EVENT, context.now_ms, context.state.partition, context.envelope.id),
        organizer=context.envelope.organizer,
        spec=body.spec,
        hash_key=body.hash_key,
        created_ms=context.now_ms,
        changed_ms=context.now_ms,
    )
    return accepted(context.event_fact(FactKind.EVENT_CREATED, event))


def change_event(context: Context, body: ChangeEvent) -> Decided:
    """Another specification, if nobody changed it in between and nobody loses what is theirs."""
    event = context.event.event
    if event.version != body.if_version:
        return refused(
            Refusal.VERSION_CONFLICT, f"the event has version {event.version}, not {body.if_version}"
        )
    over = _over(event)
    if over is not None:
        return over
    faults = check_change(event.spec, body.spec, published=event.status is not EventStatus.DRAFT)
    if faults:
        return refused(Refusal.INVALID_CHANGE, f"{faults[0].field} {faults[0].fault}")
    if body.spec == event.spec:
        return accepted()
    fact = context.event_fact(FactKind.EVENT_CHANGED, _after(context, spec=body.spec))
    fact.reason = _changed(event.spec, body.spec)
    return accepted(fact)


def open_event(context: Context, body: OpenEvent) -> Decided:
    """Open; asking again changes nothing."""
    return _to(context, EventStatus.OPEN, FactKind.EVENT_OPENED)


def close_event(context: Context, body: CloseEvent) -> Decided:
    """Close an open event."""
    if context.event.event.status is EventStatus.DRAFT:
        return refused(Refusal.NOT_OPEN, "a draft cannot be closed; open it first")
    return _to(context, EventStatus.CLOSED, FactKind.EVENT_CLOSED)


def cancel_event(context: Context, body: CancelEvent) -> Decided:
    """Call it off: a single fact, from which the notices to all its people fan out."""
    event = context.event.event
    if event.status is EventStatus.CANCELLED:
        return accepted()
    return _to(context, EventStatus.CANCELLED, FactKind.EVENT_CANCELLED)


def end_event(context: Context, body: EndEvent) -> Decided:
    """Mark as over, once log time has passed its end."""
    event = context.event.event
    if event.status is EventStatus.ENDED:
        return accepted()
    over = _over(event)
    if over is not None:
        return over
    if event.status is EventStatus.DRAFT:
        return refused(Refusal.NOT_OPEN, "a draft never took place")
    if context.now_ms < event.spec.ends_ms():
        return refused(
            Refusal.NOT_ENDED_YET, f"the event ends at {event.spec.ends_local} {event.spec.time_zone}"
        )
    return _to(context, EventStatus.ENDED, FactKind.EVENT_ENDED)


def remind(context: Context, body: Remind) -> Decided:
    """Whatever reminders are due by log time, as one; none once the event has begun."""
    event = context.event.event
    due_ms = event.remind_ms()
    if due_ms is None or not due_ms <= context.now_ms < event.spec.starts_ms():
        return accepted()
    return accepted(context.event_fact(FactKind.EVENT_REMINDED, _after(context, reminded_ms=context.now_ms)))


def erase_person(context: Context, body: ErasePerson) -> Decided:
    """Record that this person's keys go; the keys themselves are the vault's."""
    event = context.event.event
    return accepted(Fact(FactKind.PERSON_ERASED, event.id, event.organizer, person=body.person))


def continue_promotions(context: Context, body: ContinuePromotions) -> Decided:
    """Nothing of its own: promotions that are due precede every command."""
    return accepted()


def _changed(before: EventSpec, after: EventSpec) -> str:
    """The names of the fields that differ: a consumer needs no history to tell what a change was."""
    return ",".join(
        field.name for field in fields(after) if getattr(before, field.name) != getattr(after, field.name)
    )


def _over(event: Event) -> Decided | None:
    if event.status is EventStatus.CANCELLED:
        return refused(Refusal.EVENT_CANCELLED, "the event is cancelled")
    if event.status is EventStatus.ENDED:
        return refused(Refusal.EVENT_ENDED, "the event has ended")
    return None


def _to(context: Context, status: EventStatus, kind: FactKind) -> Decided:
    event = context.event.event
    over = _over(event)
    if over is not None:
        return over
    if event.status is status:
        return accepted()
    return accepted(context.event_fact(kind, _after(context, status=status)))


def _after(context: Context, **changes: object) -> Event:
    event = context.event.event
    return replace(event, version=event.version + 1, changed_ms=context.now_ms, **changes)  # type: ignore[arg-type] # the fields' names are checked by the dataclass


STEPS: dict[type[Command], Callable[[Context, Command], Decided]] = {
    CreateEvent: create_event,  # type: ignore[dict-item] # each step takes the command it is filed under
    ChangeEvent: change_event,  # type: ignore[dict-item]
    OpenEvent: open_event,  # type: ignore[dict-item]
    CloseEvent: close_event,  # type: ignore[dict-item]
    CancelEvent: cancel_event,  # type: ignore[dict-item]
    EndEvent: end_event,  # type: ignore[dict-item]
    ErasePerson: erase_person,  # type: ignore[dict-item]
    ContinuePromotions: continue_promotions,  # type: ignore[dict-item]
}
"""Rules version 1."""

STEPS_2: dict[type[Command], Callable[[Context, Command], Decided]] = {
    **STEPS,
    Remind: remind,  # type: ignore[dict-item] # each step takes the command it is filed under
}
"""Rules version 2: people are reminded."""
