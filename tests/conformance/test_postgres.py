"""What is PostgreSQL's alone: owners that are stuck, COMMITs whose answer is lost, finding the primary."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conformance.batches import LOG, TERM, Desk, desk, rows
from tests.conformance.on_postgres import OwnLedger, opened_server, settings_of
from tests.conformance.postgres_faults import (
    Proxy,
    closed_port,
    hung_host,
    superuser,
    until,
    waiting_commits,
    with_standby,
    without_standby,
)
from tests.engines import PostgresServer, directory_for, free_port, running
from veltrix.adapters.postgres import Postgres, PostgresLedger, PostgresSettings
from veltrix.adapters.postgres.errors import is_lost, port_error
from veltrix.adapters.postgres.links import connect, find_primary
from veltrix.adapters.postgres.roles import PROCESSING
from veltrix.cluster.postgres import PostgresNode, start_command
from veltrix.cluster.tools import Tools, unprivileged
from veltrix.ports.errors import Fenced, Mismatch, OutcomeUnknown, PortError, Rejected, Unavailable
from veltrix.ports.ledger import Changes, Term

LATER = Term(1, 2)
# A busy machine takes its time; where a test waits for the end of it, it is short.
PATIENT: dict[str, Any] = {"statement_timeout_s": 4.0, "lock_timeout_s": 2.0, "connect_timeout_s": 20.0}
QUICK: dict[str, Any] = {"statement_timeout_s": 1.0, "lock_timeout_s": 0.5}


@pytest.fixture
async def server(postgres_server: PostgresServer, tmp_path: Path) -> PostgresServer:
    """A server whose ledger is empty."""
    await (await opened_server(tmp_path, postgres_server, PROCESSING)).close()
    return postgres_server


@pytest.fixture
async def ledger(server: PostgresServer) -> AsyncIterator[OwnLedger]:
    """A ledger as processing has it."""
    opened = await owner_of(server)
    yield opened
    await opened.close()


@pytest.fixture
async def successor(server: PostgresServer) -> AsyncIterator[OwnLedger]:
    """Another process' ledger."""
    opened = await owner_of(server)
    yield opened
    await opened.close()


async def owner_of(server: PostgresServer, **changes: Any) -> OwnLedger:
    """A ledger of a process of its own."""
    settings = replace(settings_of(server, PROCESSING), **PATIENT)
    return OwnLedger(await Postgres.open(replace(settings, **changes)))


async def batch(at: Desk, size: int = 3) -> tuple[str, Changes]:
    """An event, and a batch of registrations that is decided and not committed."""
    event = await at.create()
    return event, await at.prepare(*(at.register(event) for _ in range(size)))


def connections_of(ledger: PostgresLedger) -> Postgres:
    """What a ledger asks the server through."""
    return ledger._postgres


async def end_sessions(other: Any, ledger: PostgresLedger) -> None:
    """End all of a process' connections, from the server's side."""
    session = connections_of(ledger).session
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", session
    )


class Stuck:
    """An owner's server process that holds the partition's row, as one whose COMMIT waits for a standby."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self._held = asyncio.Event()
        self._task = asyncio.create_task(connections_of(ledger).write(self._hold))

    async def _hold(self, connection: Any) -> None:
        await connection.execute("BEGIN; UPDATE ledger.partitions SET relayed_seq = 99")
        await connection.execute("SET LOCAL statement_timeout = 0")
        self._held.set()
        await connection.execute("SELECT pg_sleep(60)")

    async def held(self) -> None:
        """Until it holds the row."""
        await self._held.wait()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    async def ended(self) -> BaseException | None:
        """Until it is over; what it was told."""
        (result,) = await asyncio.gather(self._task, return_exceptions=True)
        return result if isinstance(result, BaseException) else None


async def test_a_successor_ends_an_owner_that_is_stuck(ledger: OwnLedger, successor: OwnLedger):
    """It waits for the row a moment, then ends the recorded owner's server process, whose work is undone."""
    at = await desk(ledger)
    _, late = await batch(at)
    stuck = Stuck(ledger)
    await stuck.held()
    head = await successor.take_over(0, LATER, "you", LOG)
    assert (head.term, head.relayed_seq, head.next_offset) == (LATER, 0, late.old_offset)
    assert isinstance(await stuck.ended(), OutcomeUnknown)
    with pytest.raises(Fenced):
        await ledger.commit(late)


