"""What is SQLite's alone: files that are refused, COMMITs that fail or last, a WAL that does not grow."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.adapters import Closable
from tests.conformance.batches import desk, rows
from tests.domain.room import event_spec
from veltrix.adapters.sqlite import (
    DataDirectoryLock,
    SqliteAccess,
    SqliteCoordinator,
    SqliteLedger,
    SqliteLog,
    SqliteNotices,
    SqliteVault,
    tail,
    writer,
)
from veltrix.adapters.sqlite.writer import Writer
from veltrix.domain import limits
from veltrix.domain.commands import CreateEvent
from veltrix.ports.errors import Mismatch, OutcomeUnknown, PortError, Rejected, Unavailable
from veltrix.ports.ledger import Due
from veltrix.ports.log import Record

STORES: list[Any] = [SqliteLog, SqliteLedger, SqliteNotices, SqliteVault, SqliteAccess, SqliteCoordinator]
stores = pytest.mark.parametrize("store", STORES, ids=lambda store: store.__name__)
DEADLINE_S = 20.0


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    """A log of one partition."""
    log = await SqliteLog.open(tmp_path / "log.db")
    yield log
    await log.close()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    """A ledger."""
    ledger = await SqliteLedger.open(tmp_path / "ledger.db")
    yield ledger
    await ledger.close()


class Gate:
    """Holds every COMMIT back until it is opened, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.commits = 0
        self._reached: asyncio.Event = asyncio.Event()
        loop, run = asyncio.get_running_loop(), Writer._run

        def held(self_: Writer, statement: str, values: Sequence[object] = ()) -> PortError | None:
            self.commits += 1
            loop.call_soon_threadsafe(self._reached.set)
            assert self.opened.wait(DEADLINE_S)
            return run(self_, statement, values)

        monkeypatch.setattr(Writer, "_run", held)

    async def reached(self) -> None:
        """Return once a COMMIT stands before the gate."""
        async with asyncio.timeout(DEADLINE_S):
            await self._reached.wait()
        self._reached.clear()


