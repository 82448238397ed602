"""API keys in a SQLite file, which the command line writes too while the platform runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from veltrix.adapters.sqlite.database import Database, Kind, Synchronous
from veltrix.adapters.sqlite.snapshots import Snapshots
from veltrix.adapters.sqlite.writer import Writer
from veltrix.ports.access import ApiKey, Scope
from veltrix.ports.errors import Rejected

_SCHEMA: Final = """
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    organizer TEXT NOT NULL,
    scopes TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    label TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
KIND: Final = Kind("store of API keys", 0x56_4C_54_05, 1, _SCHEMA)
_COLUMNS: Final = "id, organizer, scopes, secret_hash, created_ms, label"


class SqliteAccess:
    """API keys in one file. `open` makes one."""

    def __init__(self, database: Database) -> None:
        self._snapshots = Snapshots(database)
        self._writer = Writer(database)

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL") -> SqliteAccess:
        """Open the store, creating it when it is missing; raises `Mismatch` or `Unavailable`."""
        return cls(Database(Path(path), KIND, synchronous=synchronous))

    async def add(self, key: ApiKey) -> None:
        """Store a key, durably."""
        scopes = " ".join(sorted(key.scopes))
        row = (key.id, key.organizer, scopes, key.secret_hash, key.created_ms, key.label)
        async with self._writer.transaction() as connection:
            query = "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            if connection.execute(query, row).rowcount != 1:
                raise Rejected(f"key {key.id} exists already")

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id."""
        with self._snapshots.now() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM api_keys WHERE id = ?", (key_id,)).fetchone()
        return None if row is None else _key(row)

    async def keys(self) -> list[ApiKey]:
        """All keys, by organizer and time."""
        query = f"SELECT {_COLUMNS} FROM api_keys ORDER BY organizer, created_ms, id"
        with self._snapshots.now() as connection:
            return [_key(row) for row in connection.execute(query)]

    async def revoke(self, key_id: str) -> bool:
        """Remove a key, durably."""
        async with self._writer.transaction() as connection:
            return connection.execute("DELETE FROM api_keys WHERE id = ?", (key_id,)).rowcount == 1

    async def close(self) -> None:
        """Finish a commit that is under way and close."""
        self._snapshots.close()
        if not self._writer.closed:
            async with self._writer.lock:
                self._writer.close()


def _key(row: tuple[Any, ...]) -> ApiKey:
    key_id, organizer, scopes, secret_hash, created_ms, label = row
    return ApiKey(key_id, organizer, frozenset(map(Scope, scopes.split())), secret_hash, created_ms, label)