async def test_a_stale_owner_ends_nobody(server: PostgresServer, ledger: OwnLedger, successor: OwnLedger):
    """Who comes with an older term runs into the lock time-out; the owner in charge is not touched."""
    await desk(successor, term=LATER, owner="you")
    stuck = Stuck(successor)
    await stuck.held()
    with pytest.raises(Unavailable):
        await ledger.take_over(0, TERM, "me", LOG)
    assert not stuck.over
    async with superuser(server) as other:
        await end_sessions(other, successor)
    await stuck.ended()


async def test_whoever_is_no_owner_is_waited_for(server: PostgresServer, ledger: OwnLedger):
    """A session that the row does not name is not ended: the take-over runs into its lock time-out."""
    await desk(ledger)
    async with superuser(server) as other:
        await other.execute("BEGIN; SELECT FROM ledger.partitions FOR UPDATE")
        with pytest.raises(Unavailable):
            await ledger.take_over(0, LATER, "me", LOG)
        await other.execute("ROLLBACK")
    await ledger.take_over(0, LATER, "me", LOG)


async def test_a_lost_answer_is_resolved_by_taking_over(server: PostgresServer):
    """When the connection dies between COMMIT and its answer: unknown; the head then says it happened."""
    async with Proxy(server) as proxy:
        ledger = await owner_of(server, hosts=(f"127.0.0.1:{proxy.port}",))
        at = await desk(ledger)
        _, changes = await batch(at)
        proxy.lose_answers = True
        with pytest.raises(OutcomeUnknown):
            await ledger.commit(changes)
        assert proxy.lost.is_set()
        proxy.lose_answers = False
        head = await at.take_over()
        assert (head.next_offset, head.last_hash) == (changes.new_offset, changes.last_hash)
        with pytest.raises(Fenced):
            await ledger.commit(changes)
        assert len(await rows(ledger, "registrations")) == 3
        await ledger.close()


async def test_a_lost_question_is_resolved_by_taking_over(server: PostgresServer):
    """When the connection dies before the server read it: unknown too; the head says it did not happen."""
    async with Proxy(server) as proxy:
        ledger = await owner_of(server, hosts=(f"127.0.0.1:{proxy.port}",))
        at = await desk(ledger)
        event, changes = await batch(at)
        proxy.lose_questions = True
        with pytest.raises(OutcomeUnknown):
            await ledger.commit(changes)
        proxy.lose_questions = False
        assert (await at.take_over()).next_offset == changes.old_offset
        await ledger.commit(changes)
        view = await ledger.event(event)
        assert view is not None and view.pools[0].taken == 3
        await ledger.close()


async def test_no_cancellation_reaches_a_commit(server: PostgresServer):
    """A commit that waits for its standby is cancelled again and again: it stays hidden, then is there."""
    ledger = await owner_of(server, statement_timeout_s=30.0)
    at = await desk(ledger)
    _, changes = await batch(at)
    async with without_standby(server) as other:
        committing = asyncio.create_task(ledger.commit(changes))
        await until(lambda: waiting_commits(other))
        for _ in range(5):
            committing.cancel()
            await asyncio.sleep(0.02)
            assert not committing.done()
        assert len(await waiting_commits(other)) == 1
        head = await ledger.head(0)
        assert head is not None and head.next_offset == changes.old_offset
        await with_standby(other)
        with pytest.raises(asyncio.CancelledError):
            await committing
    assert (await at.take_over()).next_offset == changes.new_offset
    await ledger.close()


