"""Every row of a data directory, table by table: what is carried into another kind of store.

A table has the name and the columns that it has in every store that knows it; what SQLite keeps otherwise
(two numbers in one key, a key's bytes in a cell) is put apart here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from veltrix.adapters.sqlite.access import KIND as ACCESS
from veltrix.adapters.sqlite.database import Database, Kind
from veltrix.adapters.sqlite.notice_schema import KIND as NOTICES
from veltrix.adapters.sqlite.outreach import ENDPOINT_COLUMNS, SIGNING_COLUMNS
from veltrix.adapters.sqlite.outreach import KIND as OUTREACH
from veltrix.adapters.sqlite.schema import KIND as LEDGER
from veltrix.adapters.sqlite.schema import NUMBERS, SHIFT
from veltrix.adapters.sqlite.vault import KIND as VAULT
from veltrix.domain.event import Event, EventStatus
from veltrix.domain.identifiers import KEY
from veltrix.ports.errors import Unavailable
from veltrix.ports.ledger import Head, Term
from veltrix.ports.notices import HELD
from veltrix.wire import decode_spec

Rows = list[tuple[Any, ...]]
PAGE_ROWS: Final = 1_000

_FILES: Final[dict[str, Kind]] = {
    "ledger.db": LEDGER,
    "notices.db": NOTICES,
    "outreach.db": OUTREACH,
    "access.db": ACCESS,
    "vault.db": VAULT,
}
_DECISION: Final = (
    "outcome, log_time_ms, rules_version, command, kind, refusal, detail, organizer, event, subject, "
    "person, key_id, fingerprint, first_seq, facts, own_seq, original"
)
_NOTICE: Final = (
    "place, id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id, "
    "created_ms, trace, status, due_ms, attempts, fence, detail, tried_ms, coalesce(tried_before, 0), "
    "expires_ms, ordered IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class _Table:
    """Where a table's rows are, in the order of their keys, and how one becomes what others know."""

    file: str
    query: str
    adapt: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None


def _event(row: tuple[Any, ...]) -> tuple[Any, ...]:
    *columns, starts_ms, remind_ms, reminded_ms, written = row
    spec = decode_spec(written)
    if starts_ms is None:  # an older program wrote it
        identity, _, organizer, _, status, version, hash_key, created_ms, changed_ms, _ = columns
        event = Event(
            identity, organizer, spec, hash_key, created_ms, changed_ms, EventStatus(status), version
        )
        starts_ms, remind_ms = spec.starts_ms(), event.remind_ms()
    return (*columns, starts_ms, remind_ms, reminded_ms, spec.one_per_email, written)


def _numbered(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (row[0] >> SHIFT, row[0] & NUMBERS, *row[1:])


def _notice(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:-1], bool(row[-1]))


def _endpoint(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:4], bool(row[4]), *row[5:7], bool(row[7]), *row[8:])


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (row[0].removeprefix(KEY), row[1])


