"""The order of `Refusal` is the order of precedence: of several reasons, the first in it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import pytest

from tests.domain.asking import ENDS_S
from tests.domain.room import Room, category, event_spec, sealed, with_capacity
from veltrix.domain import commands as ask
from veltrix.domain.commands import Actor
from veltrix.domain.decider import Judgement
from veltrix.domain.event import AccessCode, EventSpec, Form, Holds, Waitlist, Window
from veltrix.domain.outcomes import Refusal as R  # noqa: N817 - the tables below read better

PRECEDENCE = list(R)
Reasons = frozenset[R]
Case = Callable[[Reasons], Judgement]

SPEC = event_spec(
    capacity=5,
    categories=(
        category("std"),
        category("late", window=Window(None, 1)),
        category("other", "main", "side"),
    ),
    pools=(*event_spec(5).pools, *(replace(pool, key="side") for pool in event_spec(5).pools)),
    form=Form(2, 2),
)


def outcome_of_status(room: Room, event: str, reasons: Reasons) -> None:
    """Bring the event into the status that these reasons speak of."""
    if R.EVENT_CANCELLED in reasons:
        room.ask(ask.CancelEvent(), event)
    if R.EVENT_ENDED in reasons:
        room.later(ENDS_S)
        room.ask(ask.EndEvent(), event)


def organizer_of(reasons: Reasons) -> dict[str, Any]:
    """Who asks: somebody else, where the event is to be unknown."""
    return {"organizer": "org_2"} if R.UNKNOWN_EVENT in reasons else {}


def create(reasons: Reasons) -> Judgement:
    """A new event."""
    room = Room()
    if R.SLUG_TAKEN in reasons:
        room.create(event_spec())
    spec = event_spec(pools=()) if R.INVALID_CHANGE in reasons else event_spec()
    return room.ask(ask.CreateEvent(spec, "key_hash"))


def change(reasons: Reasons) -> Judgement:
    """Another specification."""
    room = Room()
    event = room.create(SPEC)
    outcome_of_status(room, event, reasons)
    spec = replace(SPEC, slug="other") if R.INVALID_CHANGE in reasons else replace(SPEC, one_per_email=True)
    version = room.event(event).version - (R.VERSION_CONFLICT in reasons)
    return room.ask(ask.ChangeEvent(spec, version), event, **organizer_of(reasons))


def close(reasons: Reasons) -> Judgement:
    """The end of registration."""
    room = Room()
    event = room.create(SPEC, opened=R.NOT_OPEN not in reasons)
    outcome_of_status(room, event, reasons)
    return room.ask(ask.CloseEvent(), event, **organizer_of(reasons))


def end(reasons: Reasons) -> Judgement:
    """The end of the event."""
    room = Room()
    event = room.create(SPEC, opened=R.NOT_OPEN not in reasons)
    outcome_of_status(room, event, reasons)
    if R.NOT_ENDED_YET not in reasons:
        room.later(ENDS_S)
    return room.ask(ask.EndEvent(), event, **organizer_of(reasons))


def _party(reasons: Reasons) -> tuple[str, ...]:
    party = ["std", "std"]
    if R.CATEGORY_NOT_ON_SALE in reasons:
        party.insert(0, "late")
    if R.UNKNOWN_CATEGORY in reasons:
        party.append("none")
    return tuple(party)


def _register_spec(reasons: Reasons, now_ms: int) -> EventSpec:
    """The specification that makes these reasons true, of those that lie in it."""
    spec = replace(
        SPEC,
        seats_per_registration=len(_party(reasons)) - 1 if R.PARTY_TOO_LARGE in reasons else 10,
        one_per_email=R.ALREADY_REGISTERED in reasons,
        seats_per_person=1 if R.SEATS_PER_PERSON in reasons else None,
    )
    if R.WINDOW_NOT_OPEN_YET in reasons:
        spec = replace(spec, windows=(Window(None, 5), Window(now_ms + 1)))
    if R.WINDOW_OVER in reasons:
        spec = replace(spec, windows=(Window(None, 5), Window(5, now_ms)))
    codes = (
        AccessCode("good"),
        AccessCode("used", uses=1),
        AccessCode("side", uses=1, categories=("other",)),
    )
    if reasons & {R.ACCESS_CODE_REQUIRED, R.ACCESS_CODE_INVALID, R.ACCESS_CODE_USED_UP}:
        spec = replace(spec, access_codes=codes)
    if R.WAITLIST_FULL in reasons:
        spec = replace(spec, waitlist=Waitlist(1))
    if R.FULL in reasons:
        spec = with_capacity(spec, main=0)
    return spec


def register(reasons: Reasons) -> Judgement:
    """A claim on seats."""
    room = Room()
    event = room.create(replace(SPEC, waitlist=Waitlist(1)))
    used = "side" if R.ACCESS_CODE_INVALID in reasons else "used"
    room.register(event, "std", person="first", form_version=2, access_code=used)
    if R.ALREADY_REGISTERED in reasons:
        room.register(event, "std", person="we", form_version=2)
    if R.WAITLIST_FULL in reasons:
        for _ in range(5):
            room.register(event, "std", form_version=2)
    ends_s = ENDS_S if R.EVENT_ENDED in reasons else 0
    spec = _register_spec(reasons, room.now_ms + ends_s * 1000)
    room.ask(ask.ChangeEvent(spec, room.event(event).version), event)
    outcome_of_status(room, event, reasons)
    if R.NOT_OPEN in reasons:
        room.ask(ask.CloseEvent(), event)
    code: str | None = "good"
    if R.ACCESS_CODE_USED_UP in reasons:
        code = used
    elif R.ACCESS_CODE_INVALID in reasons:
        code = "wrong"
    if R.ACCESS_CODE_REQUIRED in reasons:
        code = None
    return room.register(
        event,
        *_party(reasons),
        person="we",
        form_version=1 if R.FORM_VERSION_OUTDATED in reasons else 2,
        access_code=code,
        **organizer_of(reasons),
    )


class Subject:
    """A registration of two seats, brought to where the reasons want it, and how it is asked about."""

    def __init__(self, reasons: Reasons, *, held: bool = False) -> None:
        self.room = Room()
        holds = Holds(60, registrant_may_confirm=R.ORGANIZER_MUST_CONFIRM not in reasons) if held else None
        self.event = self.room.create(replace(SPEC, holds=holds))
        self.id = self.room.registered(self.event, "std", "std", person="we", form_version=2)
        self.seat = self.room.registration(self.id).seats[0].number
        self.reasons = reasons

    def asked(self, make: Callable[[str, int], ask.Command]) -> Judgement:
        """The decision on the command that `make` makes of the registration and its first seat."""
        room, reasons = self.room, self.reasons
        if reasons & {R.SEAT_CHECKED_IN, R.ALREADY_CHECKED_IN}:
            room.ask(ask.CheckIn(self.seat, 1, "scan"), self.event)
        if reasons & {R.NOT_ACTIVE, R.NOT_CONFIRMED}:
            room.ask(ask.Cancel(self.id), self.event)
        outcome_of_status(room, self.event, reasons)
        registration = "reg_none" if R.UNKNOWN_REGISTRATION in reasons else self.id
        seat = 99 if R.UNKNOWN_SEAT in reasons else self.seat
        body = make(registration, seat)
        if isinstance(body, ask.CheckIn | ask.ExpireHold):
            return room.ask(body, self.event, **organizer_of(reasons))
        holder = 7 if R.LINK_REPLACED in reasons else 1
        return room.ask(body, self.event, actor=Actor.REGISTRANT, holder=holder, **organizer_of(reasons))


def confirm(reasons: Reasons) -> Judgement:
    """A hold's confirmation."""
    subject = Subject(reasons, held=R.NOT_HELD not in reasons)
    if R.NOT_HELD in reasons and R.ORGANIZER_MUST_CONFIRM in reasons:
        spec = replace(SPEC, holds=Holds(60, registrant_may_confirm=False))
        subject.room.ask(ask.ChangeEvent(spec, 2), subject.event)
    return subject.asked(lambda registration, _: ask.ConfirmHold(registration))


