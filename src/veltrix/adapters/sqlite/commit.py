"""A batch's statements: what `Ledger.commit` does between BEGIN and COMMIT."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final

from veltrix.adapters.sqlite.schema import (
    decision_row,
    encode_plain,
    event_row,
    registration_row,
    seat_rows,
)
from veltrix.adapters.sqlite.writer import Work, insert_rows
from veltrix.domain.event import Event
from veltrix.domain.registration import Registration
from veltrix.ports.errors import Fenced, Rejected
from veltrix.ports.ledger import Changes, PoolRow
from veltrix.wire import decode_spec, encode_fact

_FENCE: Final = """
UPDATE partitions
SET next_offset = ?, log_time_ms = ?, rules_version = ?, next_seq = next_seq + ?, last_hash = ?
WHERE partition = ? AND epoch = ? AND revision = ? AND next_offset = ?
RETURNING next_seq
"""
_EVENT: Final = """
INSERT INTO events (id, partition, organizer, slug, status, version, hash_key, created_ms, changed_ms,
                    ends_ms, spec)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    organizer = excluded.organizer, slug = excluded.slug, status = excluded.status,
    version = excluded.version, hash_key = excluded.hash_key, created_ms = excluded.created_ms,
    changed_ms = excluded.changed_ms, ends_ms = excluded.ends_ms, spec = excluded.spec
"""
_COUNTERS: Final = """
INSERT INTO counters (event, next_seat, code_uses) VALUES (?, ?, ?)
ON CONFLICT (event) DO UPDATE SET next_seat = excluded.next_seat, code_uses = excluded.code_uses
"""
_POOL_REMOVED: Final = "DELETE FROM pools WHERE event = ? AND pool = ? AND taken = 0"
_POOL_LEFT: Final = "SELECT 1 FROM pools WHERE event = ? AND pool = ?"
# The CHECK of an upsert looks at the row to be inserted, whose ceiling is not the final one: so no upsert.
_POOL_CHANGED: Final = """
UPDATE pools SET capacity = ?1, taken = ?2, ceiling = max(?1, min(ceiling, ?2)) WHERE event = ?3 AND pool = ?4
"""
_POOL_NEW: Final = """
INSERT INTO pools (event, pool, capacity, taken, ceiling)
SELECT ?3, ?4, ?1, ?2, ?1 WHERE NOT EXISTS (SELECT 1 FROM pools WHERE event = ?3 AND pool = ?4)
"""
# Rows that are about to be rewritten leave the unique index first: persons may change hands within a batch,
# and only its end counts. The second bit remembers what the first one was.
_LIFT_EXCLUSIVE: Final = """
UPDATE registrations SET exclusive = 3 WHERE exclusive = 1 AND id IN (SELECT value FROM json_each(?))
"""
_REGISTRATION: Final = """
INSERT INTO registrations (id, partition, event, arrival, status, person, active_seats, hold_number,
                           hold_deadline_ms, hold_ends_ms, exclusive, snapshot)
"""
_REGISTRATION_AGAIN: Final = """
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, person = excluded.person, active_seats = excluded.active_seats,
    hold_number = excluded.hold_number, hold_deadline_ms = excluded.hold_deadline_ms,
    hold_ends_ms = CASE WHEN excluded.hold_ends_ms IS NOT NULL AND hold_ends_ms IS NOT NULL
            AND hold_number = excluded.hold_number AND hold_deadline_ms = excluded.hold_deadline_ms
        THEN hold_ends_ms ELSE excluded.hold_ends_ms END,
    exclusive = CASE WHEN person = excluded.person THEN exclusive & 1 ELSE excluded.exclusive END,
    snapshot = excluded.snapshot
WHERE event = excluded.event AND arrival = excluded.arrival
"""
_SEAT: Final = """
INSERT INTO seats (event, number, registration, status, category, price_minor, currency, holder,
                   checked_in_ms)
"""
_SEAT_AGAIN: Final = """
ON CONFLICT (event, number) DO UPDATE SET
    status = excluded.status, category = excluded.category, price_minor = excluded.price_minor,
    currency = excluded.currency, holder = excluded.holder, checked_in_ms = excluded.checked_in_ms
