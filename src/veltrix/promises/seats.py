"""Who has a seat and who waits, told again from the facts: a clerk who reads the minutes.

It counts pools, follows every registration's life, and keeps the waiting line, from what facts say and from
the event's rules. The decider's own code is not used, so that both can disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from veltrix.domain.event import Event, EventStatus, WaitlistMode
from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.registration import ACTIVE, SEATED, Registration, RegistrationStatus

_WAITS: Final = RegistrationStatus.WAITLISTED
_HELD: Final = RegistrationStatus.HELD
_CONFIRMED: Final = RegistrationStatus.CONFIRMED
_FIRST: Final = {
    FactKind.REGISTRATION_CONFIRMED: _CONFIRMED,
    FactKind.REGISTRATION_HELD: _HELD,
    FactKind.REGISTRATION_WAITLISTED: _WAITS,
}
_ENDS: Final = {
    FactKind.REGISTRATION_CANCELLED: (ACTIVE, RegistrationStatus.CANCELLED),
    FactKind.REGISTRATION_RELEASED: (frozenset({_HELD}), RegistrationStatus.CANCELLED),
    FactKind.REGISTRATION_EXPIRED: (frozenset({_HELD}), RegistrationStatus.EXPIRED),
}


_FREES: Final = frozenset({*_ENDS, FactKind.REGISTRATION_SEAT_CANCELLED, FactKind.EVENT_CHANGED})


@dataclass(slots=True)
class _Room:
    """One event as the minutes tell it."""

    event: Event
    capacity: dict[str, int]
    taken: Counter[str] = field(default_factory=Counter)
    ceiling: dict[str, int] = field(default_factory=dict)
    people: dict[str, Registration] = field(default_factory=dict)
    numbers: dict[int, str] = field(default_factory=dict)
    waiting: dict[str, Counter[str]] = field(default_factory=dict)

    def need(self, registration: Registration) -> Counter[str]:
        """What it takes of each pool."""
        need: Counter[str] = Counter()
        for seat in registration.seats:
            category = self.event.spec.category(seat.category) if seat.active else None
            need.update(category.pools if category is not None else ())
        return need

    def fits(self, need: Counter[str]) -> bool:
        return all(self.capacity.get(pool, 0) - self.taken[pool] >= count for pool, count in need.items())


class Minutes:
    """Reads the facts of a partition one after the other; `read` yields what cannot be."""

    def __init__(self) -> None:
        self.rooms: dict[str, _Room] = {}

    def read(self, numbered: NumberedFact) -> Iterator[str]:
        """Take a fact down, and say what is wrong with it."""
        fact, where = numbered.fact, f"fact {numbered.partition}-{numbered.seq}"
        if fact.event_after is not None:
            yield from self._event(fact.event_after, where)
            return
        registration = fact.registration
        if registration is None or fact.kind is FactKind.REGISTRATION_REFUSED:
            return
        room = self.rooms.get(fact.event)
        if room is None:
            yield f"{where}: of event {fact.event}, which no fact made"
            return
        before = room.people.get(registration.id)
        for wrong in _life(fact, before, registration, numbered.log_time_ms):
            yield f"{where} ({fact.kind}) of {registration.id}: {wrong}"
        for wrong in _turn(room, fact, before, registration):
            yield f"{where} ({fact.kind}) of {registration.id}: {wrong}"
        yield from _put(room, before, registration, where)

    def left_waiting(self, event: str = "") -> Iterator[str]:
        """When nothing is left to decide, nobody waits for seats that are free and nobody's before them.

        Nor behind a decision that freed seats, unless it was one of several.
        """
        for room in self.rooms.values() if not event else [self.rooms[event]]:
            waitlist = room.event.spec.waitlist
            closed_but_goes_on = (
                room.event.status is EventStatus.CLOSED
                and waitlist is not None
                and waitlist.promote_after_close
            )
            if room.event.status is not EventStatus.OPEN and not closed_but_goes_on:
                continue
            strict = waitlist is not None and waitlist.mode is WaitlistMode.STRICT
            for registration, need in room.waiting.items():
                if room.fits(need) and not (strict and _ahead(room, registration, need)):
                    yield f"{registration} waits for {dict(need)} in {room.event.id}, which is free"

    def _event(self, event: Event, where: str) -> Iterator[str]:
        capacity = {pool.key: pool.capacity for pool in event.spec.pools}
        room = self.rooms.get(event.id)
        if room is None:
            self.rooms[event.id] = _Room(event, capacity, ceiling=dict(capacity))
            return
        if (
            room.event.status in (EventStatus.ENDED, EventStatus.CANCELLED)
            and event.status is EventStatus.OPEN
        ):
            yield f"{where}: {event.id} opens again after it was {room.event.status}"
        room.event, room.capacity = event, capacity
        for pool, seats in capacity.items():
            room.ceiling[pool] = max(seats, room.taken[pool])


def check_seats(facts: Iterable[NumberedFact], continued: Mapping[str, int] | None = None) -> Iterator[str]:
    """Everything about seats that the facts of one partition tell.

    `continued`: the last offset at which an event's promotions were gone on with. Where a decision promoted
    somebody and left another one waiting for what is free, such a command must follow.
    """
    minutes = Minutes()
    for offset, decision in groupby(facts, key=lambda fact: fact.offset):
        kinds: set[FactKind] = set()
        event = ""
        for numbered in decision:
            kinds.add(numbered.fact.kind)
            event = numbered.fact.event
            yield from minutes.read(numbered)
        promoted = FactKind.REGISTRATION_PROMOTED in kinds
        if event and (promoted or kinds & _FREES):
            for left in minutes.left_waiting(event):
                if not promoted:
                    yield f"after the decision at {numbered.partition}/{offset} {left}"
                elif continued is not None and continued.get(event, -1) <= offset:
                    yield f"after the decision at {numbered.partition}/{offset} nobody goes on, and {left}"
    yield from minutes.left_waiting()


def _life(fact: Fact, before: Registration | None, after: Registration, now_ms: int) -> Iterator[str]:
    """Whether this can happen to a registration that stands as it does."""
    if before is None:
        if fact.kind not in _FIRST or after.status is not _FIRST[fact.kind] or after.version != 1:
            yield f"it begins as {after.status}, version {after.version}"
        return
    if after.version != before.version + 1:
        yield f"version {after.version} after {before.version}"
    if (after.event, after.arrival) != (before.event, before.arrival):
        yield f"its event or arrival changed from {before.event} {before.arrival}"
    if fact.kind in _ENDS:
        froms, ends = _ENDS[fact.kind]
        if before.status not in froms or after.status is not ends:
            yield f"from {before.status} to {after.status}"
    elif fact.kind is FactKind.REGISTRATION_PROMOTED:
        if before.status is not _WAITS or after.status not in SEATED:
            yield f"from {before.status} to {after.status}: only who waits is promoted, and once"
    elif fact.kind is FactKind.REGISTRATION_CONFIRMED:
        if before.status is not _HELD or after.status is not _CONFIRMED:
            yield f"from {before.status} to {after.status}: only a hold is confirmed"
    elif after.status is not before.status:
        yield f"from {before.status} to {after.status}"
    deadline_ms = before.hold_deadline_ms
    if fact.kind is FactKind.REGISTRATION_EXPIRED and deadline_ms is not None and now_ms < deadline_ms:
        yield f"{deadline_ms - now_ms} ms before its time was over"


def _turn(room: _Room, fact: Fact, before: Registration | None, after: Registration) -> Iterator[str]:
    """Whether it is this one's turn to get seats."""
    if after.status not in SEATED or (before is not None and before.status in SEATED):
        return
    need = room.need(after)
    if not room.fits(need):
        yield f"gets {dict(need)}; taken {dict(room.taken)} of {room.capacity}"
    waitlist = room.event.spec.waitlist
    if before is None:
        if waitlist is not None and waitlist.mode is WaitlistMode.STRICT:
            overtaken = next(
                (who for who, theirs in room.waiting.items() if theirs.keys() & need.keys()), None
            )
        else:
            overtaken = next((who for who, theirs in room.waiting.items() if room.fits(theirs)), None)
        if overtaken is not None:
            yield f"a newcomer gets seats, while {overtaken} waits for them"
        return
    if room.event.status not in (EventStatus.OPEN, EventStatus.CLOSED):
        yield f"is promoted in an event that is {room.event.status}"
    for other, theirs in room.waiting.items():
        if theirs == need and room.people[other].arrival < after.arrival:
            yield f"is promoted before {other}, which came earlier and needs the same"
            return


