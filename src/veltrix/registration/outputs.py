"""What is answered about registrations and decisions: the shapes, and how they are made from facts."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from veltrix.domain.identifiers import split_arrival
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Registration, RegistrationStatus, Seat
from veltrix.registration.links import Links
from veltrix.registration.people import Opened
from veltrix.registration.problems import DecisionRef
from veltrix.sealing import Answer, Person
from veltrix.wire import rfc3339

time_of = lru_cache(maxsize=4_096)(rfc3339)
"""One batch is decided at one time: most answers need the same few texts."""


class Price(msgspec.Struct):
    """A price in minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


class AttendeeOut(msgspec.Struct):
    """Who sits on a seat."""

    name: str
    email: str | None


class SeatOut(msgspec.Struct):
    """One seat of a registration. A confirmed one has its ticket code, for whoever may see it."""

    number: int
    category: str
    price: Price
    status: str
    ticket: str | UnsetType = UNSET
    checked_in_at: str | UnsetType | None = UNSET
    attendee: AttendeeOut | UnsetType | None = UNSET
    answers: dict[str, Answer] | UnsetType = UNSET


class ContactOut(msgspec.Struct):
    """The contact of a registration."""

    name: str
    email: str
    locale: str


class ConsentOut(msgspec.Struct):
    """What the person agreed to, and when."""

    key: str
    version: str
    time: str


class RegistrationOut(msgspec.Struct, kw_only=True):
    """A registration. `arrival` is its place in the order of arrival: log generation and offset."""

    id: str
    event: str
    status: str
    arrival: str
    seats: list[SeatOut]
    hold_deadline: str | None
    waitlist_ahead: int | None
    version: int
    decided_at: str
    changed_at: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    external_ref: str | UnsetType | None = UNSET
    erased: bool | UnsetType = UNSET
    contact: ContactOut | UnsetType | None = UNSET
    answers: dict[str, Answer] | UnsetType = UNSET
    form_version: int | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    consents: list[ConsentOut] | UnsetType = UNSET


class RegistrationView(msgspec.Struct):
    """A registration with the personal data that belongs to it; without `contact`, that was erased."""

    registration: RegistrationOut
    contact: ContactOut | None
    erased: bool
    form_version: int
    answers: dict[str, Answer]
    metadata: dict[str, str]
    consents: list[ConsentOut]
    link: str | UnsetType = UNSET
    url: str | UnsetType = UNSET


class Registered(msgspec.Struct):
    """A registration that was made, with its link, which is the only key to it."""

    registration: RegistrationOut
    link: str
    url: str
    decision: DecisionRef
    idempotency_key: str | UnsetType = UNSET


class Changed(msgspec.Struct):
    """A registration after what was asked."""

    registration: RegistrationOut
    decision: DecisionRef
    idempotency_key: str | UnsetType = UNSET


class Place(msgspec.Struct):
    """Where a command stands in the log."""

    partition: int
    offset: int


class Undecided(msgspec.Struct):
    """Durable, and not decided yet. `place_in_line` is an upper bound as of now."""

    status: str
    place_in_line: int
    decision: Place
    location: str
    estimated_wait_s: float | None = None
    idempotency_key: str | UnsetType = UNSET


_ACTIVE: Final = "active"
_CANCELLED: Final = "cancelled"


def decision_ref(decision: Decision) -> DecisionRef:
    """Where a decision stands."""
    return DecisionRef(
        decision.partition, decision.offset, time_of(decision.log_time_ms), decision.rules_version
    )


def arrival_text(arrival: int) -> str:
    """An arrival number as people read it: generation and offset."""
    generation, offset = split_arrival(arrival)
    return f"{generation}.{offset}"


def registration_out(
    registration: Registration, links: Links | None, waitlist_ahead: int | None = None
) -> RegistrationOut:
    """A registration by itself; with `links`, its tickets too."""
    confirmed = registration.status is RegistrationStatus.CONFIRMED
    deadline = registration.hold_deadline_ms
    return RegistrationOut(
        id=registration.id,
        event=registration.event,
        status=registration.status.value,
        arrival=arrival_text(registration.arrival),
        seats=[
            _seat_out(registration.event, seat, links if confirmed else None) for seat in registration.seats
        ],
        hold_deadline=None if deadline is None else time_of(deadline),
        waitlist_ahead=waitlist_ahead,
        version=registration.version,
        decided_at=time_of(registration.decided_ms),
    )


def _seat_out(event: str, seat: Seat, links: Links | None) -> SeatOut:
    made = SeatOut(
        seat.number,
        seat.category,
        Price(seat.price_minor, seat.currency),
        _ACTIVE if seat.active else _CANCELLED,
    )
    if links is not None and seat.active and seat.box is None:  # else it was handed on: another's ticket
        made.ticket = links.ticket(event, seat.number, seat.holder)
    return made


def add_details(made: RegistrationOut, registration: Registration) -> RegistrationOut:
    """Add what a full view shows beside the decision."""
    made.changed_at = time_of(registration.changed_ms)
    made.source = registration.source.value
    made.external_ref = registration.external_ref
    for shown, seat in zip(made.seats, registration.seats, strict=True):
        shown.checked_in_at = None if seat.checked_in_ms is None else time_of(seat.checked_in_ms)
    return made


def add_seats(made: RegistrationOut, opened: Opened) -> None:
    """Add who sits where, and what they answered."""
    person = opened.person
    for index, shown in enumerate(made.seats):
        if shown.number in opened.seats:
            holder = opened.seats[shown.number]
            shown.attendee = None if holder is None else AttendeeOut(holder.name, holder.email)
            shown.answers = {} if holder is None else holder.answers
            continue
        attendee = person.attendees[index] if person is not None and index < len(person.attendees) else None
        shown.attendee = None if attendee is None else AttendeeOut(attendee.name, attendee.email)
        given = person.seat_answers if person is not None else []
        shown.answers = (given[index] if index < len(given) else None) or {}


def contact_out(person: Person | None) -> ContactOut | None:
    """The contact, unless it was erased."""
    return None if person is None else ContactOut(person.name, person.email, person.locale)


def consents_out(person: Person | None, decided_at: str) -> list[ConsentOut]:
    """What the person agreed to; without a time of its own, when it was decided."""
    given = () if person is None else person.consents
    return [ConsentOut(consent.key, consent.version, consent.time or decided_at) for consent in given]


def view_out(made: RegistrationOut, opened: Opened) -> RegistrationView:
    """A registration with its personal data beside it."""
    add_seats(made, opened)
    person = opened.person
    return RegistrationView(
        made,
        contact_out(person),
        person is None,
        opened.form_version,
        {} if person is None else person.answers,
        {} if person is None else person.metadata,
        consents_out(person, made.decided_at),
    )


def row_out(made: RegistrationOut, opened: Opened) -> RegistrationOut:
    """A registration with its personal data in it, as lists and exports have it."""
    add_seats(made, opened)
    person = opened.person
    made.erased = person is None
    made.contact = contact_out(person)
    made.form_version = opened.form_version
    made.answers = {} if person is None else person.answers
    made.metadata = {} if person is None else person.metadata
    made.consents = consents_out(person, made.decided_at)
    return made
