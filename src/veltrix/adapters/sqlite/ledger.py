"""The ledger in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from veltrix.adapters.sqlite import commit as batches
from veltrix.adapters.sqlite.clock import WallClock
from veltrix.adapters.sqlite.database import Database, Synchronous
from veltrix.adapters.sqlite.load import load_batch, load_events
from veltrix.adapters.sqlite.queries import SqliteQueries, head_of
from veltrix.adapters.sqlite.schema import (
    EVENT_COLUMNS,
    HEAD_COLUMNS,
    HOLDER,
    KIND,
    NAMED,
    NUMBERS,
    UNUSED,
    event_of,
    key_of,
)
from veltrix.adapters.sqlite.snapshots import Snapshots
from veltrix.adapters.sqlite.writer import Forbidden, Writer
from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.domain.identifiers import first_offset
from veltrix.domain.state import Needs
from veltrix.ports.errors import Fenced, Mismatch, Rejected, Unavailable
from veltrix.ports.ledger import Changes, Due, Head, Loaded, Term
from veltrix.ports.log import LogIdentity
from veltrix.ports.system import Clock

_TAKE: Final = f"""
UPDATE partitions SET epoch = ?1, revision = ?2, owner = ?3, log_partitions = ?4
WHERE partition = ?5
  AND ((epoch, revision) < (?1, ?2) OR ((epoch, revision) = (?1, ?2) AND owner = ?3))
RETURNING {HEAD_COLUMNS}
"""
_NEW: Final = f"""
INSERT INTO partitions (partition, epoch, revision, owner, next_offset, log_time_ms, rules_version, next_seq,
                        relayed_seq, last_hash, topic_id, log_partitions)
VALUES (?5, ?1, ?2, ?3, 0, 0, 1, 1, 0, '', ?6, ?4)
RETURNING {HEAD_COLUMNS}
"""
_REBIND: Final = f"""
UPDATE partitions SET epoch = ?1, revision = ?2, owner = ?3, log_partitions = ?4, topic_id = ?6,
    last_hash = CASE WHEN topic_id = ?6 AND next_offset >= ?7 THEN last_hash ELSE '' END,
    next_offset = CASE WHEN topic_id = ?6 AND next_offset >= ?7 THEN next_offset ELSE ?7 END
WHERE partition = ?5
  AND ((epoch, revision) < (?1, ?2) OR ((epoch, revision) = (?1, ?2) AND owner = ?3))
  AND (topic_id = ?6 OR next_offset <= ?7)
