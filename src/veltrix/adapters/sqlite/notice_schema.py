"""The tables of notification's file, and how notices become rows and come back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from veltrix.adapters.sqlite.database import Kind
from veltrix.ports.notices import Notice

# An endpoint is a target of its own, every other channel one. Indexes are on this very expression.
TARGET: Final = "CASE channel WHEN 'webhook' THEN recipient ELSE channel END"

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
    tried_before INTEGER,
    expires_ms INTEGER,
    ordered INTEGER,
    UNIQUE (partition, seq, recipient, channel, organizer)
) STRICT;
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
    expires_ms INTEGER,
    UNIQUE (partition, seq)
) STRICT;
"""
_LATER_COLUMNS: Final = (
    ("notices", "tried_before INTEGER"),
    ("notices", "expires_ms INTEGER"),
    ("notices", "ordered INTEGER"),
    ("jobs", "expires_ms INTEGER"),
)
KIND: Final = Kind("store of notices", 0x56_4C_54_03, 1, _SCHEMA, secure_delete=True, later=_LATER_COLUMNS)

WAITING: Final = "status IN ('pending', 'unknown')"
OPEN: Final = "status IN ('pending', 'attempting', 'unknown')"
IS_HELD: Final = "status = 'unknown' AND due_ms IS NULL"

# Files that older programs made lack these, and have an index that is of no use any more.
_LATER_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS holds (partition INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS attempts (
        place INTEGER NOT NULL,
        number INTEGER NOT NULL,
        started_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        code INTEGER,
        detail TEXT NOT NULL,
        excerpt TEXT NOT NULL,
        PRIMARY KEY (place, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS targets (
        name TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        since_ms INTEGER NOT NULL,
        why TEXT NOT NULL,
        failures INTEGER NOT NULL,
        opened INTEGER NOT NULL,
        blocked_until_ms INTEGER NOT NULL,
        version INTEGER NOT NULL,
        paced_ms REAL NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS bounces (
        organizer TEXT NOT NULL,
        address TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (organizer, address)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS progress (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        seq INTEGER NOT NULL,
        place INTEGER NOT NULL
    ) STRICT""",
    "INSERT INTO progress VALUES (1, 0, 0) ON CONFLICT DO NOTHING",
    "DROP INDEX IF EXISTS notices_due",
    f"CREATE INDEX IF NOT EXISTS notices_waiting ON notices ({TARGET}, due_ms) WHERE {WAITING}",
    f"""CREATE INDEX IF NOT EXISTS notices_in_line ON notices ({TARGET}, event, seq)
        WHERE ordered = 1 AND {OPEN}""",
    f"CREATE INDEX IF NOT EXISTS notices_expiring ON notices (expires_ms) WHERE expires_ms > 0 AND {WAITING}",
    """CREATE INDEX IF NOT EXISTS notices_failed ON notices (status)
        WHERE status IN ('refused', 'dead', 'expired', 'suppressed')""",
)

NOTICE_COLUMNS: Final = (
    "id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id, created_ms, "
    "trace, expires_ms, ordered"
)
JOB_COLUMNS: Final = "partition, seq, organizer, event, kind, after_arrival, trace, expires_ms"
TARGET_COLUMNS: Final = "name, state, since_ms, why, failures, opened, blocked_until_ms, version"


def complete(connection: sqlite3.Connection) -> None:
    """Make what an older program's file lacks; where it lacks nothing, write nothing."""
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'notices_failed'"
    if connection.execute(query).fetchone()[0]:
        return
    for statement in _LATER_TABLES:
        connection.execute(statement)


def json_of(value: object) -> str:
    """A value as a statement's `json_each` takes it."""
    return msgspec.json.encode(value).decode()


def notice_rows(notices: Iterable[Notice]) -> list[tuple[Any, ...]]:
    """Notices as `NOTICE_COLUMNS` has them."""
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
            notice.expires_ms,
            1 if notice.ordered else None,
        )
        for notice in notices
    ]


def notice_of(fields: Sequence[Any]) -> Notice:
    """The notice in a row of `NOTICE_COLUMNS`."""
    notice = Notice(*fields)
    notice.ordered = fields[-1] is not None
    return notice
