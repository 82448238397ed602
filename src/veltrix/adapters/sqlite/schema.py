"""The ledger's schema, and how domain values become rows and come back.

Keys of decisions and facts are `partition << 48 | number`, so that each partition is one run of its
table. Registrations have ids that rise with time; only a command's id and a person's hash are random,
and they are what a batch pays most for: a page each.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from veltrix.adapters.sqlite.database import Kind
from veltrix.domain.event import Event, EventStatus
from veltrix.domain.outcomes import Decision, Outcome, Refusal
from veltrix.domain.registration import Registration
from veltrix.wire import decode_spec, encode_spec

SHIFT: Final = 48
NUMBERS: Final = (1 << SHIFT) - 1

# The conditions of partial indexes; a query that is to use one repeats its condition.
ACTIVE: Final = "status IN ('held', 'confirmed', 'waitlisted')"
FIRST: Final = "original IS NULL AND command <> ''"
HOLDER: Final = "person IS NOT NULL AND outcome = 'accepted' AND kind IN ('register', 'transfer')"
NAMED: Final = "person IS NOT NULL AND NOT (outcome = 'accepted' AND kind IN ('register', 'transfer'))"
UNUSED: Final = "key_id IS NOT NULL AND outcome <> 'accepted'"

_SCHEMA: Final = f"""
CREATE TABLE partitions (
    partition INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    owner TEXT NOT NULL,
    next_offset INTEGER NOT NULL,
    log_time_ms INTEGER NOT NULL,
    rules_version INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    relayed_seq INTEGER NOT NULL,
    last_hash TEXT NOT NULL,
    topic_id TEXT NOT NULL,
    log_partitions INTEGER NOT NULL
) STRICT;
CREATE TABLE events (
    id TEXT NOT NULL UNIQUE,
    partition INTEGER NOT NULL,
    organizer TEXT NOT NULL,
    slug TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    hash_key TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    ends_ms INTEGER NOT NULL,
    spec BLOB NOT NULL,
    starts_ms INTEGER,
    remind_ms INTEGER,
    reminded_ms INTEGER,
    UNIQUE (organizer, slug)
) STRICT;
CREATE INDEX events_by_organizer ON events (organizer, id);
CREATE INDEX events_by_end ON events (partition, ends_ms) WHERE status IN ('open', 'closed');
CREATE TABLE counters (
    event TEXT PRIMARY KEY,
    next_seat INTEGER NOT NULL,
    code_uses BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pools (
    event TEXT NOT NULL,
    pool TEXT NOT NULL,
    capacity INTEGER NOT NULL CHECK (capacity >= 0),
    taken INTEGER NOT NULL,
    ceiling INTEGER NOT NULL,
    PRIMARY KEY (event, pool),
    CONSTRAINT never_oversold CHECK (taken >= 0 AND taken <= ceiling)
) STRICT, WITHOUT ROWID;
CREATE TABLE registrations (
    id TEXT NOT NULL UNIQUE,
    partition INTEGER NOT NULL,
    event TEXT NOT NULL,
    arrival INTEGER NOT NULL,
    status TEXT NOT NULL,
    person TEXT NOT NULL,
    active_seats INTEGER NOT NULL,
    hold_number INTEGER NOT NULL,
    hold_deadline_ms INTEGER,
    hold_ends_ms INTEGER,
    exclusive INTEGER NOT NULL,
    snapshot BLOB NOT NULL
) STRICT;
CREATE INDEX registrations_by_arrival ON registrations (event, arrival);
CREATE INDEX registrations_waiting ON registrations (event, arrival) WHERE status = 'waitlisted';
CREATE INDEX registrations_held ON registrations (partition, hold_deadline_ms) WHERE status = 'held';
CREATE UNIQUE INDEX one_per_email ON registrations (event, person) WHERE exclusive = 1 AND {ACTIVE};
CREATE TABLE seats (
    event TEXT NOT NULL,
    number INTEGER NOT NULL,
    registration TEXT NOT NULL,
    status TEXT NOT NULL,
    category TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    holder INTEGER NOT NULL,
    checked_in_ms INTEGER,
    PRIMARY KEY (event, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    outcome TEXT NOT NULL,
    log_time_ms INTEGER NOT NULL,
    rules_version INTEGER NOT NULL,
    command TEXT NOT NULL,
    kind TEXT NOT NULL,
    refusal TEXT,
    detail TEXT NOT NULL,
    organizer TEXT NOT NULL,
    event TEXT NOT NULL,
    subject TEXT NOT NULL,
    person TEXT,
    key_id TEXT,
    fingerprint TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    facts INTEGER NOT NULL,
    own_seq INTEGER,
    original INTEGER,
    partition INTEGER AS (id >> {SHIFT}) VIRTUAL,
    "offset" INTEGER AS (id & {NUMBERS}) VIRTUAL
) STRICT;
CREATE UNIQUE INDEX one_first_decision ON decisions (command) WHERE {FIRST};
CREATE INDEX decisions_by_holder ON decisions (person) WHERE {HOLDER};
CREATE INDEX decisions_by_named ON decisions (person) WHERE {NAMED};
CREATE INDEX decisions_unused ON decisions (id) WHERE {UNUSED};
CREATE INDEX decisions_quarantined ON decisions (id) WHERE outcome = 'quarantined';
CREATE TABLE facts (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL,
    partition INTEGER AS (id >> {SHIFT}) VIRTUAL,
    seq INTEGER AS (id & {NUMBERS}) VIRTUAL
) STRICT;
"""
_LATER: Final = (
    ("events", "starts_ms INTEGER"),
    ("events", "remind_ms INTEGER"),
    ("events", "reminded_ms INTEGER"),
)
KIND: Final = Kind("ledger", 0x56_4C_54_02, 1, _SCHEMA, cache_kib=64 * 1024, later=_LATER)

EVENT_COLUMNS: Final = (
    "e.id, e.partition, e.organizer, e.slug, e.status, e.version, e.hash_key, e.created_ms, e.changed_ms, "
    "e.ends_ms, e.spec, c.next_seat, c.code_uses, e.reminded_ms"
)
DECISION_COLUMNS: Final = (
    "id, outcome, log_time_ms, rules_version, command, kind, refusal, detail, organizer, event, subject, "
    "person, key_id, fingerprint, first_seq, facts, own_seq, original"
)
HEAD_COLUMNS: Final = (
    "partition, epoch, revision, owner, next_offset, log_time_ms, rules_version, next_seq, relayed_seq, "
    "last_hash, topic_id"
)

_encoder = msgspec.json.Encoder(order="deterministic")
_registration_decoder = msgspec.json.Decoder(Registration)
_uses_decoder = msgspec.json.Decoder(dict[str, int])
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_REFUSALS: Final[dict[str | None, Refusal | None]] = {refusal.value: refusal for refusal in Refusal}
_REFUSALS[None] = None

encode_plain = _encoder.encode
decode_registration = _registration_decoder.decode
decode_uses = _uses_decoder.decode


def key_of(partition: int, number: int) -> int:
    """The key of a decision (by offset) or a fact (by sequence number)."""
    return partition << SHIFT | number


def event_row(partition: int, event: Event) -> tuple[Any, ...]:
    """A row of `events`."""
    return (
        event.id,
        partition,
        event.organizer,
        event.spec.slug,
        event.status.value,
        event.version,
        event.hash_key,
        event.created_ms,
        event.changed_ms,
        event.spec.ends_ms(),
        event.spec.starts_ms(),
        event.remind_ms(),
        event.reminded_ms,
        encode_spec(event.spec),
    )


def event_of(row: tuple[Any, ...]) -> Event:
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


def decision_of(row: tuple[Any, ...]) -> Decision:
    """The decision in a row of `DECISION_COLUMNS`."""
    key, outcome, log_time_ms, rules_version, command, kind, refusal, *rest = row
    return Decision(
        key >> SHIFT,
        key & NUMBERS,
        _OUTCOMES[outcome],
        log_time_ms,
        rules_version,
        command,
        kind,
        _REFUSALS[refusal],
        *rest,
    )
