"""PostgreSQL as one process uses it: the primary, a bounded pool, and calls that no cancellation cuts short.

asyncpg answers a time-out and a cancelled task with a CancelRequest. One that reaches a COMMIT waiting for
its standby ends the wait and shows a transaction that a failover would lose. So every call runs in a task
of its own that nobody cancels, without a time-out of asyncpg's; when its time is over the socket is dropped,
which a server that waits for a standby does not even notice. (And a connection of ours sends no such request,
whatever happens to its task.)
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from veltrix.adapters.postgres.errors import is_lost, port_error
from veltrix.adapters.postgres.links import (
    TOO_LATE,
    Address,
    Connection,
    Link,
    NotPrimary,
    Stopwatch,
    connect,
    find_primary,
)
from veltrix.adapters.postgres.meters import PostgresMeters, Silent
from veltrix.adapters.postgres.settings import NAME_MAX_CHARS, PostgresSettings
from veltrix.ports.errors import OutcomeUnknown, PortError, Unavailable
from veltrix.ports.figures import PoolFigures

_log = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 0.5


class Postgres:
    """A pool of connections to whichever server is the primary. One a process and database; `open` makes one.

    `session` names this process's connections to the server, uniquely.
    """

    def __init__(self, settings: PostgresSettings, meters: PostgresMeters) -> None:
        self.settings = settings
        self.session = f"{settings.application[:NAME_MAX_CHARS]}:{os.urandom(6).hex()}"
        self._meters = meters
        self._addresses = settings.addresses()
        self._places = asyncio.Semaphore(settings.pool_max)
        self._idle: list[Link] = []
        self._links: list[Link] = []
        self._primary: Address | None = None
        self._timeline = 0
        self._generation = 0
        self._finding = asyncio.Lock()
        self._waiting = 0
        self._moved = 0
        self._last_primary: Address | None = None
        self._attempts = 0
        self._failures = 0
        self._failure = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @classmethod
    async def open(cls, settings: PostgresSettings, *, meters: PostgresMeters | None = None) -> Postgres:
        """Make it ready; connections are made when they are needed. Raises `Rejected` for bad settings."""
        return cls(settings, meters or Silent())

    @property
    def primary(self) -> str | None:
        """The "host:port" that is believed to be the primary."""
        return None if self._primary is None else f"{self._primary[0]}:{self._primary[1]}"

    @property
    def connections(self) -> tuple[int, int]:
        """(open, in use)."""
        return len(self._links), len(self._links) - len(self._idle)

    @property
    def figures(self) -> PoolFigures:
        """The pool as it is now."""
        opened, in_use = self.connections
        return PoolFigures(in_use, opened - in_use, self._waiting, self._moved)

    async def check(self) -> None:
        """Raise `Unavailable` unless the primary answers."""
        await self.read(lambda connection: connection.fetchval("SELECT 1"))

    async def read(self, work: Work[T]) -> T:
        """Do what only reads. When the caller is cancelled it ends by itself."""
        task: asyncio.Task[T] = self._start(self._run(work, writing=False))
        return await asyncio.shield(task)

    async def write(self, work: Work[T]) -> T:
        """Do what commits: one statement in autocommit. A cancellation waits for its end, then goes on.

        Raises `OutcomeUnknown` when it may or may not have happened, also when it did on the primary alone.
        """
        task: asyncio.Task[T] = self._start(self._run(work, writing=True))
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError as error:
                cancelled = error
            except PortError:
                break
        if cancelled is not None:
            raise cancelled
        return task.result()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Link]:
        """A connection in one read-only snapshot, for a scan of many answers; each is bounded in time."""
        link = await self._start(self._acquire())
        try:
            try:
                async with link.connection.transaction(isolation="repeatable_read", readonly=True):
                    # An audit replays the whole log between the first row and the second.
                    await link.connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                    yield link
            except Exception as error:
                raise self._failed(link, error, writing=False) from error
        except BaseException:
            link.drop()  # whatever it is in the middle of: it only reads
            raise
        finally:
            self._release(link)

    async def within(self, link: Link, work: Awaitable[T]) -> T:
        """One answer of a snapshot's, bounded in time."""
        timer = asyncio.get_running_loop().call_later(self.settings.answer_timeout_s, link.drop)
        try:
            return await work
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Let what is under way end, and close; safe to call twice."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        for link in list(self._links):
            self._forget(link)
        self._idle.clear()

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more

    async def _run(self, work: Work[T], *, writing: bool) -> T:
        watch = Stopwatch()
        try:
            link = await self._acquire()
        except Unavailable:
            self._meters.call_failed(False)
            raise
        link.warned, waited_s = "", watch.seconds()
        timer = asyncio.get_running_loop().call_later(self.settings.answer_timeout_s, link.drop)
        try:
            result = await work(link.connection)
        except Exception as error:
            failed = self._failed(link, error, writing=writing)
            if isinstance(failed, Unavailable | OutcomeUnknown):
                self._meters.call_failed(isinstance(failed, OutcomeUnknown))
            raise failed from error
        finally:
            timer.cancel()
            self._release(link)
            self._meters.called(writing, waited_s, watch.seconds() - waited_s)
        if writing and link.warned:
            self._meters.call_failed(True)
            raise OutcomeUnknown(f"committed on the primary alone: {link.warned}")
        return result

    def _failed(self, link: Link, error: Exception, *, writing: bool) -> Exception:
        """The port's error, after the pool has drawn its conclusions."""
        if is_lost(error) or link.connection.is_closed():
            link.drop()
            self._distrust(link)
        return port_error(error, writing=writing) or error

    async def _acquire(self) -> Link:
        """An idle connection, or a new one; raises `Unavailable`."""
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.answer_timeout_s):
                await self._places.acquire()
        except TimeoutError:
            raise Unavailable(f"all {self.settings.pool_max} connections are in use") from None
        finally:
            self._waiting -= 1
        try:
            if self._closed:
                raise Unavailable("the store is closed")
            while self._idle:
                link = self._idle.pop()
                if link.generation == self._generation and not link.connection.is_closed():
                    return link
                self._forget(link)
            return await self._connected()
        except BaseException:
            self._places.release()
            raise

    def _release(self, link: Link) -> None:
        self._places.release()
        stale = link.generation != self._generation or self._closed
        if stale or link.connection.is_closed() or link.connection.is_in_transaction():
            self._forget(link)
        else:
            self._idle.append(link)

    def _forget(self, link: Link) -> None:
        if link in self._links:
            self._links.remove(link)
        link.drop()

    def _distrust(self, link: Link) -> None:
        """A connection ended: what it led to may not be the primary any more, so no other is used again."""
        if link.generation == self._generation:
            self._generation += 1
            self._primary = None
            for idle in self._idle:
                self._forget(idle)
            self._idle.clear()

    async def _connected(self) -> Link:
        """A new connection: to the known primary, else to whichever is found, once for all who wait."""
        watch, attempts = Stopwatch(), self._attempts
        link = await self._to_known()
        if link is None:
            async with self._finding:
                link = await self._to_known()
                if link is None and self._attempts != attempts:
                    raise Unavailable(self._failure)
                link = link or await self._find()
        self._meters.connected(watch.seconds())
        link.generation = self._generation
        self._links.append(link)
        return link

    async def _to_known(self) -> Link | None:
        """A connection to the primary as it is known; None when there is none, or it is none any more."""
        primary = self._primary
        if primary is None:
            return None
        try:
            return await connect(self.settings, self.session, primary, self._timeline)
        except Exception as error:
            if isinstance(error, TimeoutError):
                self._meters.connection_failed(True)
            elif port_error(error, writing=False) is None and not isinstance(error, NotPrimary):
                raise
        if self._primary == primary:
            self._primary = None
        return None

    async def _find(self) -> Link:
        """Look for the primary; after failures with pauses, which differ from process to process."""
        if self._failures:
            pause_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(self._failures, 10))
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
        try:
            link = await find_primary(self.settings, self.session, self._addresses, self._timeline)
        except Unavailable as error:
            self._failures += 1
            self._attempts += 1
            self._failure = str(error)
            self._meters.connection_failed(TOO_LATE in self._failure)
            raise
        self._failures = 0
        self._follow(link)
        return link

    def _follow(self, link: Link) -> None:
        """This is the primary now; another one than before means a failover."""
        if self._last_primary is not None and link.timeline > self._timeline:
            self._moved += 1
            _log.warning("failover: the primary is %s:%d, on time line %d", *link.address, link.timeline)
        self._last_primary = link.address
        self._primary, self._timeline = link.address, max(self._timeline, link.timeline)
