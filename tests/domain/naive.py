"""A slow and simple model of the rules, to hold the real ones against.

It keeps plain lists and recounts everything from them each time. Of the domain it uses value types only
(commands, specifications, the enums); every rule is written a second time, from the design. All reasons
for a refusal are gathered, and the one that stands first in `Refusal` is given.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from veltrix.domain import commands as ask
from veltrix.domain.commands import Actor, Envelope
from veltrix.domain.event import EventSpec, EventStatus, WaitlistMode
from veltrix.domain.facts import FactKind
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.domain.registration import RegistrationStatus as Status

PRECEDENCE = list(Refusal)
SEATED = (Status.HELD, Status.CONFIRMED)
ACTIVE = (*SEATED, Status.WAITLISTED)
OFFERED_AFTER = (  # facts by which a seat comes free or the line gets shorter
    FactKind.EVENT_CHANGED,
    FactKind.EVENT_OPENED,
    FactKind.REGISTRATION_CANCELLED,
    FactKind.REGISTRATION_SEAT_CANCELLED,
    FactKind.REGISTRATION_EXPIRED,
    FactKind.REGISTRATION_RELEASED,
    FactKind.REGISTRATION_MOVED,
)
SKIPPED_SHOWN = 16


@dataclass
class Place:
    """A seat."""

    number: int
    category: str
    price: int
    active: bool = True
    holder: int = 1
    in_ms: int | None = None


@dataclass
class Claim:
    """A registration."""

    id: str
    arrival: int
    status: Status
    person: str
    places: list[Place]
    code: str | None
    key_id: str
    version: int = 0
    holder: int = 1
    holds: int = 0
    deadline: int | None = None
    ref: str | None = None

    def going(self) -> list[Place]:
        """Its seats that were not cancelled one by one."""
        return [place for place in self.places if place.active]


@dataclass
class Happening:
    """An event, and who ever got a seat or a place in the line."""

    id: str
    organizer: str
    spec: EventSpec
    status: EventStatus = EventStatus.DRAFT
    version: int = 1
    claims: list[Claim] = field(default_factory=list)
    reminded: int = 0

    def draws(self, categories: list[str]) -> Counter[str]:
        """Seats that these categories take of each pool."""
        return Counter(
            pool
            for key in categories
            for kind in self.spec.categories
            if kind.key == key
            for pool in kind.pools
        )

    def needs(self, claim: Claim) -> Counter[str]:
        """Seats that a claim takes of each pool."""
        return self.draws([place.category for place in claim.going()])

    def taken(self, pool: str) -> int:
        """Held and confirmed seats of a pool, counted one by one."""
        return sum(self.needs(claim)[pool] for claim in self.claims if claim.status in SEATED)

    def capacity(self, pool: str) -> int:
        """What the organizer set."""
        return next(each.capacity for each in self.spec.pools if each.key == pool)

    def free(self, pool: str) -> int:
        """Seats that may be given."""
        return max(0, self.capacity(pool) - self.taken(pool))

    def has_room(self, needs: Counter[str]) -> bool:
        """Whether a whole party finds room."""
        return all(self.free(pool) >= count for pool, count in needs.items())

    def line(self) -> list[Claim]:
        """Who waits, first come first."""
        waiting = [claim for claim in self.claims if claim.status is Status.WAITLISTED]
        return sorted(waiting, key=lambda claim: claim.arrival)

    def strict(self) -> bool:
        """Whether newcomers queue even where those who wait cannot use what is free."""
        return self.spec.waitlist is not None and self.spec.waitlist.mode is WaitlistMode.STRICT

    def in_the_way_of(self, claim: Claim) -> list[Claim]:
        """Who came before and waits for a pool that this one needs too."""
        pools = set(self.needs(claim))
        return [
            each for each in self.line() if each.arrival < claim.arrival and pools & set(self.needs(each))
        ]

    def behind_the_line(self, needs: Counter[str]) -> bool:
        """Whether a newcomer must let those who wait go first."""
        if self.strict():
            return any(self.needs(claim)[pool] for claim in self.line() for pool in needs)
        return any(self.has_room(self.needs(claim)) for claim in self.line())

    def of_person(self, person: str) -> list[Claim]:
        """A person's active registrations."""
        return [claim for claim in self.claims if claim.person == person and claim.status in ACTIVE]

    def find(self, claim_id: str) -> Claim | None:
        """The claim of that id."""
        return next((claim for claim in self.claims if claim.id == claim_id), None)

    def ends_ms(self) -> int:
        """When it is over."""
        local = datetime.fromisoformat(self.spec.ends_local).replace(tzinfo=ZoneInfo(self.spec.time_zone))
        return round(local.timestamp() * 1000)


