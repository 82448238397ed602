"""What people read when something cannot be done: one entry for every problem and fault, in each language.

A problem has a title and a detail, a fault says what is wrong with a field and what to do. Braces are
filled with the problem's own parameters. Codes are part of the API and never change; texts may.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from veltrix.domain.outcomes import Refusal
from veltrix.registration import catalogue_de, catalogue_en
from veltrix.registration.headers import LANGUAGES

# The HTTP status of every problem. Of refusals first: the decider's reasons, as HTTP sees them.
REFUSAL_STATUS: Final[dict[Refusal, int]] = {
    Refusal.MALFORMED: 422,
    Refusal.UNKNOWN_VERSION: 422,
    Refusal.OVERSIZED: 422,
    Refusal.QUARANTINED: 422,
    Refusal.UNKNOWN_EVENT: 404,
    Refusal.SLUG_TAKEN: 409,
    Refusal.VERSION_CONFLICT: 412,
    Refusal.INVALID_CHANGE: 422,
    Refusal.EVENT_CANCELLED: 409,
    Refusal.EVENT_ENDED: 409,
    Refusal.NOT_OPEN: 409,
    Refusal.NOT_ENDED_YET: 409,
    Refusal.WINDOW_NOT_OPEN_YET: 409,
    Refusal.WINDOW_OVER: 409,
    Refusal.ACCESS_CODE_REQUIRED: 403,
    Refusal.ACCESS_CODE_INVALID: 403,
    Refusal.ACCESS_CODE_USED_UP: 403,
    Refusal.FORM_VERSION_OUTDATED: 422,
    Refusal.UNKNOWN_CATEGORY: 422,
    Refusal.CATEGORY_NOT_ON_SALE: 409,
    Refusal.PARTY_TOO_LARGE: 422,
    Refusal.ALREADY_REGISTERED: 409,
    Refusal.SEATS_PER_PERSON: 409,
    Refusal.UNKNOWN_REGISTRATION: 404,
    Refusal.LINK_REPLACED: 410,
    Refusal.NOT_ACTIVE: 409,
    Refusal.NOT_HELD: 409,
    Refusal.HOLD_NOT_DUE: 409,
    Refusal.ORGANIZER_MUST_CONFIRM: 403,
    Refusal.UNKNOWN_SEAT: 404,
    Refusal.SEAT_CHECKED_IN: 409,
    Refusal.TICKET_REPLACED: 410,
    Refusal.NOT_CONFIRMED: 409,
    Refusal.ALREADY_CHECKED_IN: 409,
    Refusal.NOT_CHECKED_IN: 409,
    Refusal.FULL: 409,
    Refusal.WAITLIST_FULL: 409,
}

# What the edge itself refuses: syntax, size, rate, load, and what it cannot find.
EDGE_STATUS: Final[dict[str, int]] = {
    "malformed_json": 400,
    "invalid_header": 400,
    "invalid_query": 400,
    "bad_cursor": 400,
    "weak_key": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_decision": 404,
    "unknown_endpoint": 404,
    "unknown_notice": 404,
    "unknown_template": 404,
    "unknown_choice": 404,
    "unknown_secret": 404,
    "unknown_suppression": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "last_secret": 409,
    "person_erased": 409,
    "too_many_endpoints": 409,
    "too_many_templates": 409,
    "too_many_secrets": 409,
    "precondition_failed": 412,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_body": 422,
    "invalid_ticket": 422,
    "key_reused": 422,
    "too_many_requests": 429,
    "internal": 500,
    "event_busy": 503,
    "imports_busy": 503,
    "outcome_unknown": 503,
    "overloaded": 503,
    "stopping": 503,
    "too_many_streams": 503,
    "unavailable": 503,
}

STATUS: Final[dict[str, int]] = {
    **{refusal.value: status for refusal, status in REFUSAL_STATUS.items()},
    **EDGE_STATUS,
}


class Words(NamedTuple):
    """A problem in one language."""

    title: str
    detail: str


class FaultWords(NamedTuple):
    """A fault in one language."""

    fault: str
    remedy: str


PROBLEMS: Final[dict[str, dict[str, Words]]] = {
    "en": {code: Words(*words) for code, words in catalogue_en.PROBLEMS.items()},
    "de": {code: Words(*words) for code, words in catalogue_de.PROBLEMS.items()},
}
FAULTS: Final[dict[str, dict[str, FaultWords]]] = {
    "en": {code: FaultWords(*words) for code, words in catalogue_en.FAULTS.items()},
    "de": {code: FaultWords(*words) for code, words in catalogue_de.FAULTS.items()},
}
assert set(PROBLEMS) == set(FAULTS) == set(LANGUAGES)


def problem_words(code: str, language: str) -> Words:
    """Title and detail of a problem."""
    return PROBLEMS[language][code]


def fault_words(code: str, language: str) -> FaultWords:
    """What is wrong, and the remedy."""
    return FAULTS[language][code]
