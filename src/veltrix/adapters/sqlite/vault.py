"""The keys in a SQLite file that forgets.

Each key lies in a row of fixed size that is only ever appended, and is destroyed by being overwritten in
place. No row is deleted and none changes its size, so SQLite never moves a key to another page and leaves
no copy of it behind; the write-ahead log, which does hold copies, is cut to nothing before `destroy`
returns.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from veltrix.adapters.sqlite.database import Database, Kind, Synchronous
from veltrix.adapters.sqlite.snapshots import Snapshots
from veltrix.adapters.sqlite.writer import Writer
from veltrix.domain.identifiers import KEY, is_id

KEY_BYTES: Final = 32
_NUMBER_BITS: Final = 32
_CHUNK: Final = 500

# A cell is a byte 1 and the key, or zeros once it is destroyed. What people read is computed from it.
_SCHEMA: Final = f"""
CREATE TABLE keys (
    number INTEGER PRIMARY KEY,
    cell BLOB NOT NULL CHECK (length(cell) = {1 + KEY_BYTES}),
    id TEXT AS ('{KEY}' || printf('%032x', number)) VIRTUAL,
    key BLOB AS (CASE WHEN substr(cell, 1, 1) = x'01' THEN substr(cell, 2) END) VIRTUAL
) STRICT;
"""
KIND: Final = Kind("vault", 0x56_4C_54_04, 1, _SCHEMA, secure_delete=True)

_LAST: Final = "SELECT max(number) FROM keys"
_GET: Final = """
SELECT id, key FROM keys WHERE number IN (SELECT value FROM json_each(?)) AND key IS NOT NULL
"""
_DESTROY: Final = f"""
UPDATE keys SET cell = zeroblob({1 + KEY_BYTES}) WHERE number IN (SELECT value FROM json_each(?))
"""


class SqliteVault:
    """Keys in one file. `open` makes one.

    A key's id is its number, which starts at a random place, so that two vaults' keys are not mistaken for
    each other.
    """

    def __init__(self, database: Database) -> None:
        self._snapshots = Snapshots(database)
        self._writer = Writer(database)

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL") -> SqliteVault:
        """Open the vault, creating it when it is missing; raises `Mismatch` or `Unavailable`."""
        return cls(Database(Path(path), KIND, synchronous=synchronous))

    async def reserve(self, count: int) -> list[tuple[str, bytes]]:
        """Make new keys, durable when it returns."""
        random = os.urandom(count * KEY_BYTES)
        keys = [random[at : at + KEY_BYTES] for at in range(0, len(random), KEY_BYTES)]
        async with self._writer.transaction() as connection:
            (last,) = connection.execute(_LAST).fetchone()
            if last is None:
                last = int.from_bytes(os.urandom(4), "big") >> 1 << _NUMBER_BITS
            rows = [(number, b"\x01" + key) for number, key in enumerate(keys, last + 1)]
            for at in range(0, count, _CHUNK):
                connection.executemany("INSERT INTO keys VALUES (?, ?)", rows[at : at + _CHUNK])
                await asyncio.sleep(0)
        return [(f"{KEY}{number:032x}", cell[1:]) for number, cell in rows]

    async def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """Those that still exist."""
        with self._snapshots.now() as connection:
            return dict(connection.execute(_GET, (_json(_numbers(key_ids)),)).fetchall())

    async def destroy(self, key_ids: Sequence[str]) -> None:
        """Overwrite keys, here and in the write-ahead log."""
        numbers = _numbers(key_ids)
        async with self._writer.transaction() as connection:
            for at in range(0, len(numbers), _CHUNK):
                connection.execute(_DESTROY, (_json(numbers[at : at + _CHUNK]),))
                await asyncio.sleep(0)
        async with self._writer.lock:
            await self._writer.truncate_wal()

    async def close(self) -> None:
        """Finish a commit that is under way and close."""
        self._snapshots.close()
        if not self._writer.closed:
            async with self._writer.lock:
                self._writer.close()


def _numbers(key_ids: Sequence[str]) -> list[int]:
    """The numbers of ids that have the shape of one; others are nobody's."""
    numbers = (int(key_id[len(KEY) :], 16) for key_id in key_ids if is_id(KEY, key_id))
    return [number for number in numbers if number < 1 << 63]


def _json(numbers: list[int]) -> str:
    return msgspec.json.encode(numbers).decode()