def extend(reasons: Reasons) -> Judgement:
    """A hold's extension."""
    subject = Subject(reasons, held=R.NOT_HELD not in reasons)
    return subject.asked(lambda registration, _: ask.ExtendHold(registration, 60))


def release(reasons: Reasons) -> Judgement:
    """A hold's release."""
    subject = Subject(reasons, held=R.NOT_HELD not in reasons)
    return subject.asked(lambda registration, _: ask.ReleaseHold(registration))


def expire(reasons: Reasons) -> Judgement:
    """A hold's end."""
    subject = Subject(reasons, held=True)
    subject.room.later(59 if R.HOLD_NOT_DUE in reasons else 60)
    return subject.asked(lambda registration, _: ask.ExpireHold(registration, 1))


def cancel(reasons: Reasons) -> Judgement:
    """The cancellation of one seat."""
    return Subject(reasons).asked(ask.Cancel)


def move(reasons: Reasons) -> Judgement:
    """Another category for a seat."""
    subject = Subject(reasons)
    target = "other"
    if R.CATEGORY_NOT_ON_SALE in reasons:
        target = "late"
    if R.UNKNOWN_CATEGORY in reasons:
        target = "none"
    if R.FULL in reasons:
        spec = with_capacity(SPEC, side=0)
        if R.CATEGORY_NOT_ON_SALE in reasons:
            closed = tuple(replace(each, window=Window(None, 1)) for each in spec.categories)
            spec, target = replace(spec, categories=closed), "other"
        subject.room.ask(ask.ChangeEvent(spec, 2), subject.event)
    return subject.asked(lambda registration, seat: ask.Move(registration, seat, target))


