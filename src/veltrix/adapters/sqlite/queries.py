"""Reads of the ledger file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, TypeVar

from veltrix.adapters.sqlite.schema import (
    DECISION_COLUMNS,
    EVENT_COLUMNS,
    FIRST,
    HEAD_COLUMNS,
    HOLDER,
    NAMED,
    NUMBERS,
    SHIFT,
    decision_of,
    decode_registration,
    decode_uses,
    event_of,
    key_of,
)
from veltrix.adapters.sqlite.snapshots import Snapshots
from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Registration
from veltrix.ports.ledger import Head, Term
from veltrix.ports.queries import EventView, Filter, PoolView
from veltrix.wire import decode_fact

_Kept = TypeVar("_Kept")

SCAN_ROWS: Final = 500
"""Rows of a scan between which others run: a few milliseconds."""

_EVENT: Final = f"SELECT {EVENT_COLUMNS} FROM events e JOIN counters c ON c.event = e.id"
_DECISION: Final = f"SELECT {DECISION_COLUMNS} FROM decisions WHERE command = ? AND {FIRST}"
_HISTORY: Final = f"""
SELECT d.*, (SELECT data FROM facts WHERE id = d.id >> {SHIFT} << {SHIFT} | d.own_seq)
FROM (
    SELECT {DECISION_COLUMNS} FROM decisions
    WHERE person = ?1 AND {HOLDER} AND event = ?2 AND id & {NUMBERS} > ?3
    UNION ALL
    SELECT {DECISION_COLUMNS} FROM decisions
    WHERE person = ?1 AND {NAMED} AND event = ?2 AND id & {NUMBERS} > ?3
    ORDER BY id LIMIT ?4
) d
"""
_HEAD: Final = f"SELECT {HEAD_COLUMNS} FROM partitions WHERE partition = ?"
_FACTS: Final = "SELECT data FROM facts WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_POOLS: Final = "SELECT pool, capacity, taken FROM pools WHERE event = ?"
_WAITING: Final = "SELECT count(*) FROM registrations WHERE event = ? AND status = 'waitlisted'"
_PAGE: Final = """
SELECT arrival, status, snapshot FROM registrations
WHERE event = ? AND arrival > ? ORDER BY arrival LIMIT ?
"""
_OF_PERSON: Final = f"""
SELECT r.snapshot
FROM (SELECT DISTINCT subject FROM decisions WHERE person = ?2 AND {HOLDER})
CROSS JOIN registrations r ON r.id = subject
WHERE r.event = ?1 AND r.person = ?2 AND r.arrival > ?3 ORDER BY r.arrival
"""
# Canonical rows, in the order of tables and keys that every adapter keeps.
_ROWS: Final[tuple[tuple[str, str], ...]] = (
    (
        "partitions",
        "SELECT partition, topic_id, next_offset, log_time_ms, rules_version, next_seq, last_hash "
        "FROM partitions ORDER BY partition",
    ),
    ("events", f"{_EVENT} ORDER BY e.id"),
    ("pools", "SELECT event, pool, capacity, taken, ceiling FROM pools ORDER BY event, pool"),
    (
        "registrations",
        "SELECT id, partition, event, arrival, status, person, active_seats, hold_number, "
        "hold_deadline_ms, snapshot FROM registrations ORDER BY id",
    ),
    (
        "seats",
        "SELECT event, number, registration, status, category, price_minor, currency, holder, "
        "checked_in_ms FROM seats ORDER BY event, number",
    ),
    (
        "decisions",
        f'SELECT partition, "offset", {DECISION_COLUMNS.removeprefix("id, ")} FROM decisions ORDER BY id',
    ),
    ("facts", "SELECT partition, seq, data FROM facts ORDER BY id"),
)


class SqliteQueries:
    """What registration and notification read, and the rows that the audit compares."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._events: dict[str, Event] = {}
        self._views: dict[str, EventView] = {}

    async def event(self, event: str) -> EventView | None:
        """One event with its numbers; those that are asked again and again are counted once a batch."""
        known = self._views.get(event)
        if known is not None:
            with self._snapshots.now() as connection:
                if _next_offset(connection, known.partition) == known.next_offset:
                    return known
        return self._one_event(f"{_EVENT} WHERE e.id = ?", event)

    async def event_by_slug(self, organizer: str, slug: str) -> EventView | None:
        """The organizer's event of that slug."""
        return self._one_event(f"{_EVENT} WHERE e.organizer = ? AND e.slug = ?", organizer, slug)

    async def events(self, organizer: str, after: str, limit: int) -> list[EventView]:
        """The organizer's events, by id."""
        query = f"{_EVENT} WHERE e.organizer = ? AND e.id > ? ORDER BY e.id LIMIT ?"
        with self._snapshots.now() as connection:
            rows = connection.execute(query, (organizer, after, limit)).fetchall()
            return [self._view(connection, row) for row in rows]

    async def registration(self, registration: str) -> Registration | None:
        """One registration."""
        with self._snapshots.now() as connection:
            row = connection.execute(
                "SELECT snapshot FROM registrations WHERE id = ?", (registration,)
            ).fetchone()
        return None if row is None else decode_registration(row[0])

    async def registrations(self, wanted: Filter, after: int, limit: int) -> list[Registration]:
        """Registrations by arrival. A rare status is looked for in steps that let others run."""
        if wanted.person is not None:
            return self._of_person(wanted, wanted.person, after, limit)
        found: list[Registration] = []
        statuses = None if wanted.statuses is None else {status.value for status in wanted.statuses}
        async with self._snapshots.scan() as connection:
            place, full = after, True
            while full:
                full = False
                rows = connection.execute(_PAGE, (wanted.event, place, SCAN_ROWS))
                for number, (arrival, status, snapshot) in enumerate(rows, 1):
                    if len(found) >= limit:
                        return found
                    if statuses is None or status in statuses:
                        found.append(decode_registration(snapshot))
                    place, full = arrival, number == SCAN_ROWS
                await asyncio.sleep(0)
        return found

    async def waiting_ahead(self, registration: Registration) -> int:
        """How many wait before it."""
        with self._snapshots.now() as connection:
            row = connection.execute(
                f"{_WAITING} AND arrival < ?", (registration.event, registration.arrival)
            ).fetchone()
        ahead: int = row[0]
        return ahead

    async def decision(self, command: str) -> tuple[Decision, NumberedFact | None] | None:
        """The first decision of a command, with the fact that answers it."""
        with self._snapshots.now() as connection:
            row = connection.execute(_DECISION, (command,)).fetchone()
            if row is None:
                return None
            decision = decision_of(row)
            if decision.own_seq is None:
                return decision, None
            key = key_of(decision.partition, decision.own_seq)
            (data,) = connection.execute("SELECT data FROM facts WHERE id = ?", (key,)).fetchone()
        return decision, decode_fact(data)

    async def history(
        self, event: str, person: str, after: int, limit: int
    ) -> list[tuple[Decision, NumberedFact | None]]:
        """The decisions that name a person, with the facts that answer them."""
        with self._snapshots.now() as connection:
            rows = connection.execute(_HISTORY, (person, event, after, limit)).fetchall()
        return [(decision_of(row), None if data is None else decode_fact(data)) for *row, data in rows]

    async def head(self, partition: int) -> Head | None:
        """Where a partition stands."""
        with self._snapshots.now() as connection:
            row = connection.execute(_HEAD, (partition,)).fetchone()
        return None if row is None else head_of(row)

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Facts with a greater sequence number."""
        after, last = key_of(partition, max(0, after_seq)), key_of(partition, NUMBERS)
        with self._snapshots.now() as connection:
            rows = connection.execute(_FACTS, (after, last, limit)).fetchall()
        return [decode_fact(data) for (data,) in rows]

    async def barrier(self) -> None:
        """Reads of the one process are linearizable anyway."""
        with self._snapshots.now():
            pass

    async def rows(self) -> AsyncIterator[tuple[str, tuple[object, ...]]]:
        """Every row, canonical, of one snapshot."""
        async with self._snapshots.scan() as connection:
            connection.execute("SELECT count(*) FROM partitions").fetchone()
            for table, query in _ROWS:
                cursor = connection.execute(query)
                while page := cursor.fetchmany(SCAN_ROWS):
                    for row in page:
                        yield table, row
                    await asyncio.sleep(0)

    async def quarantined(self, partition: int) -> dict[int, str]:
        """Offset and reason of every quarantined record."""
        query = "SELECT id, detail FROM decisions WHERE outcome = 'quarantined' AND id BETWEEN ? AND ?"
        with self._snapshots.now() as connection:
            rows = connection.execute(query, (key_of(partition, 0), key_of(partition, NUMBERS))).fetchall()
        return {key & NUMBERS: detail for key, detail in rows}

    def _one_event(self, query: str, *values: str) -> EventView | None:
        with self._snapshots.now() as connection:
            row = connection.execute(query, values).fetchone()
            return None if row is None else self._view(connection, row)

    def _view(self, connection: sqlite3.Connection, row: tuple[Any, ...]) -> EventView:
        event = self._decode_event(row)
        pools = tuple(
            PoolView(key, capacity, taken, max(0, capacity - taken))
            for key, capacity, taken in pools_of(connection, event)
        )
        (waiting,) = connection.execute(_WAITING, (event.id,)).fetchone()
        next_offset = _next_offset(connection, row[1])
        view = EventView(event, pools, waiting, row[1], next_offset, decode_uses(row[12]))
        _keep(self._views, event.id, view)
        return view

    def _decode_event(self, row: tuple[Any, ...]) -> Event:
        """Events are read far more often than they change: keep the decoded ones, by version."""
        known = self._events.get(row[0])
        if known is not None and (known.version, known.changed_ms) == (row[5], row[8]):
            return known
        event = event_of(row)
        _keep(self._events, event.id, event)
        return event

    def _of_person(self, wanted: Filter, person: str, after: int, limit: int) -> list[Registration]:
        with self._snapshots.now() as connection:
            rows = connection.execute(_OF_PERSON, (wanted.event, person, after)).fetchall()
        found = [decode_registration(snapshot) for (snapshot,) in rows]
        return _with_status(found, wanted)[:limit]


def pools_of(connection: sqlite3.Connection, event: Event) -> list[tuple[str, int, int]]:
    """(key, capacity, taken) of an event's pools, in the order of its specification."""
    rows: dict[str, tuple[str, int, int]] = {row[0]: row for row in connection.execute(_POOLS, (event.id,))}
    return [rows[pool.key] for pool in event.spec.pools if pool.key in rows]


def _next_offset(connection: sqlite3.Connection, partition: int) -> int:
    query = "SELECT next_offset FROM partitions WHERE partition = ?"
    next_offset: int = connection.execute(query, (partition,)).fetchone()[0]
    return next_offset


def _keep(kept: dict[str, _Kept], key: str, value: _Kept) -> None:
    """Keep a value under a key, and of all the last that were put there."""
    kept.pop(key, None)
    if len(kept) >= limits.EVENTS_CACHED:
        del kept[next(iter(kept))]
    kept[key] = value


def head_of(row: tuple[Any, ...]) -> Head:
    """The head in a row of `HEAD_COLUMNS`."""
    partition, epoch, revision, *rest = row
    return Head(partition, Term(epoch, revision), *rest)


def _with_status(registrations: Iterable[Registration], wanted: Filter) -> list[Registration]:
    statuses = wanted.statuses
    return [each for each in registrations if statuses is None or each.status in statuses]
