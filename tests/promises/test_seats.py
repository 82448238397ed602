"""The clerk who reads the minutes: wrong lives, wrong turns and wrong sums are seen in the facts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from veltrix.domain.event import (
    Category,
    Event,
    EventSpec,
    EventStatus,
    PoolSpec,
    Text,
    Waitlist,
    WaitlistMode,
)
from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.registration import Box, Registration, RegistrationStatus, Seat
from veltrix.promises.seats import check_seats

KIND = FactKind
STATUS = RegistrationStatus


class Story:
    """Facts of one event, as somebody would write them down."""

    def __init__(self, capacity: int, mode: WaitlistMode = WaitlistMode.STRICT) -> None:
        spec = EventSpec(
            slug="party",
            title=Text("en", {"en": "Party"}),
            time_zone="Europe/Berlin",
            starts_local="2031-10-04T19:00",
            ends_local="2031-10-04T22:00",
            pools=(PoolSpec("main", capacity),),
            categories=(Category("std", Text("en", {"en": "Standard"}), ("main",)),),
            waitlist=Waitlist(100, mode),
        )
        self.event = Event("evt_1", "acme", spec, "key_1", 0, 0, EventStatus.OPEN)
        self.facts: list[NumberedFact] = []
        self.people: dict[str, Registration] = {}
        self.seats = 0
        self._add(Fact(KIND.EVENT_OPENED, "evt_1", "acme", event_after=self.event))

    def comes(self, name: str, status: RegistrationStatus, seats: int = 1, **changes: object) -> None:
        """Somebody registers."""
        numbers = range(self.seats + 1, self.seats + seats + 1)
        self.seats += seats
        new = Registration(
            f"reg_{name}",
            "evt_1",
            len(self.facts),
            status,
            f"hash of {name}",
            Box("key_1", "cmd_1", 1, b""),
            tuple(Seat(number, "std", 0, "EUR") for number in numbers),
            0,
            0,
        )
        kinds = {
            STATUS.CONFIRMED: KIND.REGISTRATION_CONFIRMED,
            STATUS.HELD: KIND.REGISTRATION_HELD,
            STATUS.WAITLISTED: KIND.REGISTRATION_WAITLISTED,
        }
        self._put(kinds[status], name, replace(new, **changes))  # type: ignore[arg-type]  # by the dataclass

    def becomes(self, name: str, kind: FactKind, status: RegistrationStatus, **changes: object) -> None:
        """Something happens to somebody."""
        before = self.people[name]
        after = replace(before, status=status, version=before.version + 1)
        self._put(kind, name, replace(after, **changes))  # type: ignore[arg-type]  # by the dataclass

    def complaints(self) -> str:
        """What the clerk says."""
        return "\n".join(check_seats(self.facts))

    def _put(self, kind: FactKind, name: str, registration: Registration) -> None:
        self.people[name] = registration
        self._add(Fact(kind, "evt_1", "acme", registration=registration))

    def _add(self, fact: Fact) -> None:
        seq = offset = len(self.facts) + 1
        if fact.kind is KIND.REGISTRATION_PROMOTED:  # by the decision that freed the seats
            offset = self.facts[-1].offset
        self.facts.append(NumberedFact(0, seq, offset, f"cmd_{offset}", 1_000 * offset, "", fact))


def test_a_good_evening_is_good():
    """Seated, held, waitlisted, expired, promoted, cancelled in their turns: nothing to say."""
    story = Story(2)
    story.comes("ann", STATUS.CONFIRMED)
    story.comes("ben", STATUS.HELD, hold_deadline_ms=3_000, hold_number=1)
    story.comes("cat", STATUS.WAITLISTED)
    story.becomes("ben", KIND.REGISTRATION_EXPIRED, STATUS.EXPIRED)
    story.becomes("cat", KIND.REGISTRATION_PROMOTED, STATUS.CONFIRMED)
    story.becomes("ann", KIND.REGISTRATION_CANCELLED, STATUS.CANCELLED)
    assert story.complaints() == ""


def test_a_pool_above_its_ceiling():
    """One seat too many is seen at the fact that gives it."""
    story = Story(1)
    story.comes("ann", STATUS.CONFIRMED)
    story.comes("ben", STATUS.CONFIRMED)
    assert "pool main of evt_1: 2 taken, 1 allowed" in story.complaints()


def test_a_lowered_capacity_takes_nothing_away():
    """What is taken may stay above a capacity that was lowered, and may not grow."""
    story = Story(2)
    story.comes("ann", STATUS.CONFIRMED, seats=2)
    spec = replace(story.event.spec, pools=(PoolSpec("main", 1),))
    story._add(Fact(KIND.EVENT_CHANGED, "evt_1", "acme", event_after=replace(story.event, spec=spec)))
    assert story.complaints() == ""
    story.comes("ben", STATUS.CONFIRMED)
    assert "3 taken, 2 allowed" in story.complaints()


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        (KIND.REGISTRATION_PROMOTED, STATUS.CONFIRMED, "only who waits is promoted"),
        (KIND.REGISTRATION_EXPIRED, STATUS.EXPIRED, "from confirmed to expired"),
        (KIND.REGISTRATION_CONFIRMED, STATUS.CONFIRMED, "only a hold is confirmed"),
        (KIND.REGISTRATION_CHANGED, STATUS.HELD, "from confirmed to held"),
    ],
)
def test_a_life_that_cannot_be(kind, status, said):
    """A confirmed registration is not promoted, does not expire, and is not held again."""
    story = Story(5)
    story.comes("ann", STATUS.CONFIRMED)
    story.becomes("ann", kind, status)
    assert said in story.complaints()


def test_a_hold_that_ends_too_soon():
    """Before its deadline no hold expires."""
    story = Story(5)
    story.comes("ann", STATUS.HELD, hold_deadline_ms=60_000, hold_number=1)
    story.becomes("ann", KIND.REGISTRATION_EXPIRED, STATUS.EXPIRED)
    assert "57000 ms before its time was over" in story.complaints()


def test_a_fact_that_is_missing():
    """Versions count each fact about a registration."""
    story = Story(5)
    story.comes("ann", STATUS.CONFIRMED)
    story.becomes("ann", KIND.REGISTRATION_CHANGED, STATUS.CONFIRMED, version=5)
    assert "version 5 after 1" in story.complaints()


@pytest.mark.parametrize("mode", WaitlistMode)
def test_a_newcomer_who_overtakes(mode):
    """While somebody waits whom the seat would fit, no newcomer gets it."""
    story = Story(1, mode)
    story.comes("ann", STATUS.CONFIRMED)
    story.comes("ben", STATUS.WAITLISTED)
    story.becomes("ann", KIND.REGISTRATION_CANCELLED, STATUS.CANCELLED)
    story.comes("cat", STATUS.CONFIRMED)
    assert "a newcomer gets seats, while reg_ben waits" in story.complaints()


def test_the_waitlist_out_of_order():
    """Of two who need the same, the one who came first is promoted first."""
    story = Story(1)
    story.comes("ann", STATUS.CONFIRMED)
    story.comes("ben", STATUS.WAITLISTED)
    story.comes("cat", STATUS.WAITLISTED)
    story.becomes("ann", KIND.REGISTRATION_CANCELLED, STATUS.CANCELLED)
    story.becomes("cat", KIND.REGISTRATION_PROMOTED, STATUS.CONFIRMED)
    assert "is promoted before reg_ben" in story.complaints()


def test_a_seat_that_nobody_is_offered():
    """At the end nobody waits for what is free; who needs more than is left may."""
    story = Story(2)
    story.comes("ann", STATUS.CONFIRMED, seats=2)
    story.comes("ben", STATUS.WAITLISTED)
    story.becomes("ann", KIND.REGISTRATION_CANCELLED, STATUS.CANCELLED)
    assert "after the decision at 0/4 reg_ben waits for {'main': 1}" in story.complaints()
    patient = Story(1)
    patient.comes("ann", STATUS.WAITLISTED, seats=2)
    assert patient.complaints() == ""


def test_a_seat_number_of_two():
    """A number belongs to one registration."""
    story = Story(5)
    story.comes("ann", STATUS.CONFIRMED)
    story.seats = 0
    story.comes("ben", STATUS.CONFIRMED)
    assert "seat 1 of evt_1 is reg_ann's and reg_ben's" in story.complaints()


def test_promotions_that_nobody_goes_on_with():
    """Where a decision could not promote all whom it might, a command that goes on must follow."""
    story = Story(2)
    story.comes("ann", STATUS.CONFIRMED, seats=2)
    story.comes("ben", STATUS.WAITLISTED)
    story.comes("cat", STATUS.WAITLISTED)
    story.becomes("ann", KIND.REGISTRATION_CANCELLED, STATUS.CANCELLED)
    story.becomes("ben", KIND.REGISTRATION_PROMOTED, STATUS.CONFIRMED)
    story.becomes("cat", KIND.REGISTRATION_CHANGED, STATUS.WAITLISTED)
    said = "after the decision at 0/5 nobody goes on, and reg_cat"
    assert said in "\n".join(check_seats(story.facts, {}))
    assert said not in "\n".join(check_seats(story.facts, {"evt_1": 6}))
