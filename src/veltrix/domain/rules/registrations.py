"""Steps for commands about a registration, each with its refusals in the order of precedence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from veltrix.domain import limits
from veltrix.domain.commands import (
    Actor,
    Cancel,
    ChangeAnswers,
    CheckIn,
    Command,
    ConfirmHold,
    ExpireHold,
    ExtendHold,
    Move,
    Register,
    ReleaseHold,
    Transfer,
)
from veltrix.domain.event import Category, EventStatus
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.identifiers import REGISTRATION, entity_id
from veltrix.domain.outcomes import Decided, Refusal
from veltrix.domain.registration import ACTIVE, SEATED, Registration, RegistrationStatus, Seat
from veltrix.domain.rules.admission import (
    access_refused,
    closed_to,
    form_refused,
    on_sale,
    party_refused,
    person_refused,
)
from veltrix.domain.rules.context import Context, accepted, refused
from veltrix.domain.seating import could_ever_fit, fits, must_queue


def register(context: Context, body: Register) -> Decided:
    """Seats at once, a place on the waitlist, or a refusal that names the first reason."""
    refusal = (
        closed_to(context)
        or access_refused(context, body)
        or form_refused(context, body.form_version)
        or party_refused(context, body)
        or person_refused(context, body.person, len(body.categories))
    )
    if refusal is None:
        event = context.event
        need = event.need_of(body.categories)
        if fits(event, need) and not must_queue(event, need):
            return accepted(_seat_newcomer(context, body))
        waitlist = event.event.spec.waitlist
        if waitlist is None or not could_ever_fit(event, need):
            refusal = refused(Refusal.FULL, "there is no room, and no waitlist that could help")
        elif event.waiting.parties >= waitlist.size:
            refusal = refused(Refusal.WAITLIST_FULL, f"{waitlist.size} registrations wait already")
        else:
            newcomer = _newcomer(context, body, RegistrationStatus.WAITLISTED)
            return accepted(context.fact(FactKind.REGISTRATION_WAITLISTED, newcomer))
    newcomer = _newcomer(context, body, RegistrationStatus.REFUSED)
    fact = context.fact(FactKind.REGISTRATION_REFUSED, newcomer)
    fact.reason = refusal.refusal
    return Decided([fact], refusal.refusal, refusal.detail)


def confirm_hold(context: Context, body: ConfirmHold) -> Decided:
    """Confirm what is held; a confirmed one stays as it is."""
    found = _find(context, body.registration)
    if isinstance(found, Decided):
        return found
    if found.status is RegistrationStatus.CONFIRMED and found.hold_number:
        return accepted()
    if found.status is not RegistrationStatus.HELD:
        return refused(Refusal.NOT_HELD, f"the registration is {found.status}")
    holds = context.event.event.spec.holds
    if context.by_registrant and holds is not None and not holds.registrant_may_confirm:
        return refused(Refusal.ORGANIZER_MUST_CONFIRM, "only the organizer confirms holds of this event")
    after = _after(
        context,
        found,
        status=RegistrationStatus.CONFIRMED,
        hold_deadline_ms=None,
        external_ref=body.external_ref or found.external_ref,
    )
    return accepted(context.fact(FactKind.REGISTRATION_CONFIRMED, after))


def extend_hold(context: Context, body: ExtendHold) -> Decided:
    """A later deadline for a standing hold; never an earlier one."""
    found = _find(context, body.registration)
    if isinstance(found, Decided):
        return found
    if found.status is not RegistrationStatus.HELD or found.hold_deadline_ms is None:
        return refused(Refusal.NOT_HELD, f"the registration is {found.status}")
    deadline = max(found.hold_deadline_ms, context.now_ms + min(body.ttl_s, limits.HOLD_TTL_MAX_S) * 1000)
    after = _after(context, found, hold_deadline_ms=deadline, hold_number=found.hold_number + 1)
    return accepted(context.fact(FactKind.REGISTRATION_HOLD_EXTENDED, after))


def release_hold(context: Context, body: ReleaseHold) -> Decided:
    """Give a hold back before it expires."""
    found = _find(context, body.registration)
    if isinstance(found, Decided):
        return found
    if found.status is not RegistrationStatus.HELD:
        return refused(Refusal.NOT_HELD, f"the registration is {found.status}")
    after = _after(context, found, status=RegistrationStatus.CANCELLED, hold_deadline_ms=None)
    return accepted(context.fact(FactKind.REGISTRATION_RELEASED, after))


def expire_hold(context: Context, body: ExpireHold) -> Decided:
    """End that very hold, once its time has passed; without effect when it no longer stands."""
    found = context.event.registrations.get(body.registration)
    if (
        found is None
        or found.status is not RegistrationStatus.HELD
        or found.hold_number != body.hold_number
        or found.hold_deadline_ms is None
    ):
        return accepted()
    if context.now_ms < found.hold_deadline_ms:
        return refused(
            Refusal.HOLD_NOT_DUE, f"the hold stands for {found.hold_deadline_ms - context.now_ms} ms more"
        )
    after = _after(context, found, status=RegistrationStatus.EXPIRED, hold_deadline_ms=None)
    return accepted(context.fact(FactKind.REGISTRATION_EXPIRED, after))


def cancel(context: Context, body: Cancel) -> Decided:
    """Cancel all of it, or one seat; the last seat cancels all of it."""
    found = _find(context, body.registration)
    if isinstance(found, Decided):
        return found
    if found.status is RegistrationStatus.CANCELLED and body.seat is None:
        return accepted()
    if found.status not in ACTIVE:
        return refused(Refusal.NOT_ACTIVE, f"the registration is {found.status}")
    going = found.active_seats() if body.seat is None else [_seat(found, body.seat)]
    if any(seat is None for seat in going):
        return refused(Refusal.UNKNOWN_SEAT, f"the registration has no active seat {body.seat}")
    if context.by_registrant and any(seat and seat.checked_in_ms is not None for seat in going):
        return refused(Refusal.SEAT_CHECKED_IN, "a seat that was checked in cannot be given back")
    if len(going) == len(found.active_seats()):
        after = _after(context, found, status=RegistrationStatus.CANCELLED, hold_deadline_ms=None)
        return accepted(context.fact(FactKind.REGISTRATION_CANCELLED, after))
    seats = tuple(replace(seat, active=False) if seat in going else seat for seat in found.seats)
    after = _after(context, found, seats=seats)
    return accepted(context.fact(FactKind.REGISTRATION_SEAT_CANCELLED, after, seat=body.seat))


def move(context: Context, body: Move) -> Decided:
    """Another category for one seat, at its price, if there is room that nobody waits for."""
    found = _find(context, body.registration)
    if isinstance(found, Decided):
        return found
    if found.status not in ACTIVE:
        return refused(Refusal.NOT_ACTIVE, f"the registration is {found.status}")
    seat = _seat(found, body.seat)
    if seat is None:
        return refused(Refusal.UNKNOWN_SEAT, f"the registration has no active seat {body.seat}")
    if context.by_registrant and seat.checked_in_ms is not None:
        return refused(Refusal.SEAT_CHECKED_IN, "a seat that was checked in cannot be moved")
    target = context.event.event.spec.category(body.category)
    if target is None:
        return refused(Refusal.UNKNOWN_CATEGORY, f"there is no category {body.category!r}")
    if context.by_registrant and not on_sale(context, target):
        return refused(Refusal.CATEGORY_NOT_ON_SALE, f"category {body.category!r} is not on sale now")
    if target.key == seat.category:
        return accepted()
    if found.status in SEATED and not _room_to_move(context, seat, target):
        return refused(Refusal.FULL, f"there is no room in category {body.category!r}")
    moved = replace(seat, category=target.key, price_minor=target.price_minor, currency=target.currency)
    after = _after(context, found, seats=tuple(moved if each is seat else each for each in found.seats))
    return accepted(context.fact(FactKind.REGISTRATION_MOVED, after, seat=body.seat))


def transfer(context: Context, body: Transfer) -> Decided:
    """Another holder: the version rises, so that every link and code of the old one dies with it."""
    found = _find(context, body.registration)
    if isinstance(found, Decided):
        return found
    if found.status not in ACTIVE:
        return refused(Refusal.NOT_ACTIVE, f"the registration is {found.status}")
    if body.seat is not None:
        seat = _seat(found, body.seat)
        if seat is None:
            return refused(Refusal.UNKNOWN_SEAT, f"the registration has no active seat {body.seat}")
        if seat.checked_in_ms is not None:
            return refused(Refusal.SEAT_CHECKED_IN, "a seat that was checked in cannot change hands")
        given = replace(seat, holder=seat.holder + 1, box=body.box)
        after = _after(context, found, seats=tuple(given if each is seat else each for each in found.seats))
        fact = context.fact(FactKind.REGISTRATION_TRANSFERRED, after, seat=body.seat)
        fact.person = body.person
        fact.previous = found
        return accepted(fact)
    if any(seat.checked_in_ms is not None for seat in found.active_seats()):
        return refused(Refusal.SEAT_CHECKED_IN, "a registration with a checked-in seat cannot change hands")
    if body.person != found.person:
        over_limit = person_refused(context, body.person, len(found.active_seats()))
        if over_limit is not None:
            return over_limit
    seats = tuple(replace(seat, holder=seat.holder + 1, box=None) for seat in found.seats)
    after = _after(context, found, person=body.person, box=body.box, holder=found.holder + 1, seats=seats)
    fact = context.fact(FactKind.REGISTRATION_TRANSFERRED, after)
    fact.person = body.person
    fact.previous = found
    return accepted(fact)


def change_answers(context: Context, body: ChangeAnswers) -> Decided:
    """Other answers or names of the same person."""
    found = _find(context, body.registration)
    if isinstance(found, Decided):
        return found
    if found.status not in ACTIVE:
        return refused(Refusal.NOT_ACTIVE, f"the registration is {found.status}")
    outdated = form_refused(context, body.form_version)
    if outdated is not None:
        return outdated
    return accepted(context.fact(FactKind.REGISTRATION_CHANGED, _after(context, found, box=body.box)))


def check_in(context: Context, body: CheckIn) -> Decided:
    """Let a confirmed seat in, once; or take that back."""
    event = context.event
    if event.event.status is EventStatus.CANCELLED:
        return refused(Refusal.EVENT_CANCELLED, "the event is cancelled")
    owner = event.seat_owners.get(body.seat)
    found = event.registrations.get(owner) if owner else None
    seat = _seat(found, body.seat) if found else None
    if found is None or seat is None:
        return refused(Refusal.UNKNOWN_SEAT, f"there is no active seat {body.seat}")
    if seat.holder != body.holder:
        return refused(Refusal.TICKET_REPLACED, "the seat has a newer ticket")
    if found.status is not RegistrationStatus.CONFIRMED:
        return refused(Refusal.NOT_CONFIRMED, f"the registration is {found.status}")
    if body.undo:
        if seat.checked_in_ms is None:
            return refused(Refusal.NOT_CHECKED_IN, "the seat is not checked in")
        return accepted(_checked(context, found, seat, None, body, FactKind.SEAT_CHECK_IN_UNDONE))
    if seat.checked_in_ms is not None:
        return refused(Refusal.ALREADY_CHECKED_IN, f"checked in at {seat.checked_in_ms}")
    at_ms = context.now_ms if body.scanned_at_ms is None else min(body.scanned_at_ms, context.now_ms)
    return accepted(_checked(context, found, seat, at_ms, body, FactKind.SEAT_CHECKED_IN))


def _checked(
    context: Context, found: Registration, seat: Seat, at_ms: int | None, body: CheckIn, kind: FactKind
) -> Fact:
    checked = replace(seat, checked_in_ms=at_ms)
    after = _after(context, found, seats=tuple(checked if each is seat else each for each in found.seats))
    fact = context.fact(kind, after, seat=seat.number)
    fact.scan_id = body.scan_id
    return fact


def _find(context: Context, registration: str) -> Registration | Decided:
    """The registration, or why it cannot be touched at all. A registrant must prove to be its holder."""
    if context.envelope.actor is not Actor.SYSTEM and context.event.event.status is EventStatus.CANCELLED:
        return refused(Refusal.EVENT_CANCELLED, "the event is cancelled")
    found = context.event.registrations.get(registration)
    if found is None or found.event != context.event.event.id:
        return refused(Refusal.UNKNOWN_REGISTRATION, f"there is no registration {registration}")
    proved = context.envelope.holder
    if (context.by_registrant or proved is not None) and proved != found.holder:
        return refused(Refusal.LINK_REPLACED, "the registration was transferred; this link no longer counts")
    return found


def _seat(registration: Registration, number: int) -> Seat | None:
    return next((seat for seat in registration.seats if seat.active and seat.number == number), None)


def _room_to_move(context: Context, seat: Seat, target: Category) -> bool:
    source = context.event.event.spec.category(seat.category)
    assert source is not None
    need = tuple((pool, 1) for pool in target.pools if pool not in source.pools)
    return fits(context.event, need) and not (need and must_queue(context.event, need))


def _newcomer(context: Context, body: Register, status: RegistrationStatus) -> Registration:
    event, now_ms = context.event.event, context.now_ms
    number = context.event.next_seat
    seats: list[Seat] = []
    if status is not RegistrationStatus.REFUSED:
        for index, key in enumerate(body.categories):
            category = event.spec.category(key)
            assert category is not None
            seats.append(Seat(number + index, key, category.price_minor, category.currency))
    return Registration(
        id=entity_id(REGISTRATION, now_ms, context.state.partition, context.envelope.id),
        event=event.id,
        arrival=context.arrival,
        status=status,
        person=body.person,
        box=body.box,
        seats=tuple(seats),
        decided_ms=now_ms,
        changed_ms=now_ms,
        source=body.source,
        access_code=body.access_code,
    )


def _seat_newcomer(context: Context, body: Register) -> Fact:
    holds = context.event.event.spec.holds
    if holds is None:
        newcomer = _newcomer(context, body, RegistrationStatus.CONFIRMED)
        return context.fact(FactKind.REGISTRATION_CONFIRMED, newcomer)
    newcomer = _newcomer(context, body, RegistrationStatus.HELD)
    newcomer.hold_number = 1
    newcomer.hold_deadline_ms = context.now_ms + holds.ttl_s * 1000
    return context.fact(FactKind.REGISTRATION_HELD, newcomer)


def _after(context: Context, before: Registration, **changes: object) -> Registration:
    return replace(
        before,
        version=before.version + 1,
        changed_ms=context.now_ms,
        **changes,  # type: ignore[arg-type] # field names are checked by the dataclass
    )


STEPS: dict[type[Command], Callable[[Context, Command], Decided]] = {
    Register: register,  # type: ignore[dict-item] # each step takes the command it is filed under
    ConfirmHold: confirm_hold,  # type: ignore[dict-item]
    ExtendHold: extend_hold,  # type: ignore[dict-item]
    ReleaseHold: release_hold,  # type: ignore[dict-item]
    ExpireHold: expire_hold,  # type: ignore[dict-item]
    Cancel: cancel,  # type: ignore[dict-item]
    Move: move,  # type: ignore[dict-item]
    Transfer: transfer,  # type: ignore[dict-item]
    ChangeAnswers: change_answers,  # type: ignore[dict-item]
    CheckIn: check_in,  # type: ignore[dict-item]
}
