"""What operators see and order, on notification's file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from veltrix.adapters.sqlite.claiming import Moved, advance_lines
from veltrix.adapters.sqlite.database import Database
from veltrix.adapters.sqlite.notice_schema import (
    IS_HELD,
    NOTICE_COLUMNS,
    TARGET,
    TARGET_COLUMNS,
    WAITING,
    complete,
    json_of,
    notice_of,
)
from veltrix.adapters.sqlite.snapshots import Snapshots
from veltrix.adapters.sqlite.writer import Writer
from veltrix.domain import limits
from veltrix.domain.targets import Target, TargetState, enabled
from veltrix.ports.deliveries import AttemptRow, Backlog, Bounce, Delivery, Wanted
from veltrix.ports.errors import Fenced
from veltrix.ports.fulfilment import REPLAYED, Progress
from veltrix.ports.notices import Notice, NoticeStatus
from veltrix.ports.outreach import Order, OrderKind

_SCANNED_ROWS: Final = 20_000
"""Rows that a search looks at before it lets others run."""
_DELIVERY: Final = f"place, status, attempts, detail, due_ms, tried_ms, {NOTICE_COLUMNS}"
_ATTEMPTS: Final = """
SELECT a.number, a.started_ms, a.ended_ms, a.outcome, a.code, a.detail, a.excerpt
FROM attempts a JOIN notices n ON n.place = a.place WHERE n.id = ? ORDER BY a.number
"""
_BACKLOG: Final = f"""
SELECT {TARGET}, min(channel), count(*), min(CASE WHEN {IS_HELD} THEN NULL ELSE created_ms END), min(due_ms)
FROM notices WHERE {WAITING} GROUP BY {TARGET} ORDER BY {TARGET}
"""
_REPLAY: Final = """
UPDATE notices SET status = 'pending', due_ms = ?, detail = '', tried_before = attempts, fence = fence + 1
WHERE place = ?
"""
_RELEASE: Final = "UPDATE notices SET due_ms = ?, fence = fence + 1 WHERE place = ?"
_DROP: Final = "UPDATE notices SET status = 'suppressed', detail = ?, fence = fence + 1 WHERE place = ?"
_PUT_TARGET: Final = f"""
INSERT INTO targets ({TARGET_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 + 1)
ON CONFLICT DO UPDATE SET state = ?2, since_ms = ?3, why = ?4, failures = ?5, opened = ?6,
    blocked_until_ms = ?7, version = ?8 + 1
WHERE version = ?8
"""
_PAGED: Final = frozenset({OrderKind.REPLAY, OrderKind.RELEASE, OrderKind.DROP})


class SqliteDeliveries:
    """The ports `Deliveries` and `Fulfilment`."""

    def __init__(self, database: Database) -> None:
        self._snapshots = Snapshots(database)
        self._writer = Writer(database)
        self._counts: Counter[str] | None = None
        complete(self._writer.connection)
        self._holds: dict[int, int] = dict(self._writer.connection.execute("SELECT * FROM holds"))

    async def search(self, wanted: Wanted, before: int | None, limit: int) -> list[Delivery]:
        """Matching notices, the newest first. A few thousand rows at a time are looked at."""
        condition, values = _condition(wanted)
        found: list[Delivery] = []
        async with self._snapshots.scan() as connection:
            if before is None:
                row = connection.execute("SELECT coalesce(max(place), 0) + 1 FROM notices").fetchone()
                before = int(row[0])
            direct = bool(wanted.ids or wanted.registration)
            while before > 1 and len(found) < limit:
                down_to = 1 if direct else max(1, before - _SCANNED_ROWS)
                rows = connection.execute(
                    f"SELECT {_DELIVERY} FROM notices WHERE place < ? AND place >= ? AND {condition} "
                    "ORDER BY place DESC LIMIT ?",
                    (before, down_to, *values, limit - len(found)),
                )
                found += [_delivery(row) for row in rows.fetchall()]
                before = down_to
                await asyncio.sleep(0)
        return found

    async def attempts(self, notice: str) -> list[AttemptRow]:
        """The attempts at a notice."""
        with self._snapshots.now() as connection:
            return [AttemptRow(*row) for row in connection.execute(_ATTEMPTS, (notice,))]

    async def targets(self, names: Sequence[str] | None = None) -> list[Target]:
        """How targets stand."""
        query = f"SELECT {TARGET_COLUMNS} FROM targets ORDER BY name"
        with self._snapshots.now() as connection:
            rows = connection.execute(query).fetchall()
        return [_target(row) for row in rows if names is None or row[0] in names]

    async def bounced(self, asked: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these bounced."""
        query = (
            "SELECT organizer, address FROM json_each(?) "
            "JOIN bounces ON organizer = value ->> 0 AND address = value ->> 1"
        )
        with self._snapshots.now() as connection:
            if not connection.execute("SELECT 1 FROM bounces LIMIT 1").fetchone():
                return set()
            return {(row[0], row[1]) for row in connection.execute(query, (json_of(list(asked)),))}

    async def bounces(self, organizer: str, after: str, limit: int) -> list[Bounce]:
        """An organizer's bounced addresses."""
        query = "SELECT * FROM bounces WHERE organizer = ? AND address > ? ORDER BY address LIMIT ?"
        with self._snapshots.now() as connection:
            return [Bounce(*row) for row in connection.execute(query, (organizer, after, limit))]

    async def backlog(self) -> list[Backlog]:
        """What waits, by target."""
        with self._snapshots.now() as connection:
            rows = connection.execute(_BACKLOG).fetchall()
        return [Backlog(*row) for row in rows]

    async def progress(self) -> Progress:
        """How far orders are carried out."""
        with self._snapshots.now() as connection:
            return Progress(*connection.execute("SELECT seq, place FROM progress").fetchone())

    async def carry_out(
        self, order: Order, at: Progress, now_ms: int, notices: Sequence[Notice] = ()
    ) -> Progress:
        """Carry out an order, or a page of it."""
        moved: Moved = Counter()
        place = 0
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            standing = Progress(*connection.execute("SELECT seq, place FROM progress").fetchone())
            if standing != at or order.seq != at.seq + 1:
                raise Fenced(f"orders are carried out up to {standing}, not {at}")
            self._add(notices, moved, at_once=True)
            if order.kind in _PAGED:
                place = _page(connection, order, at.place, now_ms, moved)
            elif order.kind is OrderKind.ENABLE:
                _enable(connection, order.target, now_ms)
            elif order.kind is OrderKind.UNBOUNCE:
                query = "DELETE FROM bounces WHERE organizer = ? AND address = ?"
                connection.executemany(query, [(order.organizer, each) for each in order.addresses])
            progress = Progress(at.seq, place) if place else Progress(order.seq)
            connection.execute("UPDATE progress SET seq = ?, place = ?", (progress.seq, progress.place))
        self._count(counts, moved)
        return progress

    async def rewind(self, at: Progress, seq: int) -> bool:
        """Let orders after this one be the next."""
        query = "UPDATE progress SET seq = ?, place = 0 WHERE seq = ? AND place = ?"
        async with self._writer.transaction() as connection:
            return connection.execute(query, (seq, at.seq, at.place)).rowcount == 1

    async def change_target(self, target: Target) -> bool:
        """Record how a target stands."""
        async with self._writer.transaction() as connection:
            known = connection.execute(
                "SELECT version FROM targets WHERE name = ?", (target.name,)
            ).fetchone()
            if (0 if known is None else known[0]) != target.version:
                return False
            connection.execute(_PUT_TARGET, _target_row(target))
        return True

    def _add(self, notices: Sequence[Notice], moved: Moved, *, at_once: bool = False) -> None:
        raise NotImplementedError

    def _count(self, counts: Counter[str] | None, moved: Moved) -> None:
        """Put the counts back after a commit that went well; after any other they are counted anew."""
        if counts is not None:
            counts.update(moved)
            self._counts = counts


def _condition(wanted: Wanted) -> tuple[str, list[Any]]:
    """What is wanted, as a condition and its values."""
    parts: list[tuple[str, Any]] = []
    for column in ("organizer", "event", "registration", "channel", "kind"):
        value = getattr(wanted, column)
        if value is not None:
            parts.append((f"{column} = ?", value))
    if wanted.ids:
        parts.append(("id IN (SELECT value FROM json_each(?))", json_of(wanted.ids)))
    if wanted.statuses:
        parts.append(("status IN (SELECT value FROM json_each(?))", json_of(sorted(wanted.statuses))))
    if wanted.target is not None:
        parts.append((f"{TARGET} = ?", wanted.target))
    if wanted.since_ms is not None:
        parts.append(("created_ms >= ?", wanted.since_ms))
    if wanted.until_ms is not None:
        parts.append(("created_ms < ?", wanted.until_ms))
    condition = " AND ".join([text for text, _ in parts] + ([IS_HELD] if wanted.held else [])) or "true"
    return condition, [value for _, value in parts]


def _page(connection: sqlite3.Connection, order: Order, after: int, now_ms: int, moved: Moved) -> int:
    """The next notices of an order; returns the place of the last one, 0 when there are no more."""
    wanted = replace(order.wanted or Wanted(), organizer=order.organizer)
    if order.kind is OrderKind.REPLAY:
        wanted = replace(
            wanted,
            statuses=(wanted.statuses or REPLAYED) - {NoticeStatus.SUPPRESSED, NoticeStatus.ATTEMPTING},
        )
        if not wanted.statuses:
            return 0
    else:
        wanted = replace(wanted, held=True)
    condition, values = _condition(wanted)
    rows = connection.execute(
        f"SELECT place, status FROM notices WHERE place > ? AND created_ms <= ? AND {condition} "
        "ORDER BY place LIMIT ?",
        (after, order.created_ms, *values, limits.ORDER_PAGE + 1),
    ).fetchall()
    page = rows[: limits.ORDER_PAGE]
    now = {OrderKind.REPLAY: "pending", OrderKind.RELEASE: "unknown", OrderKind.DROP: "suppressed"}[
        order.kind
    ]
    for place, status in page:
        if order.kind is OrderKind.REPLAY:
            connection.execute(_REPLAY, (now_ms, place))
        elif order.kind is OrderKind.RELEASE:
            connection.execute(_RELEASE, (now_ms, place))
        else:
            connection.execute(_DROP, (f"dropped by order {order.seq}", place))
        moved[status] -= 1
        moved[now] += 1
    if order.kind is OrderKind.DROP:
        advance_lines(connection, now_ms)
    return page[-1][0] if len(rows) > len(page) else 0


def _enable(connection: sqlite3.Connection, name: str, now_ms: int) -> None:
    row = connection.execute(f"SELECT {TARGET_COLUMNS} FROM targets WHERE name = ?", (name,)).fetchone()
    if row is not None:
        connection.execute(_PUT_TARGET, _target_row(enabled(_target(row), now_ms)))


def _delivery(row: tuple[Any, ...]) -> Delivery:
    place, status, attempts, detail, due_ms, tried_ms, *fields = row
    return Delivery(place, notice_of(fields), NoticeStatus(status), attempts, detail, due_ms, tried_ms)


def _target(row: tuple[Any, ...]) -> Target:
    name, state, *rest = row
    return Target(name, TargetState(state), *rest)


def _target_row(target: Target) -> tuple[Any, ...]:
    return (
        target.name,
        target.state.value,
        target.since_ms,
        target.why,
        target.failures,
        target.opened,
        target.blocked_until_ms,
        target.version,
    )
