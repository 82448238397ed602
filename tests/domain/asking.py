"""Generated commands: intents drawn by Hypothesis, turned into envelopes by looking at a room.

An intent says "cancel the third registration"; which that is depends on what happened before. So a list
of intents can be drawn in one go, shrinks well, and still meets registrations that exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.domain.room import NOW_MS, Room, category, event_spec, sealed, text
from veltrix.domain import commands as ask
from veltrix.domain.commands import Actor, Command, Envelope
from veltrix.domain.event import (
    AccessCode,
    Category,
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
CODES = ("code-1", "code-2", "code-9")
ENDS_S = 9_187_200  # from the rooms' first instant to the end of their events

small = st.integers(0, 7)
waitlists = st.none() | st.builds(
    Waitlist, st.integers(1, 8), st.sampled_from(WaitlistMode), promote_after_close=st.booleans()
)
holds = st.none() | st.builds(Holds, st.integers(10, 60), st.booleans())
windows = st.builds(
    Window,
    st.sampled_from([None, NOW_MS, NOW_MS + 30_000]),
    st.sampled_from([None, NOW_MS + 60_000, NOW_MS + 600_000]),
)
access_codes = st.just(()) | st.just(
    (AccessCode("code-1", "one", uses=2), AccessCode("code-2", "two", categories=("std", "veg")))
)


@st.composite
def specs(draw: st.DrawFn, slug: str = "conf") -> EventSpec:
    """Small events in which everything is scarce."""
    on_sale: list[Category] = []
    for key, pools in CATEGORIES.items():
        window = draw(st.none() | windows) if key == "vip" else None
        on_sale.append(category(key, *pools, price_minor=100 * len(pools), window=window))
    return event_spec(
        slug=slug,
        title=text(slug),
        pools=tuple(PoolSpec(key, draw(small)) for key in POOLS),
        categories=tuple(on_sale),
        windows=draw(st.just(()) | st.tuples(windows) if draw(st.booleans()) else st.just(())),
        seats_per_registration=draw(st.integers(1, 4)),
        seats_per_person=draw(st.none() | st.integers(1, 6)),
        one_per_email=draw(st.booleans()),
        waitlist=draw(waitlists),
        holds=draw(holds),
        form=Form(2, draw(st.integers(1, 2))),
        access_codes=draw(access_codes),
    )


@dataclass(frozen=True)
class Intent:
    """What someone means to do: the name of a method of `Asker`, and its arguments."""

    name: str
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"


def intent(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Intent]:
    """Intents of one kind."""
    return st.builds(Intent, st.just(name), st.fixed_dictionaries(arguments))


by = st.sampled_from([Actor.REGISTRANT, Actor.REGISTRANT, Actor.ORGANIZER])
which = st.integers(0, 30)
stale = st.sampled_from([0, 0, 0, 0, 1])
event = st.sampled_from([0, 0, 0, 1])

INTENTS: dict[str, st.SearchStrategy[Intent]] = {
    "register": intent(
        "register",
        event=event,
        who=st.integers(0, 9),
        categories=st.lists(st.sampled_from([*CATEGORIES, "std", "std"]), min_size=1, max_size=3),
        code=st.sampled_from([None, *CODES]),
        form=st.sampled_from([2, 2, 2, 1, 3]),
        by=by,
    ),
    "register_oddly": intent(
        "register",
        event=event,
        who=st.integers(0, 9),
        categories=st.lists(st.sampled_from([*CATEGORIES, "none"]), max_size=6),
        code=st.none(),
        form=st.integers(0, 4),
        by=by,
    ),
    "confirm": intent("confirm", which=which, by=by, stale=stale, ref=st.sampled_from([None, "pay_1"])),
    "extend": intent("extend", which=which, by=by, stale=stale, ttl_s=st.integers(0, 90)),
    "release": intent("release", which=which, by=by, stale=stale),
    "expire": intent("expire", which=which, older=stale),
    "cancel": intent("cancel", which=which, seat=st.none() | small, by=by, stale=stale),
    "move": intent(
        "move", which=which, seat=small, category=st.sampled_from([*CATEGORIES, "none"]), by=by, stale=stale
    ),
    "transfer": intent(
        "transfer", which=which, seat=st.none() | small, who=st.integers(0, 9), by=by, stale=stale
    ),
    "answer": intent("answer", which=which, form=st.sampled_from([2, 2, 1, 3]), by=by, stale=stale),
    "check_in": intent(
        "check_in", which=which, seat=small, stale=stale, undo=st.booleans(), ago_s=st.none() | small
    ),
    "erase": intent("erase", event=event, who=st.integers(0, 9)),
    "proceed": intent("proceed", event=event),
    "resize": intent(
        "resize", event=event, capacities=st.tuples(small, small, small), version_off=stale, lost_pool=stale
    ),
    "reform": intent(
        "reform",
        event=event,
        changes=st.fixed_dictionaries(
            {},
            optional={
                "waitlist": waitlists,
                "holds": holds,
                "access_codes": access_codes,
                "one_per_email": st.booleans(),
                "seats_per_person": st.none() | st.integers(1, 6),
            },
        ),
    ),
    "open": intent("turn", event=event, body=st.just(ask.OpenEvent())),
    "close": intent("turn", event=event, body=st.just(ask.CloseEvent())),
    "end": intent("turn", event=event, body=st.just(ask.EndEvent())),
    "call_off": intent("turn", event=event, body=st.just(ask.CancelEvent())),
    "again": intent("again", which=which, other_body=st.booleans()),
    "trespass": intent("trespass", which=which),
    "wait": intent("wait", seconds=st.sampled_from([0.5, 1, 5, 20, 100])),
    "wait_long": intent("wait", seconds=st.just(ENDS_S)),
}
# What ends an event for good ends a test's interest in it too: such intents are drawn seldom.
USUAL = [name for name in INTENTS if name not in {"end", "call_off", "wait_long", "close", "reform"}]
intents: st.SearchStrategy[Intent] = st.one_of(
    *[INTENTS["register"]] * len(USUAL), *[INTENTS[name] for name in USUAL] * 2, *INTENTS.values()
)


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