def _put(room: _Room, before: Registration | None, after: Registration, where: str) -> Iterator[str]:
    """Count it, and say which pool has more than it may."""
    if before is not None and before.status in SEATED:
        room.taken.subtract(room.need(before))
    if after.status in SEATED:
        room.taken.update(room.need(after))
    room.people[after.id] = after
    room.waiting.pop(after.id, None)
    if after.status is _WAITS:
        room.waiting[after.id] = room.need(after)
    for seat in after.seats:
        owner = room.numbers.setdefault(seat.number, after.id)
        if owner != after.id:
            yield f"{where}: seat {seat.number} of {after.event} is {owner}'s and {after.id}'s"
    for pool in room.capacity:
        taken = room.taken[pool]
        room.ceiling[pool] = max(room.capacity[pool], min(room.ceiling.get(pool, 0), taken))
        if taken > room.ceiling[pool]:
            yield f"{where}: pool {pool} of {after.event}: {taken} taken, {room.ceiling[pool]} allowed"
            room.ceiling[pool] = taken  # said once


def _ahead(room: _Room, registration: str, need: Counter[str]) -> bool:
    """Whether somebody who came earlier waits for one of the same pools."""
    arrival = room.people[registration].arrival
    return any(
        room.people[other].arrival < arrival and theirs.keys() & need.keys()
        for other, theirs in room.waiting.items()
    )
