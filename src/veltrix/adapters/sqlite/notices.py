"""Notification's store in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from veltrix.adapters.sqlite.claiming import Moved, advance_lines, claim, finish
from veltrix.adapters.sqlite.database import Database, Synchronous
from veltrix.adapters.sqlite.deliveries import SqliteDeliveries
from veltrix.adapters.sqlite.notice_schema import (
    IS_HELD,
    JOB_COLUMNS,
    KIND,
    NOTICE_COLUMNS,
    notice_of,
    notice_rows,
)
from veltrix.adapters.sqlite.writer import ROWS_MAX, rows_statement
from veltrix.ports.errors import Fenced
from veltrix.ports.notices import (
    HELD,
    Claimed,
    FanOut,
    Notice,
    NoticeStatus,
    Planned,
    Result,
    Share,
    Shares,
)

_ADD: Final = f"""
INSERT INTO notices ({NOTICE_COLUMNS}, due_ms)
"""
_ADD_HELD: Final = f"""
INSERT INTO notices ({NOTICE_COLUMNS}, status, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'unknown', ?) ON CONFLICT DO NOTHING
"""
_HOLD: Final = """
UPDATE notices SET status = 'unknown', due_ms = NULL, detail = ?, fence = fence + 1
WHERE partition = ? AND seq <= ? AND status = ? AND NOT (status = 'unknown' AND due_ms IS NULL)
"""
_SEND_HELD: Final = f"UPDATE notices SET due_ms = created_ms, fence = fence + 1 WHERE {IS_HELD}"
_DROP_HELD: Final = f"UPDATE notices SET status = 'suppressed', fence = fence + 1 WHERE {IS_HELD}"
_KEEP: Final = "ON CONFLICT DO NOTHING"
_ADD_JOB: Final = """
INSERT INTO jobs (partition, seq, organizer, event, kind, after_arrival, trace, expires_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_SUPPRESS: Final = (
    "UPDATE notices SET status = 'suppressed', due_ms = NULL, fence = fence + 1 WHERE place = ?"
)
_OPEN: Final = frozenset({"pending", "attempting", "unknown"})


class SqliteNotices(SqliteDeliveries):
    """Inbox, notices and jobs in one file. `open` makes one.

    The counts by status are kept in memory, so that whoever asks often does not count a million rows.
    """

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL") -> SqliteNotices:
        """Open the store, creating it when it is missing; raises `Mismatch` or `Unavailable`."""
        store = cls(Database(Path(path), KIND, synchronous=synchronous))
        await store.counts()
        return store

    async def position(self, partition: int) -> int:
        """The last fact that was planned."""
        with self._snapshots.now() as connection:
            row = connection.execute("SELECT seq FROM positions WHERE partition = ?", (partition,)).fetchone()
        return 0 if row is None else row[0]

    async def record(self, partition: int, after_seq: int, upto_seq: int, planned: Planned) -> list[str]:
        """Move the inbox and record what is planned."""
        moved: Moved = Counter()
        erased: list[str] = []
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            _move_inbox(connection, partition, after_seq, upto_seq)
            self._add(planned.notices, moved, at_once=bool(planned.erased))
            connection.executemany(_ADD_JOB, map(_job_row, planned.jobs))
            for event, person in planned.erased:
                erased += _suppress(connection, event, person, moved)
        self._count(counts, moved)
        return erased

    async def claim(
        self, now_ms: int, limit: int, lease_ms: int, shares: Shares | None = None
    ) -> list[Claimed]:
        """Take due notices, the one due longest first."""
        moved: Moved = Counter()
        shares = Shares(Share(limit)) if shares is None else shares
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            claimed, wrote = claim(connection, now_ms, limit, lease_ms, shares, moved)
            if not wrote:
                self._writer.rollback()
        self._count(counts, moved)
        return claimed

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds; each does so once."""
        moved: Moved = Counter()
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            recorded = finish(connection, results, moved)
            if not recorded:
                self._writer.rollback()
        self._count(counts, moved)
        return recorded

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open jobs, oldest first."""
        query = f"SELECT {JOB_COLUMNS} FROM jobs ORDER BY place LIMIT ?"
        with self._snapshots.now() as connection:
            return [FanOut(*row) for row in connection.execute(query, (limit,))]

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job and move it on."""
        moved: Moved = Counter()
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            where = "WHERE partition = ? AND seq = ? AND after_arrival = ?"
            key = (job.partition, job.seq, job.after_arrival)
            if upto_arrival is None:
                done = connection.execute(f"DELETE FROM jobs {where}", key).rowcount
            else:
                done = connection.execute(
                    f"UPDATE jobs SET after_arrival = ? {where}", (upto_arrival, *key)
                ).rowcount
            if done != 1:
                raise Fenced(f"job {job.partition}/{job.seq} is not at arrival {job.after_arrival} any more")
            self._add(notices, moved)
        self._count(counts, moved)

    async def of_registration(self, registration: str) -> list[tuple[Notice, NoticeStatus, int, str]]:
        """What is known of a registration's notices."""
        query = (
            f"SELECT status, attempts, detail, {NOTICE_COLUMNS} FROM notices "
            "WHERE registration = ? ORDER BY place"
        )
        with self._snapshots.now() as connection:
            rows = connection.execute(query, (registration,)).fetchall()
        return [
            (notice_of(fields), NoticeStatus(status), attempts, detail)
            for status, attempts, detail, *fields in rows
        ]

    async def hold(self, partition: int, upto_seq: int) -> int:
        """Hold the notices of facts up to this one."""
        moved: Moved = Counter()
        total = 0
        upto_seq = max(upto_seq, self._holds.get(partition, 0))
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            connection.execute("INSERT OR REPLACE INTO holds VALUES (?, ?)", (partition, upto_seq))
            for status in sorted(_OPEN):
                held = connection.execute(_HOLD, (HELD, partition, upto_seq, status)).rowcount
                moved[status] -= held
                moved["unknown"] += held
                total += held
        self._holds[partition] = upto_seq
        self._count(counts, moved)
        return total

    async def release(self, *, send: bool) -> int:
        """Let go what is held."""
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            released = connection.execute(_SEND_HELD if send else _DROP_HELD).rowcount
            if released and not send:
                advance_lines(connection, 0)
        self._count(counts, Counter() if send else Counter(unknown=-released, suppressed=released))
        return released

    async def held(self) -> int:
        """How many are held."""
        with self._snapshots.now() as connection:
            row = connection.execute(f"SELECT count(*) FROM notices WHERE {IS_HELD}").fetchone()
        held: int = row[0]
        return held

    async def counts(self) -> dict[NoticeStatus, int]:
        """How many stand in each status."""
        with self._snapshots.now() as connection:
            if self._counts is None:
                rows = connection.execute("SELECT status, count(*) FROM notices GROUP BY status")
                fresh: Counter[str] = Counter(dict(rows.fetchall()))
                if self._writer.lock.locked():  # a commit under way would be counted twice
                    return {status: fresh[status.value] for status in NoticeStatus}
                self._counts = fresh
            counts = self._counts
        return {status: counts[status.value] for status in NoticeStatus}

    async def close(self) -> None:
        """Finish a commit that is under way and close."""
        self._snapshots.close()
        if not self._writer.closed:
            async with self._writer.lock:
                self._writer.close()

    def _add(self, notices: Sequence[Notice], moved: Moved, *, at_once: bool = False) -> None:
        """Insert them, with the COMMIT or at once; those that exist already are kept as they are."""
        rows = [
            (*row, row[10])
            for row in notice_rows(each for each in notices if each.seq > self._holds.get(each.partition, 0))
        ]
        held = notice_rows(each for each in notices if each.seq <= self._holds.get(each.partition, 0))

        def insert(connection: sqlite3.Connection) -> None:
            for row in held:
                moved["unknown"] += connection.execute(_ADD_HELD, (*row, HELD)).rowcount
            for start in range(0, len(rows), ROWS_MAX):
                part = rows[start : start + ROWS_MAX]
                moved["pending"] += connection.execute(*rows_statement(_ADD, part, _KEEP)).rowcount

        if at_once:
            insert(self._writer.connection)
        else:
            self._writer.defer(insert)


def _move_inbox(connection: sqlite3.Connection, partition: int, after_seq: int, upto_seq: int) -> None:
    connection.execute("INSERT INTO positions VALUES (?, 0) ON CONFLICT DO NOTHING", (partition,))
    moved = connection.execute(
        "UPDATE positions SET seq = ? WHERE partition = ? AND seq = ?", (upto_seq, partition, after_seq)
    ).rowcount
    if moved != 1:
        raise Fenced(f"the inbox of partition {partition} is not at {after_seq}")


def _job_row(job: FanOut) -> tuple[Any, ...]:
    return (
        job.partition,
        job.seq,
        job.organizer,
        job.event,
        job.kind,
        job.after_arrival,
        job.trace,
        job.expires_ms,
    )


def _suppress(connection: sqlite3.Connection, event: str, person: str, moved: Moved) -> list[str]:
    """Suppress a person's open notices; returns the ids of all of theirs."""
    query = "SELECT place, id, status FROM notices WHERE recipient = ? AND event = ? ORDER BY place"
    rows = connection.execute(query, (person, event)).fetchall()
    for place, _, status in rows:
        if status in _OPEN:
            connection.execute(_SUPPRESS, (place,))
            moved[status] -= 1
            moved["suppressed"] += 1
    return [notice for _, notice, _ in rows]