class Failing:
    """A connection whose COMMIT fails with an error of SQLite's, also one that a statement brings itself."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self._connection = connection
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        """As the connection does, but for COMMIT."""
        if statement == "COMMIT" or (statement.startswith("INSERT") and not self._connection.in_transaction):
            error = sqlite3.OperationalError("it failed")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(statement, *values)


@contextmanager
def failing(store: Any, code: int) -> Iterator[None]:
    """COMMITs of a store fail in this block."""
    connection = store._writer.connection
    store._writer.connection = Failing(connection, code)
    try:
        yield
    finally:
        store._writer.connection = connection


@stores
async def test_a_file_of_another_kind_is_refused(store: Any, tmp_path: Path):
    """Garbage, somebody else's database and another store's file are named with a remedy and left alone."""
    garbage, foreign, other = (tmp_path / name for name in ("garbage.db", "foreign.db", "other.db"))
    garbage.write_bytes(b"this is no database at all, but long enough to look at" * 50)
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    another = SqliteAccess if store is not SqliteAccess else SqliteVault
    await (await another.open(other)).close()
    for path in (garbage, foreign, other):
        before = path.read_bytes()
        with pytest.raises(Mismatch, match="move it away") as refused:
            await store.open(path)
        assert str(path) in str(refused.value)
        assert path.read_bytes() == before


@stores
async def test_a_newer_file_is_refused(store: Any, tmp_path: Path):
    """A schema from a later version of Veltrix is named, with what to do, and left alone."""
    path = tmp_path / "store.db"
    await (await store.open(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Mismatch, match="version 99") as refused:
        await store.open(path)
    assert str(path) in str(refused.value)
    assert "backup" in str(refused.value)


def _modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def _put_in_the_way(directory: Path) -> None:
    (directory / "directory.db").mkdir()
    (directory / "file").write_text("")


@stores
async def test_a_file_that_cannot_be_opened_says_so(store: Any, tmp_path: Path):
    """A directory in the file's place, or a file in its directory's: unavailable, with the path."""
    _put_in_the_way(tmp_path)
    for path in (tmp_path / "directory.db", tmp_path / "file" / "store.db"):
        with pytest.raises(Unavailable, match="cannot be opened") as refused:
            await store.open(path)
        assert str(path) in str(refused.value)


@stores
async def test_only_the_owner_may_read_the_files(store: Any, tmp_path: Path):
    """The database and what SQLite puts beside it have mode 0600."""
    opened: Closable = await store.open(tmp_path / "store.db")
    modes = _modes(tmp_path)
    await opened.close()
    assert "store.db" in modes
    assert set(modes.values()) == {0o600}


@stores
async def test_files_are_synced_in_full(store: Any, tmp_path: Path):
    """Shipped, every store runs with WAL and synchronous=FULL; OFF is for tests that ask for it."""
    for synchronous, expected in (("FULL", 2), ("OFF", 0)):
        options = {} if synchronous == "FULL" else {"synchronous": synchronous}
        opened = await store.open(tmp_path / "store.db", **options)
        connection = opened._writer.connection
        assert connection.execute("PRAGMA synchronous").fetchone() == (expected,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        await opened.close()


async def test_an_append_is_acknowledged_after_its_commit(log: SqliteLog, monkeypatch: pytest.MonkeyPatch):
    """While COMMIT has not returned, nothing is acknowledged and nothing can be read."""
    gate = Gate(monkeypatch)
    reading = asyncio.create_task(log.read(0, 0, 10, DEADLINE_S))
    appending = asyncio.create_task(log.append(0, Record(b"one")))
    await gate.reached()
    assert not appending.done()
    assert await log.bounds(0) == (0, 0)
    assert await log.read(0, 0, 10, 0) == []
    gate.opened.set()
    assert (await appending).offset == 0
    assert len(await reading) == 1


async def test_a_group_is_bounded(log: SqliteLog, monkeypatch: pytest.MonkeyPatch):
    """More appends at once than a group may hold are committed in several, in the order they came."""
    monkeypatch.setattr(limits, "APPEND_BATCH_MAX", 40)
    gate = Gate(monkeypatch)
    gate.opened.set()
    appended = await asyncio.gather(*(log.append(0, Record(b"%d" % number)) for number in range(100)))
    assert gate.commits == 3
    assert [each.offset for each in appended] == list(range(100))


async def test_appends_share_commits(log: SqliteLog, monkeypatch: pytest.MonkeyPatch):
    """What is appended in one round of the loop is one COMMIT; what comes while it lasts is the next."""
    gate = Gate(monkeypatch)
    first = [asyncio.create_task(log.append(0, Record(b"first"))) for _ in range(100)]
    await gate.reached()
    second = [asyncio.create_task(log.append(0, Record(b"second"))) for _ in range(100)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(*first, *second)
    assert gate.commits == 2


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, Unavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Unavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknown),
    ],
)
async def test_a_failed_commit_fails_its_whole_group(log: SqliteLog, code: int, expected: type[PortError]):
    """Every append of the group gets the error: unknown unless it surely did not happen; then it goes on."""
    await log.append(0, Record(b"before"))
    with failing(log, code):
        appends = [log.append(0, Record(b"%d" % number)) for number in range(5)]
        done = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(each) for each in done] == [expected] * 5
    assert await log.bounds(0) == (0, 1)
    assert (await log.append(0, Record(b"after"))).offset == 1
    assert [record.value for record in await log.read(0, 0, 10, 0)] == [b"before", b"after"]


async def test_no_value_stops_the_thread(log: SqliteLog, ledger: SqliteLedger):
    """A text that is no Unicode is rejected, alone, and whoever writes next is served."""
    at = await desk(ledger)
    appends = [log.append(0, Record(b"%d" % n, "\ud800" if n == 1 else "")) for n in range(3)]
    done = await asyncio.gather(*appends, return_exceptions=True)
    assert [isinstance(each, Rejected) for each in done] == [False, True, False]
    changes = await at.prepare(b"garbage")
    changes.decisions[0].detail = "\ud800"
    with pytest.raises(Rejected):
        await ledger.commit(changes)
    changes.decisions[0].detail = object()  # type: ignore[assignment]  # what a defect might do
    with pytest.raises(PortError):
        await ledger.commit(changes)
    changes.decisions[0].detail = ""
    await ledger.commit(changes)


async def test_batches_of_every_size_leave_few_statements(ledger: SqliteLedger):
    """Inserting any number of rows writes them all, and no more, by statements of few different sizes."""
    connection = ledger._writer.connection  # type: ignore[union-attr]  # it is open for writing
    said: set[str] = set()
    for count in range(1, 1_300, 37):
        connection.execute("BEGIN IMMEDIATE")
        rows = [(number, b"x") for number in range(count)]
        statement, values = writer.rows_statement("INSERT INTO facts", rows)
        said.add(statement)
        assert connection.execute(statement, values).rowcount == count
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (count,)
        connection.execute("ROLLBACK")
    assert len(said) <= 12


async def test_a_full_disk_is_unavailable(log: SqliteLog, ledger: SqliteLedger):
    """When the file may not grow, appends and commits surely do not happen; with room they do again."""
    at = await desk(ledger)
    for store in (log, ledger):
        connection = store._writer.connection  # type: ignore[union-attr]  # it is open for writing
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(Unavailable, match="full"):
        await log.append(0, Record(b"x" * 50_000))
    changes = await at.prepare(*([b"garbage"] * 400))
    with pytest.raises(Unavailable, match="full"):
        await ledger.commit(changes)
    for store in (log, ledger):
        store._writer.connection.execute("PRAGMA max_page_count = 100000")  # type: ignore[union-attr]  # as above
    assert (await log.append(0, Record(b"x" * 50_000))).offset == 0
    await ledger.commit(changes)


@pytest.mark.parametrize(
    ("code", "expected"), [(sqlite3.SQLITE_FULL, Unavailable), (sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknown)]
)
async def test_a_failed_commit_of_a_batch(ledger: SqliteLedger, code: int, expected: type[PortError]):
    """The owner learns whether it surely did not happen; the batch can be committed afterwards, whole."""
    at = await desk(ledger)
    changes = await at.prepare(at.ask(CreateEvent(event_spec(), "key_hash")))
    with failing(ledger, code), pytest.raises(expected):
        await ledger.commit(changes)
    assert await rows(ledger, "decisions", "events") == []
    await ledger.commit(changes)
    assert [table for table, _ in await rows(ledger, "decisions", "events")] == ["events", "decisions"]


async def test_no_cancellation_reaches_a_commit(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch):
    """A commit that is cancelled again and again ends when COMMIT has returned, and then it is there."""
    at = await desk(ledger)
    event = await at.create()
    changes = await at.prepare(*(at.register(event) for _ in range(5)))
    gate = Gate(monkeypatch)
    committing = asyncio.create_task(ledger.commit(changes))
    await gate.reached()
    for _ in range(3):
        committing.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not committing.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await committing
    head = await ledger.head(0)
    assert head is not None and head.next_offset == changes.new_offset
    await at.take_over()
    await at.registered(event)


async def test_reads_do_not_wait_for_a_commit(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch):
    """While a COMMIT lasts, reads answer with what was committed before."""
    at = await desk(ledger)
    event = await at.create()
    changes = await at.prepare(at.register(event))
    gate = Gate(monkeypatch)
    committing = asyncio.create_task(ledger.commit(changes))
    await gate.reached()
    assert await ledger.decision(changes.decisions[0].command) is None
    view = await ledger.event(event)
    assert view is not None and view.pools[0].taken == 0
    assert (await ledger.load(0, await _needs(changes.decisions[0].command))).decided == {}
    gate.opened.set()
    await committing
    assert await ledger.decision(changes.decisions[0].command) is not None


async def _needs(command: str) -> Any:
    from veltrix.domain.state import Needs

    return Needs(commands={command})


async def test_old_records_come_from_the_file(log: SqliteLog, monkeypatch: pytest.MonkeyPatch):
    """A reader far behind what is kept in memory gets the same records, in pages without gaps."""
    monkeypatch.setattr(tail, "TAIL_MAX_RECORDS", 50)
    monkeypatch.setattr(tail, "TAIL_MAX_BYTES", 2_000)
    expected = [b"record %d" % number + b"." * (number % 90) for number in range(1_000)]
    for start in range(0, 1_000, 20):
        await asyncio.gather(*(log.append(0, Record(value)) for value in expected[start : start + 20]))
    assert len(log._tails[0]._records) <= 50
    found: list[bytes] = []
    while page := await log.read(0, len(found), 37, 0):
        assert [record.offset for record in page] == list(range(len(found), len(found) + len(page)))
        found += [record.value for record in page]
    assert found == expected


async def test_the_wal_does_not_grow_without_end(
    ledger: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Checkpoints between COMMITs let the WAL start anew; after a long read it does so again."""
    monkeypatch.setattr(writer, "CHECKPOINT_ROWS", 200)
    at = await desk(ledger)
    wal = tmp_path / "ledger.db-wal"

    async def work(batches: int) -> int:
        for _ in range(batches):
            await at.decide(*([b"garbage"] * 100))
        return wal.stat().st_size

    before = await work(20)
    assert await work(60) <= before
    reading = ledger.rows()
    await anext(reading)
    held = await work(20)  # a snapshot keeps the WAL from starting anew
    await reading.aclose()  # type: ignore[attr-defined]  # an async generator has it
    assert held > before
    assert await work(60) <= held + before


