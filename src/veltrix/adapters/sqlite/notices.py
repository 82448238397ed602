"""Notification's store in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from veltrix.adapters.sqlite.database import Database, Kind, Synchronous
from veltrix.adapters.sqlite.snapshots import Snapshots
from veltrix.adapters.sqlite.writer import ROWS_MAX, Writer, rows_statement
from veltrix.ports.errors import Fenced
from veltrix.ports.notices import HELD, Claimed, FanOut, Notice, NoticeStatus, Planned, Result

_SCHEMA: Final = """
CREATE TABLE positions (
    partition INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;
CREATE TABLE notices (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    organizer TEXT NOT NULL,
    event TEXT NOT NULL,
    partition INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    registration TEXT NOT NULL,
    recipient TEXT NOT NULL,
    channel TEXT NOT NULL,
    key_id TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    trace TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending',
    due_ms INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    tried_ms INTEGER,
    UNIQUE (partition, seq, recipient, channel, organizer)
) STRICT;
CREATE INDEX notices_due ON notices (due_ms) WHERE status IN ('pending', 'unknown');
CREATE INDEX notices_leased ON notices (due_ms) WHERE status = 'attempting';
CREATE INDEX notices_of_registration ON notices (registration);
CREATE INDEX notices_of_recipient ON notices (recipient);
CREATE TABLE jobs (
    place INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    organizer TEXT NOT NULL,
    event TEXT NOT NULL,
    kind TEXT NOT NULL,
    after_arrival INTEGER NOT NULL,
    trace TEXT NOT NULL,
    UNIQUE (partition, seq)
) STRICT;
"""
KIND: Final = Kind("store of notices", 0x56_4C_54_03, 1, _SCHEMA, secure_delete=True)
# Files that older programs made have no such table.
_HOLDS: Final = (
    "CREATE TABLE IF NOT EXISTS holds (partition INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT"
)

_NOTICE_COLUMNS: Final = (
    "id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id, created_ms, trace"
)
_ADD: Final = f"""
INSERT INTO notices ({_NOTICE_COLUMNS}, due_ms)
"""
_ADD_HELD: Final = f"""
INSERT INTO notices ({_NOTICE_COLUMNS}, status, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'unknown', ?) ON CONFLICT DO NOTHING
"""
_HOLD: Final = """
UPDATE notices SET status = 'unknown', due_ms = NULL, detail = ?, fence = fence + 1
WHERE partition = ? AND seq <= ? AND status = ? AND due_ms IS NOT NULL
"""
_IS_HELD: Final = "status = 'unknown' AND due_ms IS NULL"
_SEND_HELD: Final = f"UPDATE notices SET due_ms = created_ms, fence = fence + 1 WHERE {_IS_HELD}"
_DROP_HELD: Final = f"UPDATE notices SET status = 'suppressed', fence = fence + 1 WHERE {_IS_HELD}"
_KEEP: Final = "ON CONFLICT DO NOTHING"
_ADD_JOB: Final = """
INSERT INTO jobs (partition, seq, organizer, event, kind, after_arrival, trace) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_EXPIRE: Final = "UPDATE notices SET status = 'unknown' WHERE status = 'attempting' AND due_ms <= ?"
_DUE: Final = f"""
SELECT place, status, attempts, fence, {_NOTICE_COLUMNS} FROM notices
WHERE due_ms <= ? AND status IN ('pending', 'unknown') ORDER BY due_ms, place LIMIT ?
"""
_TAKE: Final = """
UPDATE notices SET status = 'attempting', due_ms = ?, attempts = attempts + 1, fence = fence + 1
WHERE place IN (SELECT value FROM json_each(?))
"""
_STANDING: Final = """
SELECT n.id, n.place, n.status, n.fence
FROM (SELECT value AS wanted FROM json_each(?)) CROSS JOIN notices n ON n.id = wanted
WHERE n.status IN ('pending', 'attempting', 'unknown')
"""
_FINISH: Final = """
UPDATE notices
SET status = value ->> 1, due_ms = value ->> 2, detail = value ->> 3, tried_ms = value ->> 4,
    fence = fence + 1
FROM json_each(?) WHERE place = value ->> 0
"""
_SUPPRESS: Final = (
    "UPDATE notices SET status = 'suppressed', due_ms = NULL, fence = fence + 1 WHERE place = ?"
)
_OPEN: Final = frozenset({"pending", "attempting", "unknown"})


class SqliteNotices:
    """Inbox, notices and jobs in one file. `open` makes one.

    The counts by status are kept in memory, so that whoever asks often does not count a million rows.
    """

    def __init__(self, database: Database) -> None:
        self._snapshots = Snapshots(database)
        self._writer = Writer(database)
        self._counts: Counter[str] | None = None
        self._writer.connection.execute(_HOLDS)
        self._holds: dict[int, int] = dict(self._writer.connection.execute("SELECT * FROM holds"))

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
        moved: Counter[str] = Counter()
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

    async def claim(self, now_ms: int, limit: int, lease_ms: int) -> list[Claimed]:
        """Take due notices, the one due longest first."""
        moved: Counter[str] = Counter()
        claimed: list[Claimed] = []
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            expired = connection.execute(_EXPIRE, (now_ms,)).rowcount
            moved.update({"attempting": -expired, "unknown": expired})
            rows = connection.execute(_DUE, (now_ms, limit)).fetchall()
            for _, status, attempts, fence, *fields in rows:
                moved[status] -= 1
                claimed.append(Claimed(Notice(*fields), attempts + 1, fence + 1))
            moved["attempting"] += len(rows)
            if rows:
                connection.execute(_TAKE, (now_ms + lease_ms, _json([row[0] for row in rows])))
            elif not expired:
                self._writer.rollback()
        self._count(counts, moved)
        return claimed

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds; each does so once."""
        moved: Counter[str] = Counter()
        rows: list[tuple[Any, ...]] = []
        async with self._writer.transaction() as connection:
            counts, self._counts = self._counts, None
            wanted = _json([result.notice for result in results])
            standing = {row[0]: row[1:] for row in connection.execute(_STANDING, (wanted,))}
            for result in results:
                place, status, fence = standing.get(result.notice, (0, "", -1))
                if fence != result.fence:
                    continue
                del standing[result.notice]
                moved.update({status: -1})
                moved.update({result.status.value: 1})
                rows.append((place, result.status.value, result.next_ms, result.detail, result.at_ms))
            if rows:
                connection.execute(_FINISH, (_json(rows),))
            else:
                self._writer.rollback()
        self._count(counts, moved)
        return len(rows)

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open jobs, oldest first."""
        query = (
            "SELECT partition, seq, organizer, event, kind, after_arrival, trace FROM jobs "
            "ORDER BY place LIMIT ?"
        )
        with self._snapshots.now() as connection:
            return [FanOut(*row) for row in connection.execute(query, (limit,))]

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job and move it on."""
        moved: Counter[str] = Counter()
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
            f"SELECT status, attempts, detail, {_NOTICE_COLUMNS} FROM notices "
            "WHERE registration = ? ORDER BY place"
        )
        with self._snapshots.now() as connection:
            rows = connection.execute(query, (registration,)).fetchall()
        return [
            (Notice(*fields), NoticeStatus(status), attempts, detail)
            for status, attempts, detail, *fields in rows
        ]

    async def hold(self, partition: int, upto_seq: int) -> int:
        """Hold the notices of facts up to this one."""
        moved: Counter[str] = Counter()
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
        self._count(counts, Counter() if send else Counter(unknown=-released, suppressed=released))
        return released

    async def held(self) -> int:
        """How many are held."""
        with self._snapshots.now() as connection:
            row = connection.execute(f"SELECT count(*) FROM notices WHERE {_IS_HELD}").fetchone()
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

    def _add(self, notices: Iterable[Notice], moved: Counter[str], *, at_once: bool = False) -> None:
        """Insert them, with the COMMIT or at once; those that exist already are kept as they are."""
        notices = list(notices)
        rows = _rows(each for each in notices if each.seq > self._holds.get(each.partition, 0))
        held = _rows(each for each in notices if each.seq <= self._holds.get(each.partition, 0))

        def insert(connection: sqlite3.Connection) -> None:
            for row in held:
                moved["unknown"] += connection.execute(_ADD_HELD, (*row[:-1], HELD)).rowcount
            for start in range(0, len(rows), ROWS_MAX):
                part = rows[start : start + ROWS_MAX]
                moved["pending"] += connection.execute(*rows_statement(_ADD, part, _KEEP)).rowcount

        if at_once:
            insert(self._writer.connection)
        else:
            self._writer.defer(insert)

    def _count(self, counts: Counter[str] | None, moved: Counter[str]) -> None:
        """Put the counts back after a commit that went well; after any other they are counted anew."""
        if counts is not None:
            counts.update(moved)
            self._counts = counts


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _move_inbox(connection: sqlite3.Connection, partition: int, after_seq: int, upto_seq: int) -> None:
    connection.execute("INSERT INTO positions VALUES (?, 0) ON CONFLICT DO NOTHING", (partition,))
    moved = connection.execute(
        "UPDATE positions SET seq = ? WHERE partition = ? AND seq = ?", (upto_seq, partition, after_seq)
    ).rowcount
    if moved != 1:
        raise Fenced(f"the inbox of partition {partition} is not at {after_seq}")


def _rows(notices: Iterable[Notice]) -> list[tuple[Any, ...]]:
    return [
        (
            notice.id,
            notice.organizer,
            notice.event,
            notice.partition,
            notice.seq,
            notice.kind,
            notice.registration,
            notice.recipient,
            notice.channel,
            notice.key_id,
            notice.created_ms,
            notice.trace,
            notice.created_ms,
        )
        for notice in notices
    ]


def _job_row(job: FanOut) -> tuple[Any, ...]:
    return job.partition, job.seq, job.organizer, job.event, job.kind, job.after_arrival, job.trace


def _suppress(connection: sqlite3.Connection, event: str, person: str, moved: Counter[str]) -> list[str]:
    """Suppress a person's open notices; returns the ids of all of theirs."""
    query = "SELECT place, id, status FROM notices WHERE recipient = ? AND event = ? ORDER BY place"
    rows = connection.execute(query, (person, event)).fetchall()
    for place, _, status in rows:
        if status in _OPEN:
            connection.execute(_SUPPRESS, (place,))
            moved[status] -= 1
            moved["suppressed"] += 1
    return [notice for _, notice, _ in rows]