def _transfer(reasons: Reasons, *, whole: bool) -> Judgement:
    subject = Subject(reasons)
    room = subject.room
    room.register(subject.event, "std", person="they", form_version=2)
    spec = replace(
        SPEC,
        one_per_email=R.ALREADY_REGISTERED in reasons,
        seats_per_person=2 if R.SEATS_PER_PERSON in reasons else None,
    )
    room.ask(ask.ChangeEvent(spec, 2), subject.event)
    box = sealed("cmd_" + "0" * 32)
    return subject.asked(
        lambda registration, seat: ask.Transfer(registration, "they", box, None if whole else seat)
    )


def transfer(reasons: Reasons) -> Judgement:
    """Another person for the whole registration."""
    return _transfer(reasons, whole=True)


def transfer_seat(reasons: Reasons) -> Judgement:
    """Another person for one seat."""
    return _transfer(reasons, whole=False)


def answers(reasons: Reasons) -> Judgement:
    """Other answers."""
    version = 1 if R.FORM_VERSION_OUTDATED in reasons else 2
    box = sealed("cmd_" + "0" * 32)
    return Subject(reasons).asked(lambda registration, _: ask.ChangeAnswers(registration, "we", box, version))


def check_in(reasons: Reasons) -> Judgement:
    """A ticket at the door."""
    holder = 7 if R.TICKET_REPLACED in reasons else 1
    undo = R.NOT_CHECKED_IN in reasons
    return Subject(reasons).asked(lambda _, seat: ask.CheckIn(seat, holder, "scan-2", undo=undo))


