"""The one writing connection of a file: reads on the event loop, what is written and the COMMIT in a thread.

A statement gives the interpreter away and must win it back, from an event loop that is busy just then: that
takes up to the interpreter's switch interval of 5 ms each time. So what is written often is one statement,
which is its own transaction (`run`): it wins the interpreter back once. Where a transaction has to look
first (`transaction`), it is begun and asked on the event loop, and may leave its inserts to the thread.

Checkpoints run in the same thread, after a COMMIT was told and before the next transaction begins. SQLite
before 3.51.3 can corrupt a database whose WAL is reset by one connection while another is in a checkpoint
(sqlite.org/wal.html#walresetbug). And only a transaction that begins after the checkpoint can let the
WAL start anew: if they overlapped, a writer that never rests would let it grow without end.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from queue import SimpleQueue
from typing import Final

from veltrix.adapters.sqlite.database import Database
from veltrix.ports.errors import OutcomeUnknown, PortError, Rejected, Unavailable

CHECKPOINT_ROWS: Final = 4_000
"""Rows written between two checkpoints; each dirties a handful of pages at most."""

# After these the transaction surely left no commit record in the WAL. Any other error of a COMMIT, above
# all a failed fsync, may have left one, which a restart would find.
_SURELY_NOT: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM}
    | {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_READONLY}
)

_log = logging.getLogger(__name__)

Done = Callable[[PortError | None], None]
_Job = Callable[[], PortError | None]
Work = Callable[[sqlite3.Connection], None]


class Forbidden(Rejected):
    """A constraint, or a RAISE of a trigger, forbids the statement; its text is SQLite's own."""


ROWS_MAX: Final = 2_048
"""Rows of one statement; its parameters must stay below SQLite's 32,766."""


def rows_statement(
    head: str, rows: Sequence[Sequence[object]], tail: str = ""
) -> tuple[str, Sequence[object]]:
    """One statement that inserts up to `ROWS_MAX` rows of one length, and its parameters.

    It is filled up with NULLs, which it leaves out, to a power of two rows: a connection keeps its prepared
    statements, and one for every size of batch would be a hundred megabytes of them.
    """
    width, size = len(rows[0]), 1 << (len(rows) - 1).bit_length()
    assert size <= ROWS_MAX
    marks = f"({', '.join('?' * width)})"
    values = list(chain.from_iterable(rows))
    values += [None] * ((size - len(rows)) * width)
    listed = ", ".join([marks] * size)
    return f"{head} SELECT * FROM (VALUES {listed}) WHERE column1 IS NOT NULL {tail}", values


