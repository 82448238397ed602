"""A batch's one statement: what `Ledger.commit` has SQLite do.

A statement gives the interpreter away and must win it back, from an event loop that is busy just then; a
dozen of them, and a batch waits longer for the interpreter than for the disk. So a batch is one row that is
inserted into a view, and a trigger does the rest: fence, rows and COMMIT in one step of SQLite, which takes
the rows' columns out of JSON by itself. View and trigger are temporary: they belong to the connection and
not to the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from veltrix.adapters.sqlite.schema import encode_plain, event_row
from veltrix.domain.event import Event
from veltrix.ports.errors import Fenced, PortError, Rejected
from veltrix.ports.ledger import Changes
from veltrix.wire import decode_spec, encode_fact

_COLUMNS: Final = (
    "partition, epoch, revision, old_offset, new_offset, log_time_ms, rules_version, old_seq, next_seq, "
    "last_hash, now_ms, events, counters, pools_removed, pools, again, strict, registrations, seats, "
    "decisions, facts, fault"
)
_VIEW: Final = f"CREATE TEMP VIEW batch ({_COLUMNS}) AS SELECT {', '.join(['NULL'] * 22)}"
_FENCE: Final = """
SELECT RAISE(ABORT, 'fenced') WHERE NOT EXISTS (
    SELECT 1 FROM partitions WHERE partition = NEW.partition AND epoch = NEW.epoch
        AND revision = NEW.revision AND next_offset = NEW.old_offset);
UPDATE partitions
SET next_offset = NEW.new_offset, log_time_ms = NEW.log_time_ms, rules_version = NEW.rules_version,
    next_seq = NEW.next_seq, last_hash = NEW.last_hash
WHERE partition = NEW.partition AND next_seq = NEW.old_seq;
SELECT RAISE(ABORT, 'gap') WHERE changes() <> 1;
SELECT RAISE(ABORT, 'fault') WHERE NEW.fault <> '';
"""
_EVENTS: Final = """
INSERT INTO events (id, partition, organizer, slug, status, version, hash_key, created_ms, changed_ms,
                    ends_ms, starts_ms, remind_ms, reminded_ms, spec)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
       value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, CAST(value ->> 13 AS BLOB)
FROM json_each(NEW.events) WHERE true
ON CONFLICT (id) DO UPDATE SET
    organizer = excluded.organizer, slug = excluded.slug, status = excluded.status,
    version = excluded.version, hash_key = excluded.hash_key, created_ms = excluded.created_ms,
    changed_ms = excluded.changed_ms, ends_ms = excluded.ends_ms, starts_ms = excluded.starts_ms,
    remind_ms = excluded.remind_ms, reminded_ms = excluded.reminded_ms, spec = excluded.spec;
INSERT INTO counters (event, next_seat, code_uses)
SELECT value ->> 0, value ->> 1, CAST(value -> 2 AS BLOB) FROM json_each(NEW.counters) WHERE true
ON CONFLICT (event) DO UPDATE SET next_seat = excluded.next_seat, code_uses = excluded.code_uses;
"""
# The CHECK of an upsert looks at the row to be inserted, whose ceiling is not the final one: so no upsert.
_POOLS: Final = """
SELECT RAISE(ABORT, 'pool_in_use')
FROM json_each(NEW.pools_removed) JOIN pools ON event = value ->> 0 AND pool = value ->> 1 WHERE taken > 0;
DELETE FROM pools WHERE (event, pool) IN (SELECT value ->> 0, value ->> 1 FROM json_each(NEW.pools_removed));
UPDATE pools SET capacity = now_capacity, taken = now_taken,
                 ceiling = max(now_capacity, min(ceiling, now_taken))
FROM (SELECT value ->> 0 AS of_event, value ->> 1 AS of_pool,
             value ->> 2 AS now_capacity, value ->> 3 AS now_taken FROM json_each(NEW.pools))
