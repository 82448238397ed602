"""What an organizer publishes: texts, places, pools, categories, windows and rules of an event.

`EventSpec` is a value: the organizer's intention, whole. What makes one sound is in `soundness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from veltrix.domain import limits

_HOUR_MS = 3_600_000


class EventStatus(StrEnum):
    """draft → open → closed → ended; cancelled from any of the first three. Closed may open again."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    ENDED = "ended"
    CANCELLED = "cancelled"


class WaitlistMode(StrEnum):
    """How newcomers and those who wait share what is free.

    `strict`: while anyone waits for a pool, newcomers who need it queue behind, also where a seat is free
    that nobody who waits can use; such a seat is offered, in arrival order, when something is freed.
    `skip`: a newcomer is seated only if no waiting party fits.
    """

    STRICT = "strict"
    SKIP = "skip"


class QuestionKind(StrEnum):
    """The type of an answer."""

    TEXT = "text"
    CHOICE = "choice"
    BOOLEAN = "boolean"


class QuestionScope(StrEnum):
    """Whether a question is asked once, or for every seat."""

    REGISTRATION = "registration"
    SEAT = "seat"


@dataclass(frozen=True, slots=True)
class Text:
    """One text in several languages: `values` by BCP 47 tag, `default` names the fall-back."""

    default: str
    values: Mapping[str, str]

    def best(self, locale: str) -> str:
        """The text for a locale: exact tag, then its language, then the default (RFC 4647 lookup)."""
        tag = locale
        while tag:
            if tag in self.values:
                return self.values[tag]
            tag = tag.rpartition("-")[0]
        return self.values[self.default]


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A named capacity, in seats."""

    key: str
    capacity: int


@dataclass(frozen=True, slots=True)
class Window:
    """A span of instants (ms since the epoch, UTC): from `opens_ms` up to, not including, `closes_ms`."""

    opens_ms: int | None = None
    closes_ms: int | None = None

    def contains(self, at_ms: int) -> bool:
        """Whether the instant lies inside."""
        return (self.opens_ms is None or at_ms >= self.opens_ms) and (
            self.closes_ms is None or at_ms < self.closes_ms
        )


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of ticket: its price in minor units of an ISO 4217 currency, and the pools it draws on."""

    key: str
    title: Text
    pools: tuple[str, ...]
    price_minor: int = 0
    currency: str = "EUR"
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the form. `choices` maps a stable key to its text; only for `choice`."""

    key: str
    label: Text
    kind: QuestionKind = QuestionKind.TEXT
    scope: QuestionScope = QuestionScope.REGISTRATION
    required: bool = False
    choices: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """The questions, numbered. Answers to versions from `min_version` on are still accepted."""

    version: int = 1
    min_version: int = 1
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Waitlist:
    """A waitlist of at most `size` registrations."""

    size: int
    mode: WaitlistMode = WaitlistMode.STRICT
    promote_after_close: bool = False


@dataclass(frozen=True, slots=True)
class Holds:
    """Seats are first held for `ttl_s` seconds; a hold ends by confirm, release or expiry."""

    ttl_s: int
    registrant_may_confirm: bool = True


@dataclass(frozen=True, slots=True)
class AccessCode:
    """A code that opens registration. Only its keyed hash is known here; `uses` None is unlimited."""

    hash: str
    label: str = ""
    uses: int | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventSpec:
    """All that the organizer sets. Local times are ISO 8601 without offset, read in `time_zone`.

    `reminders` says how many hours before the start people are reminded; None: as usual, once a day before.
    """

    slug: str
    title: Text
    time_zone: str
    starts_local: str
    ends_local: str
    pools: tuple[PoolSpec, ...]
    categories: tuple[Category, ...]
    description: Text | None = None
    venue: Text | None = None
    windows: tuple[Window, ...] = ()
    seats_per_registration: int = 10
    seats_per_person: int | None = None
    one_per_email: bool = False
    waitlist: Waitlist | None = None
    holds: Holds | None = None
    form: Form = field(default_factory=Form)
    access_codes: tuple[AccessCode, ...] = ()
    reminders: tuple[int, ...] | None = None

    @property
    def limits_people(self) -> bool:
        """Whether what somebody has already decides what they may have."""
        return self.one_per_email or self.seats_per_person is not None

    def category(self, key: str) -> Category | None:
        """The category of that key, if there is one."""
        for category in self.categories:
            if category.key == key:
                return category
        return None

    def starts_ms(self) -> int:
        """The start as an instant, ms since the epoch."""
        return instant_ms(self.starts_local, self.time_zone)

    def ends_ms(self) -> int:
        """The end as an instant, ms since the epoch."""
        return instant_ms(self.ends_local, self.time_zone)

    def reminders_ms(self) -> list[int]:
        """When people are reminded, in order, ms since the epoch."""
        hours = limits.REMINDERS_DEFAULT_H if self.reminders is None else self.reminders
        starts_ms = self.starts_ms()
        return sorted(starts_ms - each * _HOUR_MS for each in hours)


def instant_ms(local: str, zone: str) -> int:
    """A local time in an IANA zone as ms since the epoch; of an ambiguous hour, the first (PEP 495)."""
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    return round(moment.astimezone(UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Event:
    """A published (or drafted) event as the log has made it; `version` counts its changes, from 1.

    `hash_key` names the vault's key for keyed hashes (e-mail, access code, fingerprint) of this event.
    Whatever reminder was due by `reminded_ms` (log time) has been sent, or will never be.
    """

    id: str
    organizer: str
    spec: EventSpec
    hash_key: str
    created_ms: int
    changed_ms: int
    status: EventStatus = EventStatus.DRAFT
    version: int = 1
    reminded_ms: int | None = None

    def remind_ms(self) -> int | None:
        """When people are to be reminded next, ms since the epoch; None where no reminder is left.

        It may be past. A start that moves takes the reminders with it: those that are due anew come again.
        """
        if self.status not in (EventStatus.OPEN, EventStatus.CLOSED):
            return None
        done_ms = -1 if self.reminded_ms is None else self.reminded_ms
        return next((due_ms for due_ms in self.spec.reminders_ms() if due_ms > done_ms), None)
