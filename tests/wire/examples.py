"""One value of each kind of command and fact, with every field set that the kind uses: what goldens show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from veltrix.domain import commands as ask
from veltrix.domain.commands import KINDS, Actor, Command, Envelope
from veltrix.domain.event import (
    AccessCode,
    Category,
    Event,
    EventSpec,
    EventStatus,
    Form,
    Holds,
    PoolSpec,
    Question,
    QuestionKind,
    QuestionScope,
    Text,
    Waitlist,
    WaitlistMode,
    Window,
)
from veltrix.domain.facts import Fact, FactKind, NumberedFact, Skipped
from veltrix.domain.outcomes import Refusal
from veltrix.domain.registration import Box, Registration, RegistrationStatus, Seat, Source

MS = 1_800_000_000_123
ORGANIZER = "org_acme"
COMMAND = "cmd_00112233445566778899aabbccddeeff"
EVENT = "evt_01a3185c50000003fd9b4a6b28a68dee"
REGISTRATION = "reg_01a3185c507b0003d9339139e17a7ddf"
ANN = "a1" * 16
BOB = "b0" * 16
BOX = Box("key_" + "0a" * 16, COMMAND, 2, bytes(range(250, 256)) * 4)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

SPEC = EventSpec(
    slug="autumn-2027",
    title=Text("de", {"de": "Herbsttagung", "en": "Autumn meeting"}),
    time_zone="Europe/Zurich",
    starts_local="2027-10-01T09:00",
    ends_local="2027-10-02T17:30",
    pools=(PoolSpec("main", 300), PoolSpec("dinner", 40)),
    categories=(
        Category("std", Text("en", {"en": "Standard"}), ("main",), 12_000, "CHF"),
        Category(
            "dinner",
            Text("en", {"en": "With dinner"}),
            ("main", "dinner"),
            19_500,
            "CHF",
            Window(MS, MS + 86_400_000),
        ),
    ),
    description=Text("en", {"en": "Two days “by the lake”\n…"}),
    venue=Text("en", {"en": "Kursaal, Zürich"}),
    windows=(Window(MS, None),),
    seats_per_registration=4,
    seats_per_person=6,
    one_per_email=True,
    waitlist=Waitlist(50, WaitlistMode.SKIP, True),
    holds=Holds(900, False),
    form=Form(
        2,
        1,
        (
            Question("company", Text("en", {"en": "Company"}), required=True),
            Question(
                "meal",
                Text("en", {"en": "Meal"}),
                QuestionKind.CHOICE,
                QuestionScope.SEAT,
                False,
                {"veg": Text("en", {"en": "Vegetarian"}), "any": Text("en", {"en": "Anything"})},
            ),
        ),
    ),
    access_codes=(AccessCode("c0" * 16, "Members", 20, ("std",)), AccessCode("c1" * 16)),
)

BODIES: dict[str, Command] = {
    "create_event": ask.CreateEvent(SPEC, "key_" + "0b" * 16),
    "change_event": ask.ChangeEvent(replace(SPEC, waitlist=None, holds=None), 3),
    "open_event": ask.OpenEvent(),
    "close_event": ask.CloseEvent(),
    "cancel_event": ask.CancelEvent(),
    "end_event": ask.EndEvent(),
    "register": ask.Register(ANN, BOX, ("std", "dinner"), 2, "c0" * 16, Source.PUBLIC),
    "confirm_hold": ask.ConfirmHold(REGISTRATION, "invoice 17/2027"),
    "extend_hold": ask.ExtendHold(REGISTRATION, 600),
    "release_hold": ask.ReleaseHold(REGISTRATION),
    "expire_hold": ask.ExpireHold(REGISTRATION, 2),
    "cancel": ask.Cancel(REGISTRATION, 7),
    "move": ask.Move(REGISTRATION, 7, "dinner"),
    "transfer": ask.Transfer(REGISTRATION, BOB, BOX, 7),
    "change_answers": ask.ChangeAnswers(REGISTRATION, ANN, BOX, 2),
    "check_in": ask.CheckIn(7, 2, "scan-1", MS, False),
    "erase_person": ask.ErasePerson(ANN),
    "continue_promotions": ask.ContinuePromotions(),
    "adopt_rules": ask.AdoptRules(1),
    "remind": ask.Remind(),
}
BY_REGISTRANT = {"register", "cancel", "move", "transfer", "change_answers", "confirm_hold", "release_hold"}
BY_SYSTEM = {"end_event", "expire_hold", "continue_promotions", "adopt_rules", "remind"}
WITHOUT_EVENT = {"create_event", "adopt_rules"}


def envelope(kind: str) -> Envelope:
    """The example of a kind of command."""
    actor = Actor.ORGANIZER
    if kind in BY_REGISTRANT:
        actor = Actor.REGISTRANT
    if kind in BY_SYSTEM:
        actor = Actor.SYSTEM
    return Envelope(
        id=COMMAND,
        organizer=ORGANIZER,
        event="" if kind in WITHOUT_EVENT else EVENT,
        body=BODIES[kind],
        actor=actor,
        stamp_ms=MS,
        fingerprint="" if actor is Actor.SYSTEM else "f0" * 16,
        holder=1 if actor is Actor.REGISTRANT and kind != "register" else None,
    )


ENVELOPES = {kind: envelope(kind) for kind in KINDS}

SEATS = (Seat(7, "std", 12_000, "CHF"), Seat(8, "dinner", 19_500, "CHF"))
STATUSES = {
    FactKind.REGISTRATION_HELD: RegistrationStatus.HELD,
    FactKind.REGISTRATION_HOLD_EXTENDED: RegistrationStatus.HELD,
    FactKind.REGISTRATION_WAITLISTED: RegistrationStatus.WAITLISTED,
    FactKind.REGISTRATION_REFUSED: RegistrationStatus.REFUSED,
    FactKind.REGISTRATION_CANCELLED: RegistrationStatus.CANCELLED,
    FactKind.REGISTRATION_RELEASED: RegistrationStatus.CANCELLED,
    FactKind.REGISTRATION_EXPIRED: RegistrationStatus.EXPIRED,
}
EVENT_STATUSES = {
    FactKind.EVENT_OPENED: EventStatus.OPEN,
    FactKind.EVENT_CHANGED: EventStatus.OPEN,
    FactKind.EVENT_CLOSED: EventStatus.CLOSED,
    FactKind.EVENT_CANCELLED: EventStatus.CANCELLED,
    FactKind.EVENT_ENDED: EventStatus.ENDED,
    FactKind.EVENT_REMINDED: EventStatus.OPEN,
}


def registration(kind: FactKind) -> Registration:
    """A registration as it stands after a fact of this kind."""
    status = STATUSES.get(kind, RegistrationStatus.CONFIRMED)
    held = status is RegistrationStatus.HELD
    seats = () if status is RegistrationStatus.REFUSED else SEATS
    if kind is FactKind.REGISTRATION_SEAT_CANCELLED:
        seats = (replace(SEATS[0], active=False), SEATS[1])
    if kind is FactKind.SEAT_CHECKED_IN:
        seats = (replace(SEATS[0], checked_in_ms=MS), SEATS[1])
    if kind is FactKind.REGISTRATION_TRANSFERRED:
        seats = (replace(SEATS[0], holder=2, box=BOX), SEATS[1])
    return Registration(
        id=REGISTRATION,
        event=EVENT,
        arrival=(1 << 48) | 1042,
        status=status,
        person=ANN,
        box=BOX,
        seats=seats,
        decided_ms=MS,
        changed_ms=MS,
        version=1 if held else 2,
        access_code="c0" * 16,
        hold_number=1,
        hold_deadline_ms=MS + 900_000 if held else None,
        external_ref="invoice 17/2027" if kind is FactKind.REGISTRATION_CONFIRMED else None,
    )


def event_after(kind: FactKind) -> Event:
    """An event as it stands after a fact of this kind."""
    status = EVENT_STATUSES.get(kind, EventStatus.DRAFT)
    version = 1 if kind is FactKind.EVENT_CREATED else 4
    reminded = kind is FactKind.EVENT_REMINDED
    spec = replace(SPEC, reminders=(168, 24)) if reminded else SPEC
    return Event(
        EVENT, ORGANIZER, spec, "key_" + "0b" * 16, MS, MS, status, version, MS if reminded else None
    )


def fact(kind: FactKind) -> Fact:
    """The example of a kind of fact."""
    extras: dict[FactKind, dict[str, Any]] = {
        FactKind.EVENT_CHANGED: {"reason": "starts_local,venue"},
        FactKind.REGISTRATION_REFUSED: {"reason": Refusal.WAITLIST_FULL},
        FactKind.REGISTRATION_PROMOTED: {"skipped": (Skipped("reg_" + "0c" * 16, "dinner", 2, 1),)},
        FactKind.REGISTRATION_SEAT_CANCELLED: {"seat": 7},
        FactKind.REGISTRATION_MOVED: {"seat": 8},
        FactKind.REGISTRATION_TRANSFERRED: {
            "seat": 7,
            "person": BOB,
            "previous": registration(FactKind.REGISTRATION_CONFIRMED),
        },
        FactKind.SEAT_CHECKED_IN: {"seat": 7, "scan_id": "scan-1"},
        FactKind.SEAT_CHECK_IN_UNDONE: {"seat": 7, "scan_id": "scan-2"},
        FactKind.PERSON_ERASED: {"person": ANN},
        FactKind.RULES_ADOPTED: {"rules_version": 1},
    }
    extra = extras.get(kind, {})
    if kind is FactKind.RULES_ADOPTED:
        return Fact(kind, "", ORGANIZER, **extra)
    if kind.startswith("event."):
        return Fact(kind, EVENT, ORGANIZER, event_after=event_after(kind), **extra)
    if kind is FactKind.PERSON_ERASED:
        return Fact(kind, EVENT, ORGANIZER, **extra)
    return Fact(kind, EVENT, ORGANIZER, registration=registration(kind), **extra)


FACTS = {
    kind: NumberedFact(3, 2_147_483_700, 2_147_483_648, COMMAND, MS, TRACE, fact(kind)) for kind in FactKind
}
