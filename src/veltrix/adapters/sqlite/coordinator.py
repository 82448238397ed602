"""The coordinator of a single process: everything is granted, under terms that outlive the process.

That there is a single process is the data directory's lock to see to.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
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
        self._taken: set[str] = set()
        self._line: list[tuple[Sequence[str], asyncio.Future[str]]] = []
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
        return await self.acquire_any([resource])

    async def acquire_any(self, resources: Sequence[str]) -> Grant:
        """Own the first of the resources that is free, or that becomes so."""
        resource = next((each for each in resources if each not in self._taken), None)
        if resource is None:
            resource = await self._wait(resources)
        self._taken.add(resource)
        try:
            term = await self._next_term()
        except BaseException:
            self._free(resource)
            raise
        grant = Grant(resource, term, self._member)
        self._grants[term] = grant
        return grant

    async def _wait(self, resources: Sequence[str]) -> str:
        """Stand in line until one of the resources is this caller's."""
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        place = (resources, turn)
        self._line.append(place)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free(turn.result())
            raise
        finally:
            self._line.remove(place)

    def _free(self, resource: str) -> None:
        """Let the first in line that waits for it have it."""
        self._taken.discard(resource)
        for resources, turn in self._line:
            if resource in resources and not turn.done():
                self._taken.add(resource)
                turn.set_result(resource)
                return

    async def release(self, grant: Grant) -> None:
        """Give it up."""
        grant.lost.set()
        if self._grants.pop(grant.term, None) is not None:
            self._free(grant.resource)

    async def verify(self, term: Term) -> None:
        """Count past a term that no grant of this store can have had: the store is older than the ledger, or
        new, and there is no other process that could be wronged."""
        async with self._writer.transaction() as connection:
            newest = Term(*connection.execute("SELECT epoch, revision FROM terms").fetchone())
            if term > newest:
                connection.execute("UPDATE terms SET epoch = ?, revision = ?", term)
            else:
                self._writer.rollback()

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
