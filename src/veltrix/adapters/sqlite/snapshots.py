"""Read connections: one for what is read in a single step, and one for each scan that gives way meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from veltrix.adapters.sqlite.database import Database
from veltrix.ports.errors import Unavailable

IDLE_MAX: Final = 4


class Snapshots:
    """Gives out connections with an open read transaction: every statement in it sees the same state."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._name = database.path.name
        self._reader = database.connect()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def now(self) -> Iterator[sqlite3.Connection]:
        """For statements between which nothing is awaited."""
        self._check_open()
        with _reading(self._name, self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def scan(self) -> AsyncIterator[sqlite3.Connection]:
        """For a long read that lets others run between its pages. It keeps the WAL from starting anew."""
        self._check_open()
        connection = self._idle.pop() if self._idle else self._database.connect()
        try:
            with _reading(self._name, connection):
                yield connection
        finally:
            if self._closed or len(self._idle) >= IDLE_MAX:
                connection.close()
            else:
                self._idle.append(connection)

    def close(self) -> None:
        """Close; scans under way end with an error or close theirs at their end."""
        self._closed = True
        for connection in (self._reader, *self._idle):
            connection.close()
        self._idle.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"{self._name} is closed")


@contextmanager
def _reading(name: str, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise Unavailable(f"{name} cannot be read: {error}") from error