WHERE registration = excluded.registration
"""
_DECISION: Final = "INSERT INTO decisions"
_FACT: Final = "INSERT INTO facts"


def write_batch(
    connection: sqlite3.Connection, changes: Changes, written: Mapping[str, Event], now_ms: int
) -> Work:
    """Run a batch's first statements in the open transaction, the fence before all; returns the rest.

    What it returns inserts the rows that make up the bulk, and is to be run before the COMMIT. `written`
    has events as they stand in the table; what is identical is not written again. `now_ms` is the ledger's
    clock. Both raise `Fenced`, `Rejected` or `sqlite3.Error`; the caller rolls back.
    """
    _fence(connection, changes)
    strict = _strict_events(connection, changes, written)
    _write_events(connection, changes, written)
    _write_pools(connection, changes)
    again = [each.id for each in changes.registrations if each.version > 1]
    if again:
        connection.execute(_LIFT_EXCLUSIVE, (encode_plain(again).decode(),))
    partition, shifted = changes.partition, changes.partition << 48
    registrations = [
        registration_row(partition, each, strict[each.event], now_ms) for each in changes.registrations
    ]
    seats = _seats(changes.registrations)
    decisions = [decision_row(decision) for decision in changes.decisions]
    facts = [(shifted | fact.seq, encode_fact(fact)) for fact in changes.facts]

    def insert(connection: sqlite3.Connection) -> None:
        if insert_rows(connection, _REGISTRATION, registrations, _REGISTRATION_AGAIN) != len(registrations):
            raise Rejected("a registration changed its event or its arrival number")
        if insert_rows(connection, _SEAT, seats, _SEAT_AGAIN) != len(seats):
            raise Rejected("a seat number belongs to another registration")
        insert_rows(connection, _DECISION, decisions)
        insert_rows(connection, _FACT, facts)

    return insert


def _fence(connection: sqlite3.Connection, changes: Changes) -> None:
    term = changes.term
    row = connection.execute(
        _FENCE,
        (
            changes.new_offset,
            changes.log_time_ms,
            changes.rules_version,
            len(changes.facts),
            changes.last_hash,
            changes.partition,
            term.epoch,
            term.revision,
            changes.old_offset,
        ),
    ).fetchone()
    if row is None:
        raise Fenced(
            f"partition {changes.partition} is not at offset {changes.old_offset} under term {tuple(term)}"
        )
    offsets = [each.offset for each in changes.decisions if each.partition == changes.partition]
    if offsets != list(range(changes.old_offset, changes.new_offset)):
        raise Rejected(
            f"decisions of partition {changes.partition} are not one for each offset from "
            f"{changes.old_offset} to {changes.new_offset}"
        )
    first = changes.next_seq - len(changes.facts)
    seqs = [each.seq for each in changes.facts if each.partition == changes.partition]
    if row[0] != changes.next_seq or seqs != list(range(first, changes.next_seq)):
        raise Rejected(f"facts of partition {changes.partition} do not go on without a gap")


def _strict_events(
    connection: sqlite3.Connection, changes: Changes, written: Mapping[str, Event]
) -> dict[str, int]:
    """1 where the event of these registrations allowed one an e-mail all through the batch, else 0."""
    specs: dict[str, list[bool]] = {registration.event: [] for registration in changes.registrations}
    for event_id, found in specs.items():
        before = written.get(event_id)
        if before is not None:
            found.append(before.spec.one_per_email)
            continue
        row = connection.execute("SELECT spec FROM events WHERE id = ?", (event_id,)).fetchone()
        if row is not None:
            found.append(decode_spec(row[0]).one_per_email)
    after = [row.event for row in changes.events]
    after += [each.fact.event_after for each in changes.facts if each.fact.event_after is not None]
    for event in after:
        if event.id in specs:
            specs[event.id].append(event.spec.one_per_email)
    for event_id, found in specs.items():
        if not found:
            raise Rejected(f"registrations of {event_id}, an event that does not exist")
    return {event_id: int(all(found)) for event_id, found in specs.items()}


def _write_events(connection: sqlite3.Connection, changes: Changes, written: Mapping[str, Event]) -> None:
    changed = [row.event for row in changes.events if written.get(row.event.id) is not row.event]
    if changed:
        connection.executemany(_EVENT, [event_row(changes.partition, event) for event in changed])
    if changes.events:
        connection.executemany(
            _COUNTERS, [(row.event.id, row.next_seat, encode_plain(row.code_uses)) for row in changes.events]
        )


def _write_pools(connection: sqlite3.Connection, changes: Changes) -> None:
    for key in changes.pools_removed:
        connection.execute(_POOL_REMOVED, key)
        if connection.execute(_POOL_LEFT, key).fetchone() is not None:
            raise Rejected(f"pool {key[1]!r} of {key[0]} has seats taken")
    if not changes.pools:
        return
    rows = [_pool_row(pool) for pool in changes.pools]
    if connection.executemany(_POOL_CHANGED, rows).rowcount != len(rows):
        connection.executemany(_POOL_NEW, rows)


def _pool_row(pool: PoolRow) -> tuple[int, int, str, str]:
    return pool.capacity, pool.taken, pool.event, pool.pool


def _seats(registrations: Iterable[Registration]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for registration in registrations:
        seats = registration.seats
        if len(seats) > 1 and len({seat.number for seat in seats}) != len(seats):
            raise Rejected(f"registration {registration.id} has a seat number twice")
        rows += seat_rows(registration)
    return rows
