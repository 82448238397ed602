"""The state that decisions are made on, and `evolve`, the only thing that changes it.

State is a working copy of what the ledger holds, loaded by need: `needs` says what a command touches.
`evolve` folds a fact into the copy it is given and has no other effect; whoever must not lose the old
copy (a failed batch) throws the new one away and loads again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.domain.commands import CheckIn, CreateEvent, Envelope, Register, Transfer
from veltrix.domain.event import Event, EventSpec
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import ACTIVE, SEATED, Registration, RegistrationStatus

Need = tuple[tuple[str, int], ...]
"""What a party takes from each pool, sorted by pool: `(("main", 2), ("vegetarian", 1))`."""


@dataclass(slots=True)
class Pool:
    """A capacity and what is taken of it (held + confirmed seats)."""

    capacity: int
    taken: int = 0

    @property
    def free(self) -> int:
        """Seats that may still be given."""
        return max(0, self.capacity - self.taken)

    @property
    def ceiling(self) -> int:
        """What `taken` must not exceed: the capacity, or what was taken before it was lowered."""
        return max(self.capacity, self.taken)


@dataclass(slots=True)
class Person:
    """What one person (a keyed e-mail hash) has in an event: active registrations and their seats."""

    registrations: int = 0
    seats: int = 0


class WaitingLine:
    """Who waits, in arrival order, kept apart by what they need.

    Parties with the same need are interchangeable, so a promotion looks at the head of each need only:
    its cost grows with the kinds of party, not with the length of the line. `parties` says how many wait;
    it is kept, because every command asks.
    """

    __slots__ = ("_by_need", "_needs", "_per_pool", "parties")

    def __init__(self) -> None:
        self.parties = 0
        self._needs: dict[str, Need] = {}
        self._by_need: dict[Need, list[tuple[int, str]]] = {}
        self._per_pool: dict[str, int] = {}

    def __len__(self) -> int:
        return self.parties

    def __contains__(self, registration: str) -> bool:
        return registration in self._needs

    def add(self, registration: str, arrival: int, need: Need) -> None:
        """Let a party wait at the place its arrival gives it."""
        self.parties += 1
        self._needs[registration] = need
        insort(self._by_need.setdefault(need, []), (arrival, registration))
        for pool, _ in need:
            self._per_pool[pool] = self._per_pool.get(pool, 0) + 1

    def remove(self, registration: str, arrival: int) -> None:
        """Let a party go."""
        need = self._needs.pop(registration)
        self.parties -= 1
        line = self._by_need[need]
        del line[bisect_left(line, (arrival, registration))]
        if not line:
            del self._by_need[need]
        for pool, _ in need:
            self._per_pool[pool] -= 1

    def waits_for(self, need: Need) -> bool:
        """Whether anyone waits for any of these pools."""
        return any(self._per_pool.get(pool, 0) > 0 for pool, _ in need)

    def lines(self) -> Iterator[tuple[Need, list[tuple[int, str]]]]:
        """Each need with its line of (arrival, registration); the lists are not to be changed."""
        return iter(self._by_need.items())


@dataclass(slots=True)
class EventState:
    """An event with what is loaded of it.

    `registrations` holds every waiting one and those that the batch touches; None says that there is no
    such registration. `people` and `seat_owners` hold what the batch touches, and `pools_dropped` the pools
    that it removed from a draft. `whole`: the event was made in this batch, so whoever is not here is
    nowhere; nobody could load what follows upon a command that is not yet committed.
    """

    event: Event
    pools: dict[str, Pool]
    next_seat: int = 1
    code_uses: dict[str, int] = field(default_factory=dict)
    waiting: WaitingLine = field(default_factory=WaitingLine)
    registrations: dict[str, Registration | None] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    seat_owners: dict[int, str | None] = field(default_factory=dict)
    pools_dropped: set[str] = field(default_factory=set)
    whole: bool = False
    _needs: dict[tuple[str, ...], Need] = field(default_factory=dict)

    def person(self, person: str) -> Person:
        """What a person has here; whom a command concerns is loaded before it is decided."""
        has = self.people.get(person)
        if has is None:
            assert self.whole, "whom a command concerns is loaded before it is decided"
            has = self.people[person] = Person()
        return has

    def need_of(self, categories: tuple[str, ...]) -> Need:
        """What seats of these categories take from each pool; in a stampede most parties are alike."""
        need = self._needs.get(categories)
        if need is None:
            if len(self._needs) >= limits.NEEDS_REMEMBERED:
                self._needs.clear()
            need = self._needs[categories] = need_of(self.event.spec, categories)
        return need

    def change(self, event: Event) -> None:
        """Take another specification on."""
        self.event = event
        self._needs.clear()


@dataclass(slots=True)
class PartitionState:
    """A partition as far as it is loaded; None stands for what was looked for and is not there."""

    partition: int
    generation: int = 0
    next_offset: int = 0
    log_time_ms: int = 0
    rules_version: int = 1
    next_seq: int = 1
    events: dict[str, EventState | None] = field(default_factory=dict)
    slugs: dict[tuple[str, str], str | None] = field(default_factory=dict)
    decided: dict[str, Decision] = field(default_factory=dict)


@dataclass(slots=True)
class Needs:
    """What a batch of commands touches, to be loaded before it is decided."""

    commands: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    slugs: set[tuple[str, str]] = field(default_factory=set)
    registrations: set[str] = field(default_factory=set)
    people: set[tuple[str, str]] = field(default_factory=set)
    seats: set[tuple[str, int]] = field(default_factory=set)


def collect_needs(envelope: Envelope, needs: Needs) -> None:
    """Add what this command touches to `needs`."""
    body = envelope.body
    needs.commands.add(envelope.id)
    if envelope.event:
        needs.events.add(envelope.event)
    if isinstance(body, Register | Transfer):
        needs.people.add((envelope.event, body.person))
    if isinstance(body, CreateEvent):
        needs.slugs.add((envelope.organizer, body.spec.slug))
    elif isinstance(body, CheckIn):
        needs.seats.add((envelope.event, body.seat))
    registration = getattr(body, "registration", None)
    if registration is not None:
        needs.registrations.add(registration)


def need_of(spec: EventSpec, categories: tuple[str, ...]) -> Need:
    """What seats of these categories take from each pool."""
    counts: dict[str, int] = {}
    for key in categories:
        category = spec.category(key)
        assert category is not None, f"a decided seat names category {key!r}, which must exist"
        for pool in category.pools:
            counts[pool] = counts.get(pool, 0) + 1
    return tuple(sorted(counts.items()))


def evolve(state: PartitionState, fact: Fact) -> None:
    """Fold one fact into the state."""
    if fact.kind is FactKind.RULES_ADOPTED:
        assert fact.rules_version is not None
        state.rules_version = fact.rules_version
        return
    if fact.event_after is not None:
        _put_event(state, fact.event_after)
        return
    if fact.registration is None or fact.kind is FactKind.REGISTRATION_REFUSED:
        return
    event = state.events[fact.event]
    assert event is not None
    put_registration(event, fact.registration)


def _put_event(state: PartitionState, event: Event) -> None:
    known = state.events.get(event.id)
    if known is None:
        known = EventState(event, {pool.key: Pool(pool.capacity) for pool in event.spec.pools}, whole=True)
        state.events[event.id] = known
        state.slugs[event.organizer, event.spec.slug] = event.id
        return
    known.change(event)
    for pool in event.spec.pools:
        if pool.key in known.pools:
            known.pools[pool.key].capacity = pool.capacity
        else:
            known.pools[pool.key] = Pool(pool.capacity)
    for key in known.pools.keys() - {pool.key for pool in event.spec.pools}:
        del known.pools[key]  # only a draft can lose a pool, and a draft has no seats
        known.pools_dropped.add(key)


def put_registration(event: EventState, new: Registration) -> None:
    """Put a registration in the place of its former state, and move every counter by the difference."""
    old = event.registrations.get(new.id)
    if old is not None:
        _count(event, old, -1)
    event.registrations[new.id] = new
    _count(event, new, +1)
    owners = event.seat_owners
    for seat in new.seats:
        number = seat.number
        if number >= event.next_seat:
            event.next_seat = number + 1
        if event.whole or number in owners:
            owners[number] = new.id


def _count(event: EventState, registration: Registration, sign: int) -> None:
    if registration.status not in ACTIVE:
        return
    active = registration.active_seats()
    if event.whole or registration.person in event.people:
        person = event.person(registration.person)
        person.registrations += sign
        person.seats += sign * len(active)
    code = registration.access_code
    if code is not None:
        event.code_uses[code] = event.code_uses.get(code, 0) + sign
    if registration.status in SEATED:
        for pool, count in event.need_of(tuple([seat.category for seat in active])):
            event.pools[pool].taken += sign * count
    elif sign > 0:
        need = event.need_of(tuple([seat.category for seat in active]))
        event.waiting.add(registration.id, registration.arrival, need)
    else:
        event.waiting.remove(registration.id, registration.arrival)


def is_waiting(registration: Registration) -> bool:
    """Whether it stands on the waitlist."""
    return registration.status is RegistrationStatus.WAITLISTED
