"""API keys in PostgreSQL, which registration alone reads and writes."""

from __future__ import annotations

from typing import Any, Final

from veltrix.adapters.postgres.server import Postgres
from veltrix.ports.access import ApiKey, Scope
from veltrix.ports.errors import Rejected, Unavailable

_COLUMNS: Final = "id, organizer, scopes, secret_hash, created_ms, label"
_ADD: Final = f"""
INSERT INTO registration.api_keys ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
RETURNING true
"""
_FIND: Final = f"SELECT {_COLUMNS} FROM registration.api_keys WHERE id = $1"
_ALL: Final = f"SELECT {_COLUMNS} FROM registration.api_keys ORDER BY organizer, created_ms, id"
_REVOKE: Final = "DELETE FROM registration.api_keys WHERE id = $1 RETURNING true"


class PostgresAccess:
    """API keys. Their table is made by `migrate`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._closed = False

    async def add(self, key: ApiKey) -> None:
        """Store a key, durably."""
        self._check_open()
        scopes = " ".join(sorted(key.scopes))
        values = (key.id, key.organizer, scopes, key.secret_hash, key.created_ms, key.label)
        if not await self._postgres.write(lambda connection: connection.fetchval(_ADD, *values)):
            raise Rejected(f"key {key.id} exists already")

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id."""
        self._check_open()
        row = await self._postgres.read(lambda connection: connection.fetchrow(_FIND, key_id))
        return None if row is None else _key(row)

    async def keys(self) -> list[ApiKey]:
        """All keys, by organizer and time."""
        self._check_open()
        rows = await self._postgres.read(lambda connection: connection.fetch(_ALL))
        return [_key(row) for row in rows]

    async def revoke(self, key_id: str) -> bool:
        """Remove a key, durably."""
        self._check_open()
        return bool(await self._postgres.write(lambda connection: connection.fetchval(_REVOKE, key_id)))

    async def close(self) -> None:
        """Take no more work. The connections are the `Postgres`'."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of API keys is closed")


def _key(row: Any) -> ApiKey:
    key_id, organizer, scopes, secret_hash, created_ms, label = row
    return ApiKey(key_id, organizer, frozenset(map(Scope, scopes.split())), secret_hash, created_ms, label)
