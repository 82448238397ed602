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
from veltrix.domain.identifiers import KEY

KEY_BYTES: Final = 32
_HEX: Final = 16
_CHUNK: Final = 500

_SCHEMA: Final = f"""
CREATE TABLE vault (
    tag TEXT NOT NULL
) STRICT;
CREATE TABLE keys (
    number INTEGER PRIMARY KEY,
    key BLOB NOT NULL CHECK (length(key) = {KEY_BYTES})
) STRICT;
"""
KIND: Final = Kind("vault", 0x56_4C_54_04, 1, _SCHEMA, secure_delete=True)

_GET: Final = f"""
SELECT number, key FROM keys
WHERE number IN (SELECT value FROM json_each(?)) AND key <> zeroblob({KEY_BYTES})
"""
_DESTROY: Final = (
    f"UPDATE keys SET key = zeroblob({KEY_BYTES}) WHERE number IN (SELECT value FROM json_each(?))"
)


class SqliteVault:
    """Keys in one file. A key's id is the vault's random tag and the key's number. `open` makes one."""

    def __init__(self, database: Database, tag: str) -> None:
        self._snapshots = Snapshots(database)
        self._writer = Writer(database)
        self._prefix = KEY + tag

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL") -> SqliteVault:
        """Open the vault, creating it when it is missing; raises `Mismatch` or `Unavailable`."""
        database = Database(Path(path), KIND, synchronous=synchronous)
        connection = database.connect()
        try:
            row = connection.execute("SELECT tag FROM vault").fetchone()
            if row is None:
                row = (os.urandom(_HEX // 2).hex(),)
                connection.execute("INSERT INTO vault VALUES (?)", row)
        finally:
            connection.close()
        return cls(database, row[0])

    async def reserve(self, count: int) -> list[tuple[str, bytes]]:
        """Make new keys, durable when it returns."""
        random = os.urandom(count * KEY_BYTES)
        keys = [random[at : at + KEY_BYTES] for at in range(0, len(random), KEY_BYTES)]
        async with self._writer.transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM keys").fetchone()
            rows = list(enumerate(keys, last + 1))
            for at in range(0, count, _CHUNK):
                connection.executemany("INSERT INTO keys VALUES (?, ?)", rows[at : at + _CHUNK])
                await asyncio.sleep(0)
        return [(f"{self._prefix}{number:0{_HEX}x}", key) for number, key in rows]

    async def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """Those that still exist."""
        numbers = self._numbers(key_ids)
        with self._snapshots.now() as connection:
            rows = connection.execute(_GET, (_json(list(numbers)),)).fetchall()
        return {numbers[number]: key for number, key in rows}

    async def destroy(self, key_ids: Sequence[str]) -> None:
        """Overwrite keys, here and in the write-ahead log."""
        numbers = list(self._numbers(key_ids))
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

    def _numbers(self, key_ids: Sequence[str]) -> dict[int, str]:
        """Ids of this vault's keys, by number; others are nobody's."""
        numbers: dict[int, str] = {}
        for key_id in key_ids:
            digits = key_id.removeprefix(self._prefix)
            if len(digits) == _HEX and len(key_id) == len(self._prefix) + _HEX:
                try:
                    number = int(digits, 16)
                except ValueError:
                    continue
                if number < 1 << 63:
                    numbers[number] = key_id
        return numbers


def _json(numbers: list[int]) -> str:
    return msgspec.json.encode(numbers).decode()
