"""The log in a SQLite file, with group commit.

While one COMMIT is under way, further appends queue and go with the next; each append returns once
the COMMIT of its group has. A record's key is `partition << 48 | offset`, so that each partition is one
run of the table and an append touches its last page only.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from veltrix.adapters.sqlite.clock import WallClock
from veltrix.adapters.sqlite.database import Database, Kind, Synchronous
from veltrix.adapters.sqlite.tail import Tail, bounded
from veltrix.adapters.sqlite.writer import Writer, rows_statement
from veltrix.domain import limits
from veltrix.ports.errors import LogBehind, Mismatch, PortError, Rejected, Unavailable
from veltrix.ports.log import Appended, LogIdentity, LogRecord, Record
from veltrix.ports.system import Clock

PARTITION_SHIFT: Final = 48
_OFFSETS: Final = (1 << PARTITION_SHIFT) - 1

_SCHEMA = """
CREATE TABLE identity (
    topic_id TEXT NOT NULL,
    partitions INTEGER NOT NULL CHECK (partitions > 0),
    generation INTEGER NOT NULL
) STRICT;
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    append_ms INTEGER NOT NULL,
    value BLOB NOT NULL,
    trace TEXT NOT NULL,
    reply_to TEXT NOT NULL,
    partition INTEGER AS (id >> 48) VIRTUAL,
    "offset" INTEGER AS (id & 281474976710655) VIRTUAL
) STRICT;
"""
KIND = Kind("log", 0x56_4C_54_01, 1, _SCHEMA)

_Row = tuple[int, int, bytes, str, str]
_INSERT = "INSERT INTO records (id, append_ms, value, trace, reply_to)"
_SELECT = (
    "SELECT id, append_ms, value, trace, reply_to FROM records WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
)


@dataclass(slots=True)
class _Append:
    """One call of `append`, waiting for its group."""

    partition: int
    record: Record
    done: asyncio.Future[Appended]


@dataclass(slots=True)
class _Group:
    """What goes into one COMMIT."""

    appends: list[_Append] = field(default_factory=list)
    results: list[Appended] = field(default_factory=list)
    records: dict[int, list[LogRecord]] = field(default_factory=dict)


class SqliteLog:
    """One file, one writer. `open` makes one; at most one process may have a file open for writing."""

    def __init__(self, database: Database, identity: LogIdentity, clock: Clock) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._reader = database.connect()
        self._writer = None if database.read_only else Writer(database)
        self._tails = [self._find_tail(partition) for partition in range(identity.partitions)]
        self._queue: deque[_Append] = deque()
        self._group: _Group | None = None
        self._scheduled = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        partitions: int | None = None,
        clock: Clock | None = None,
        synchronous: Synchronous = "FULL",
        read_only: bool = False,
    ) -> SqliteLog:
        """Open the log, creating it with that many partitions (default 1); more may be added later.

        `read_only` is for an audit beside a running process. Raises `Mismatch` for a file that is no log,
        is newer, or has more partitions; `Unavailable` when it cannot be opened.
        """
        database = Database(Path(path), KIND, synchronous=synchronous, read_only=read_only)
        return cls(database, _identify(database, partitions), clock or WallClock())

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._identity

    async def append(self, partition: int, record: Record) -> Appended:
        """Append one record; returns after the COMMIT of its group."""
        if self._closing or self._writer is None:
            raise Unavailable("the log is closed, or open for reading only")
        if len(record.value) > limits.READ_BATCH_MAX_BYTES:
            raise Rejected(
                f"a record of {len(record.value)} bytes is too large; at most {limits.READ_BATCH_MAX_BYTES}"
            )
        self._tail(partition)
        try:
            f"{record.trace}{record.reply_to}".encode()
        except UnicodeEncodeError as error:
            raise Rejected(f"the record's trace or reply address is no text: {error}") from error
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Appended] = loop.create_future()
        self._queue.append(_Append(partition, record, done))
        if self._group is None and not self._scheduled:
            self._scheduled = True  # what else this round of the loop appends goes with it
            self._idle.clear()
            loop.call_soon(self._flush)
        return await done

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Committed records from `offset` on; waits for the first."""
        tail = self._check_offset(partition, offset)
        if offset == tail.next_offset and wait_s > 0 and self._writer is not None:
            await tail.wait(wait_s)
            tail = self._check_offset(partition, offset)
        if offset == tail.next_offset:
            return []
        if tail.holds(offset):
            return tail.slice(offset, max_records)
        return self._select(partition, offset, max_records)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first, next) committed offsets."""
        tail = self._tail(partition)
        if self._writer is None:
            tail = self._refresh(partition)
        return tail.first, tail.next_offset

    async def close(self) -> None:
        """Commit what was appended, then close."""
        self._closing = True
        await self._idle.wait()
        for tail in self._tails:
            tail.fail(Unavailable("the log was closed"))
        if self._writer is not None:
            self._writer.close()
        self._reader.close()

    def _flush(self) -> None:
        """Fill a transaction from the queue and send it off."""
        assert self._writer is not None and self._group is None
        self._scheduled = self._writer.when_rested(self._flush)
        if self._scheduled:
            return
        group = _Group()
        while self._queue and len(group.appends) < limits.APPEND_BATCH_MAX:
            append = self._queue.popleft()
            if not append.done.done():
                group.appends.append(append)
        if not group.appends:
            self._idle.set()
            return
        self._group = group
        statement, values = rows_statement(_INSERT, self._number(group))
        self._writer.run_soon(statement, values, self._committed)

    def _number(self, group: _Group) -> list[_Row]:
        """Give each record of the group its offset."""
        now_ms = self._clock.now_ms()
        rows: list[_Row] = []
        for append in group.appends:
            partition, record = append.partition, append.record
            records = group.records.setdefault(partition, [])
            offset = self._tails[partition].next_offset + len(records)
            records.append(LogRecord(offset, now_ms, record.value, record.trace, record.reply_to))
            rows.append(
                (partition << PARTITION_SHIFT | offset, now_ms, record.value, record.trace, record.reply_to)
            )
            group.results.append(Appended(partition, offset, now_ms))
        return rows

    def _committed(self, error: PortError | None) -> None:
        """The group's COMMIT has returned: tell everyone, and go on with who came meanwhile."""
        group, self._group = self._group, None
        assert group is not None
        if error is None:
            for partition, records in group.records.items():
                self._tails[partition].extend(records)
            for append, result in zip(group.appends, group.results, strict=True):
                if not append.done.done():
                    append.done.set_result(result)
        else:
            for append in group.appends:
                if not append.done.done():
                    append.done.set_exception(type(error)(str(error)))
        if self._queue:
            self._flush()
        else:
            self._idle.set()

    def _tail(self, partition: int) -> Tail:
        if not 0 <= partition < self._identity.partitions:
            raise Rejected(f"there is no partition {partition}; the log has {self._identity.partitions}")
        return self._tails[partition]

    def _check_offset(self, partition: int, offset: int) -> Tail:
        if self._closing:
            raise Unavailable("the log is closed")
        tail = self._tail(partition)
        if self._writer is None and offset >= tail.next_offset:
            tail = self._refresh(partition)
        if not tail.first <= offset <= tail.next_offset:
            wrong = LogBehind if offset > tail.next_offset else Mismatch
            raise wrong(
                f"partition {partition} of {self._database.path} holds the offsets {tail.first} to "
                f"{tail.next_offset}, not {offset}; log and ledger do not belong together, "
                "restore both from the same time"
            )
        return tail

    def _refresh(self, partition: int) -> Tail:
        """Another process writes: look how far it is."""
        found = self._find_tail(partition)
        self._tails[partition] = found
        return found

    def _find_tail(self, partition: int) -> Tail:
        low = partition << PARTITION_SHIFT
        first, last = self._reader.execute(
            "SELECT (SELECT min(id) FROM records WHERE id BETWEEN ?1 AND ?2), "
            "(SELECT max(id) FROM records WHERE id BETWEEN ?1 AND ?2)",
            (low, low | _OFFSETS),
        ).fetchone()
        return Tail(0, 0) if last is None else Tail(first & _OFFSETS, (last & _OFFSETS) + 1)

    def _select(self, partition: int, offset: int, max_records: int) -> list[LogRecord]:
        low = partition << PARTITION_SHIFT
        try:
            rows = self._reader.execute(_SELECT, (low | offset, low | _OFFSETS, max_records))
            found: list[LogRecord] = []
            size = 0
            for key, append_ms, value, trace, reply_to in islice(rows, max_records):
                found.append(LogRecord(key & _OFFSETS, append_ms, value, trace, reply_to))
                size += len(value)
                if size > limits.READ_BATCH_MAX_BYTES:
                    break
            rows.close()
        except sqlite3.Error as error:
            raise Unavailable(f"the log cannot be read: {error}") from error
        return bounded(found)


def _identify(database: Database, partitions: int | None) -> LogIdentity:
    """Which log the file holds; made up for a new one, raised to more partitions when asked."""
    connection = database.connect()
    try:
        row = connection.execute("SELECT topic_id, partitions, generation FROM identity").fetchone()
        if row is None:
            assert partitions is None or 1 <= partitions <= limits.PARTITIONS_MAX
            row = (os.urandom(16).hex(), partitions or 1, 0)
            connection.execute("INSERT INTO identity VALUES (?, ?, ?)", row)
        topic_id, stored, generation = row
        if partitions is not None and partitions < stored:
            raise Mismatch(
                f"{database.path} has {stored} partitions, {partitions} were asked for; "
                f"partitions can be added but not removed, set at least {stored}"
            )
        if partitions is not None and partitions > stored and not database.read_only:
            connection.execute("UPDATE identity SET partitions = ?", (partitions,))
            stored = partitions
        return LogIdentity(topic_id, stored, generation)
    finally:
        connection.close()


def set_generation(path: Path, generation: int) -> None:
    """Say that the log in this file takes the place of others; nobody may have it open."""
    connection = Database(path, KIND).connect()
    try:
        connection.execute("UPDATE identity SET generation = ?", (generation,))
    finally:
        connection.close()
