"""The coordinator of a single process: everything is granted, under terms that outlive the process.

That there is a single process is the data directory's lock to see to.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from veltrix.adapters.sqlite.database import Database, Kind, Synchronous
from veltrix.adapters.sqlite.writer import Writer
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import Unavailable
from veltrix.ports.ledger import Term

_SCHEMA: Final = """
CREATE TABLE terms (
    epoch INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO terms VALUES (1, 0);
"""
KIND: Final = Kind("coordinator's store", 0x56_4C_54_06, 1, _SCHEMA)


class SqliteCoordinator:
    """Grants a resource at once when it is free in this process. `open` makes one."""

    def __init__(self, database: Database) -> None:
        self._writer = Writer(database)
        self._member = f"embedded-{os.getpid()}-{os.urandom(4).hex()}"
        self._resources: dict[str, asyncio.Lock] = {}
        self._grants: dict[Term, Grant] = {}
        self._closed = False

    @classmethod
    async def open(
        cls, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL"
    ) -> SqliteCoordinator:
        """Open the store, creating it when it is missing; raises `Mismatch` or `Unavailable`."""
        return cls(Database(Path(path), KIND, synchronous=synchronous))

    @property
    def member(self) -> str:
        """The name of this process."""
        return self._member

    async def acquire(self, resource: str) -> Grant:
        """Own the resource under a term that is durable before it is used."""
        lock = self._resources.setdefault(resource, asyncio.Lock())
        await lock.acquire()
        try:
            term = await self._next_term()
        except BaseException:
            lock.release()
            raise
        grant = Grant(resource, term, self._member)
        self._grants[term] = grant
        return grant

    async def release(self, grant: Grant) -> None:
        """Give it up."""
        grant.lost.set()
        if self._grants.pop(grant.term, None) is not None:
            self._resources[grant.resource].release()

    async def close(self) -> None:
        """Give everything up; who still waits is told that nobody grants any more."""
        self._closed = True
        for grant in list(self._grants.values()):
            await self.release(grant)
        if not self._writer.closed:
            async with self._writer.lock:
                self._writer.close()

    async def _next_term(self) -> Term:
        if self._closed:
            raise Unavailable("the coordinator is closed")
        async with self._writer.transaction() as connection:
            row = connection.execute(
                "UPDATE terms SET revision = revision + 1 RETURNING epoch, revision"
            ).fetchone()
        return Term(*row)
