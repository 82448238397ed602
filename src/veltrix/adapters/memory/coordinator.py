"""Elections in memory, among the members of one simulated cluster."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import count

from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import TermsBehind, Unavailable
from veltrix.ports.ledger import Term

_numbers = count(1)


class MemoryCluster:
    """What the members share: who owns what, who waits for it, and the last revision."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.revision = 0
        self.owners: dict[str, Grant] = {}
        self.waiting: deque[tuple[str, Sequence[str], asyncio.Future[Grant]]] = deque()

    def take(self, resource: str, member: str) -> Grant:
        """Make `member` the owner, under a new term."""
        self.revision += 1
        grant = Grant(resource, Term(self.epoch, self.revision), member)
        self.owners[resource] = grant
        return grant

    def free(self, grant: Grant) -> None:
        """End a grant, if it is the standing one, and let the next in line have the resource."""
        grant.lost.set()
        if self.owners.get(grant.resource) is not grant:
            return
        del self.owners[grant.resource]
        for waiting in self.waiting:
            member, resources, waiter = waiting
            if grant.resource in resources and not waiter.done():
                waiter.set_result(self.take(grant.resource, member))
                return


class MemoryCoordinator:
    """One member. Members of the same `cluster` compete; by default each has a cluster of its own."""

    def __init__(self, cluster: MemoryCluster | None = None, member: str | None = None) -> None:
        self._cluster = cluster or MemoryCluster()
        self._member = member or f"memory-{next(_numbers)}"
        self._grants: dict[int, Grant] = {}
        self._waiters: set[asyncio.Future[Grant]] = set()
        self._closed = False

    @property
    def member(self) -> str:
        """The name of this member."""
        return self._member

    async def acquire(self, resource: str) -> Grant:
        """Own the resource, at once when it is free."""
        return await self.acquire_any([resource])

    async def acquire_any(self, resources: Sequence[str]) -> Grant:
        """Own the first of the resources that is free, or that becomes so."""
        if self._closed:
            raise Unavailable("the coordinator is closed")
        cluster = self._cluster
        for resource in resources:
            if resource not in cluster.owners:
                return self._own(cluster.take(resource, self._member))
        waiter: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        waiting = (self._member, resources, waiter)
        cluster.waiting.append(waiting)
        self._waiters.add(waiter)
        try:
            return self._own(await waiter)
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                cluster.free(waiter.result())  # it was granted in the instant of the cancellation
            waiter.cancel()
            raise
        finally:
            self._waiters.discard(waiter)
            cluster.waiting.remove(waiting)

    async def release(self, grant: Grant) -> None:
        """Give it up."""
        self._grants.pop(grant.term.revision, None)
        self._cluster.free(grant)

    async def verify(self, term: Term) -> None:
        """Raises `TermsBehind` for a term that the cluster has not come to."""
        newest = Term(self._cluster.epoch, self._cluster.revision)
        if term > newest:
            raise TermsBehind(f"term {term} is known, but this cluster has only come to {newest}")

    async def close(self) -> None:
        """Give everything up."""
        self._closed = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(Unavailable("the coordinator was closed"))
        for grant in list(self._grants.values()):
            await self.release(grant)

    def _own(self, grant: Grant) -> Grant:
        self._grants[grant.term.revision] = grant
        return grant
