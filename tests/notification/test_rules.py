"""Which fact leads to which notice for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.notification.stage import event_spec
from veltrix.domain.event import Event, EventStatus
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.notices import NoticeKind, addressees, erased, everyone, fan_out
from veltrix.domain.registration import Box, Registration, RegistrationStatus, Seat

EVENT = "evt_" + "0" * 32
CONTACT = ("key_contact", "contact")


def box(key_id: str) -> Box:
    """A box under this key."""
    return Box(key_id, "cmd_" + "1" * 32, 1, b"")


def registration(status: RegistrationStatus = RegistrationStatus.CONFIRMED, *seats: Seat) -> Registration:
    """A registration of `contact` with one seat, unless more are given."""
    return Registration(
        "reg_" + "a" * 32,
        EVENT,
        7,
        status,
        "contact",
        box("key_contact"),
        seats or (Seat(1, "std", 0, "EUR"),),
        0,
        0,
    )


def fact(kind: FactKind, about: Registration | None = None, **more: object) -> Fact:
    """A fact about a registration."""
    made = Fact(kind, EVENT, "org_1", about)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def told(of: Fact) -> list[tuple[str, str, str | None]]:
    """(kind, key, recipient) of everyone whom a fact concerns."""
    return [(str(each.kind), each.key_id, each.recipient) for each in addressees(of)]


SAID = {
    FactKind.REGISTRATION_CONFIRMED: "confirmed",
    FactKind.REGISTRATION_HELD: "held",
    FactKind.REGISTRATION_WAITLISTED: "waitlisted",
    FactKind.REGISTRATION_PROMOTED: "promoted",
    FactKind.REGISTRATION_CANCELLED: "cancelled",
    FactKind.REGISTRATION_SEAT_CANCELLED: "seat_cancelled",
    FactKind.REGISTRATION_EXPIRED: "expired",
    FactKind.REGISTRATION_RELEASED: "released",
    FactKind.REGISTRATION_HOLD_EXTENDED: "hold_extended",
    FactKind.REGISTRATION_MOVED: "moved",
    FactKind.REGISTRATION_CHANGED: "changed",
    FactKind.REGISTRATION_TRANSFERRED: "received",
}


@pytest.mark.parametrize("kind", FactKind)
def test_every_fact_tells_its_contact_or_nobody(kind):
    """Each kind of fact has exactly one notice for the contact, or none: a new kind must be decided on."""
    expected = [(SAID[kind], *CONTACT)] if kind in SAID else []
    assert told(fact(kind, registration())) == expected


def test_a_promotion_says_what_it_led_to():
    """One who is promoted to a hold is asked to confirm, not told that all is done."""
    held = fact(FactKind.REGISTRATION_PROMOTED, registration(RegistrationStatus.HELD))
    assert told(held) == [("promoted_held", *CONTACT)]


def test_a_transfer_tells_both():
    """The new holder and the former one are told, each under their own key."""
    before = replace(registration(), person="former", box=box("key_former"))
    of = fact(FactKind.REGISTRATION_TRANSFERRED, registration(), previous=before, person="contact")
    assert told(of) == [("received", *CONTACT), ("handed_over", "key_former", "former")]


def test_a_transfer_to_oneself_is_told_once():
    """One person gets one notice of one fact: that of the new link."""
    of = fact(
        FactKind.REGISTRATION_TRANSFERRED,
        replace(registration(), box=box("key_new")),
        previous=registration(),
    )
    assert told(of) == [("received", "key_new", "contact")]


SINGLE = Seat(2, "std", 0, "EUR", holder=2, box=box("key_guest"))


def test_a_seat_that_changes_hands_tells_guest_and_contact():
    """The one who gets a seat has a ticket of their own; the contact hears that it is gone."""
    of = fact(
        FactKind.REGISTRATION_TRANSFERRED,
        registration(RegistrationStatus.CONFIRMED, Seat(1, "std", 0, "EUR"), SINGLE),
        seat=2,
        person="guest",
    )
    assert told(of) == [("ticket", "key_guest", "guest"), ("seat_handed_over", *CONTACT)]


def test_a_seat_that_changes_hands_again_tells_the_former_guest():
    """Where the fact has the former state, whoever held the seat before hears that it is gone."""
    before = registration(RegistrationStatus.CONFIRMED, Seat(1, "std", 0, "EUR"), SINGLE)
    after = replace(before, seats=(before.seats[0], replace(SINGLE, holder=3, box=box("key_second"))))
    of = fact(FactKind.REGISTRATION_TRANSFERRED, after, seat=2, person="second", previous=before)
    assert told(of) == [
        ("ticket", "key_second", "second"),
        ("seat_handed_over", *CONTACT),
        ("ticket_withdrawn", "key_guest", None),
    ]


@pytest.mark.parametrize(
    ("kind", "seat", "said"),
    [
        (FactKind.REGISTRATION_CONFIRMED, None, "ticket"),
        (FactKind.REGISTRATION_PROMOTED, None, "ticket"),
        (FactKind.REGISTRATION_MOVED, 2, "ticket"),
        (FactKind.REGISTRATION_MOVED, 1, None),
        (FactKind.REGISTRATION_CANCELLED, None, "ticket_withdrawn"),
        (FactKind.REGISTRATION_SEAT_CANCELLED, 2, "ticket_withdrawn"),
        (FactKind.REGISTRATION_SEAT_CANCELLED, 1, None),
        (FactKind.REGISTRATION_EXPIRED, None, "ticket_withdrawn"),
        (FactKind.REGISTRATION_HOLD_EXTENDED, None, None),
        (FactKind.REGISTRATION_CHANGED, None, None),
    ],
)
def test_the_holder_of_a_single_seat_hears_of_their_ticket(kind, seat, said):
    """Facts that make or unmake the ticket of a seat that was passed on reach its holder, others do not."""
    about = registration(RegistrationStatus.CONFIRMED, Seat(1, "std", 0, "EUR"), SINGLE)
    others = [each for each in told(fact(kind, about, seat=seat)) if each[1] != "key_contact"]
    assert others == ([] if said is None else [(said, "key_guest", None)])


def event(status: EventStatus = EventStatus.OPEN) -> Event:
    """An event after a fact."""
    return Event(EVENT, "org_1", event_spec(), "key_hash", 0, 0, status)


@pytest.mark.parametrize(
    ("reason", "status", "expected"),
    [
        ("venue", EventStatus.OPEN, NoticeKind.EVENT_CHANGED),
        ("title,starts_local", EventStatus.CLOSED, NoticeKind.EVENT_CHANGED),
        ("title,description,pools", EventStatus.OPEN, None),
        ("venue", EventStatus.DRAFT, None),
        (None, EventStatus.OPEN, None),
    ],
)
def test_a_change_of_time_or_place_is_told_to_everyone(reason, status, expected):
    """Everyone hears of another time or place, nobody of another description or of a draft."""
    of = fact(FactKind.EVENT_CHANGED, event_after=event(status), reason=reason)
    assert fan_out(of) == expected
    assert addressees(of) == []


def test_a_cancelled_event_is_told_to_everyone():
    """One fact, whatever the size of the event."""
    of = fact(FactKind.EVENT_CANCELLED, event_after=event(EventStatus.CANCELLED))
    assert fan_out(of) is NoticeKind.EVENT_CANCELLED


def test_everyone_of_a_registration_is_its_contact_and_its_single_holders():
    """A seat that was cancelled has no holder any more."""
    gone = replace(SINGLE, number=3, active=False, box=box("key_gone"))
    about = registration(RegistrationStatus.CONFIRMED, Seat(1, "std", 0, "EUR"), SINGLE, gone)
    found = [(each.key_id, each.recipient) for each in everyone(about, NoticeKind.EVENT_CANCELLED)]
    assert found == [CONTACT, ("key_guest", None)]


def test_only_an_erasure_erases():
    """The fact names event and person; no other fact does."""
    assert erased(fact(FactKind.PERSON_ERASED, person="p")) == (EVENT, "p")
    assert erased(fact(FactKind.REGISTRATION_CHANGED, registration(), person="p")) is None
