"""What happened. Facts are the only thing that changes state, and each carries the state after it.

A fact about a registration carries the whole registration after the fact, so that `evolve` is a
replacement, a consumer needs no history, and a row of the ledger is the last fact about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from veltrix.domain.event import Event
from veltrix.domain.registration import Registration


class FactKind(StrEnum):
    """The closed set of facts; a value is part of the published contract and never changes."""

    EVENT_CREATED = "event.created"
    EVENT_CHANGED = "event.changed"
    EVENT_OPENED = "event.opened"
    EVENT_CLOSED = "event.closed"
    EVENT_CANCELLED = "event.cancelled"
    EVENT_ENDED = "event.ended"
    REGISTRATION_CONFIRMED = "registration.confirmed"
    REGISTRATION_HELD = "registration.held"
    REGISTRATION_WAITLISTED = "registration.waitlisted"
    REGISTRATION_REFUSED = "registration.refused"
    REGISTRATION_PROMOTED = "registration.promoted"
    REGISTRATION_CANCELLED = "registration.cancelled"
    REGISTRATION_SEAT_CANCELLED = "registration.seat_cancelled"
    REGISTRATION_EXPIRED = "registration.expired"
    REGISTRATION_RELEASED = "registration.released"
    REGISTRATION_HOLD_EXTENDED = "registration.hold_extended"
    REGISTRATION_MOVED = "registration.moved"
    REGISTRATION_TRANSFERRED = "registration.transferred"
    REGISTRATION_CHANGED = "registration.changed"
    SEAT_CHECKED_IN = "seat.checked_in"
    SEAT_CHECK_IN_UNDONE = "seat.check_in_undone"
    PERSON_ERASED = "person.erased"
    RULES_ADOPTED = "rules.adopted"
    EVENT_REMINDED = "event.reminded"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A waiting registration that a promotion passed over: it needs `needs` seats of `pool`, `free` are."""

    registration: str
    pool: str
    needs: int
    free: int


@dataclass(slots=True)
class Fact:
    """One thing that happened; which fields are set follows from `kind`.

    `skipped` names up to `limits.SKIPPED_SHOWN` parties that a promotion passed over, one for each size of
    party; `seat` is the seat it is about; `previous_person` is set by a transfer, so that both are told.
    """

    kind: FactKind
    event: str
    organizer: str
    registration: Registration | None = None
    event_after: Event | None = None
    seat: int | None = None
    person: str | None = None
    previous: Registration | None = None
    reason: str | None = None
    scan_id: str | None = None
    skipped: tuple[Skipped, ...] = ()
    rules_version: int | None = None


@dataclass(slots=True)
class NumberedFact:
    """A fact with its place: `seq` is gapless per partition, from 1; `offset` and `command` are its cause."""

    partition: int
    seq: int
    offset: int
    command: str
    log_time_ms: int
    trace: str
    fact: Fact
