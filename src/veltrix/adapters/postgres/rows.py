"""How domain values become columns, and rows become domain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from veltrix.domain.event import Event, EventStatus
from veltrix.domain.outcomes import Decision, Outcome, Refusal
from veltrix.domain.registration import Registration
from veltrix.ports.ledger import Head, Term
from veltrix.wire import decode_spec, encode_spec

# The conditions of partial indexes; a query that is to use one repeats its condition.
ACTIVE: Final = "status IN ('held', 'confirmed', 'waitlisted')"
FIRST: Final = "original IS NULL AND command <> ''"
HOLDER: Final = "person IS NOT NULL AND outcome = 'accepted' AND kind IN ('register', 'transfer')"
UNUSED: Final = "key_id IS NOT NULL AND outcome <> 'accepted'"

EVENT_COLUMNS: Final = (
    "e.id, e.partition, e.organizer, e.slug, e.status, e.version, e.hash_key, e.created_ms, e.changed_ms, "
    "e.ends_ms, e.spec, c.next_seat, c.code_uses, e.reminded_ms"
)
DECISION_COLUMNS: Final = (
    'd.partition, d."offset", d.outcome, d.log_time_ms, d.rules_version, d.command, d.kind, d.refusal, '
    "d.detail, d.organizer, d.event, d.subject, d.person, d.key_id, d.fingerprint, d.first_seq, d.facts, "
    "d.own_seq, d.original"
)
HEAD_COLUMNS: Final = (
    "partition, epoch, revision, owner, next_offset, log_time_ms, rules_version, next_seq, relayed_seq, "
    "last_hash, topic_id"
)

_encoder = msgspec.json.Encoder(order="deterministic")
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_REFUSALS: Final[dict[str | None, Refusal | None]] = {refusal.value: refusal for refusal in Refusal}
_REFUSALS[None] = None

encode_plain = _encoder.encode
decode_registration: Final[Callable[[bytes], Registration]] = msgspec.json.Decoder(Registration).decode
decode_uses: Final[Callable[[bytes], dict[str, int]]] = msgspec.json.Decoder(dict[str, int]).decode


def columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[Sequence[Any]]:
    """Rows turned into columns, `count` of them also when there are no rows."""
    if not rows:
        return [()] * count
    return list(zip(*rows, strict=True))


def event_row(event: Event) -> tuple[Any, ...]:
    """An event as `commit_batch` takes it."""
    spec = event.spec
    return (
        event.id,
        event.organizer,
        spec.slug,
        event.status.value,
        event.version,
        event.hash_key,
        event.created_ms,
        event.changed_ms,
        spec.ends_ms(),
        spec.one_per_email,
        spec.starts_ms(),
        event.remind_ms(),
        event.reminded_ms,
        encode_spec(spec),
    )


def event_of(row: Sequence[Any]) -> Event:
    """The event in a row of `EVENT_COLUMNS`."""
    return Event(
        id=row[0],
        organizer=row[2],
        spec=decode_spec(row[10]),
        hash_key=row[6],
        created_ms=row[7],
        changed_ms=row[8],
        status=EventStatus(row[4]),
        version=row[5],
        reminded_ms=row[13],
    )


def registration_row(registration: Registration, exclusive: bool) -> tuple[Any, ...]:
    """A registration as `commit_batch` takes it. A hold's full time counts from its commit."""
    deadline_ms = registration.hold_deadline_ms
    status: str = registration.status._value_  # the attribute: `value` is a descriptor, many times slower
    ttl_ms = None if deadline_ms is None or status != "held" else deadline_ms - registration.changed_ms
    active = 0
    for seat in registration.seats:
        active += seat.active
    return (
        registration.id,
        registration.event,
        registration.arrival,
        status,
        registration.person,
        active,
        registration.hold_number,
        deadline_ms,
        ttl_ms,
        exclusive,
        encode_plain(registration),
    )


def seat_rows(registration: Registration) -> list[tuple[Any, ...]]:
    """Its seats. A seat has its registration's status, unless it alone was cancelled."""
    status = registration.status._value_
    return [
        (
            registration.event,
            seat.number,
            registration.id,
            status if seat.active else "cancelled",
            seat.category,
            seat.price_minor,
            seat.currency,
            seat.holder,
            seat.checked_in_ms,
        )
        for seat in registration.seats
    ]


def decision_row(decision: Decision) -> tuple[Any, ...]:
    """A decision as `commit_batch` takes it: its place follows from the order."""
    return (
        decision.outcome._value_,
        decision.log_time_ms,
        decision.rules_version,
        decision.command,
        decision.kind,
        None if decision.refusal is None else decision.refusal._value_,
        decision.detail,
        decision.organizer,
        decision.event,
        decision.subject,
        decision.person,
        decision.key_id,
        decision.fingerprint,
        decision.first_seq,
        decision.facts,
        decision.own_seq,
        decision.original,
    )


def decision_of(row: Sequence[Any]) -> Decision:
    """The decision in a row of `DECISION_COLUMNS`."""
    partition, offset, outcome, log_time_ms, rules_version, command, kind, refusal, *rest = row
    return Decision(
        partition,
        offset,
        _OUTCOMES[outcome],
        log_time_ms,
        rules_version,
        command,
        kind,
        _REFUSALS[refusal],
        *rest,
    )


def head_of(row: Sequence[Any]) -> Head:
    """The head in a row of `HEAD_COLUMNS`."""
    partition, epoch, revision, *rest = row
    return Head(partition, Term(epoch, revision), *rest)
