"""Made-up commands: intents drawn at random, turned into envelopes by looking at a room.

An intent says "cancel the third registration"; which that is depends on what happened before. So intents
can be drawn without knowing what they will meet, and still meet registrations that exist. They are drawn
from a `Random`: a seeded one walks evenly, Hypothesis' own one shrinks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.domain.room import NOW_MS, Room, category, event_spec, sealed, text
from veltrix.domain import commands as ask
from veltrix.domain.commands import Actor, Command, Envelope
from veltrix.domain.event import (
    AccessCode,
    EventSpec,
    Form,
    Holds,
    PoolSpec,
    Waitlist,
    WaitlistMode,
    Window,
)
from veltrix.domain.registration import Registration

CATEGORIES: dict[str, tuple[str, ...]] = {
    "std": ("main",),
    "veg": ("main", "kitchen"),
    "vip": ("lounge",),
    "all": ("main", "kitchen", "lounge"),
}
POOLS = ("main", "kitchen", "lounge")
CODES = (AccessCode("code-1", "one", uses=2), AccessCode("code-2", "two", categories=("std", "veg")))
ENDS_S = 9_187_200  # from the rooms' first instant to the end of their events
SOON_S = 9_072_000  # to the day before their events begin
PEOPLE = 12


def any_waitlist(random: Random) -> Waitlist | None:
    """Mostly one, of either mode."""
    if random.random() < 0.2:
        return None
    return Waitlist(random.randint(1, 9), random.choice(list(WaitlistMode)), random.random() < 0.5)


def any_holds(random: Random) -> Holds | None:
    """In every second event."""
    return Holds(random.randint(10, 60), random.random() < 0.7) if random.random() < 0.5 else None


def any_window(random: Random) -> Window:
    """Around the first minutes of a room."""
    opens = random.choice([None, NOW_MS, NOW_MS + 30_000])
    return Window(opens, random.choice([None, NOW_MS + 60_000, NOW_MS + 600_000]))


def any_restriction(random: Random) -> dict[str, Any]:
    """At most one thing that keeps people out, or most commands would be refused for it."""
    return random.choice(
        [
            {},
            {},
            {"access_codes": CODES},
            {"one_per_email": True},
            {"seats_per_person": random.randint(1, 6)},
            {"windows": (any_window(random),)},
            {"form": Form(2, 2)},
        ]
    )


def any_spec(random: Random, slug: str) -> EventSpec:
    """A small event in which everything is scarce."""
    categories = [
        category(
            key,
            *pools,
            price_minor=100 * len(pools),
            window=any_window(random) if key == "vip" and random.random() < 0.3 else None,
        )
        for key, pools in CATEGORIES.items()
    ]
    settings: dict[str, Any] = {"form": Form(2, 1), **any_restriction(random)}
    return event_spec(
        slug=slug,
        title=text(slug),
        pools=tuple(PoolSpec(key, random.randint(0, 9)) for key in POOLS),
        categories=tuple(categories),
        seats_per_registration=random.randint(2, 4),
        waitlist=any_waitlist(random),
        holds=any_holds(random),
        **settings,
    )


@dataclass(frozen=True)
class Intent:
    """What someone means to do: the name of a method of `Asker`, and its arguments."""

    name: str
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"


# How often each is meant. What ends an event for good ends a test's interest in it too.
WEIGHTS = {
    "register": 40,
    "register_oddly": 2,
    "confirm": 6,
    "extend": 3,
    "release": 3,
    "expire": 6,
    "cancel": 9,
    "move": 8,
    "transfer": 5,
    "answer": 2,
    "check_in": 12,
    "erase": 1,
    "proceed": 2,
    "resize": 6,
    "reform": 2,
    "open": 2,
    "close": 1,
    "again": 4,
    "trespass": 1,
    "wait": 8,
    "call_off": 0.15,
    "end": 0.5,
    "remind": 1,
    "wait_until_soon": 0.2,
    "wait_long": 0.1,
}


def any_intent(random: Random) -> Intent:
    """Something that somebody may mean to do."""
    [name] = random.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return of_kind(name, random)


def of_kind(name: str, random: Random) -> Intent:
    """An intent of one kind."""
    event = random.choice([0, 0, 0, 1])
    if name in TURNS:
        return Intent("turn", {"event": event, "body": TURNS[name]})
    if name.startswith("register"):
        return Intent("register", {"event": event, **_registering(random, oddly=name == "register_oddly")})
    if name in ORGANIZING:
        return Intent(name, {"event": event, **ORGANIZING[name](random)})
    if name == "wait_long":
        return Intent("wait", {"seconds": ENDS_S})
    if name == "wait_until_soon":
        return Intent("wait", {"seconds": random.choice([SOON_S, 3_600])})
    return Intent(name, TOUCHING[name](random))


def _registering(random: Random, *, oddly: bool) -> dict[str, Any]:
    known = [*CATEGORIES, "std", "std", "veg"]
    categories = random.choices(known, k=random.choice([1, 1, 1, 2, 2, 3]))
    if oddly:
        categories = random.choices([*CATEGORIES, "none"], k=random.randint(0, 6))
    return {
        "who": random.randrange(PEOPLE),
        "categories": categories,
        "code": random.choice(["code-1", "code-2", "code-2", "code-9", None]),
        "form": random.randint(0, 4) if oddly else random.choice([2, 2, 2, 2, 1]),
        "by": _anyone(random),
    }


def _anyone(random: Random) -> Actor:
    return random.choice([Actor.REGISTRANT, Actor.REGISTRANT, Actor.ORGANIZER])


def _of_somebody(random: Random) -> dict[str, Any]:
    return {
        "which": random.randrange(40),
        "by": _anyone(random),
        "stale": int(random.random() < 0.1),
    }


def _any_seat(random: Random) -> int | None:
    return random.choice([None, None, 0, 0, 1, 2])


TURNS: dict[str, Command] = {
    "open": ask.OpenEvent(),
    "close": ask.CloseEvent(),
    "end": ask.EndEvent(),
    "call_off": ask.CancelEvent(),
    "remind": ask.Remind(),
}
ORGANIZING: dict[str, Callable[[Random], dict[str, Any]]] = {
    "erase": lambda random: {"who": random.randrange(PEOPLE)},
    "proceed": lambda _: {},
    "resize": lambda random: {
        "capacities": tuple(random.randint(0, 12) for _ in POOLS),
        "version_off": int(random.random() < 0.1),
        "lost_pool": int(random.random() < 0.1),
    },
    "reform": lambda random: {
        "changes": random.choice(
            [
                {"waitlist": any_waitlist(random)},
                {"holds": any_holds(random)},
                {"access_codes": random.choice([(), CODES])},
                {"one_per_email": random.random() < 0.5},
                {"seats_per_person": random.choice([None, random.randint(1, 6)])},
                {"reminders": random.choice([None, (), (1,), (26, 24), (2, 23, 25)])},
                {"starts_local": random.choice(["2027-05-01T10:00", "2027-05-01T11:30"])},
            ]
        )
    },
}
TOUCHING: dict[str, Callable[[Random], dict[str, Any]]] = {
    "confirm": lambda random: {**_of_somebody(random), "ref": random.choice([None, "pay_1"])},
    "extend": lambda random: {**_of_somebody(random), "ttl_s": random.randint(0, 90)},
    "release": _of_somebody,
    "expire": lambda random: {"which": random.randrange(40), "older": int(random.random() < 0.1)},
    "cancel": lambda random: {**_of_somebody(random), "seat": _any_seat(random)},
    "move": lambda random: {
        **_of_somebody(random),
        "seat": random.choice([0, 0, 1, 2]),
        "category": random.choice([*CATEGORIES, *CATEGORIES, "none"]),
    },
    "transfer": lambda random: {
        **_of_somebody(random),
        "who": random.randrange(PEOPLE),
        "seat": _any_seat(random),
    },
    "answer": lambda random: {**_of_somebody(random), "form": random.choice([2, 2, 1, 3])},
    "check_in": lambda random: {
        "which": random.randrange(40),
        "seat": random.randrange(3),
        "stale": int(random.random() < 0.1),
        "undo": random.random() < 0.2,
        "ago_s": random.choice([None, 0, 5]),
    },
    "again": lambda random: {"which": random.randrange(40), "other_body": random.random() < 0.3},
    "trespass": lambda random: {"which": random.randrange(40)},
    "wait": lambda random: {"seconds": random.choice([0.5, 1, 5, 20, 60])},
}


class Asker:
    """Turns intents into envelopes, as the things stand in its room."""

    def __init__(self, room: Room, events: list[str]) -> None:
        self.room = room
        self.events = events

    def envelope(self, intent: Intent) -> Envelope | None:
        """The command that is meant; None when there is nothing to be meant yet, or nothing to ask."""
        make: Callable[..., Envelope | None] = getattr(self, intent.name)
        return make(**intent.arguments)

    def register(
        self, event: int, who: int, categories: list[str], code: str | None, form: int, by: Actor
    ) -> Envelope:
        """Somebody wants seats."""
        envelope = self._about_event(event, ask.OpenEvent(), by)
        box = sealed(envelope.id, form)
        return replace(envelope, body=ask.Register(f"person-{who}", box, tuple(categories), form, code))

    def confirm(self, which: int, by: Actor, stale: int, ref: str | None) -> Envelope | None:
        """Somebody confirms a hold."""
        return self._about(which, by, stale, lambda found: ask.ConfirmHold(found.id, ref))

    def extend(self, which: int, by: Actor, stale: int, ttl_s: int) -> Envelope | None:
        """Somebody wants more time."""
        return self._about(which, by, stale, lambda found: ask.ExtendHold(found.id, ttl_s))

    def release(self, which: int, by: Actor, stale: int) -> Envelope | None:
        """Somebody gives a hold back."""
        return self._about(which, by, stale, lambda found: ask.ReleaseHold(found.id))

    def expire(self, which: int, older: int) -> Envelope | None:
        """The ticker ends a hold, or one that is none any more."""
        return self._about(
            which, Actor.SYSTEM, 0, lambda found: ask.ExpireHold(found.id, found.hold_number - older)
        )

    def cancel(self, which: int, seat: int | None, by: Actor, stale: int) -> Envelope | None:
        """Somebody cancels all or one seat."""
        return self._about(which, by, stale, lambda found: ask.Cancel(found.id, _seat(found, seat)))

    def move(self, which: int, seat: int, category: str, by: Actor, stale: int) -> Envelope | None:
        """Somebody wants another category."""
        return self._about(
            which, by, stale, lambda found: ask.Move(found.id, _seat(found, seat) or 0, category)
        )

    def transfer(self, which: int, seat: int | None, who: int, by: Actor, stale: int) -> Envelope | None:
        """Somebody hands a registration, or a seat, to somebody else."""
        envelope = self._about(which, by, stale, lambda found: ask.ReleaseHold(found.id))
        if envelope is None:
            return None
        found = self._registration(which)
        box = sealed(envelope.id)
        return replace(envelope, body=ask.Transfer(found.id, f"person-{who}", box, _seat(found, seat)))

    def answer(self, which: int, form: int, by: Actor, stale: int) -> Envelope | None:
        """Somebody corrects an answer."""
        envelope = self._about(which, by, stale, lambda found: ask.ReleaseHold(found.id))
        if envelope is None:
            return None
        found = self._registration(which)
        box = sealed(envelope.id, form)
        return replace(envelope, body=ask.ChangeAnswers(found.id, found.person, box, form))

    def check_in(self, which: int, seat: int, stale: int, undo: bool, ago_s: int | None) -> Envelope | None:
        """Somebody shows a ticket at the door."""
        if not self._registrations():
            return None
        found = self._registration(which)
        place = found.seats[seat % len(found.seats)]
        scanned_ms = None if ago_s is None else self.room.now_ms - ago_s * 1000
        body = ask.CheckIn(place.number, place.holder - stale, f"scan-{which}", scanned_ms, undo)
        return self.room.envelope(body, found.event)

    def erase(self, event: int, who: int) -> Envelope:
        """Somebody wants to be forgotten."""
        return self._about_event(event, ask.ErasePerson(f"person-{who}"))

    def proceed(self, event: int) -> Envelope:
        """Promotions go on."""
        return self._about_event(event, ask.ContinuePromotions(), Actor.SYSTEM)

    def resize(self, event: int, capacities: tuple[int, ...], version_off: int, lost_pool: int) -> Envelope:
        """The organizer sets other capacities, sometimes after somebody else did, sometimes one too few."""
        standing = self._event(event)
        pools = tuple(PoolSpec(key, size) for key, size in zip(POOLS, capacities, strict=True))
        spec = replace(standing.spec, pools=pools)
        if lost_pool:
            spec = replace(spec, pools=pools[:2], categories=spec.categories[:2])
        return self._about_event(event, ask.ChangeEvent(spec, standing.version - version_off))

    def reform(self, event: int, changes: dict[str, Any]) -> Envelope:
        """The organizer sets other rules."""
        standing = self._event(event)
        return self._about_event(event, ask.ChangeEvent(replace(standing.spec, **changes), standing.version))

    def turn(self, event: int, body: Command) -> Envelope:
        """The organizer opens, closes, ends or cancels."""
        return self._about_event(event, body)

    def again(self, which: int, other_body: bool) -> Envelope | None:
        """A command comes a second time, or its key does with another body."""
        if not self.room.log:
            return None
        earlier, _ = self.room.log[-1 - which % len(self.room.log)]
        changes: dict[str, Any] = {"fingerprint": "g"} if other_body else {}
        return replace(earlier, stamp_ms=self.room.now_ms, **changes)

    def trespass(self, which: int) -> Envelope | None:
        """Another organizer asks for what is not theirs."""
        envelope = self._about(which, Actor.ORGANIZER, 0, lambda found: ask.Cancel(found.id))
        return envelope and replace(envelope, organizer="org_2")

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.room.later(seconds)

    def _event(self, event: int) -> Any:
        return self.room.event(self.events[event % len(self.events)])

    def _about_event(self, event: int, body: Command, by: Actor = Actor.ORGANIZER) -> Envelope:
        return self.room.envelope(body, self.events[event % len(self.events)], actor=by)

    def _registrations(self) -> list[Registration]:
        return [
            found for event in self.events for found in self.room.of(event).registrations.values() if found
        ]

    def _registration(self, which: int) -> Registration:
        found = self._registrations()
        return found[which % len(found)]

    def _about(
        self, which: int, by: Actor, stale: int, body: Callable[[Registration], Command]
    ) -> Envelope | None:
        if not self._registrations():
            return None
        found = self._registration(which)
        holder = found.holder - stale if by is Actor.REGISTRANT else None
        return self.room.envelope(body(found), found.event, actor=by, holder=holder)


def _seat(registration: Registration, seat: int | None) -> int | None:
    """The number of the seat at a position; a position beyond the party is a seat of somebody else."""
    if seat is None:
        return None
    return registration.seats[0].number + seat % (len(registration.seats) + 1)
