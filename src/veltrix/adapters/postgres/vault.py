"""The vault in PostgreSQL: a database of its own, backed up apart from the ledger.

What is destroyed here cannot be asked for any more once `destroy` returns, on the primary and on whichever
server becomes it. PostgreSQL overwrites nothing in place, though, so the bytes of a destroyed key remain

* on the table's pages until VACUUM has cleared the dead row and something else came to its place. The
  table's own settings let autovacuum come after every erasure; `scrub` (VACUUM FULL) rewrites the table
  without them, at once, and removes the old file;
* in the write-ahead log, on primary and standbys, until its segments are recycled;
* in archived WAL and base backups until those are deleted: their age is the time within which an erasure
  is complete, so keep the vault's backups for days, and the ledger's, which hold no keys, for years.

After a restore of the vault the erasures in the log are carried out again before anything can be read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from veltrix.adapters.postgres.errors import port_error
from veltrix.adapters.postgres.links import find_primary
from veltrix.adapters.postgres.server import Postgres
from veltrix.adapters.postgres.settings import PostgresSettings
from veltrix.domain.identifiers import KEY, is_id
from veltrix.ports.errors import Unavailable

KEY_BYTES: Final = 32

# A block's keys stand side by side: 64 random bits name the block, the rest is a number.
_RESERVE: Final = f"""
INSERT INTO vault.keys (id, key)
SELECT ($1 || lpad(to_hex(number), 16, '0'))::uuid, substr($2::bytea, number * {KEY_BYTES} + 1, {KEY_BYTES})
FROM generate_series(0, $3::integer - 1) AS number
"""
_KEYS: Final = "SELECT id, key FROM vault.keys WHERE id = ANY ($1::uuid[])"
_DESTROY: Final = "DELETE FROM vault.keys WHERE id = ANY ($1::uuid[])"


class PostgresVault:
    """Keys. Their table is made by `migrate(..., vault=True)`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._closed = False

    async def reserve(self, count: int) -> list[tuple[str, bytes]]:
        """Make new keys, durable when it returns."""
        self._check_open()
        if not count:
            return []
        block, random = os.urandom(8).hex(), os.urandom(count * KEY_BYTES)
        await self._postgres.write(lambda connection: connection.execute(_RESERVE, block, random, count))
        return [
            (f"{KEY}{block}{number:016x}", random[number * KEY_BYTES : (number + 1) * KEY_BYTES])
            for number in range(count)
        ]

    async def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """Those that still exist."""
        self._check_open()
        wanted = _uuids(key_ids)
        if not wanted:
            return {}
        rows = await self._postgres.read(lambda connection: connection.fetch(_KEYS, wanted))
        return {KEY + key_id.hex: key for key_id, key in rows}

    async def destroy(self, key_ids: Sequence[str]) -> None:
        """Delete keys; what remains of them, and where, stands above."""
        self._check_open()
        gone = _uuids(key_ids)
        if gone:
            await self._postgres.write(lambda connection: connection.execute(_DESTROY, gone))

    async def close(self) -> None:
        """Take no more work. The connections are the `Postgres`'."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the vault is closed")


async def scrub(settings: PostgresSettings) -> None:
    """Write the vault's table anew without what was destroyed, as its owner; it is locked meanwhile.

    Raises `Unavailable` when it cannot be done now.
    """
    link = await find_primary(settings, settings.application, settings.addresses(), 0)
    try:
        await link.connection.execute("SET statement_timeout = 0")
        await link.connection.execute("VACUUM (FULL) vault.keys")
    except Exception as error:
        raise port_error(error, writing=False) or error from error
    finally:
        link.drop()


def _uuids(key_ids: Sequence[str]) -> list[UUID]:
    """Of ids that have the shape of one; others are nobody's. In order, so that two calls cannot block."""
    return sorted({UUID(key_id[len(KEY) :]) for key_id in key_ids if is_id(KEY, key_id)})