_TABLES: Final[dict[str, _Table]] = {
    "ledger.events": _Table(
        "ledger.db",
        "SELECT id, partition, organizer, slug, status, version, hash_key, created_ms, changed_ms, ends_ms, "
        "starts_ms, remind_ms, reminded_ms, spec FROM events ORDER BY id",
        _event,
    ),
    "ledger.counters": _Table("ledger.db", "SELECT event, next_seat, code_uses FROM counters ORDER BY event"),
    "ledger.pools": _Table(
        "ledger.db", "SELECT event, pool, capacity, taken, ceiling FROM pools ORDER BY event, pool"
    ),
    "ledger.registrations": _Table(
        "ledger.db",
        "SELECT id, partition, event, arrival, status, person, active_seats, hold_number, hold_deadline_ms, "
        "hold_ends_ms, exclusive, snapshot FROM registrations ORDER BY id",
    ),
    "ledger.seats": _Table(
        "ledger.db",
        "SELECT event, number, registration, status, category, price_minor, currency, holder, checked_in_ms "
        "FROM seats ORDER BY event, number",
    ),
    "ledger.decisions": _Table("ledger.db", f"SELECT id, {_DECISION} FROM decisions ORDER BY id", _numbered),
    "ledger.facts": _Table("ledger.db", "SELECT id, data FROM facts ORDER BY id", _numbered),
    "notification.positions": _Table("notices.db", "SELECT partition, seq FROM positions ORDER BY partition"),
    "notification.notices": _Table("notices.db", f"SELECT {_NOTICE} FROM notices ORDER BY place", _notice),
    "notification.jobs": _Table(
        "notices.db",
        "SELECT place, partition, seq, organizer, event, kind, after_arrival, trace, expires_ms FROM jobs "
        "ORDER BY place",
    ),
    "notification.holds": _Table(
        "notices.db", f"SELECT partition, seq, '{HELD}' FROM holds ORDER BY partition"
    ),
    "notification.attempts": _Table(
        "notices.db",
        "SELECT place, number, started_ms, ended_ms, outcome, code, detail, excerpt FROM attempts "
        "ORDER BY place, number",
    ),
    "notification.targets": _Table(
        "notices.db",
        "SELECT name, state, since_ms, why, failures, opened, blocked_until_ms, version, paced_ms "
        "FROM targets ORDER BY name",
    ),
    "notification.bounces": _Table(
        "notices.db",
        "SELECT organizer, address, created_ms, detail FROM bounces ORDER BY organizer, address",
    ),
    "notification.progress": _Table("notices.db", "SELECT seq, place FROM progress"),
    "outreach.endpoints": _Table(
        "outreach.db", f"SELECT {ENDPOINT_COLUMNS} FROM endpoints ORDER BY id", _endpoint
    ),
    "outreach.secrets": _Table("outreach.db", f"SELECT {SIGNING_COLUMNS} FROM secrets ORDER BY id"),
    "outreach.suppressions": _Table(
        "outreach.db",
        "SELECT organizer, address, category, reason, created_ms, detail FROM suppressions "
        "ORDER BY organizer, address, category",
    ),
    "outreach.templates": _Table(
        "outreach.db",
        "SELECT organizer, kind, locale, version, subject, text, html, created_ms FROM templates "
        "ORDER BY organizer, kind, locale, version",
    ),
    "outreach.orders": _Table(
        "outreach.db",
        "SELECT seq, kind, organizer, created_ms, wanted, target, addresses, payload, given_by, request "
        "FROM orders ORDER BY seq",
    ),
    "registration.api_keys": _Table(
        "access.db",
        "SELECT id, organizer, scopes, secret_hash, created_ms, label FROM api_keys ORDER BY id",
    ),
    "vault.keys": _Table("vault.db", "SELECT id, key FROM keys WHERE key IS NOT NULL ORDER BY number", _key),
}

# Tables that an older program's file lacks, and the rows that stand for them.
_LATER: Final[dict[str, Rows]] = {
    "holds": [],
    "attempts": [],
    "targets": [],
    "bounces": [],
    "progress": [(0, 0)],
}


class Dump:
    """The files of a data directory that nobody writes to. Raises `Mismatch` for files of another version."""

    def __init__(self, directory: Path) -> None:
        self._databases = {
            name: Database(directory / name, kind, read_only=True)
            for name, kind in _FILES.items()
            if (directory / name).exists()
        }

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of all tables but the heads of the partitions."""
        return tuple(_TABLES)

    def heads(self) -> list[Head]:
        """Where each partition stands."""
        columns = (
            "partition, epoch, revision, owner, next_offset, log_time_ms, rules_version, next_seq, "
            "relayed_seq, last_hash, topic_id"
        )
        rows = self._all("ledger.db", f"SELECT {columns} FROM partitions ORDER BY partition")
        return [Head(row[0], Term(row[1], row[2]), *row[3:]) for page in rows for row in page]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        found = _TABLES[table]
        query = f"SELECT count(*) FROM ({found.query})"
        return next((int(page[0][0]) for page in self._all(found.file, query)), 0)

    def rows(self, table: str) -> Iterator[Rows]:
        """A table's rows in the order of their keys, a page at a time."""
        found = _TABLES[table]
        for page in self._all(found.file, found.query):
            yield page if found.adapt is None else [found.adapt(row) for row in page]

    def _all(self, file: str, query: str) -> Iterator[Rows]:
        database = self._databases.get(file)
        if database is None:
            return
        connection = database.connect()
        try:
            known = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
            for table, instead in _LATER.items():
                if f"FROM {table}" in query and not connection.execute(known, (table,)).fetchone()[0]:
                    if instead:
                        yield instead  # an older program made the file
                    return
            cursor = connection.execute(query)
            while page := cursor.fetchmany(PAGE_ROWS):
                yield page
        except sqlite3.Error as error:
            raise Unavailable(f"{file} cannot be read: {error}") from error
        finally:
            connection.close()
