"""Reads of the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeVar

from veltrix.adapters.postgres.rows import (
    DECISION_COLUMNS,
    EVENT_COLUMNS,
    FIRST,
    HEAD_COLUMNS,
    HOLDER,
    decision_of,
    decode_registration,
    decode_uses,
    event_of,
    head_of,
)
from veltrix.adapters.postgres.server import Postgres
from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Registration
from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.ports.ledger import Head
from veltrix.ports.queries import EventView, Filter, PoolView
from veltrix.wire import decode_fact

_Kept = TypeVar("_Kept")

SCAN_ROWS: Final = 500
"""Rows of a scan between which others run: a few milliseconds."""

# One statement is one snapshot: all of an event's numbers, and as of which offset.
_VIEW: Final = f"""
SELECT {EVENT_COLUMNS}, p.next_offset,
    ARRAY(SELECT pool FROM ledger.pools WHERE event = e.id ORDER BY pool),
    ARRAY(SELECT capacity FROM ledger.pools WHERE event = e.id ORDER BY pool),
    ARRAY(SELECT taken FROM ledger.pools WHERE event = e.id ORDER BY pool),
    (SELECT count(*) FROM ledger.registrations WHERE event = e.id AND status = 'waitlisted')
FROM ledger.events e
JOIN ledger.counters c ON c.event = e.id
JOIN ledger.partitions p ON p.partition = e.partition
"""
_HEAD: Final = f"SELECT {HEAD_COLUMNS} FROM ledger.partitions WHERE partition = $1"
_NEXT_OFFSET: Final = "SELECT next_offset FROM ledger.partitions WHERE partition = $1"
_FACTS: Final = "SELECT data FROM ledger.facts WHERE partition = $1 AND seq > $2 ORDER BY seq LIMIT $3"
_DECISION: Final = f"""
SELECT {DECISION_COLUMNS}, f.data FROM ledger.decisions d
LEFT JOIN ledger.facts f ON f.partition = d.partition AND f.seq = d.own_seq
WHERE d.command = $1 AND {FIRST}
"""
_PAGE: Final = """
SELECT snapshot FROM ledger.registrations WHERE event = $1 AND arrival > $2 ORDER BY arrival LIMIT $3
"""
_PAGE_OF_STATUS: Final = """
SELECT snapshot FROM ledger.registrations
WHERE event = $1 AND arrival > $2 AND status = ANY ($4::text[]) ORDER BY arrival LIMIT $3
"""
_OF_PERSON: Final = f"""
SELECT r.snapshot
FROM (SELECT DISTINCT subject FROM ledger.decisions WHERE person = $2 AND {HOLDER}) d
JOIN ledger.registrations r ON r.id = d.subject
WHERE r.event = $1 AND r.person = $2 AND r.arrival > $3 AND ($4::text[] IS NULL OR r.status = ANY ($4))
ORDER BY r.arrival LIMIT $5
"""
_HISTORY: Final = f"""
SELECT {DECISION_COLUMNS}, f.data FROM ledger.decisions d
LEFT JOIN ledger.facts f ON f.partition = d.partition AND f.seq = d.own_seq
WHERE d.person = $1 AND d.event = $2 AND d."offset" > $3 ORDER BY d."offset" LIMIT $4
"""
_AHEAD: Final = """
SELECT count(*) FROM ledger.registrations WHERE event = $1 AND status = 'waitlisted' AND arrival < $2
"""
_QUARANTINED: Final = """
SELECT "offset", detail FROM ledger.decisions WHERE partition = $1 AND outcome = 'quarantined'
"""
# A message in the write-ahead log, part of a transaction: its commit waits for the standbys as any other,
# and no table grows. (A transaction that only draws an id waits for nobody.)
_BARRIER: Final = "SELECT pg_logical_emit_message(true, 'veltrix barrier', '')"
# Canonical rows, in the order of tables and keys that every adapter keeps.
_ROWS: Final[tuple[tuple[str, str], ...]] = (
    (
        "partitions",
        "SELECT partition, topic_id, next_offset, log_time_ms, rules_version, next_seq, last_hash "
        "FROM ledger.partitions ORDER BY partition",
    ),
    (
        "events",
        f"SELECT {EVENT_COLUMNS} FROM ledger.events e JOIN ledger.counters c ON c.event = e.id ORDER BY e.id",
    ),
    ("pools", "SELECT event, pool, capacity, taken, ceiling FROM ledger.pools ORDER BY event, pool"),
    (
        "registrations",
        "SELECT id, partition, event, arrival, status, person, active_seats, hold_number, "
        "hold_deadline_ms, snapshot FROM ledger.registrations ORDER BY id",
    ),
    (
        "seats",
        "SELECT event, number, registration, status, category, price_minor, currency, holder, "
        "checked_in_ms FROM ledger.seats ORDER BY event, number",
    ),
    ("decisions", f'SELECT {DECISION_COLUMNS} FROM ledger.decisions d ORDER BY d.partition, d."offset"'),
    ("facts", "SELECT partition, seq, data FROM ledger.facts ORDER BY partition, seq"),
)


class PostgresQueries:
    """What registration and notification read, and the rows that the audit compares."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._events: dict[str, Event] = {}
        self._views: dict[str, EventView] = {}
        self._closed = False

    async def event(self, event: str) -> EventView | None:
        """One event with its numbers; those that are asked again and again are counted once a batch."""
        known = self._views.get(event)
        if known is not None and await self._value(_NEXT_OFFSET, known.partition) == known.next_offset:
            return known
        return self._one(await self._rows(f"{_VIEW} WHERE e.id = $1", event))

    async def event_by_slug(self, organizer: str, slug: str) -> EventView | None:
        """The organizer's event of that slug."""
        return self._one(await self._rows(f"{_VIEW} WHERE e.organizer = $1 AND e.slug = $2", organizer, slug))

    async def events(self, organizer: str, after: str, limit: int) -> list[EventView]:
        """The organizer's events, by id."""
        query = f"{_VIEW} WHERE e.organizer = $1 AND e.id > $2 ORDER BY e.id LIMIT $3"
        return [self._view(row) for row in await self._rows(query, organizer, after, limit)]

    async def registration(self, registration: str) -> Registration | None:
        """One registration."""
        query = "SELECT snapshot FROM ledger.registrations WHERE id = $1"
        snapshot = await self._value(query, registration)
        return None if snapshot is None else decode_registration(snapshot)

    async def registrations(self, wanted: Filter, after: int, limit: int) -> list[Registration]:
        """Registrations by arrival."""
        statuses = None if wanted.statuses is None else sorted(status.value for status in wanted.statuses)
        if wanted.person is not None:
            rows = await self._rows(_OF_PERSON, wanted.event, wanted.person, after, statuses, limit)
        elif statuses is not None:
            rows = await self._rows(_PAGE_OF_STATUS, wanted.event, after, limit, statuses)
        else:
            rows = await self._rows(_PAGE, wanted.event, after, limit)
        return [decode_registration(snapshot) for (snapshot,) in rows]

    async def waiting_ahead(self, registration: Registration) -> int:
        """How many wait before it."""
        ahead: int = await self._value(_AHEAD, registration.event, registration.arrival)
        return ahead

    async def decision(self, command: str) -> tuple[Decision, NumberedFact | None] | None:
        """The first decision of a command, with the fact that answers it."""
        rows = await self._rows(_DECISION, command)
        if not rows:
            return None
        *fields, data = rows[0]
        return decision_of(fields), None if data is None else decode_fact(data)

    async def history(
        self, event: str, person: str, after: int, limit: int
    ) -> list[tuple[Decision, NumberedFact | None]]:
        """The decisions that name a person, with the facts that answer them."""
        rows = await self._rows(_HISTORY, person, event, after, limit)
        return [(decision_of(fields), None if data is None else decode_fact(data)) for *fields, data in rows]

    async def head(self, partition: int) -> Head | None:
        """Where a partition stands."""
        rows = await self._rows(_HEAD, partition)
        return head_of(rows[0]) if rows else None

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Facts with a greater sequence number."""
        return [decode_fact(data) for (data,) in await self._rows(_FACTS, partition, after_seq, limit)]

    async def barrier(self) -> None:
        """A commit of its own: a primary that its standbys do not follow any more cannot make it."""
        self._check_open()
        try:
            await self._postgres.write(lambda connection: connection.fetchval(_BARRIER))
        except OutcomeUnknown as error:
            raise Unavailable(f"the primary cannot say that it still is one: {error}") from error

    async def rows(self) -> AsyncIterator[tuple[str, tuple[object, ...]]]:
        """Every row, canonical, of one snapshot, through a cursor on the server."""
        self._check_open()
        async with self._postgres.snapshot() as link:
            for table, query in _ROWS:
                cursor = await self._postgres.within(link, link.connection.cursor(query))
                while page := await self._postgres.within(link, cursor.fetch(SCAN_ROWS)):
                    for row in page:
                        yield table, tuple(row)

    async def quarantined(self, partition: int) -> dict[int, str]:
        """Offset and reason of every quarantined record."""
        return dict(await self._rows(_QUARANTINED, partition))

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the ledger is closed")

    async def _rows(self, query: str, *values: object) -> list[Any]:
        self._check_open()
        return await self._postgres.read(lambda connection: connection.fetch(query, *values))

    async def _value(self, query: str, *values: object) -> Any:
        self._check_open()
        return await self._postgres.read(lambda connection: connection.fetchval(query, *values))

    def _one(self, rows: Sequence[Any]) -> EventView | None:
        return self._view(rows[0]) if rows else None

    def _view(self, row: Sequence[Any]) -> EventView:
        event = self._decode_event(row)
        next_offset, keys, capacities, taken, waiting = row[14:19]
        pools = {
            key: PoolView(key, capacity, seats, max(0, capacity - seats))
            for key, capacity, seats in zip(keys, capacities, taken, strict=True)
        }
        ordered = tuple(pools[pool.key] for pool in event.spec.pools if pool.key in pools)
        view = EventView(event, ordered, waiting, row[1], next_offset, decode_uses(row[12]))
        _keep(self._views, event.id, view)
        return view

    def _decode_event(self, row: Sequence[Any]) -> Event:
        """Events are read far more often than they change: keep the decoded ones, by version."""
        known = self._events.get(row[0])
        if known is not None and (known.version, known.changed_ms) == (row[5], row[8]):
            return known
        event = event_of(row)
        _keep(self._events, event.id, event)
        return event


def _keep(kept: dict[str, _Kept], key: str, value: _Kept) -> None:
    """Keep a value under a key, and of all the last that were put there."""
    kept.pop(key, None)
    if len(kept) >= limits.EVENTS_CACHED:
        del kept[next(iter(kept))]
    kept[key] = value
