"""Before somebody is told that something does not exist: make sure that nobody stale was asked.

A ledger's old primary that was cut off may still answer reads for a moment. What it does not have yet is not
unknown. Misses are rare, but anyone may cause them: however many wait, one barrier is under way at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from veltrix.ports.queries import Queries

T = TypeVar("T")


class Freshness:
    """Looks again, past a barrier, for what was not found."""

    def __init__(self, queries: Callable[[], Queries]) -> None:
        self._queries = queries
        self._under_way: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def find(self, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """What `look` finds at once, or after a barrier; None if it is surely not there."""
        found = await look()
        if found is None:
            await self._pass()
            found = await look()
        return found

    async def _pass(self) -> None:
        """Share the next barrier: one that has begun already may be too early."""
        if self._next is None:
            self._next = asyncio.create_task(self._begin(self._under_way), name="registration/barrier")
        await asyncio.shield(self._next)

    async def _begin(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._under_way, self._next = self._next, None
        await self._queries().barrier()
