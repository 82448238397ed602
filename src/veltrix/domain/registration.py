"""A registration: one claim on 1…n seats, decided all or nothing.

`Registration` and `Seat` are values. They are plain (not frozen) dataclasses, because a frozen one
costs three times as much to build and some are built for every command; nobody assigns to one.
Personal data is not in them but in the sealed `box`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RegistrationStatus(StrEnum):
    """Where a registration stands. Held and confirmed ones take seats; waitlisted ones wait for them."""

    HELD = "held"
    CONFIRMED = "confirmed"
    WAITLISTED = "waitlisted"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


SEATED = frozenset({RegistrationStatus.HELD, RegistrationStatus.CONFIRMED})
ACTIVE = SEATED | {RegistrationStatus.WAITLISTED}


class Source(StrEnum):
    """Who asked for the registration."""

    PUBLIC = "public"
    ORGANIZER = "organizer"
    IMPORT = "import"


@dataclass(slots=True)
class Box:
    """Personal data sealed under the key `key_id`; `command` and `form_version` are part of its AAD."""

    key_id: str
    command: str
    form_version: int
    sealed: bytes


@dataclass(slots=True)
class Seat:
    """One line of a registration. `number` is unique in the event; `holder` rises with each transfer.

    `box` is set when this seat alone was transferred: it holds the new attendee.
    """

    number: int
    category: str
    price_minor: int
    currency: str
    active: bool = True
    holder: int = 1
    checked_in_ms: int | None = None
    box: Box | None = None


@dataclass(slots=True)
class Registration:
    """The state of one registration after a fact; `version` counts its facts, from 1.

    `arrival` is the arrival number of its command and its place in any queue for ever. `person` is the
    keyed hash of the contact's e-mail. `hold_number` counts its holds; `hold_deadline_ms` is log time.
    """

    id: str
    event: str
    arrival: int
    status: RegistrationStatus
    person: str
    box: Box
    seats: tuple[Seat, ...]
    decided_ms: int
    changed_ms: int
    version: int = 1
    holder: int = 1
    source: Source = Source.PUBLIC
    access_code: str | None = None
    hold_number: int = 0
    hold_deadline_ms: int | None = None
    external_ref: str | None = None

    def active_seats(self) -> list[Seat]:
        """The seats that are not cancelled one by one."""
        return [seat for seat in self.seats if seat.active]