async def test_a_commit_that_takes_too_long_is_left_alone(server: PostgresServer):
    """Past its time the socket is dropped and nothing cancelled: it goes on waiting, and nobody sees it."""
    ledger = await owner_of(server, **QUICK)
    at = await desk(ledger)
    _, changes = await batch(at)
    async with without_standby(server) as other:
        with pytest.raises(OutcomeUnknown):
            await ledger.commit(changes)
        assert len(await waiting_commits(other)) == 1
        head = await ledger.head(0)
        assert head is not None and head.next_offset == changes.old_offset
    assert (await at.take_over()).next_offset == changes.new_offset
    await ledger.close()


async def test_a_commit_on_the_primary_alone_is_unknown(server: PostgresServer):
    """Whoever cuts the wait for the standby short: the answer comes with a warning, and counts as unknown."""
    ledger = await owner_of(server, statement_timeout_s=30.0)
    at = await desk(ledger)
    _, changes = await batch(at)
    async with without_standby(server) as other:
        committing = asyncio.create_task(ledger.commit(changes))
        (waiting,) = await until(lambda: waiting_commits(other))
        await other.execute("SELECT pg_cancel_backend($1)", waiting)
        with pytest.raises(OutcomeUnknown, match="primary alone"):
            await committing
    await ledger.close()


async def test_a_primary_without_its_standbys_passes_no_barrier(server: PostgresServer):
    """A primary that is cut off may still answer reads; a barrier it does not give."""
    ledger = await owner_of(server, **QUICK)
    async with without_standby(server):
        assert await ledger.head(0) is None
        with pytest.raises(Unavailable, match="still is one"):
            await ledger.barrier()
    await ledger.barrier()
    await ledger.close()


async def test_a_cancelled_statement_sends_no_cancel_request(server: PostgresServer):
    """Not even a task of asyncpg's own that is cancelled: the connection is dropped, the server goes on."""
    link = await connect(settings_of(server, PROCESSING), "quiet", ("127.0.0.1", server.port), 0)
    pid = link.connection.get_server_pid()
    sleeping = asyncio.create_task(link.connection.execute("SELECT pg_sleep(60)"))
    async with superuser(server) as other:

        async def states() -> list[Any]:
            return list(
                await other.fetch("SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", pid)
            )

        await until(states)
        sleeping.cancel()
        with pytest.raises((asyncio.CancelledError, asyncpg.PostgresError)):
            await sleeping
        assert link.connection.is_closed()
        await asyncio.sleep(0.1)
        assert await states()
        await other.execute("SELECT pg_terminate_backend($1)", pid)


async def test_a_hung_host_holds_nobody_up(server: PostgresServer):
    """The primary is found at once beside hosts that hang or refuse, wherever it stands in the list."""
    async with hung_host() as hung:
        primary = f"{server.host}:{server.port}"
        for hosts in ((hung, closed_port(), primary), (primary, hung), (hung, hung, primary)):
            ledger = await owner_of(server, hosts=hosts)
            started_s = time.monotonic()
            assert await ledger.head(0) is None
            assert time.monotonic() - started_s < PATIENT["connect_timeout_s"] / 2
            assert connections_of(ledger).primary == primary
            await ledger.close()


class Meters:
    """What was told about connections."""

    def __init__(self) -> None:
        self.connected_s: list[float] = []
        self.failed: list[bool] = []
        self.calls: list[tuple[bool, float, float]] = []
        self.calls_failed: list[bool] = []

    def connected(self, seconds: float) -> None:
        """One was made."""
        self.connected_s.append(seconds)

    def connection_failed(self, timed_out: bool) -> None:
        """None was made."""
        self.failed.append(timed_out)

    def called(self, writing: bool, waited_s: float, seconds: float) -> None:
        """A call ended."""
        self.calls.append((writing, waited_s, seconds))

    def call_failed(self, unknown: bool) -> None:
        """A call failed."""
        self.calls_failed.append(unknown)


