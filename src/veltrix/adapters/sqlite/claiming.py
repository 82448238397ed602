"""Claims and results in notification's file: what becomes due, who may have it, and what came of it.

All of it runs inside a transaction of `SqliteNotices`. `moved` counts notices from status to status.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from veltrix.adapters.sqlite.notice_schema import (
    NOTICE_COLUMNS,
    OPEN,
    TARGET,
    WAITING,
    json_of,
    notice_of,
)
from veltrix.domain import limits
from veltrix.domain.targets import TargetState, disabled_detail, paced, room
from veltrix.ports.channel import Sent
from veltrix.ports.notices import HELD_UNKNOWN, LEASE_LOST, Claimed, Result, Share, Shares

Moved = Counter[str]

_LOST: Final = f"""
SELECT place, {TARGET}, attempts, tried_ms FROM notices WHERE status = 'attempting' AND due_ms <= ?
"""
_LOSE: Final = "UPDATE notices SET status = 'unknown' WHERE place = ?"
_LOSE_AND_HOLD: Final = """
UPDATE notices SET status = 'unknown', due_ms = NULL, detail = ?, fence = fence + 1 WHERE place = ?
"""
_EXPIRING: Final = f"""
SELECT place, status FROM notices WHERE expires_ms > 0 AND expires_ms <= ? AND {WAITING}
"""
_EXPIRE: Final = "UPDATE notices SET status = 'expired', due_ms = NULL, fence = fence + 1 WHERE place = ?"
_NEXT_TARGET: Final = f"""
SELECT {TARGET} FROM notices WHERE {WAITING} AND {TARGET} > ? ORDER BY {TARGET} LIMIT 1
"""
_DUE: Final = f"""
SELECT due_ms, place, status, attempts, fence, tried_before, {NOTICE_COLUMNS} FROM notices
WHERE {TARGET} = ? AND due_ms <= ? AND {WAITING} ORDER BY due_ms, place LIMIT ?
"""
_END_DISABLED: Final = f"""
UPDATE notices SET status = 'dead', due_ms = NULL, detail = ?, fence = fence + 1
WHERE {TARGET} = ? AND status = ? AND (status = 'pending' OR due_ms > 0) AND {WAITING}
"""
_BEHIND: Final = f"""
SELECT count(*) FROM (
    SELECT 1 FROM notices WHERE {TARGET} = ? AND event = ? AND seq < ? AND ordered = 1 AND {OPEN} LIMIT 1
)
"""
_PUT_ASIDE: Final = "UPDATE notices SET due_ms = NULL WHERE place = ?"
_TAKE: Final = """
UPDATE notices SET status = 'attempting', due_ms = ?, tried_ms = ?, attempts = attempts + 1, fence = fence + 1
WHERE place IN (SELECT value FROM json_each(?))
"""
_PACE: Final = """
INSERT INTO targets VALUES (?1, 'closed', ?2, '', 0, 0, 0, 1, ?3)
ON CONFLICT DO UPDATE SET paced_ms = ?3
"""
_PROBE: Final = """
UPDATE targets SET state = 'half_open', blocked_until_ms = ?, version = version + 1
WHERE name = ? AND state IN ('open', 'half_open')
"""
_STANDING: Final = """
SELECT n.id, n.place, n.status, n.fence, n.attempts, n.ordered
FROM (SELECT value AS wanted FROM json_each(?)) CROSS JOIN notices n ON n.id = wanted
WHERE n.status IN ('pending', 'attempting', 'unknown')
"""
_FINISH: Final = """
UPDATE notices
SET status = value ->> 1, due_ms = value ->> 2, detail = value ->> 3, tried_ms = value ->> 4,
    attempts = value ->> 5, fence = fence + 1