@dataclass(frozen=True)
class Said:
    """One fact, as far as the model speaks of it: what happened to which claim (or event)."""

    kind: FactKind
    subject: str
    skipped: tuple[tuple[str, str, int, int], ...] = ()


@dataclass
class Expected:
    """What the model expects of a decision."""

    outcome: Outcome
    refusal: Refusal | None = None
    facts: list[Said] = field(default_factory=list)


Own = list[Said] | set[Refusal]


class Naive:
    """The model of a partition. `made` tells it the id of what a command made; ids it cannot compute."""

    def __init__(self, promotions_max: int) -> None:
        self.promotions_max = promotions_max
        self.events: dict[str, Happening] = {}
        self.answered: dict[str, str] = {}
        self.owed = False  # whether the last decision left somebody to be seated by the next
        self.now = 0

    def decide(self, envelope: Envelope, offset: int, append_ms: int, made: str) -> Expected:
        """Decide a command, and remember what follows from it."""
        if envelope.stamp_ms is not None and envelope.stamp_ms >= 0:
            self.now = max(self.now, min(append_ms, envelope.stamp_ms + 5_000))
        if envelope.id in self.answered:
            same = self.answered[envelope.id] == envelope.fingerprint
            return Expected(Outcome.DUPLICATE if same else Outcome.KEY_REUSED)
        self.answered[envelope.id] = envelope.fingerprint
        event = self.events.get(envelope.event)
        if event is not None and event.organizer != envelope.organizer:
            event = None
        facts = self._promote(event, self.promotions_max, offering=False)
        own = self._own(event, envelope, offset, made)
        refusal = min(own, key=PRECEDENCE.index) if isinstance(own, set) else None
        if not isinstance(own, set):
            own_facts = own
        elif isinstance(envelope.body, ask.Register) and event is not None:
            own_facts = [Said(FactKind.REGISTRATION_REFUSED, made)]
        else:
            own_facts = []
        offering = isinstance(envelope.body, ask.ContinuePromotions) or any(
            fact.kind in OFFERED_AFTER for fact in own_facts
        )
        after = self._promote(event, self.promotions_max - len(facts), offering=offering)
        if event is not None:
            self.owed = (
                len(facts) + len(after) == self.promotions_max and self._lucky(event, offering) is not None
            )
        outcome = Outcome.ACCEPTED if refusal is None else Outcome.REFUSED
        return Expected(outcome, refusal, [*facts, *own_facts, *after])

    def _lucky(self, event: Happening, offering: bool) -> Claim | None:
        """Who is the next to be seated, if anyone may be."""
        if not _promotes(event):
            return None
        for claim in event.line():
            if event.has_room(event.needs(claim)) and (
                offering or not event.strict() or not event.in_the_way_of(claim)
            ):
                return claim
        return None

    def _promote(self, event: Happening | None, most: int, *, offering: bool) -> list[Said]:
        facts: list[Said] = []
        while event is not None and len(facts) < most:
            lucky = self._lucky(event, offering)
            if lucky is None:
                break
            passed = event.in_the_way_of(lucky)
            skipped: list[tuple[str, str, int, int]] = []
            sizes: list[Counter[str]] = []
            for claim in passed:
                needs = event.needs(claim)
                if needs in sizes:
                    continue
                sizes.append(needs)
                short = min(pool for pool, count in needs.items() if event.free(pool) < count)
                skipped.append((claim.id, short, needs[short], event.free(short)))
            self._seat(event, lucky)
            facts.append(Said(FactKind.REGISTRATION_PROMOTED, lucky.id, tuple(skipped[:SKIPPED_SHOWN])))
        return facts

    def _seat(self, event: Happening, claim: Claim) -> None:
        claim.version += 1
        claim.status = Status.CONFIRMED
        if event.spec.holds is not None:
            claim.status = Status.HELD
            claim.holds += 1
            claim.deadline = self.now + event.spec.holds.ttl_s * 1000

    def _own(self, event: Happening | None, envelope: Envelope, offset: int, made: str) -> Own:
        body = envelope.body
        if isinstance(body, ask.CreateEvent):
            if any(
                each.organizer == envelope.organizer and each.spec.slug == body.spec.slug
                for each in self.events.values()
            ):
                return {Refusal.SLUG_TAKEN}
            self.events[made] = Happening(made, envelope.organizer, body.spec)
            return [Said(FactKind.EVENT_CREATED, made)]
        if event is None:
            return {Refusal.UNKNOWN_EVENT}
        handler: Any = {
            ask.ChangeEvent: self._change,
            ask.OpenEvent: self._open,
            ask.CloseEvent: self._close,
            ask.CancelEvent: self._call_off,
            ask.EndEvent: self._end,
            ask.Remind: self._remind,
            ask.Register: self._register,
            ask.ConfirmHold: self._confirm,
            ask.ExtendHold: self._extend,
            ask.ReleaseHold: self._release,
            ask.ExpireHold: self._expire,
            ask.Cancel: self._cancel,
            ask.Move: self._move,
            ask.Transfer: self._transfer,
            ask.ChangeAnswers: self._answers,
            ask.CheckIn: self._check_in,
        }.get(type(body))
        if handler is None:
            erased = isinstance(body, ask.ErasePerson)
            return [Said(FactKind.PERSON_ERASED, event.id)] if erased else []
        own: Own = handler(event, envelope, body, offset, made)
        return own

    # -- the event -------------------------------------------------------------------------------

    def _change(self, event: Happening, _: Envelope, body: ask.ChangeEvent, *__: Any) -> Own:
        reasons = _over(event)
        if body.if_version != event.version:
            reasons.add(Refusal.VERSION_CONFLICT)
        lost = {pool.key for pool in event.spec.pools} - {pool.key for pool in body.spec.pools}
        if body.spec.slug != event.spec.slug or (lost and event.status is not EventStatus.DRAFT):
            reasons.add(Refusal.INVALID_CHANGE)
        if reasons or body.spec == event.spec:
            return reasons or []
        event.spec = body.spec
        event.version += 1
        return [Said(FactKind.EVENT_CHANGED, event.id)]

    def _turn(self, event: Happening, status: EventStatus, kind: FactKind) -> Own:
        if event.status is status:
            return []
        event.status = status
        event.version += 1
        return [Said(kind, event.id)]

    def _open(self, event: Happening, *_: Any) -> Own:
        return _over(event) or self._turn(event, EventStatus.OPEN, FactKind.EVENT_OPENED)

    def _close(self, event: Happening, *_: Any) -> Own:
        reasons = _over(event) | ({Refusal.NOT_OPEN} if event.status is EventStatus.DRAFT else set())
        return reasons or self._turn(event, EventStatus.CLOSED, FactKind.EVENT_CLOSED)

    def _call_off(self, event: Happening, *_: Any) -> Own:
        reasons = _over(event) - {Refusal.EVENT_CANCELLED}
        return reasons or self._turn(event, EventStatus.CANCELLED, FactKind.EVENT_CANCELLED)

    def _end(self, event: Happening, *_: Any) -> Own:
        if event.status is EventStatus.ENDED:
            return []
        reasons = _over(event)
        if event.status is EventStatus.DRAFT:
            reasons.add(Refusal.NOT_OPEN)
        if self.now < event.ends_ms():
            reasons.add(Refusal.NOT_ENDED_YET)
        return reasons or self._turn(event, EventStatus.ENDED, FactKind.EVENT_ENDED)

    def _remind(self, event: Happening, *_: Any) -> Own:
        if event.status not in (EventStatus.OPEN, EventStatus.CLOSED):
            return []
        hours = (24,) if event.spec.reminders is None else event.spec.reminders
        starts = event.spec.starts_ms()
        due = [each for each in hours if event.reminded < starts - each * 3_600_000 <= self.now]
        if not due or self.now >= starts:
            return []
        event.reminded = self.now
        event.version += 1
        return [Said(FactKind.EVENT_REMINDED, event.id)]

    # -- registering -----------------------------------------------------------------------------

    def _register(
        self, event: Happening, envelope: Envelope, body: ask.Register, offset: int, made: str
    ) -> Own:
        public = envelope.actor is Actor.REGISTRANT
        spec = event.spec
        reasons = _over(event)
        if event.status in (EventStatus.DRAFT, EventStatus.CLOSED):
            reasons.add(Refusal.NOT_OPEN)
        if public:
            reasons |= _out_of_window(spec, self.now) | _code_trouble(event, body)
        reasons |= _form_trouble(spec, body.form_version)
        for key in body.categories:
            reasons |= _category_trouble(spec, key, public, self.now)
        if not 1 <= len(body.categories) <= spec.seats_per_registration:
            reasons.add(Refusal.PARTY_TOO_LARGE)
        reasons |= _person_trouble(event, body.person, len(body.categories))
        if reasons:
            return reasons
        needs = event.draws(list(body.categories))
        number = 1 + max((place.number for claim in event.claims for place in claim.places), default=0)
        prices = {kind.key: kind.price_minor for kind in spec.categories}
        places = [Place(number + at, key, prices[key]) for at, key in enumerate(body.categories)]
        claim = Claim(made, offset, Status.WAITLISTED, body.person, places, body.access_code, body.box.key_id)
        if event.has_room(needs) and not event.behind_the_line(needs):
            self._seat(event, claim)
            event.claims.append(claim)
            held = claim.status is Status.HELD
            return [Said(FactKind.REGISTRATION_HELD if held else FactKind.REGISTRATION_CONFIRMED, made)]
        if spec.waitlist is None or any(event.capacity(pool) < count for pool, count in needs.items()):
            return {Refusal.FULL}
        if len(event.line()) >= spec.waitlist.size:
            return {Refusal.WAITLIST_FULL}
        claim.version = 1
        event.claims.append(claim)
        return [Said(FactKind.REGISTRATION_WAITLISTED, made)]

    # -- what becomes of a registration ----------------------------------------------------------

    def _confirm(self, event: Happening, envelope: Envelope, body: ask.ConfirmHold, *_: Any) -> Own:
        claim, reasons = _touch(event, envelope, body.registration)
        if claim is None or reasons:
            return reasons
        if claim.status is Status.CONFIRMED and claim.holds:
            return []
        if claim.status is not Status.HELD:
            return {Refusal.NOT_HELD}
        holds = event.spec.holds
        if envelope.actor is Actor.REGISTRANT and holds is not None and not holds.registrant_may_confirm:
            return {Refusal.ORGANIZER_MUST_CONFIRM}
        claim.status, claim.deadline = Status.CONFIRMED, None
        claim.ref = body.external_ref or claim.ref
        return _changed(claim, FactKind.REGISTRATION_CONFIRMED)

    def _extend(self, event: Happening, envelope: Envelope, body: ask.ExtendHold, *_: Any) -> Own:
        claim, reasons = _touch(event, envelope, body.registration)
        if claim is None or reasons:
            return reasons
        if claim.status is not Status.HELD:
            return {Refusal.NOT_HELD}
        assert claim.deadline is not None
        claim.deadline = max(claim.deadline, self.now + body.ttl_s * 1000)
        claim.holds += 1
        return _changed(claim, FactKind.REGISTRATION_HOLD_EXTENDED)

    def _release(self, event: Happening, envelope: Envelope, body: ask.ReleaseHold, *_: Any) -> Own:
        claim, reasons = _touch(event, envelope, body.registration)
        if claim is None or reasons:
            return reasons
        if claim.status is not Status.HELD:
            return {Refusal.NOT_HELD}
        claim.status, claim.deadline = Status.CANCELLED, None
        return _changed(claim, FactKind.REGISTRATION_RELEASED)

    def _expire(self, event: Happening, _: Envelope, body: ask.ExpireHold, *__: Any) -> Own:
        claim = event.find(body.registration)
        if claim is None or claim.status is not Status.HELD or claim.holds != body.hold_number:
            return []
        assert claim.deadline is not None
        if self.now < claim.deadline:
            return {Refusal.HOLD_NOT_DUE}
        claim.status, claim.deadline = Status.EXPIRED, None
        return _changed(claim, FactKind.REGISTRATION_EXPIRED)

    def _cancel(self, event: Happening, envelope: Envelope, body: ask.Cancel, *_: Any) -> Own:
        claim, reasons = _touch(event, envelope, body.registration)
        if claim is None or reasons:
            return reasons
        if claim.status is Status.CANCELLED and body.seat is None:
            return []
        going = [place for place in claim.going() if body.seat in (None, place.number)]
        if claim.status not in ACTIVE:
            reasons.add(Refusal.NOT_ACTIVE)
        if not going:
            reasons.add(Refusal.UNKNOWN_SEAT)
        if envelope.actor is Actor.REGISTRANT and any(place.in_ms is not None for place in going):
            reasons.add(Refusal.SEAT_CHECKED_IN)
        if reasons:
            return reasons
        if len(going) == len(claim.going()):
            claim.status, claim.deadline = Status.CANCELLED, None
            return _changed(claim, FactKind.REGISTRATION_CANCELLED)
        going[0].active = False
        return _changed(claim, FactKind.REGISTRATION_SEAT_CANCELLED)

    def _move(self, event: Happening, envelope: Envelope, body: ask.Move, *_: Any) -> Own:
        claim, reasons = _touch(event, envelope, body.registration)
        if claim is None or reasons:
            return reasons
        public = envelope.actor is Actor.REGISTRANT
        place = next((place for place in claim.going() if place.number == body.seat), None)
        if claim.status not in ACTIVE:
            reasons.add(Refusal.NOT_ACTIVE)
        if place is None:
            reasons.add(Refusal.UNKNOWN_SEAT)
        elif public and place.in_ms is not None:
            reasons.add(Refusal.SEAT_CHECKED_IN)
        reasons |= _category_trouble(event.spec, body.category, public, self.now)
        if reasons or place is None or place.category == body.category:
            return reasons or []
        if claim.status in SEATED:
            more = Counter(dict.fromkeys(event.draws([body.category]) - event.draws([place.category]), 1))
            if not event.has_room(more) or (more and event.behind_the_line(more)):
                return {Refusal.FULL}
        place.category = body.category
        place.price = next(kind.price_minor for kind in event.spec.categories if kind.key == body.category)
        return _changed(claim, FactKind.REGISTRATION_MOVED)

    def _transfer(self, event: Happening, envelope: Envelope, body: ask.Transfer, *_: Any) -> Own:
        claim, reasons = _touch(event, envelope, body.registration)
        if claim is None or reasons:
            return reasons
        places = [place for place in claim.going() if body.seat in (None, place.number)]
        if claim.status not in ACTIVE:
            reasons.add(Refusal.NOT_ACTIVE)
        if not places:
            reasons.add(Refusal.UNKNOWN_SEAT)
        if any(place.in_ms is not None for place in places):
            reasons.add(Refusal.SEAT_CHECKED_IN)
        if body.seat is None and body.person != claim.person:
            reasons |= _person_trouble(event, body.person, len(claim.going()))
        if reasons:
            return reasons
        for place in claim.places if body.seat is None else places:
            place.holder += 1
        if body.seat is None:
            claim.person, claim.key_id = body.person, body.box.key_id
            claim.holder += 1
        return _changed(claim, FactKind.REGISTRATION_TRANSFERRED)

    def _answers(self, event: Happening, envelope: Envelope, body: ask.ChangeAnswers, *_: Any) -> Own:
        claim, reasons = _touch(event, envelope, body.registration)
        if claim is None or reasons:
            return reasons
        if claim.status not in ACTIVE:
            reasons.add(Refusal.NOT_ACTIVE)
        reasons |= _form_trouble(event.spec, body.form_version)
        if reasons:
            return reasons
        claim.key_id = body.box.key_id
        return _changed(claim, FactKind.REGISTRATION_CHANGED)

    def _check_in(self, event: Happening, _: Envelope, body: ask.CheckIn, *__: Any) -> Own:
        if event.status is EventStatus.CANCELLED:
            return {Refusal.EVENT_CANCELLED}
        found = [
            (claim, place) for claim in event.claims for place in claim.going() if place.number == body.seat
        ]
        if not found:
            return {Refusal.UNKNOWN_SEAT}
        [(claim, place)] = found
        reasons: set[Refusal] = set()
        if place.holder != body.holder:
            reasons.add(Refusal.TICKET_REPLACED)
        if claim.status is not Status.CONFIRMED:
            reasons.add(Refusal.NOT_CONFIRMED)
        if body.undo and place.in_ms is None:
            reasons.add(Refusal.NOT_CHECKED_IN)
        if not body.undo and place.in_ms is not None:
            reasons.add(Refusal.ALREADY_CHECKED_IN)
        if reasons:
            return reasons
        at_ms = self.now if body.scanned_at_ms is None else min(self.now, body.scanned_at_ms)
        place.in_ms = None if body.undo else at_ms
        return _changed(claim, FactKind.SEAT_CHECK_IN_UNDONE if body.undo else FactKind.SEAT_CHECKED_IN)