WHERE event = of_event AND pool = of_pool;
INSERT INTO pools (event, pool, capacity, taken, ceiling)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 2 FROM json_each(NEW.pools)
WHERE NOT EXISTS (SELECT 1 FROM pools WHERE event = value ->> 0 AND pool = value ->> 1);
"""
# Rows that are about to be rewritten leave the unique index first: persons may change hands within a batch,
# and only its end counts. The second bit remembers what the first one was.
_REGISTRATIONS: Final = """
SELECT RAISE(ABORT, 'no_event') FROM json_each(NEW.registrations)
WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = value ->> 'event');
UPDATE registrations SET exclusive = 3
WHERE exclusive = 1 AND id IN (SELECT value FROM json_each(NEW.again));
INSERT INTO registrations (id, partition, event, arrival, status, person, active_seats, hold_number,
                           hold_deadline_ms, hold_ends_ms, exclusive, snapshot)
SELECT value ->> 'id', NEW.partition, value ->> 'event', value ->> 'arrival', value ->> 'status',
       value ->> 'person',
       (SELECT count(*) FROM json_each(r.value, '$.seats') s WHERE s.value ->> 'active'),
       value ->> 'hold_number', value ->> 'hold_deadline_ms',
       CASE value ->> 'status' WHEN 'held'
           THEN NEW.now_ms + (value ->> 'hold_deadline_ms') - (value ->> 'changed_ms') END,
       value ->> 'event' IN (SELECT value FROM json_each(NEW.strict)), CAST(value AS BLOB)
FROM json_each(NEW.registrations) r WHERE true
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, person = excluded.person, active_seats = excluded.active_seats,
    hold_number = excluded.hold_number, hold_deadline_ms = excluded.hold_deadline_ms,
    hold_ends_ms = CASE WHEN excluded.hold_ends_ms IS NOT NULL AND hold_ends_ms IS NOT NULL
            AND hold_number = excluded.hold_number AND hold_deadline_ms = excluded.hold_deadline_ms
        THEN hold_ends_ms ELSE excluded.hold_ends_ms END,
    exclusive = CASE WHEN person = excluded.person THEN exclusive & 1 ELSE excluded.exclusive END,
    snapshot = excluded.snapshot
WHERE event = excluded.event AND arrival = excluded.arrival;
SELECT RAISE(ABORT, 'moved') WHERE changes() <> json_array_length(NEW.registrations);
INSERT INTO seats (event, number, registration, status, category, price_minor, currency, holder,
                   checked_in_ms)
SELECT r.value ->> 'event', s.value ->> 'number', r.value ->> 'id',
       CASE WHEN s.value ->> 'active' THEN r.value ->> 'status' ELSE 'cancelled' END,
       s.value ->> 'category', s.value ->> 'price_minor', s.value ->> 'currency', s.value ->> 'holder',
       s.value ->> 'checked_in_ms'
FROM json_each(NEW.registrations) r, json_each(r.value, '$.seats') s WHERE true
ON CONFLICT (event, number) DO UPDATE SET
    status = excluded.status, category = excluded.category, price_minor = excluded.price_minor,
    currency = excluded.currency, holder = excluded.holder, checked_in_ms = excluded.checked_in_ms
WHERE registration = excluded.registration;
SELECT RAISE(ABORT, 'seat_taken') WHERE changes() <> NEW.seats;
"""
_DECISIONS: Final = """
INSERT INTO decisions (id, outcome, log_time_ms, rules_version, command, kind, refusal, detail, organizer,
                       event, subject, person, key_id, fingerprint, first_seq, facts, own_seq, original)
SELECT NEW.partition << 48 | (value ->> 'offset'), value ->> 'outcome', value ->> 'log_time_ms',
       value ->> 'rules_version', value ->> 'command', value ->> 'kind', value ->> 'refusal',
       value ->> 'detail', value ->> 'organizer', value ->> 'event', value ->> 'subject', value ->> 'person',
       value ->> 'key_id', value ->> 'fingerprint', value ->> 'first_seq', value ->> 'facts',
       value ->> 'own_seq', value ->> 'original'
