"""Looks into the ledger file for what must hold, from a connection and a thread of their own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from veltrix.adapters.sqlite.database import Database
from veltrix.adapters.sqlite.schema import KIND, key_of
from veltrix.ports.errors import Unavailable
from veltrix.ports.samples import Balance, PoolNumbers, Run
from veltrix.wire import decode_spec

T = TypeVar("T")

_EVENTS: Final = "SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?"
_SPEC: Final = "SELECT spec FROM events WHERE id = ?"
_POOLS: Final = "SELECT pool, capacity, taken, ceiling FROM pools WHERE event = ?"
_SEATS: Final = """
SELECT category, count(*) FROM seats
WHERE event = ? AND status IN ('held', 'confirmed') GROUP BY category
"""
_RUN: Final = """
SELECT count(*), coalesce(min({number}), 0), coalesce(max({number}), 0) FROM {table} WHERE id >= ? AND id < ?
"""


class SqliteSamples:
    """Samples. `open` makes one; it only reads."""

    def __init__(self, database: Database) -> None:
        self._connection = database.connect()
        self._name = database.path.name
        # Its one thread has the connection to itself: a look that nobody waits for any more ends before
        # the next begins, and before the connection closes. SQLite frees what its statements use.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="samples")
        self._closed = False

    @classmethod
    async def open(cls, path: str | os.PathLike[str]) -> SqliteSamples:
        """Open a ledger's file that exists."""
        return cls(Database(Path(path), KIND, read_only=True))

    async def events(self, after: str, limit: int) -> list[str]:
        """Ids of events, in order."""
        return await self._read(lambda it: [row[0] for row in it.execute(_EVENTS, (after, limit))])

    async def balance(self, event: str) -> Balance | None:
        """An event's numbers."""
        return await self._read(lambda it: _balance(it, event))

    async def decisions(self, partition: int, most: int) -> Run | None:
        """The last decisions."""
        return await self._read(lambda it: _run(it, partition, most, "decisions", '"offset"', "next_offset"))

    async def facts(self, partition: int, most: int) -> Run | None:
        """The last facts."""
        return await self._read(lambda it: _run(it, partition, most, "facts", "seq", "next_seq"))

    async def close(self) -> None:
        """Close; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """In a thread: a large event takes some milliseconds, which no request should wait for."""
        if self._closed:
            raise Unavailable(f"{self._name} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._in_snapshot, look)

    def _in_snapshot(self, look: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._connection.execute("BEGIN")
            try:
                return look(self._connection)
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise Unavailable(f"{self._name} cannot be read: {error}") from error


def _balance(connection: sqlite3.Connection, event: str) -> Balance | None:
    row = connection.execute(_SPEC, (event,)).fetchone()
    if row is None:
        return None
    pools = {pool: PoolNumbers(*numbers) for pool, *numbers in connection.execute(_POOLS, (event,))}
    seats = dict(connection.execute(_SEATS, (event,)).fetchall())
    return Balance(event, pools, seats, {each.key: each.pools for each in decode_spec(row[0]).categories})


def _run(
    connection: sqlite3.Connection, partition: int, most: int, table: str, number: str, following: str
) -> Run | None:
    row = connection.execute(
        f"SELECT {following} FROM partitions WHERE partition = ?", (partition,)
    ).fetchone()
    if row is None:
        return None
    bounds = (key_of(partition, max(0, row[0] - most)), key_of(partition + 1, 0))
    count, first, last = connection.execute(_RUN.format(number=number, table=table), bounds).fetchone()
    return Run(count, first, last, row[0])
