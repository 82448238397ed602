"""Engines that were put back older than the rest: refused with the remedy, and repaired by what it says."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient

from tests.domain.room import ORGANIZER, event_spec
from tests.engines import answers_http, directory_for, free_port, running
from tests.moving.prepared import WAIT_S, Cluster
from veltrix.adapters.etcd import EtcdClient, EtcdCoordinator
from veltrix.adapters.etcd.client import put
from veltrix.adapters.etcd.epoch import raise_epoch
from veltrix.adapters.kafka import KafkaFeed
from veltrix.adapters.memory import MemoryReplies
from veltrix.adapters.postgres import PostgresLedger, PostgresNotices, PostgresVault
from veltrix.adapters.system import SystemClock
from veltrix.bootstrap.engines import kafka_settings, opened_etcd, opened_log, opened_postgres
from veltrix.bootstrap.forgetting import refuse_remembered
from veltrix.bootstrap.prepare import prepare
from veltrix.bootstrap.soundness import Soundness
from veltrix.cluster import etcd as etcd_engine
from veltrix.cluster.tools import Tools
from veltrix.domain.commands import Actor, Command, CreateEvent, Envelope, ErasePerson, OpenEvent, Register
from veltrix.domain.identifiers import command_id, first_offset
from veltrix.domain.registration import Box
from veltrix.moving.restore import adopt_log, held_notices, restore
from veltrix.observability.metrics import NullMetrics
from veltrix.ports.errors import Mismatch
from veltrix.ports.log import Log, Record
from veltrix.ports.notices import Notice, Planned
from veltrix.processing.service import ProcessingService
from veltrix.wire import encode_command


def _silent(title: str, done: int, total: int) -> None:
    """Nobody watches."""


class Engines:
    """What a process of the cluster has, under the roles of its kind."""

    def __init__(self, cluster: Cluster, etcd: EtcdClient, log: Log, stack: AsyncExitStack) -> None:
        self.cluster = cluster
        self.etcd = etcd
        self.log = log
        self.stack = stack
        self.asked = 0

    async def ledger(self, role: str = "veltrix_processing") -> PostgresLedger:
        """The ledger."""
        return PostgresLedger(await opened_postgres(self.cluster.config, "test", role, self.stack))

    async def vault(self, role: str) -> PostgresVault:
        """The vault."""
        return PostgresVault(await opened_postgres(self.cluster.config, "test", role, self.stack, vault=True))

    async def ask(self, body: Command, event: str = "", name: str = "") -> int:
        """Append a command to partition 0; returns its offset."""
        identity = command_id([name or f"{id(self)}/{self.asked}", str(self.asked)])
        self.asked += 1
        now_ms = SystemClock().now_ms()
        envelope = Envelope(identity, ORGANIZER, event, body, Actor.ORGANIZER, now_ms, "f")
        if isinstance(body, Register):
            envelope = replace(envelope, body=replace(body, box=replace(body.box, command=identity)))
        return (await self.log.append(0, Record(encode_command(envelope)))).offset

    async def register(self, event: str, person: str) -> str:
        """Somebody asks for a seat; returns the id of the key that their data is sealed under."""
        vault = await self.vault("veltrix_registration")
        ((key_id, _),) = await vault.reserve(1)
        await self.ask(Register(person, Box(key_id, "", 1, b"sealed"), ("std",), 1), event)
        return key_id

    async def decide(self) -> dict[int, str]:
        """Process until everything is decided and published, or a partition has stopped; says why."""
        ledger = await self.ledger()
        async with AsyncExitStack() as stack:
            feed = await KafkaFeed.open(kafka_settings(self.cluster.config, "test"), listen=False)
            stack.push_async_callback(feed.close)
            coordinator = await EtcdCoordinator.open(self.etcd, group="processing")
            stack.push_async_callback(coordinator.close)
            service = ProcessingService(
                self.log, ledger, feed, MemoryReplies(), await self.vault("veltrix_processing"), coordinator,
                SystemClock(), NullMetrics(), ticks=False,
            )  # fmt: skip
            await service.start()
            try:
                async with asyncio.timeout(WAIT_S):
                    while not service.failed and not await self._settled(ledger):  # noqa: ASYNC110 - no signal
                        await asyncio.sleep(0.05)
                return dict(service.failed)
            finally:
                await service.stop()

    async def _settled(self, ledger: PostgresLedger) -> bool:
        for partition in range(self.log.identity.partitions):
            head = await ledger.head(partition)
            _, end = await self.log.bounds(partition)
            if head is None or head.next_offset < end or head.relayed_seq < head.next_seq - 1:
                return False
        return True

    async def event(self, name: str) -> str:
        """An open event, decided."""
        await self.ask(CreateEvent(event_spec(), "key_hash"), name=name)
        assert await self.decide() == {}
        (row,) = await self.cluster.sql("SELECT id FROM ledger.events")
        await self.ask(OpenEvent(), str(row[0]))
        return str(row[0])


@asynccontextmanager
async def engines(cluster: Cluster) -> AsyncIterator[Engines]:
    """The engines, open."""
    async with AsyncExitStack() as stack:
        etcd = await opened_etcd(cluster.config, stack)
        log = await opened_log(cluster.config, "test", etcd, stack)
        yield Engines(cluster, etcd, log, stack)


async def _maintain(cluster: Cluster, *statements: str) -> None:
    """What is done to whole databases, as the superuser."""
    connection = await asyncpg.connect(
        host=cluster.server.host, port=cluster.server.port, user=cluster.server.superuser, database="postgres"
    )
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _copied(cluster: Cluster, source: str, target: str) -> None:
    """Make a database anew as a copy of another, as a backup is made and put back."""
    await _maintain(
        cluster,
        f"DROP DATABASE IF EXISTS {target} WITH (FORCE)",
        f"CREATE DATABASE {target} TEMPLATE {source} OWNER veltrix_owner",
    )


async def _rows(cluster: Cluster, vault: bool = False) -> list[tuple[object, ...]]:
    query = "SELECT id FROM vault.keys ORDER BY id" if vault else "SELECT * FROM ledger.facts ORDER BY 1, 2"
    return await cluster.sql(query, vault=vault)


async def test_a_ledger_from_an_older_backup_decides_again(cluster: Cluster) -> None:
    """Facts that were published and that the ledger does not know stop intake and deciding, with the remedy.
    `veltrix restore` comes to the same facts, byte by byte, and holds the notices of those."""
    name = cluster.config.postgres.database
    async with engines(cluster) as at:
        event = await at.event("a")
        await at.register(event, "anna")
        assert await at.decide() == {}
    await _copied(cluster, name, f"{name}_backup")
    async with engines(cluster) as at:
        for person in ("berta", "carla"):
            await at.register(event, person)
        assert await at.decide() == {}
        facts = await _rows(cluster)
    await _copied(cluster, f"{name}_backup", name)
    await prepare(cluster.config, {})
    assert len(await _rows(cluster)) == len(facts) - 2
    async with engines(cluster) as at:
        assert "veltrix restore" in (await at.decide())[0]
        feed = await KafkaFeed.open(kafka_settings(cluster.config, "test"), listen=False)
        at.stack.push_async_callback(feed.close)
        intake = Soundness(at.log, await at.ledger("veltrix_registration"), feed)
        await intake.check()
        assert "veltrix restore" in intake.halted[0]
    report = await restore(cluster.config, _silent)
    assert (report.passed, report.audit, report.decided) == (True, "PASS", {0: 2, 1: 0}), report
    assert report.compared == 2
    assert await _rows(cluster) == facts
    async with engines(cluster) as at:
        postgres = await opened_postgres(cluster.config, "test", "veltrix_notification", at.stack)
        notices = PostgresNotices(postgres)
        last = len(facts)
        owed = [
            Notice(f"ntc_{seq}", "o", event, 0, seq, "k", "r", f"p{seq}", "email", "key", 1, "")
            for seq in (last, last + 1)
        ]
        await notices.record(0, 0, last + 1, Planned(owed))
        assert [each.notice.seq for each in await notices.claim(10**15, 9, 1_000)] == [last + 1]
        assert await at.decide() == {}
    assert await held_notices(cluster.config, None) == 1
    assert await held_notices(cluster.config, True) == 1
    await _maintain(cluster, f"DROP DATABASE {name}_backup")


async def test_an_older_vault_is_refused_until_it_has_forgotten(cluster: Cluster) -> None:
    """With keys of an erased person back in the vault nobody reads; `veltrix restore` destroys them again."""
    vault = cluster.config.postgres.vault_database
    async with engines(cluster) as at:
        event = await at.event("v")
        anna, berta = await at.register(event, "anna"), await at.register(event, "berta")
        assert await at.decide() == {}
    await _copied(cluster, vault, f"{vault}_backup")
    async with engines(cluster) as at:
        await at.ask(ErasePerson("anna"), event)
        assert await at.decide() == {}
        keys = await at.vault("veltrix_registration")
        assert list(await keys.keys([anna, berta])) == [berta]
        await refuse_remembered(await at.ledger("veltrix_registration"), keys, 2)
    await _copied(cluster, f"{vault}_backup", vault)
    await prepare(cluster.config, {})
    async with engines(cluster) as at:
        keys = await at.vault("veltrix_registration")
        assert len(await keys.keys([anna, berta])) == 2
        with pytest.raises(Mismatch, match="veltrix restore"):
            await refuse_remembered(await at.ledger("veltrix_registration"), keys, 2)
    report = await restore(cluster.config, _silent)
    assert (report.passed, report.erasures) == (True, 1)
    async with engines(cluster) as at:
        keys = await at.vault("veltrix_registration")
        assert list(await keys.keys([anna, berta])) == [berta]
        await refuse_remembered(await at.ledger("veltrix_notification"), keys, 2)
    await _maintain(cluster, f"DROP DATABASE {vault}_backup")


async def test_a_topic_that_was_made_anew_is_taken_as_a_later_log(
    cluster: Cluster, kafka_broker: str
) -> None:
    """The ledger refuses it with the remedy; declared, its offsets go on above all before it, and the next
    arrival comes after every other."""
    async with engines(cluster) as at:
        event = await at.event("n")
        await at.register(event, "anna")
        assert await at.decide() == {}
    topic = kafka_settings(cluster.config, "test").commands
    admin = AdminClient({"bootstrap.servers": kafka_broker})
    admin.delete_topics([topic])[topic].result(30)
    async with asyncio.timeout(WAIT_S):
        while topic in admin.list_topics(timeout=10).topics:  # noqa: ASYNC110 - Kafka gives no signal
            await asyncio.sleep(0.1)
    with pytest.raises(Mismatch, match="restore"):
        await prepare(cluster.config, {})
    with pytest.raises(Mismatch, match="restore"):
        async with engines(cluster):
            raise AssertionError("the log was opened")
    report = await adopt_log(cluster.config, _silent)
    assert report.generation == 1
    assert await prepare(cluster.config, {})
    async with engines(cluster) as at:
        assert at.log.identity.generation == 1
        await at.register(event, "berta")
        assert await at.decide() == {}
    rows = await cluster.sql("SELECT person, arrival FROM ledger.registrations ORDER BY arrival")
    assert [person for person, _ in rows] == ["anna", "berta"]
    (row,) = await cluster.sql("SELECT next_offset FROM ledger.partitions WHERE partition = 0")
    assert row == (first_offset(1) + 1,)
    with pytest.raises(Mismatch, match="own"):
        await adopt_log(cluster.config, _silent)


async def test_an_etcd_from_a_snapshot_is_refused_until_the_epoch_is_raised(
    cluster: Cluster, etcd_server: str, engine_tools: Tools
) -> None:
    """Terms lower than the ledger's: nothing is decided, and what is said is the remedy that works."""
    async with engines(cluster) as at:
        await at.ask(CreateEvent(event_spec(), "key_hash"))
        assert await at.decide() == {}
        with directory_for("etcd-restored") as directory:
            snapshot = directory / "snapshot"
            _etcdctl(engine_tools, etcd_server, "snapshot", "save", str(snapshot))
            for number in range(200):  # what a cluster does in a while
                await at.etcd.run(at.etcd.txn, [], [put(f"{at.etcd.prefix}/{number}", b"")])
            await at.ask(OpenEvent(), "evt_nobody")
            assert await at.decide() == {}
            port, peer = free_port(), free_port()
            member = etcd_engine.EtcdMember("etcd", "127.0.0.1", port, peer, directory)
            _etcdctl(
                engine_tools, etcd_server, "snapshot", "restore", str(snapshot), "--name=etcd",
                f"--data-dir={directory / 'data'}", f"--initial-cluster=etcd=http://127.0.0.1:{peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", "--initial-cluster-token=restored",
            )  # fmt: skip
            start = etcd_engine.start_command(engine_tools, member, [member], "restored")
            with running(start, directory / "log") as server:
                server.wait_until(lambda: answers_http(f"http://{member.address}/health"), "etcd")
                restored: Any = replace(cluster.config.etcd, endpoints=(member.address,))
                older = replace(cluster, config=replace(cluster.config, etcd=restored))
                async with engines(older) as now:
                    await now.ask(OpenEvent(), "evt_nobody")
                    said = (await now.decide())[0]
                    assert "veltrix cluster epoch raise --to 2" in said
                    assert await now.etcd.run(raise_epoch, now.etcd, 2) == 2
                    assert await now.decide() == {}
    (row,) = await cluster.sql("SELECT epoch, next_offset FROM ledger.partitions WHERE partition = 0")
    assert row == (2, 3)


def _etcdctl(tools: Tools, endpoint: str, *arguments: str) -> None:
    """The operator's own tool."""
    beside = tools.etcd().parent / "etcdctl"
    program = str(beside) if beside.exists() else shutil.which("etcdctl")
    if program is None:
        pytest.skip("etcdctl is missing")
    found = subprocess.run(
        [program, f"--endpoints={endpoint}", *arguments], capture_output=True, text=True, check=False,
        env={"ETCDCTL_API": "3"},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
