"""What organizers and people chose, in a SQLite file that the command line writes too."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from veltrix.adapters.sqlite.database import Database, Kind, Synchronous
from veltrix.adapters.sqlite.snapshots import Snapshots
from veltrix.adapters.sqlite.writer import Writer
from veltrix.domain import limits
from veltrix.ports.deliveries import Wanted
from veltrix.ports.errors import Rejected
from veltrix.ports.outreach import (
    Endpoint,
    NoticeTemplate,
    OnUnknown,
    Order,
    OrderKind,
    Reason,
    Scheme,
    SigningSecret,
    Suppression,
)

_SCHEMA: Final = """
CREATE TABLE revisions (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO revisions VALUES (1, 0);
CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    organizer TEXT NOT NULL,
    url TEXT NOT NULL,
    kinds TEXT NOT NULL,
    ordered INTEGER NOT NULL,
    on_unknown TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    rate_per_s REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoints_of ON endpoints (organizer);
CREATE TABLE secrets (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    scheme TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    ends_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX secrets_of ON secrets (endpoint);
CREATE TABLE suppressions (
    organizer TEXT NOT NULL,
    address TEXT NOT NULL,
    category TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (organizer, address, category)
) STRICT, WITHOUT ROWID;
CREATE TABLE templates (
    organizer TEXT NOT NULL,
    kind TEXT NOT NULL,
    locale TEXT NOT NULL,
    version INTEGER NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    html TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (organizer, kind, locale, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    organizer TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    wanted TEXT,
    target TEXT NOT NULL,
    addresses TEXT NOT NULL,
    payload BLOB NOT NULL,
    given_by TEXT NOT NULL,
    request TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX orders_of_requests ON orders (request) WHERE request != '';
"""
KIND: Final = Kind("store of what organizers chose", 0x56_4C_54_07, 1, _SCHEMA, secure_delete=True)
ENDPOINT_COLUMNS: Final = (
    "id, organizer, url, kinds, ordered, on_unknown, description, enabled, created_ms, changed_ms, rate_per_s"
)
SIGNING_COLUMNS: Final = "id, endpoint, scheme, sealed, created_ms, ends_ms"
_TEMPLATE: Final = "organizer, kind, locale, version, subject, text, html, created_ms"
ORDER_COLUMNS: Final = (
    "kind, organizer, created_ms, wanted, target, addresses, payload, given_by, request, seq"
)
_PUT_ENDPOINT: Final = f"""
INSERT INTO endpoints ({ENDPOINT_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT DO UPDATE SET url = ?3, kinds = ?4, ordered = ?5, on_unknown = ?6, description = ?7, enabled = ?8,
    created_ms = ?9, changed_ms = ?10, rate_per_s = ?11
"""
_END_OTHERS: Final = """
UPDATE secrets SET ends_ms = ?1 WHERE endpoint = ?2 AND scheme = ?3 AND (ends_ms IS NULL OR ends_ms > ?1)
"""
_SUPPRESSED: Final = """
SELECT organizer, address, category FROM json_each(?)
JOIN suppressions ON organizer = value ->> 0 AND address = value ->> 1
"""
_LAST_TEMPLATES: Final = f"""
SELECT {_TEMPLATE} FROM templates t WHERE (?1 IS NULL OR organizer = ?1) AND version = (
    SELECT max(version) FROM templates o
    WHERE o.organizer = t.organizer AND o.kind = t.kind AND o.locale = t.locale
) ORDER BY organizer, kind, locale
"""
_wanted: Final = msgspec.json.Decoder(Wanted)


class SqliteOutreach:
    """Endpoints, secrets, suppressions, templates and orders in one file. `open` makes one."""

    def __init__(self, database: Database) -> None:
        self._snapshots = Snapshots(database)
        self._writer = Writer(database)

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL") -> SqliteOutreach:
        """Open the store, creating it when it is missing; raises `Mismatch` or `Unavailable`."""
        return cls(Database(Path(path), KIND, synchronous=synchronous))

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add or replace an endpoint."""
        async with self._writer.transaction() as connection:
            query = "SELECT organizer FROM endpoints WHERE id = ?"
            known = connection.execute(query, (endpoint.id,)).fetchone()
            if known is not None and known[0] != endpoint.organizer:
                raise Rejected(f"endpoint {endpoint.id} is another organizer's")
            if known is None:
                query = "SELECT count(*) FROM endpoints WHERE organizer = ?"
                (theirs,) = connection.execute(query, (endpoint.organizer,)).fetchone()
                if theirs >= limits.ENDPOINTS_PER_ORGANIZER_MAX:
                    raise Rejected(
                        f"an organizer has {limits.ENDPOINTS_PER_ORGANIZER_MAX} endpoints at the most"
                    )
            connection.execute(_PUT_ENDPOINT, endpoint_row(endpoint))
            _changed(connection)

    async def endpoint(self, endpoint: str) -> Endpoint | None:
        """The endpoint of that id."""
        query = f"SELECT {ENDPOINT_COLUMNS} FROM endpoints WHERE id = ?"
        with self._snapshots.now() as connection:
            row = connection.execute(query, (endpoint,)).fetchone()
        return None if row is None else endpoint_of(row)

    async def endpoints(self, organizer: str | None = None) -> list[Endpoint]:
        """An organizer's endpoints, or everybody's."""
        query = f"SELECT {ENDPOINT_COLUMNS} FROM endpoints WHERE ?1 IS NULL OR organizer = ?1 ORDER BY id"
        with self._snapshots.now() as connection:
            return [endpoint_of(row) for row in connection.execute(query, (organizer,))]

    async def remove_endpoint(self, endpoint: str) -> bool:
        """Remove an endpoint with its secrets."""
        async with self._writer.transaction() as connection:
            if connection.execute("DELETE FROM endpoints WHERE id = ?", (endpoint,)).rowcount != 1:
                return False
            connection.execute("DELETE FROM secrets WHERE endpoint = ?", (endpoint,))
            _changed(connection)
        return True

    async def add_secret(self, secret: SigningSecret, *, others_end_ms: int | None = None) -> None:
        """Add a secret, and let the others of its scheme end."""
        async with self._writer.transaction() as connection:
            query = "SELECT count(*) FROM endpoints WHERE id = ?"
            if not connection.execute(query, (secret.endpoint,)).fetchone()[0]:
                raise Rejected(f"there is no endpoint {secret.endpoint}")
            query = "DELETE FROM secrets WHERE endpoint = ? AND ends_ms <= ?"
            connection.execute(query, (secret.endpoint, secret.created_ms))
            query = "SELECT count(*), count(*) FILTER (WHERE id = ?) FROM secrets WHERE endpoint = ?"
            theirs, same = connection.execute(query, (secret.id, secret.endpoint)).fetchone()
            if same or theirs >= limits.WEBHOOK_SECRETS_MAX:
                raise Rejected(f"an endpoint has {limits.WEBHOOK_SECRETS_MAX} secrets at the most, each once")
            if others_end_ms is not None:
                connection.execute(_END_OTHERS, (others_end_ms, secret.endpoint, secret.scheme.value))
            values = (secret.id, secret.endpoint, secret.scheme.value, secret.sealed)
            connection.execute(
                f"INSERT INTO secrets ({SIGNING_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
                (*values, secret.created_ms, secret.ends_ms),
            )
            _changed(connection)

    async def secrets(self, endpoints: Sequence[str]) -> list[SigningSecret]:
        """Their secrets, the newest first."""
        query = (
            f"SELECT {SIGNING_COLUMNS} FROM secrets WHERE endpoint IN (SELECT value FROM json_each(?)) "
            "ORDER BY created_ms DESC, id"
        )
        with self._snapshots.now() as connection:
            return [secret_of(row) for row in connection.execute(query, (_json(list(endpoints)),))]

    async def end_secret(self, secret: str, ends_ms: int) -> bool:
        """Let a secret end."""
        async with self._writer.transaction() as connection:
            query = "UPDATE secrets SET ends_ms = ? WHERE id = ?"
            if connection.execute(query, (ends_ms, secret)).rowcount != 1:
                return False
            _changed(connection)
        return True

    async def suppress(self, suppressions: Sequence[Suppression]) -> int:
        """Add them."""
        query = "INSERT INTO suppressions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        added = 0
        async with self._writer.transaction() as connection:
            for each in suppressions:
                row = (each.organizer, each.address, each.category, each.reason.value)
                added += connection.execute(query, (*row, each.created_ms, each.detail)).rowcount
        return added

    async def unsuppress(self, organizer: str, address: str, category: str) -> bool:
        """Remove one."""
        query = "DELETE FROM suppressions WHERE organizer = ? AND address = ? AND category = ?"
        async with self._writer.transaction() as connection:
            return connection.execute(query, (organizer, address, category)).rowcount == 1

    async def suppressed(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
        """Their suppressed categories."""
        found: dict[tuple[str, str], set[str]] = {}
        with self._snapshots.now() as connection:
            if not connection.execute("SELECT 1 FROM suppressions LIMIT 1").fetchone():
                return {}
            for organizer, address, category in connection.execute(_SUPPRESSED, (_json(list(asked)),)):
                found.setdefault((organizer, address), set()).add(category)
        return {each: frozenset(categories) for each, categories in found.items()}

    async def suppressions(
        self, organizer: str, after: tuple[str, str] | None, limit: int
    ) -> list[Suppression]:
        """An organizer's, by (address, category)."""
        query = (
            "SELECT organizer, address, category, reason, created_ms, detail FROM suppressions "
            "WHERE organizer = ? AND (address, category) > (?, ?) ORDER BY address, category LIMIT ?"
        )
        with self._snapshots.now() as connection:
            rows = connection.execute(query, (organizer, *(after or ("", "")), limit)).fetchall()
        return [Suppression(row[0], row[1], row[2], Reason(row[3]), row[4], row[5]) for row in rows]

    async def save_template(self, template: NoticeTemplate) -> None:
        """Add the next version."""
        key = (template.organizer, template.kind, template.locale)
        async with self._writer.transaction() as connection:
            query = "SELECT max(version) FROM templates WHERE organizer = ? AND kind = ? AND locale = ?"
            last = connection.execute(query, key).fetchone()[0] or 0
            if template.version != last + 1:
                raise Rejected(f"the template is at version {last}; save version {last + 1}")
            values = (*key, template.version, template.subject, template.text, template.html)
            connection.execute(
                f"INSERT INTO templates ({_TEMPLATE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, template.created_ms),
            )
            _changed(connection)

    async def template(
        self, organizer: str, kind: str, locale: str, version: int | None = None
    ) -> NoticeTemplate | None:
        """That version, or the last one."""
        query = (
            f"SELECT {_TEMPLATE} FROM templates WHERE organizer = ?1 AND kind = ?2 AND locale = ?3 "
            "AND (?4 IS NULL OR version = ?4) ORDER BY version DESC LIMIT 1"
        )
        with self._snapshots.now() as connection:
            row = connection.execute(query, (organizer, kind, locale, version)).fetchone()
        return None if row is None else NoticeTemplate(*row)

    async def templates(self, organizer: str | None = None) -> list[NoticeTemplate]:
        """The last version of each."""
        with self._snapshots.now() as connection:
            return [NoticeTemplate(*row) for row in connection.execute(_LAST_TEMPLATES, (organizer,))]

    async def drop_template(self, organizer: str, kind: str, locale: str) -> bool:
        """Remove all versions."""
        query = "DELETE FROM templates WHERE organizer = ? AND kind = ? AND locale = ?"
        async with self._writer.transaction() as connection:
            if not connection.execute(query, (organizer, kind, locale)).rowcount:
                return False
            _changed(connection)
        return True

    async def give(self, order: Order) -> int:
        """Append an order; the one connection that writes gives them numbers without a gap."""
        async with self._writer.transaction() as connection:
            query = "SELECT seq FROM orders WHERE request = ? AND request != ''"
            given = connection.execute(query, (order.request,)).fetchone()
            if given is not None:
                return int(given[0])
            seq: int = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM orders").fetchone()[0]
            connection.execute(
                f"INSERT INTO orders ({ORDER_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*order_row(order), seq),
            )
        return seq

    async def orders(self, after_seq: int, limit: int) -> list[Order]:
        """Orders with a greater number."""
        query = f"SELECT {ORDER_COLUMNS} FROM orders WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._snapshots.now() as connection:
            return [order_of(row) for row in connection.execute(query, (after_seq, limit))]

    async def revision(self) -> int:
        """Rises with every change of endpoints, secrets and templates."""
        with self._snapshots.now() as connection:
            revision: int = connection.execute("SELECT revision FROM revisions").fetchone()[0]
        return revision

    async def counts(self) -> Mapping[str, int]:
        """How many there are of each."""
        names = ("endpoints", "secrets", "suppressions", "templates", "orders")
        with self._snapshots.now() as connection:
            return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}

    async def close(self) -> None:
        """Finish a commit that is under way and close."""
        self._snapshots.close()
        if not self._writer.closed:
            async with self._writer.lock:
                self._writer.close()


def _changed(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE revisions SET revision = revision + 1")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def endpoint_row(endpoint: Endpoint) -> tuple[Any, ...]:
    """An endpoint as `ENDPOINT_COLUMNS` has it."""
    return (
        endpoint.id,
        endpoint.organizer,
        endpoint.url,
        " ".join(sorted(endpoint.kinds)),
        int(endpoint.ordered),
        endpoint.on_unknown.value,
        endpoint.description,
        int(endpoint.enabled),
        endpoint.created_ms,
        endpoint.changed_ms,
        endpoint.rate_per_s,
    )


def endpoint_of(row: tuple[Any, ...]) -> Endpoint:
    """The endpoint in a row."""
    id_, organizer, url, kinds, ordered, on_unknown, description, enabled, *rest = row
    how = (frozenset(kinds.split()), bool(ordered), OnUnknown(on_unknown))
    return Endpoint(id_, organizer, url, *how, description, bool(enabled), *rest)


def secret_of(row: tuple[Any, ...]) -> SigningSecret:
    """The secret in a row."""
    id_, endpoint, scheme, sealed, created_ms, ends_ms = row
    return SigningSecret(id_, endpoint, Scheme(scheme), sealed, created_ms, ends_ms)


def order_row(order: Order) -> tuple[Any, ...]:
    """An order as `ORDER_COLUMNS` has it, without its number."""
    return (
        order.kind.value,
        order.organizer,
        order.created_ms,
        None if order.wanted is None else _json(order.wanted),
        order.target,
        " ".join(order.addresses),
        order.payload,
        order.by,
        order.request,
    )


def order_of(row: tuple[Any, ...]) -> Order:
    """The order in a row."""
    kind, organizer, created_ms, wanted, target, addresses, payload, by, request, seq = row
    return Order(
        OrderKind(kind),
        organizer,
        created_ms,
        None if wanted is None else _wanted.decode(wanted),
        target,
        tuple(addresses.split()),
        payload,
        by,
        seq,
        request,
    )
