"""Which fact leads to which notice for whom.

A fact concerns the contact of its registration, and whoever holds one of its seats under a box of their
own (a seat that was transferred alone). Attendees whom the contact merely named are not told: they are
the contact's guests, and their addresses are the contact's to use.

No notice follows from a refusal (the answer already told it, and nothing changed), from check-ins (the
person stands at the door), or from events being created, opened, closed or ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from veltrix.domain.event import EventStatus
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.registration import ACTIVE, Registration, RegistrationStatus, Seat


class NoticeKind(StrEnum):
    """What a notice says; each has a text of its own. The values are kept with the notices."""

    CONFIRMED = "confirmed"
    HELD = "held"
    WAITLISTED = "waitlisted"
    PROMOTED = "promoted"
    PROMOTED_HELD = "promoted_held"
    CANCELLED = "cancelled"
    SEAT_CANCELLED = "seat_cancelled"
    EXPIRED = "expired"
    RELEASED = "released"
    HOLD_EXTENDED = "hold_extended"
    MOVED = "moved"
    CHANGED = "changed"
    RECEIVED = "received"
    HANDED_OVER = "handed_over"
    SEAT_HANDED_OVER = "seat_handed_over"
    TICKET = "ticket"
    TICKET_WITHDRAWN = "ticket_withdrawn"
    EVENT_CHANGED = "event_changed"
    EVENT_CANCELLED = "event_cancelled"
    REMINDER = "reminder"


@dataclass(slots=True)
class Addressee:
    """One person to tell, and what.

    `key_id` opens the box with their name and address. `recipient` is their keyed e-mail hash; None for
    the holder of a single seat, whom only the notice of that seat's transfer names, under the same key.
    """

    kind: NoticeKind
    registration: Registration
    key_id: str
    recipient: str | None


# To the contact. A promotion is told apart by what it led to; a transfer concerns two, see below.
_CONTACT: Final = {
    FactKind.REGISTRATION_CONFIRMED: NoticeKind.CONFIRMED,
    FactKind.REGISTRATION_HELD: NoticeKind.HELD,
    FactKind.REGISTRATION_WAITLISTED: NoticeKind.WAITLISTED,
    FactKind.REGISTRATION_PROMOTED: NoticeKind.PROMOTED,
    FactKind.REGISTRATION_CANCELLED: NoticeKind.CANCELLED,
    FactKind.REGISTRATION_SEAT_CANCELLED: NoticeKind.SEAT_CANCELLED,
    FactKind.REGISTRATION_EXPIRED: NoticeKind.EXPIRED,
    FactKind.REGISTRATION_RELEASED: NoticeKind.RELEASED,
    FactKind.REGISTRATION_HOLD_EXTENDED: NoticeKind.HOLD_EXTENDED,
    FactKind.REGISTRATION_MOVED: NoticeKind.MOVED,
    FactKind.REGISTRATION_CHANGED: NoticeKind.CHANGED,
}

# To the holder of a single seat: only what makes or unmakes their ticket.
_SEAT_HOLDER: Final = {
    FactKind.REGISTRATION_CONFIRMED: NoticeKind.TICKET,
    FactKind.REGISTRATION_PROMOTED: NoticeKind.TICKET,
    FactKind.REGISTRATION_MOVED: NoticeKind.TICKET,
    FactKind.REGISTRATION_CANCELLED: NoticeKind.TICKET_WITHDRAWN,
    FactKind.REGISTRATION_SEAT_CANCELLED: NoticeKind.TICKET_WITHDRAWN,
    FactKind.REGISTRATION_EXPIRED: NoticeKind.TICKET_WITHDRAWN,
    FactKind.REGISTRATION_RELEASED: NoticeKind.TICKET_WITHDRAWN,
}

_COMING: Final = frozenset({RegistrationStatus.CONFIRMED})
_CATEGORIES: Final[Mapping[str, str]] = {NoticeKind.REMINDER: "reminder"}
CATEGORIES: Final = tuple(dict.fromkeys(_CATEGORIES.values()))
"""The categories of what people may do without, and say so."""

# Fields of a specification that people who come must know of.
TOLD_CHANGES: Final = frozenset({"starts_local", "ends_local", "time_zone", "venue"})


def addressees(fact: Fact) -> list[Addressee]:
    """Everyone whom this fact alone concerns, each once; the first entry of a person counts."""
    registration = fact.registration
    if registration is None:
        return []
    if fact.kind is FactKind.REGISTRATION_TRANSFERRED:
        return _once(_transferred(fact, registration))
    kind = _CONTACT.get(fact.kind)
    if kind is None:
        return []
    if kind is NoticeKind.PROMOTED and registration.status is RegistrationStatus.HELD:
        kind = NoticeKind.PROMOTED_HELD
    told = [_contact(kind, registration)]
    if any(seat.box is not None for seat in registration.seats):
        told.extend(_seat_holders(fact, registration))
        return _once(told)
    return told


def fan_out(fact: Fact) -> NoticeKind | None:
    """What all people of the event (see `concerned`) must be told because of this fact, if anything.

    Of a change, only when time or place changed: `reason` of such a fact names the changed fields.
    """
    if fact.kind is FactKind.EVENT_REMINDED:
        return NoticeKind.REMINDER
    if fact.kind is FactKind.EVENT_CANCELLED:
        return NoticeKind.EVENT_CANCELLED
    if fact.kind is not FactKind.EVENT_CHANGED or fact.event_after is None:
        return None
    if fact.event_after.status is EventStatus.DRAFT:
        return None
    changed = set((fact.reason or "").split(","))
    return NoticeKind.EVENT_CHANGED if changed & TOLD_CHANGES else None


def concerned(kind: NoticeKind) -> frozenset[RegistrationStatus]:
    """Whom a notice to everyone is for: only those who have their seats are reminded of coming."""
    return _COMING if kind is NoticeKind.REMINDER else ACTIVE


def expires_ms(fact: Fact) -> int | None:
    """When a notice of this fact is of no use any more, ms since the epoch: a reminder, at the start."""
    if fact.kind is not FactKind.EVENT_REMINDED or fact.event_after is None:
        return None
    return fact.event_after.spec.starts_ms()


def category_of(kind: str) -> str:
    """The category of a kind of notice that people may do without; empty where it is due to them."""
    return _CATEGORIES.get(kind, "")


def everyone(registration: Registration, kind: NoticeKind) -> list[Addressee]:
    """Everyone who has a part in a registration: its contact, and the holders of single seats."""
    told = [_contact(kind, registration)]
    told.extend(_seat_holder(kind, registration, seat) for seat in registration.seats if seat.active)
    return _once(each for each in told if each.key_id)


def erased(fact: Fact) -> tuple[str, str] | None:
    """The (event, person) whose open notices end and whose mails are forgotten, if the fact erases one."""
    if fact.kind is not FactKind.PERSON_ERASED or fact.person is None:
        return None
    return fact.event, fact.person


def _transferred(fact: Fact, after: Registration) -> Iterator[Addressee]:
    """The new holder first: one who transfers to themselves is told of the new link and codes."""
    before = fact.previous
    if fact.seat is None:
        yield _contact(NoticeKind.RECEIVED, after)
        if before is not None:
            yield _contact(NoticeKind.HANDED_OVER, before)
            for seat in before.seats:
                if seat.active and seat.box is not None:
                    yield _seat_holder(NoticeKind.TICKET_WITHDRAWN, before, seat)
        return
    for seat in after.seats:
        if seat.number == fact.seat and seat.box is not None:
            yield Addressee(NoticeKind.TICKET, after, seat.box.key_id, fact.person)
    yield _contact(NoticeKind.SEAT_HANDED_OVER, after)
    for seat in before.seats if before is not None else ():
        if seat.number == fact.seat and seat.box is not None:
            assert before is not None
            yield _seat_holder(NoticeKind.TICKET_WITHDRAWN, before, seat)


def _seat_holders(fact: Fact, registration: Registration) -> Iterator[Addressee]:
    kind = _SEAT_HOLDER.get(fact.kind)
    if kind is None:
        return
    for seat in registration.seats:
        concerned = seat.active if fact.seat is None else seat.number == fact.seat
        if concerned and seat.box is not None:
            yield _seat_holder(kind, registration, seat)


def _contact(kind: NoticeKind, registration: Registration) -> Addressee:
    return Addressee(kind, registration, registration.box.key_id, registration.person)


def _seat_holder(kind: NoticeKind, registration: Registration, seat: Seat) -> Addressee:
    return Addressee(kind, registration, seat.box.key_id if seat.box is not None else "", None)


def _once(told: Iterator[Addressee] | list[Addressee]) -> list[Addressee]:
    """Without those whose key or recipient came before."""
    seen: set[str] = set()
    kept: list[Addressee] = []
    for each in told:
        if each.key_id in seen or (each.recipient is not None and each.recipient in seen):
            continue
        seen.add(each.key_id)
        if each.recipient is not None:
            seen.add(each.recipient)
        kept.append(each)
    return kept