TOUCH = (R.UNKNOWN_EVENT, R.EVENT_CANCELLED, R.UNKNOWN_REGISTRATION, R.LINK_REPLACED)
TABLE: dict[Case, tuple[R, ...]] = {
    create: (R.SLUG_TAKEN, R.INVALID_CHANGE),
    change: (R.UNKNOWN_EVENT, R.VERSION_CONFLICT, R.EVENT_CANCELLED, R.EVENT_ENDED, R.INVALID_CHANGE),
    close: (R.UNKNOWN_EVENT, R.EVENT_CANCELLED, R.EVENT_ENDED, R.NOT_OPEN),
    end: (R.UNKNOWN_EVENT, R.EVENT_CANCELLED, R.NOT_OPEN, R.NOT_ENDED_YET),
    register: (
        R.UNKNOWN_EVENT,
        R.EVENT_CANCELLED,
        R.EVENT_ENDED,
        R.NOT_OPEN,
        R.WINDOW_NOT_OPEN_YET,
        R.WINDOW_OVER,
        R.ACCESS_CODE_REQUIRED,
        R.ACCESS_CODE_INVALID,
        R.ACCESS_CODE_USED_UP,
        R.FORM_VERSION_OUTDATED,
        R.UNKNOWN_CATEGORY,
        R.CATEGORY_NOT_ON_SALE,
        R.PARTY_TOO_LARGE,
        R.ALREADY_REGISTERED,
        R.SEATS_PER_PERSON,
        R.FULL,
        R.WAITLIST_FULL,
    ),
    confirm: (*TOUCH, R.NOT_HELD, R.ORGANIZER_MUST_CONFIRM),
    extend: (*TOUCH, R.NOT_HELD),
    release: (*TOUCH, R.NOT_HELD),
    expire: (R.UNKNOWN_EVENT, R.HOLD_NOT_DUE),
    cancel: (*TOUCH, R.NOT_ACTIVE, R.UNKNOWN_SEAT, R.SEAT_CHECKED_IN),
    move: (
        *TOUCH,
        R.NOT_ACTIVE,
        R.UNKNOWN_SEAT,
        R.SEAT_CHECKED_IN,
        R.UNKNOWN_CATEGORY,
        R.CATEGORY_NOT_ON_SALE,
        R.FULL,
    ),
    transfer: (*TOUCH, R.NOT_ACTIVE, R.SEAT_CHECKED_IN, R.ALREADY_REGISTERED, R.SEATS_PER_PERSON),
    transfer_seat: (*TOUCH, R.NOT_ACTIVE, R.UNKNOWN_SEAT, R.SEAT_CHECKED_IN),
    answers: (*TOUCH, R.NOT_ACTIVE, R.FORM_VERSION_OUTDATED),
    check_in: (
        R.UNKNOWN_EVENT,
        R.EVENT_CANCELLED,
        R.UNKNOWN_SEAT,
        R.TICKET_REPLACED,
        R.NOT_CONFIRMED,
        R.ALREADY_CHECKED_IN,
        R.NOT_CHECKED_IN,
    ),
}