def _changed(claim: Claim, kind: FactKind) -> list[Said]:
    claim.version += 1
    return [Said(kind, claim.id)]


def _promotes(event: Happening) -> bool:
    waitlist = event.spec.waitlist
    if event.status is EventStatus.CLOSED:
        return waitlist is not None and waitlist.promote_after_close
    return event.status is EventStatus.OPEN


def _over(event: Happening) -> set[Refusal]:
    if event.status is EventStatus.CANCELLED:
        return {Refusal.EVENT_CANCELLED}
    return {Refusal.EVENT_ENDED} if event.status is EventStatus.ENDED else set()


def _out_of_window(spec: EventSpec, now: int) -> set[Refusal]:
    spans = [(window.opens_ms or 0, window.closes_ms or 10**15) for window in spec.windows]
    if not spans or any(opens <= now < closes for opens, closes in spans):
        return set()
    return {Refusal.WINDOW_NOT_OPEN_YET if any(now < opens for opens, _ in spans) else Refusal.WINDOW_OVER}


def _code_trouble(event: Happening, body: ask.Register) -> set[Refusal]:
    codes = {code.hash: code for code in event.spec.access_codes}
    if not codes:
        return set()
    if body.access_code is None:
        return {Refusal.ACCESS_CODE_REQUIRED}
    code = codes.get(body.access_code)
    if code is None:
        return {Refusal.ACCESS_CODE_INVALID}
    reasons: set[Refusal] = set()
    if code.categories and any(key not in code.categories for key in body.categories):
        reasons.add(Refusal.ACCESS_CODE_INVALID)
    used = sum(claim.code == code.hash and claim.status in ACTIVE for claim in event.claims)
    if code.uses is not None and used >= code.uses:
        reasons.add(Refusal.ACCESS_CODE_USED_UP)
    return reasons