class Writer:
    """Commits one transaction at a time. Whoever uses `connection` holds `lock`, until its commit is done."""

    def __init__(self, database: Database) -> None:
        self.connection = database.connect()
        self.lock = asyncio.Lock()
        self._name = database.path.name
        self._checkpointer = database.connect()
        self._jobs: SimpleQueue[tuple[_Job, asyncio.AbstractEventLoop, Done] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._rows_seen = 0
        self._checkpointing: asyncio.Future[None] | None = None
        self._closed = False
        self._deferred: list[Work] = []

    @property
    def closed(self) -> bool:
        """Whether it takes no more work."""
        return self._closed

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[sqlite3.Connection]:
        """A transaction for the body's statements; left with the body's end, once it is durable.

        A body that raises has no effect; neither has one that calls `rollback`, and it costs no fsync.
        Raises `Rejected` for what a constraint forbids, `Unavailable`, or `OutcomeUnknown`.
        """
        async with self.lock:
            while self._checkpointing is not None:
                await asyncio.wait([self._checkpointing])
            self.begin()
            try:
                yield self.connection
            except (sqlite3.Error, OverflowError, UnicodeError) as error:
                self.rollback()
                raise self._refused(error) from error
            except BaseException:
                self.rollback()
                raise
            if self.connection.in_transaction:
                await self.commit()

    async def run(self, statement: str, parameters: Callable[[sqlite3.Connection], Sequence[object]]) -> None:
        """Run one statement, which is a transaction of its own, in the thread; return once it is durable.

        `parameters` are asked for when the connection is free. Raises `Forbidden` for what a constraint
        forbids, `Rejected` for values that SQLite cannot hold, `Unavailable`, or `OutcomeUnknown`.
        """
        async with self.lock:
            while self._checkpointing is not None:
                await asyncio.wait([self._checkpointing])
            if self._closed:
                raise Unavailable(f"{self._name} is closed")
            try:
                values = parameters(self.connection)
            except (sqlite3.Error, OverflowError, UnicodeError, TypeError) as error:
                raise self._refused(error) from error
            failed = await _until_done(lambda done: self.run_soon(statement, values, done))
            if failed is not None:
                raise failed

    def run_soon(self, statement: str, values: Sequence[object], done: Done) -> None:
        """Run one statement in the thread and call `done` on the event loop, as `commit_soon` does."""
        self._submit(lambda: self._run(statement, values), done)
        self._checkpoint_soon()

    def begin(self) -> None:
        """Open a transaction; raises `Unavailable`."""
        if self._closed:
            raise Unavailable(f"{self._name} is closed")
        self._deferred.clear()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{self._name} cannot be written: {error}") from error

    def rollback(self) -> None:
        """End the transaction without effect."""
        with suppress(sqlite3.Error):  # SQLite itself has rolled back after some errors
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def defer(self, work: Work) -> None:
        """Do this in the thread, just before the COMMIT. If it raises, the transaction has no effect."""
        self._deferred.append(work)

    def commit_soon(self, done: Done) -> None:
        """COMMIT in the thread and call `done` on the event loop with the error, or None once durable."""
        self._submit(self._commit, done)
        self._checkpoint_soon()

    async def commit(self) -> None:
        """COMMIT and return once it is durable. A cancellation waits for its end before it goes on.

        Raises `Unavailable` when surely nothing was written, else `OutcomeUnknown`.
        """
        error = await _until_done(self.commit_soon)
        if error is not None:
            raise error

    def when_rested(self, call: Callable[[], None]) -> bool:
        """Whether a checkpoint is under way; if so, `call` is called when a transaction may begin."""
        if self._checkpointing is None:
            return False
        self._checkpointing.add_done_callback(lambda _: call())
        return True

    async def truncate_wal(self) -> None:
        """Empty the WAL file; raises `Unavailable` while a reader holds on to it."""
        error = await _until_done(lambda done: self._submit(self._truncate, done))
        if error is not None:
            raise error

    def close(self) -> None:
        """Wait for what is under way and close; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        self.rollback()
        self.connection.close()
        self._checkpointer.close()

    def _checkpoint_soon(self) -> None:
        rows = self.connection.total_changes
        if rows - self._rows_seen >= CHECKPOINT_ROWS:
            self._rows_seen = rows
            self._checkpointing = asyncio.get_running_loop().create_future()
            self._submit(self._checkpoint, self._checkpointed)

    def _submit(self, job: _Job, done: Done) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"commit {self._name}", daemon=True)
            self._thread.start()
        self._jobs.put((job, asyncio.get_running_loop(), done))

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, loop, done = item
            outcome = job()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done, outcome)

    def _refused(self, error: Exception) -> PortError:
        """What an error before the COMMIT says: a constraint forbids it, or it cannot be written now."""
        if isinstance(error, PortError):
            return error
        if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | OverflowError | UnicodeError):
            return Rejected(f"{self._name} forbids it: {error}")
        if not isinstance(error, sqlite3.OperationalError):
            _log.error("a transaction on %s raised", self._name, exc_info=error)
        return Unavailable(f"{self._name} cannot be written: {error}")

    def _commit(self) -> PortError | None:
        try:
            for work in self._deferred:
                work(self.connection)
        except Exception as error:  # whatever it is, the loop must learn of it, and the thread go on
            self.rollback()
            return self._refused(error)
        failed = self._run("COMMIT")
        if failed is not None:
            self.rollback()
        return failed

    def _run(self, statement: str, values: Sequence[object] = ()) -> PortError | None:
        try:
            self.connection.execute(statement, values)
        except sqlite3.IntegrityError as error:
            return Forbidden(str(error))
        except (sqlite3.DataError, sqlite3.InterfaceError, OverflowError, UnicodeError) as error:
            return Rejected(f"{self._name} cannot hold it: {error}")
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", -1) & 0xFF
            if code in _SURELY_NOT or code == sqlite3.SQLITE_ERROR:  # the latter before anything was written
                return Unavailable(f"{self._name}: {error}")
            return OutcomeUnknown(f"{self._name}: {error}")
        except Exception as error:  # whatever it is, the loop must learn of it, and the thread go on
            return self._refused(error)
        return None

    def _checkpoint(self) -> PortError | None:
        try:
            self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:  # the WAL grows until a later one succeeds; nothing is lost
            _log.warning("checkpoint of %s failed: %s", self._name, error)
        return None

    def _checkpointed(self, _: PortError | None) -> None:
        done, self._checkpointing = self._checkpointing, None
        if done is not None:
            done.set_result(None)

    def _truncate(self) -> PortError | None:
        try:
            busy, _, _ = self._checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            return Unavailable(f"{self._name}: {error}")
        return Unavailable(f"{self._name}: a reader holds its WAL") if busy else None


async def _until_done(submit: Callable[[Done], None]) -> PortError | None:
    """Submit, and return the outcome; a cancellation waits for the end before it goes on."""
    future: asyncio.Future[PortError | None] = asyncio.get_running_loop().create_future()
    submit(future.set_result)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return future.result()