# No two of one line can be true of one command at once, whatever the command.
EXCLUSIVE = (
    {R.EVENT_CANCELLED, R.EVENT_ENDED, R.NOT_OPEN},  # an event has one status
    {R.EVENT_ENDED, R.NOT_ENDED_YET},
    {R.WINDOW_NOT_OPEN_YET, R.WINDOW_OVER},
    {R.ACCESS_CODE_REQUIRED, R.ACCESS_CODE_INVALID},  # no code is not a wrong one
    {R.ACCESS_CODE_REQUIRED, R.ACCESS_CODE_USED_UP},
    {R.ALREADY_CHECKED_IN, R.NOT_CHECKED_IN},
    {R.UNKNOWN_REGISTRATION, R.LINK_REPLACED},  # of what is not there nothing else is true
    {R.UNKNOWN_REGISTRATION, R.NOT_ACTIVE},
    {R.UNKNOWN_REGISTRATION, R.NOT_HELD},
    {R.UNKNOWN_REGISTRATION, R.ORGANIZER_MUST_CONFIRM},
    {R.UNKNOWN_REGISTRATION, R.UNKNOWN_SEAT},
    {R.UNKNOWN_REGISTRATION, R.SEAT_CHECKED_IN},
    {R.UNKNOWN_REGISTRATION, R.FULL},
    {R.UNKNOWN_SEAT, R.SEAT_CHECKED_IN},
    {R.UNKNOWN_SEAT, R.TICKET_REPLACED},
    {R.UNKNOWN_SEAT, R.NOT_CONFIRMED},
    {R.UNKNOWN_SEAT, R.ALREADY_CHECKED_IN},
    {R.UNKNOWN_SEAT, R.NOT_CHECKED_IN},
    {R.UNKNOWN_SEAT, R.FULL},  # no seat, no pool that it would need
)
# The same for one command only.
EXCLUSIVE_HERE: dict[Case, tuple[set[R], ...]] = {
    move: ({R.UNKNOWN_CATEGORY, R.CATEGORY_NOT_ON_SALE}, {R.UNKNOWN_CATEGORY, R.FULL}),
}
# Adjacent in the order, and of different commands or of different records: they never meet.
NEVER_MEET = {
    (R.MALFORMED, R.QUARANTINED),
    (R.QUARANTINED, R.UNKNOWN_EVENT),
    (R.UNKNOWN_EVENT, R.SLUG_TAKEN),
    (R.SLUG_TAKEN, R.VERSION_CONFLICT),
    (R.INVALID_CHANGE, R.NOT_OPEN),
    (R.NOT_ENDED_YET, R.WINDOW_NOT_OPEN_YET),
    (R.ACCESS_CODE_USED_UP, R.UNKNOWN_REGISTRATION),
    (R.NOT_ACTIVE, R.NOT_HELD),
    (R.NOT_HELD, R.HOLD_NOT_DUE),
    (R.HOLD_NOT_DUE, R.ORGANIZER_MUST_CONFIRM),
    (R.ORGANIZER_MUST_CONFIRM, R.UNKNOWN_SEAT),
    (R.SEAT_CHECKED_IN, R.TICKET_REPLACED),
    (R.NOT_CHECKED_IN, R.FORM_VERSION_OUTDATED),
}
# These are reasons of a record that is no command; tests/wire shows their order.
OF_RECORDS = {(R.OVERSIZED, R.UNKNOWN_VERSION), (R.UNKNOWN_VERSION, R.MALFORMED)}


def can_meet(case: Case, reasons: set[R]) -> bool:
    """Whether no line of the tables above forbids it."""
    return not any(len(line & reasons) > 1 for line in (*EXCLUSIVE, *EXCLUSIVE_HERE.get(case, ())))


def cases() -> Iterator[Any]:
    """Each reason of each command alone, and each two that can be true at once."""
    for case, listed in TABLE.items():
        for size in (1, 2):
            for reasons in combinations(listed, size):
                if can_meet(case, set(reasons)):
                    yield pytest.param(case, reasons, id=f"{case.__name__}:{'+'.join(reasons)}")


@pytest.mark.parametrize(("case", "reasons"), list(cases()))
def test_the_first_reason_is_given(case: Case, reasons: tuple[R, ...]):
    """With one reason alone it is given; with two at once, the one that stands first in `Refusal`."""
    decision = case(frozenset(reasons)).decision
    assert decision.refusal is min(reasons, key=PRECEDENCE.index), decision.detail


@pytest.mark.parametrize("case", list(TABLE), ids=lambda case: case.__name__)
def test_without_a_reason_nothing_is_refused(case: Case):
    """Each case of the table is accepted when nothing speaks against it."""
    decision = case(frozenset()).decision
    assert decision.refusal is None, decision.detail


def test_every_neighbour_is_looked_at():
    """Each two neighbours in the order meet in the table above, or cannot meet at all."""
    met = {
        pair
        for case, listed in TABLE.items()
        for pair in combinations(sorted(listed, key=PRECEDENCE.index), 2)
        if can_meet(case, set(pair))
    }
    missing = [
        pair
        for pair in pairwise(PRECEDENCE)
        if pair not in met | NEVER_MEET | OF_RECORDS and not any(set(pair) <= line for line in EXCLUSIVE)
    ]
    assert not missing
    assert {refusal for listed in TABLE.values() for refusal in listed} == set(PRECEDENCE[4:])