FROM json_each(?) WHERE place = value ->> 0
"""
_ATTEMPTED: Final = """
INSERT OR REPLACE INTO attempts
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
FROM json_each(?)
"""
_TRIM: Final = "DELETE FROM attempts WHERE place = ? AND number <= ?"
_BOUNCED: Final = """
INSERT INTO bounces SELECT organizer, ?, ?, ? FROM notices WHERE place = ? ON CONFLICT DO NOTHING
"""
_LINE_OF: Final = f"SELECT {TARGET}, event FROM notices WHERE place = ?"
_LINES_PUT_ASIDE: Final = f"""
SELECT DISTINCT {TARGET}, event FROM notices
WHERE ordered = 1 AND {OPEN} AND status = 'pending' AND due_ms IS NULL
"""
_FIRST_IN_LINE: Final = f"""
SELECT place, status, due_ms FROM notices
WHERE {TARGET} = ? AND event = ? AND ordered = 1 AND {OPEN} ORDER BY seq LIMIT 1
"""
_LET_GO: Final = "UPDATE notices SET due_ms = ? WHERE place = ?"


def claim(
    connection: sqlite3.Connection, now_ms: int, limit: int, lease_ms: int, shares: Shares, moved: Moved
) -> tuple[list[Claimed], bool]:
    """The claimed notices, and whether anything was written."""
    wrote = _lose(connection, now_ms, shares, moved)
    wrote |= _expire(connection, now_ms, moved)
    standing = {
        name: row
        for name, *row in connection.execute(
            "SELECT name, state, why, blocked_until_ms, paced_ms FROM targets"
        )
    }
    found: list[tuple[Any, ...]] = []
    target = ""
    while (row := connection.execute(_NEXT_TARGET, (target,)).fetchone()) is not None:
        target = row[0]
        state, why, blocked_ms, paced_ms = standing.get(target, ("closed", "", 0, 0.0))
        if state == TargetState.DISABLED:
            wrote |= _end_disabled(connection, target, why, now_ms, moved)
            continue
        if blocked_ms > now_ms:
            continue
        most = _most(shares.of(target), limit, state, paced_ms, now_ms)
        if most > 0:
            due, aside = _due(connection, target, now_ms, most)
            found += due
            wrote |= aside
    found.sort(key=lambda row: row[:2])
    taken = found[:limit]
    if not taken:
        return [], wrote
    claimed: list[Claimed] = []
    for _, _, status, attempts, fence, before, *fields in taken:
        moved[status] -= 1
        claimed.append(Claimed(notice_of(fields), attempts + 1 - (before or 0), fence + 1))
    moved["attempting"] += len(taken)
    places = json_of([row[1] for row in taken])
    connection.execute(_TAKE, (now_ms + lease_ms, now_ms, places))
    for name, count in Counter(each.notice.target for each in claimed).items():
        state, _, _, paced_ms = standing.get(name, ("closed", "", 0, 0.0))
        share = shares.of(name)
        if share.rate_per_s:
            connection.execute(_PACE, (name, now_ms, paced(paced_ms, now_ms, share.rate_per_s, count)))
        if state != TargetState.CLOSED:
            connection.execute(_PROBE, (now_ms + lease_ms, name))
    return claimed, True


def _most(share: Share, limit: int, state: str, paced_ms: float, now_ms: int) -> int:
    most = min(share.most, limit) if state == TargetState.CLOSED else min(share.most, 1)
    if share.rate_per_s:
        most = min(most, room(paced_ms, now_ms, share.rate_per_s, share.burst))
    return most


def _due(
    connection: sqlite3.Connection, target: str, now_ms: int, most: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """What is due for a target, and whether some had to be put aside behind others of their line."""
    aside = False
    while True:
        rows = connection.execute(_DUE, (target, now_ms, most)).fetchall()
        behind = [
            row[1] for row in rows if row[-1] is not None and row[2] == "pending" and _behind(connection, row)
        ]
        if not behind:
            return rows, aside
        aside = True
        connection.executemany(_PUT_ASIDE, ((place,) for place in behind))


def _behind(connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    notice = notice_of(row[6:])
    return bool(connection.execute(_BEHIND, (notice.target, notice.event, notice.seq)).fetchone()[0])


def _lose(connection: sqlite3.Connection, now_ms: int, shares: Shares, moved: Moved) -> bool:
    """Leases that ran out: whoever had them may have transmitted."""
    lost = connection.execute(_LOST, (now_ms,)).fetchall()
    rows = []
    for place, target, attempts, tried_ms in lost:
        started_ms = now_ms if tried_ms is None else tried_ms
        rows.append((place, attempts, started_ms, now_ms, Sent.UNKNOWN.value, None, LEASE_LOST, ""))
        if shares.of(target).hold:
            connection.execute(_LOSE_AND_HOLD, (HELD_UNKNOWN, place))
        else:
            connection.execute(_LOSE, (place,))
    _keep_attempts(connection, rows)
    moved["attempting"] -= len(lost)
    moved["unknown"] += len(lost)
    return bool(lost)


def _expire(connection: sqlite3.Connection, now_ms: int, moved: Moved) -> bool:
    expired = connection.execute(_EXPIRING, (now_ms,)).fetchall()
    for place, status in expired:
        connection.execute(_EXPIRE, (place,))
        moved[status] -= 1
        moved["expired"] += 1
    if expired:
        advance_lines(connection, now_ms)
    return bool(expired)


def _end_disabled(connection: sqlite3.Connection, target: str, why: str, now_ms: int, moved: Moved) -> bool:
    """Nothing waits for a target that is disabled."""
    total = 0
    for status in ("pending", "unknown"):
        ended = connection.execute(_END_DISABLED, (disabled_detail(why), target, status)).rowcount
        moved[status] -= ended
        moved["dead"] += ended
        total += ended
    return total > 0


def finish(connection: sqlite3.Connection, results: Sequence[Result], moved: Moved) -> int:
    """Record results whose fence still holds; returns how many did."""
    wanted = json_of([result.notice for result in results])
    standing = {row[0]: row[1:] for row in connection.execute(_STANDING, (wanted,))}
    rows: list[tuple[Any, ...]] = []
    attempts: list[tuple[Any, ...]] = []
    over: list[tuple[int, int]] = []
    for result in results:
        place, status, fence, tried, ordered = standing.get(result.notice, (0, "", -1, 0, None))
        if fence != result.fence:
            continue
        del standing[result.notice]
        now, at_ms = result.status.value, result.at_ms
        moved[status] -= 1
        moved[now] += 1
        if result.outcome:
            started_ms = at_ms if result.started_ms is None else result.started_ms
            row = (result.outcome, result.code, result.detail, result.excerpt)
            attempts.append((place, tried, started_ms, at_ms, *row))
        rows.append((place, now, result.next_ms, result.detail, at_ms, tried - (not result.outcome)))
        if ordered and now not in ("pending", "attempting", "unknown"):
            over.append((place, at_ms))
        if result.bounced:
            connection.execute(_BOUNCED, (result.bounced, at_ms, result.detail, place))
    if rows:
        connection.execute(_FINISH, (json_of(rows),))
        _keep_attempts(connection, attempts)
    for place, at_ms in over:
        _advance_line(connection, connection.execute(_LINE_OF, (place,)).fetchone(), at_ms)
    return len(rows)


def _keep_attempts(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        connection.execute(_ATTEMPTED, (json_of(rows),))
    for place, number, *_ in rows:
        if number > limits.ATTEMPTS_KEPT_MAX:
            connection.execute(_TRIM, (place, number - limits.ATTEMPTS_KEPT_MAX))


def advance_lines(connection: sqlite3.Connection, now_ms: int) -> None:
    """Let go all those that nobody is before any more."""
    for line in connection.execute(_LINES_PUT_ASIDE).fetchall():
        _advance_line(connection, line, now_ms)


def _advance_line(connection: sqlite3.Connection, line: tuple[str, str], now_ms: int) -> None:
    first = connection.execute(_FIRST_IN_LINE, line).fetchone()
    if first is not None and first[1] == "pending" and first[2] is None:
        connection.execute(_LET_GO, (now_ms, first[0]))