async def test_without_a_primary_it_is_unavailable(server: PostgresServer):
    """When no host is the primary: unavailable within the connect time-out, naming each; it is counted."""
    meters = Meters()
    async with hung_host() as hung:
        closed = closed_port()
        settings = replace(settings_of(server, PROCESSING), hosts=(hung, closed), connect_timeout_s=0.3)
        postgres = await Postgres.open(settings, meters=meters)
        for _ in range(2):
            with pytest.raises(Unavailable) as raised:
                await postgres.check()
            assert hung in str(raised.value) and closed in str(raised.value)
    assert (meters.failed, meters.connected_s) == ([True, True], [])
    assert (meters.calls_failed, meters.calls) == ([False, False], [])
    await postgres.close()


async def test_connections_are_bounded_and_timed(server: PostgresServer):
    """Many calls at once share as many connections as are allowed; each was timed when it was made."""
    meters = Meters()
    postgres = await Postgres.open(
        replace(settings_of(server, PROCESSING), pool_max=3, **PATIENT), meters=meters
    )
    query = "SELECT count(*), pg_sleep(0.05) FROM pg_stat_activity WHERE application_name = $1"
    counts = await asyncio.gather(
        *(postgres.read(lambda connection: connection.fetchval(query, postgres.session)) for _ in range(12))
    )
    assert max(counts) == 3 == len(meters.connected_s) == postgres.connections[0]
    assert all(0 < seconds < 20 for seconds in meters.connected_s)
    assert [writing for writing, *_ in meters.calls] == [False] * 12
    assert all(seconds >= 0.05 for *_, seconds in meters.calls)
    assert max(waited_s for _, waited_s, _ in meters.calls) > 0.05, "who came fourth waited for a place"
    assert postgres.figures == (0, 3, 0, 0)
    await postgres.close()


async def test_a_full_pool_says_so(server: PostgresServer):
    """Who finds no connection free within the time of a call gets `Unavailable`, and nothing was done."""
    settings = replace(settings_of(server, PROCESSING), pool_max=1, **PATIENT | {"statement_timeout_s": 0.1})
    postgres = await Postgres.open(settings)
    async with postgres.snapshot():
        with pytest.raises(Unavailable, match="in use"):
            await postgres.check()
    await postgres.check()
    await postgres.close()


async def test_ended_connections_are_replaced(server: PostgresServer, ledger: OwnLedger):
    """After the server ended all connections of a process, it asks through new ones."""
    at = await desk(ledger)
    async with superuser(server) as other:
        await end_sessions(other, ledger)

    async def asked() -> bool:
        try:
            return await ledger.head(0) is not None
        except Unavailable:
            return False

    await until(asked)
    await batch(at)


@pytest.fixture
async def standby(server: PostgresServer, engine_tools: Tools) -> AsyncIterator[PostgresServer]:
    """A copy of the server that follows it."""
    with directory_for("standby") as directory:
        account = unprivileged()
        account.own(directory)
        node = PostgresNode("standby", "127.0.0.1", free_port(), directory)
        copy = [
            str(engine_tools.postgres("pg_basebackup")),
            "--pgdata",
            str(node.data),
            "--write-recovery-conf",
        ]
        source = ["--host", server.host, "--port", str(server.port), "--username", server.superuser]
        command = account.run([*copy, *source, "--checkpoint=fast", "--no-sync", "--wal-method=stream"])
        copying = await asyncio.create_subprocess_exec(*command, cwd=directory)
        assert await copying.wait() == 0
        start = account.run(start_command(engine_tools, node, {"fsync": "off"}))
        with running(start, directory / "log", signal.SIGQUIT):
            copied = PostgresServer(node.host, node.port, server.superuser)
            await until(lambda: _answers(copied))
            yield copied