RETURNING {HEAD_COLUMNS}
"""
_BOUND_NEW: Final = _NEW.replace("?3, 0, 0, 1, 1, 0", "?3, ?7, 0, 1, 1, 0")
# A file that an older program made has no such index.
_BY_ERASURE: Final = """
CREATE INDEX IF NOT EXISTS decisions_erasures ON decisions (id)
WHERE kind = 'erase_person' AND outcome = 'accepted'
"""
_ERASURES: Final = """
SELECT id, event, person FROM decisions
WHERE kind = 'erase_person' AND outcome = 'accepted' AND id BETWEEN ? AND ? AND person IS NOT NULL
ORDER BY id LIMIT ?
"""
_RELAYED: Final = """
UPDATE partitions SET relayed_seq = max(relayed_seq, ?) WHERE partition = ? AND epoch = ? AND revision = ?
"""
_DUE: Final = """
SELECT e.organizer, r.event, r.id, r.hold_number, r.hold_deadline_ms AS due_ms, 0
FROM registrations r JOIN events e ON e.id = r.event
WHERE r.status = 'held' AND r.partition = ?1 AND r.hold_deadline_ms < ?2 AND r.hold_ends_ms <= ?3
UNION ALL
SELECT organizer, id, '', 0, ends_ms, 0 FROM events
WHERE status IN ('open', 'closed') AND partition = ?1 AND ends_ms < ?2
UNION ALL
SELECT organizer, id, '', 0, remind_ms, 1 FROM events
WHERE ?5 AND remind_ms IS NOT NULL AND partition = ?1 AND remind_ms < ?2 AND starts_ms > ?2
ORDER BY due_ms, 2, 3 LIMIT ?4
"""
_BY_REMINDER: Final = """
CREATE INDEX IF NOT EXISTS events_by_reminder ON events (partition, remind_ms) WHERE remind_ms IS NOT NULL
"""
# Events that an older program wrote, as far as they may have a reminder before them.
_UNREMINDED: Final = f"""
SELECT {EVENT_COLUMNS} FROM events e JOIN counters c ON c.event = e.id
WHERE e.status IN ('open', 'closed') AND e.starts_ms IS NULL
"""
_KEYS_OF: Final = f"""
SELECT id, key_id FROM decisions WHERE person = ?1 AND {HOLDER} AND event = ?2 AND id & {NUMBERS} < ?3
UNION ALL
SELECT id, key_id FROM decisions WHERE person = ?1 AND {NAMED} AND event = ?2 AND id & {NUMBERS} < ?3
ORDER BY id
"""
_UNUSED: Final = f"""
SELECT id, key_id FROM decisions WHERE {UNUSED} AND id BETWEEN ? AND ? AND log_time_ms < ? ORDER BY id LIMIT ?
"""


class SqliteLedger(SqliteQueries):
    """Ledger, Queries and LedgerRows on one file. `open` makes one."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(Snapshots(database))
        self._clock = clock
        self._writer = None if database.read_only else Writer(database)
        self._written: dict[str, Event] = {}
        if self._writer is not None:
            self._writer.connection.execute(_BY_ERASURE)
            _prepare_reminders(self._writer.connection)
            batches.prepare(self._writer.connection)

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        synchronous: Synchronous = "FULL",
        read_only: bool = False,
    ) -> SqliteLedger:
        """Open the ledger, creating it when it is missing; `read_only` for an audit beside a running process.

        Raises `Mismatch` for a file that is no ledger or is newer, `Unavailable` when it cannot be opened.
        """
        database = Database(Path(path), KIND, synchronous=synchronous, read_only=read_only)
        return cls(database, clock or WallClock())

    async def take_over(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Take a partition under a term."""
        async with self._open_writer().transaction() as connection:
            self._written.clear()
            _check_log(connection, log)
            values = (term.epoch, term.revision, owner, log.partitions, partition)
            row = connection.execute(_TAKE, values).fetchone()
            if row is None:
                row = _take_new(connection, (*values, log.topic_id))
        return head_of(row)

    async def rebind(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Bind a partition to another log."""
        first = first_offset(log.generation)
        async with self._open_writer().transaction() as connection:
            self._written.clear()
            values = (term.epoch, term.revision, owner, log.partitions, partition, log.topic_id, first)
            row = connection.execute(_REBIND, values).fetchone()
            if row is None:
                where = "SELECT next_offset, topic_id FROM partitions WHERE partition = ?"
                standing = connection.execute(where, (partition,)).fetchone()
                if standing is not None and standing[0] > first and standing[1] != log.topic_id:
                    raise Rejected(f"partition {partition} stands at {standing[0]}, beyond {first}")
                row = _take_new(connection, values, _BOUND_NEW)
        return head_of(row)

    async def load(self, partition: int, needs: Needs) -> Loaded:
        """What a batch touches. The writer's page cache outlives its commits, so it reads when it is free."""
        loaded = Loaded()
        if needs.events:
            async with self._snapshots.scan() as connection:
                await load_events(connection, needs.events, loaded)
        writer = self._writer
        if writer is None or writer.closed or writer.lock.locked():
            with self._snapshots.now() as connection:
                load_batch(connection, needs, loaded)
        else:
            try:
                load_batch(writer.connection, needs, loaded)
            except sqlite3.Error as error:
                raise Unavailable(f"the ledger cannot be read: {error}") from error
        return loaded

    async def commit(self, changes: Changes) -> None:
        """Commit a batch: all of it, or nothing."""
        written = self._written

        def parameters(connection: sqlite3.Connection) -> Sequence[object]:
            found = batches.parameters_of(connection, changes, written, self._clock.now_ms())
            for row in changes.events:
                written.pop(row.event.id, None)  # until it is known what the table holds
            return found

        try:
            await self._open_writer().run(batches.COMMIT, parameters)
        except Forbidden as forbidden:
            raise batches.refusal_of(str(forbidden), changes) from forbidden
        self._remember(changes)

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Move the relay's position on."""
        async with self._open_writer().transaction() as connection:
            values = (seq, partition, term.epoch, term.revision)
            if connection.execute(_RELAYED, values).rowcount != 1:
                raise Fenced(f"partition {partition} is not owned under term {tuple(term)}")

    async def due(self, partition: int, before_ms: int, limit: int, *, reminders: bool = True) -> list[Due]:
        """Holds and events whose time has come, by time."""
        values = (partition, before_ms, self._clock.now_ms(), limit, reminders)
        with self._snapshots.now() as connection:
            rows = connection.execute(_DUE, values).fetchall()
        return [Due(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows]

    async def keys_of(self, event: str, person: str, before_offset: int) -> list[str]:
        """The keys of all boxes that ever were a person's."""
        with self._snapshots.now() as connection:
            rows = connection.execute(_KEYS_OF, (person, event, before_offset)).fetchall()
        return list(dict.fromkeys(key_id for _, key_id in rows if key_id is not None))

    async def erasures(self, partition: int, after_offset: int, limit: int) -> list[tuple[int, str, str]]:
        """Accepted erasures, in order."""
        first, last = key_of(partition, max(0, after_offset + 1)), key_of(partition, NUMBERS)
        with self._snapshots.now() as connection:
            rows = connection.execute(_ERASURES, (first, last, limit)).fetchall()
        return [(key & NUMBERS, event, person) for key, event, person in rows]

    async def unused_keys(
        self, partition: int, after_offset: int, before_ms: int, limit: int
    ) -> list[tuple[int, str]]:
        """The keys of boxes that came to nothing."""
        first, last = key_of(partition, max(0, after_offset + 1)), key_of(partition, NUMBERS)
        with self._snapshots.now() as connection:
            rows = connection.execute(_UNUSED, (first, last, before_ms, limit)).fetchall()
        return [(key & NUMBERS, key_id) for key, key_id in rows]

    async def close(self) -> None:
        """Finish a commit that is under way and close."""
        self._snapshots.close()
        if self._writer is not None and not self._writer.closed:
            async with self._writer.lock:
                self._writer.close()

    def _open_writer(self) -> Writer:
        if self._writer is None or self._writer.closed:
            raise Unavailable("the ledger is closed, or open for reading only")
        return self._writer

    def _remember(self, changes: Changes) -> None:
        for row in changes.events:
            self._written[row.event.id] = row.event
        while len(self._written) > limits.EVENTS_CACHED:
            del self._written[next(iter(self._written))]


def _take_new(
    connection: sqlite3.Connection, values: tuple[object, ...], statement: str = _NEW
) -> tuple[object, ...]:
    """The partition's first row, if there is none; else somebody else owns it."""
    owned = connection.execute(
        "SELECT owner, epoch, revision FROM partitions WHERE partition = ?", (values[4],)
    ).fetchone()
    if owned is not None:
        raise Fenced(f"partition {values[4]} is owned by {owned[0]} under term {owned[1:]}")
    row: tuple[object, ...] = connection.execute(statement, values).fetchone()
    return row


def _prepare_reminders(connection: sqlite3.Connection) -> None:
    """What an older program's file lacks: when the events that are yet to come are to be reminded of."""
    connection.execute(_BY_REMINDER)
    for row in connection.execute(_UNREMINDED).fetchall():
        event = event_of(row)
        connection.execute(
            "UPDATE events SET starts_ms = ?, remind_ms = ? WHERE id = ?",
            (event.spec.starts_ms(), event.remind_ms(), event.id),
        )


def _check_log(connection: sqlite3.Connection, log: LogIdentity) -> None:
    """Raise `Mismatch` unless the ledger was written from this log."""
    query = "SELECT topic_id, max(partition + 1, log_partitions) FROM partitions"
    for topic_id, partitions in connection.execute(query).fetchall():
        if topic_id != log.topic_id:
            raise Mismatch(
                f"the ledger belongs to log {topic_id}, not {log.topic_id}; "
                "start with the log and the ledger that belong together"
            )
        if partitions > log.partitions:
            raise Mismatch(
                f"the ledger belongs to a log of {partitions} partitions, this one has {log.partitions}; "
                "start with the log that the ledger was written from"
            )