def _form_trouble(spec: EventSpec, version: int) -> set[Refusal]:
    known = range(spec.form.min_version, spec.form.version + 1)
    return set() if version in known else {Refusal.FORM_VERSION_OUTDATED}


def _category_trouble(spec: EventSpec, key: str, public: bool, now: int) -> set[Refusal]:
    found = [kind for kind in spec.categories if kind.key == key]
    if not found:
        return {Refusal.UNKNOWN_CATEGORY}
    window = found[0].window
    if not public or window is None:
        return set()
    on_sale = (window.opens_ms or 0) <= now < (window.closes_ms or 10**15)
    return set() if on_sale else {Refusal.CATEGORY_NOT_ON_SALE}


def _person_trouble(event: Happening, person: str, seats: int) -> set[Refusal]:
    reasons: set[Refusal] = set()
    theirs = event.of_person(person)
    if event.spec.one_per_email and theirs:
        reasons.add(Refusal.ALREADY_REGISTERED)
    most = event.spec.seats_per_person
    if most is not None and seats + sum(len(claim.going()) for claim in theirs) > most:
        reasons.add(Refusal.SEATS_PER_PERSON)
    return reasons


def _touch(event: Happening, envelope: Envelope, claim_id: str) -> tuple[Claim | None, set[Refusal]]:
    reasons: set[Refusal] = set()
    if event.status is EventStatus.CANCELLED and envelope.actor is not Actor.SYSTEM:
        reasons.add(Refusal.EVENT_CANCELLED)
    claim = event.find(claim_id)
    if claim is None:
        return None, reasons | {Refusal.UNKNOWN_REGISTRATION}
    proof = envelope.actor is Actor.REGISTRANT or envelope.holder is not None
    if proof and envelope.holder != claim.holder:
        reasons.add(Refusal.LINK_REPLACED)
    return claim, reasons