async def test_another_process_may_read_along(tmp_path: Path, log: SqliteLog, ledger: SqliteLedger):
    """Opened for reading only, log and ledger show what is committed, follow it, and refuse every write."""
    at = await desk(ledger)
    await at.create()
    await log.append(0, Record(b"one"))
    reader = await SqliteLog.open(tmp_path / "log.db", read_only=True)
    copy = await SqliteLedger.open(tmp_path / "ledger.db", read_only=True)
    try:
        assert reader.identity == log.identity
        assert await rows(copy) == await rows(ledger)
        assert [record.value for record in await reader.read(0, 0, 10, 1)] == [b"one"]
        await log.append(0, Record(b"two"))
        await at.decide(b"garbage")
        assert await reader.bounds(0) == (0, 2)
        assert [record.value for record in await reader.read(0, 1, 10, 1)] == [b"two"]
        assert await reader.read(0, 2, 10, 0.01) == []
        assert await rows(copy) == await rows(ledger)
        with pytest.raises(Mismatch):
            await reader.read(0, 3, 10, 0)
        with pytest.raises(Unavailable):
            await reader.append(0, Record(b"no"))
        with pytest.raises(Unavailable):
            await copy.commit(await at.prepare(b"garbage"))
    finally:
        await reader.close()
        await copy.close()


