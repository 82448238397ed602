"""What a command led to: accepted with facts, or refused for one reason out of a closed list."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from veltrix.domain.facts import Fact


class Refusal(StrEnum):
    """Why a command was refused. The order is the order of precedence: the first that applies is given."""

    # the record itself
    OVERSIZED = "oversized"
    UNKNOWN_VERSION = "unknown_version"
    MALFORMED = "malformed"
    QUARANTINED = "quarantined"
    # the event
    UNKNOWN_EVENT = "unknown_event"
    SLUG_TAKEN = "slug_taken"
    VERSION_CONFLICT = "version_conflict"
    EVENT_CANCELLED = "event_cancelled"
    EVENT_ENDED = "event_ended"
    INVALID_CHANGE = "invalid_change"
    NOT_OPEN = "not_open"
    NOT_ENDED_YET = "not_ended_yet"
    WINDOW_NOT_OPEN_YET = "window_not_open_yet"
    WINDOW_OVER = "window_over"
    # the right to ask
    ACCESS_CODE_REQUIRED = "access_code_required"
    ACCESS_CODE_INVALID = "access_code_invalid"
    ACCESS_CODE_USED_UP = "access_code_used_up"
    # the registration
    UNKNOWN_REGISTRATION = "unknown_registration"
    LINK_REPLACED = "link_replaced"
    NOT_ACTIVE = "not_active"
    NOT_HELD = "not_held"
    HOLD_NOT_DUE = "hold_not_due"
    ORGANIZER_MUST_CONFIRM = "organizer_must_confirm"
    UNKNOWN_SEAT = "unknown_seat"
    SEAT_CHECKED_IN = "seat_checked_in"
    TICKET_REPLACED = "ticket_replaced"
    NOT_CONFIRMED = "not_confirmed"
    ALREADY_CHECKED_IN = "already_checked_in"
    NOT_CHECKED_IN = "not_checked_in"
    # the request
    FORM_VERSION_OUTDATED = "form_version_outdated"
    UNKNOWN_CATEGORY = "unknown_category"
    CATEGORY_NOT_ON_SALE = "category_not_on_sale"
    PARTY_TOO_LARGE = "party_too_large"
    ALREADY_REGISTERED = "already_registered"
    SEATS_PER_PERSON = "seats_per_person"
    # the room
    FULL = "full"
    WAITLIST_FULL = "waitlist_full"


class Outcome(StrEnum):
    """How the record at an offset was disposed of; every offset has exactly one."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    KEY_REUSED = "key_reused"
    QUARANTINED = "quarantined"


@dataclass(slots=True)
class Decided:
    """What `decide` says about one command by itself: facts, or a refusal and its detail."""

    facts: list[Fact] = field(default_factory=list)
    refusal: Refusal | None = None
    detail: str = ""


@dataclass(slots=True)
class Decision:
    """The ledger's record of one offset.

    `first_seq` and `facts` give the run of facts it led to; `own_seq` the one that answers the command
    (promotions may stand before and after it). `original` is the offset of the first decision, for a
    duplicate. `key_id` is the key of the box that the record carried, whatever became of it.
    """

    partition: int
    offset: int
    outcome: Outcome
    log_time_ms: int
    rules_version: int
    command: str = ""
    kind: str = ""
    refusal: Refusal | None = None
    detail: str = ""
    organizer: str = ""
    event: str = ""
    subject: str = ""
    person: str | None = None
    key_id: str | None = None
    fingerprint: str = ""
    first_seq: int = 0
    facts: int = 0
    own_seq: int | None = None
    original: int | None = None