async def _answers(server: PostgresServer) -> bool:
    try:
        async with superuser(server):
            return True
    except (OSError, asyncpg.PostgresError):
        return False


async def test_a_standby_is_no_primary_until_it_is_promoted(server: PostgresServer, standby: PostgresServer):
    """A standby is passed over, and alone it is not enough; once it is promoted, the old primary is past."""
    old, new = (f"{each.host}:{each.port}" for each in (server, standby))
    alone = await owner_of(standby)
    with pytest.raises(Unavailable, match="not the primary"):
        await alone.head(0)
    ledger = await owner_of(server, hosts=(new, old))
    await desk(ledger)
    assert connections_of(ledger).primary == old
    async with superuser(standby) as other:
        assert await other.fetchval("SELECT pg_promote()")

        async def led() -> bool:
            return bool(await other.fetchval("SELECT NOT pg_is_in_recovery()"))

        await until(led)
    await alone.head(0)
    assert connections_of(alone).primary == new
    # Both are primaries now, as behind a cut: whoever has seen the newer one never goes back.
    both = connections_of(alone)
    assert (await find_primary(both.settings, "probe", both.settings.addresses(), 0)).timeline == 2
    with pytest.raises(Unavailable, match="not the primary"):
        await find_primary(settings_of(server, PROCESSING), "probe", [(server.host, server.port)], 2)
    for each in (alone, ledger):
        await each.close()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("db-1:5433", ("db-1", 5433)),
        ("db-1", ("db-1", 5432)),
        ("[::1]:5433", ("::1", 5433)),
        ("[::1]", ("::1", 5432)),
        ("::1", ("::1", 5432)),
    ],
)
def test_hosts_are_read(host: str, address: tuple[str, int]):
    """Name or number, with a port or PostgreSQL's own."""
    assert PostgresSettings((host,)).addresses() == [address]


async def test_settings_keep_their_secret():
    """The password shows nowhere; a host that is none is rejected."""
    settings = PostgresSettings(("db-1:x",), password="open sesame")
    assert "sesame" not in repr(settings)
    with pytest.raises(Rejected, match="db-1:x"):
        await Postgres.open(settings)


@pytest.mark.parametrize(
    ("state", "writing", "reading"),
    [
        ("VX001", Fenced, Fenced),
        ("VX002", Rejected, Rejected),
        ("VX003", Mismatch, Mismatch),
        ("22021", Rejected, Rejected),
        ("23505", Rejected, Rejected),
        ("40P01", Unavailable, Unavailable),
        ("42501", Mismatch, Mismatch),
        ("42P01", Mismatch, Mismatch),
        ("53300", Unavailable, Unavailable),
        ("55P03", Unavailable, Unavailable),
        ("25006", Unavailable, Unavailable),
        ("57014", OutcomeUnknown, Unavailable),
        ("57P01", OutcomeUnknown, Unavailable),
        ("08006", OutcomeUnknown, Unavailable),
    ],
)
def test_errors_are_the_ports(state: str, writing: type[PortError], reading: type[PortError]):
    """What the server answered did not happen; what it cut short may have, for whoever was writing."""
    error = asyncpg.PostgresError.new({"C": state, "M": "said the server"})
    assert type(port_error(error, writing=True)) is writing
    assert type(port_error(error, writing=False)) is reading


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(), TimeoutError(), asyncpg.InterfaceError("x"), asyncpg.InternalClientError("x")],
)
def test_lost_connections_may_have_committed(error: Exception):
    """Whatever ends a connection leaves a write unknown and a read undone; defects are nobody's error."""
    assert is_lost(error)
    assert type(port_error(error, writing=True)) is OutcomeUnknown
    assert type(port_error(error, writing=False)) is Unavailable
    assert port_error(KeyError("a defect"), writing=True) is None