async def test_a_ledger_of_an_older_program_is_read_and_gets_what_it_lacks(tmp_path: Path):
    """Without the columns that came later it can be audited as it is; opened for writing it gets them, and
    the events that are yet to come are found when they are to be reminded of."""
    path = tmp_path / "ledger.db"
    ledger = await SqliteLedger.open(path)
    at = await desk(ledger)
    event = await at.create(event_spec())
    before = await rows(ledger)
    await ledger.close()
    with sqlite3.connect(path) as older:
        older.execute("DROP INDEX events_by_reminder")
        for column in ("starts_ms", "remind_ms", "reminded_ms"):
            older.execute(f"ALTER TABLE events DROP COLUMN {column}")
    older.close()
    reading = await SqliteLedger.open(path, read_only=True)
    assert await rows(reading) == before
    await reading.close()
    remind_ms = event_spec().starts_ms() - 24 * 3_600_000
    for _ in range(2):
        ledger = await SqliteLedger.open(path)
        assert await rows(ledger) == before
        assert await ledger.due(0, remind_ms + 1, 10) == [Due("org_1", event, "", 0, remind_ms, True)]
        await ledger.close()


async def test_a_store_for_reading_only_must_exist(tmp_path: Path):
    """Reading creates nothing."""
    for store in (SqliteLog, SqliteLedger):
        with pytest.raises(Unavailable):
            await store.open(tmp_path / "none.db", read_only=True)
    assert _modes(tmp_path) == {}


async def test_a_constraint_that_no_code_checks_still_holds(ledger: SqliteLedger):
    """The database itself refuses an oversold pool, whoever writes it."""
    at = await desk(ledger)
    await at.create()
    with pytest.raises(Rejected):
        async with ledger._writer.transaction() as connection:  # type: ignore[union-attr]  # it is open for writing
            connection.execute("UPDATE pools SET taken = ceiling + 1")


def test_a_data_directory_has_one_process(tmp_path: Path):
    """The second to enter is told the directory, the process that has it and the remedy; then it is free."""
    with DataDirectoryLock(tmp_path / "data"):
        with pytest.raises(Mismatch, match="data directory of its own") as refused:
            DataDirectoryLock(tmp_path / "data").acquire()
        assert str(tmp_path / "data") in str(refused.value)
        assert str(os.getpid()) in str(refused.value)
    with DataDirectoryLock(tmp_path / "data") as lock:
        lock.release()
        lock.release()


def _holder(directory: Path) -> subprocess.Popen[str]:
    program = (
        "import sys\nfrom veltrix.adapters.sqlite import DataDirectoryLock\n"
        "DataDirectoryLock(sys.argv[1]).acquire()\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "end", [subprocess.Popen.kill, subprocess.Popen.terminate], ids=["kill", "terminate"]
)
def test_a_dead_process_holds_no_directory(tmp_path: Path, end: Callable[[subprocess.Popen[str]], None]):
    """Another process's lock is respected while it lives, and is free once it was killed."""
    with _holder(tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Mismatch, match=str(holder.pid)):
            DataDirectoryLock(tmp_path).acquire()
        end(holder)
        holder.wait(DEADLINE_S)
        with DataDirectoryLock(tmp_path):
            pass