FROM json_each(NEW.decisions);
INSERT INTO facts (id, data)
SELECT NEW.partition << 48 | NEW.old_seq + key, CAST(value AS BLOB) FROM json_each(NEW.facts);
"""
_TRIGGER: Final = (
    "CREATE TEMP TRIGGER commit_batch INSTEAD OF INSERT ON batch BEGIN"
    f"{_FENCE}{_EVENTS}{_POOLS}{_REGISTRATIONS}{_DECISIONS}END"
)
COMMIT: Final = f"INSERT INTO batch ({_COLUMNS}) VALUES ({', '.join(['?'] * 22)})"
_SAID: Final = {
    "gap": "the facts of the partition do not go on without a gap",
    "pool_in_use": "a pool that is to go has seats taken",
    "no_event": "a registration is of an event that does not exist",
    "moved": "a registration changed its event or its arrival number",
    "seat_taken": "a seat number belongs to another registration",
}


def prepare(connection: sqlite3.Connection) -> None:
    """Teach a connection to commit batches by `COMMIT`."""
    connection.execute(_VIEW)
    connection.execute(_TRIGGER)


def parameters_of(
    connection: sqlite3.Connection, changes: Changes, written: Mapping[str, Event], now_ms: int
) -> Sequence[object]:
    """The parameters of `COMMIT` for a batch.

    `written` has events as they stand in the table; what is identical is not written again. `now_ms` is the
    ledger's clock. What contradicts itself is said by `fault_of`; a fenced owner learns of its fence first.
    """
    fault = fault_of(changes)
    strict = [] if fault else _strict_events(connection, changes, written)
    changed = [row.event for row in changes.events if written.get(row.event.id) is not row.event]
    again = [each.id for each in changes.registrations if each.version > 1]
    facts = b",".join([encode_fact(fact) for fact in changes.facts])
    return (
        changes.partition,
        changes.term.epoch,
        changes.term.revision,
        changes.old_offset,
        changes.new_offset,
        changes.log_time_ms,
        changes.rules_version,
        changes.next_seq - len(changes.facts),
        changes.next_seq,
        changes.last_hash,
        now_ms,
        _json([_event(changes.partition, event) for event in changed]),
        _json([(row.event.id, row.next_seat, row.code_uses) for row in changes.events]),
        _json(changes.pools_removed),
        _json([(pool.event, pool.pool, pool.capacity, pool.taken) for pool in changes.pools]),
        _json(again),
        _json(strict),
        _json(changes.registrations),
        sum([len(registration.seats) for registration in changes.registrations]),
        _json(changes.decisions),
        f"[{facts.decode()}]",
        fault,
    )


def refusal_of(said: str, changes: Changes) -> PortError:
    """What a RAISE of the trigger or a constraint says."""
    if said == "fenced":
        return Fenced(
            f"partition {changes.partition} is not at offset {changes.old_offset} under term "
            f"{tuple(changes.term)}"
        )
    return Rejected(
        fault_of(changes) if said == "fault" else f"the ledger forbids it: {_SAID.get(said, said)}"
    )


def _json(value: object) -> str:
    return encode_plain(value).decode()


def _event(partition: int, event: Event) -> tuple[Any, ...]:
    *columns, spec = event_row(partition, event)
    return *columns, spec.decode()


def fault_of(changes: Changes) -> str:
    """How a batch contradicts itself: not one decision for each offset, a gap in its facts, a seat number
    that one registration has twice. Empty when it does not."""
    partition = changes.partition
    offsets = [each.offset if each.partition == partition else -1 for each in changes.decisions]
    if offsets != list(range(changes.old_offset, changes.new_offset)):
        return (
            f"decisions of partition {changes.partition} are not one for each offset from "
            f"{changes.old_offset} to {changes.new_offset}"
        )
    seqs = [each.seq if each.partition == partition else -1 for each in changes.facts]
    if seqs != list(range(changes.next_seq - len(seqs), changes.next_seq)):
        return f"facts of partition {changes.partition} do not go on without a gap"
    for registration in changes.registrations:
        seats = registration.seats
        if len(seats) > 1 and len({seat.number for seat in seats}) != len(seats):
            return f"registration {registration.id} has a seat number twice"
    return ""


def _strict_events(
    connection: sqlite3.Connection, changes: Changes, written: Mapping[str, Event]
) -> list[str]:
    """Those events of these registrations that allowed one an e-mail all through the batch."""
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
    return [event_id for event_id, found in specs.items() if found and all(found)]
