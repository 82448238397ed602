"""Ownership by etcd while its members, and the processes that own, are killed, paused and silent."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance import etcd_member
from tests.conformance.etcd_cluster import EtcdCluster, etcd_cluster
from tests.conformance.on_etcd import settings_in
from tests.conformance.relay import relay
from tests.engines import unavailable
from veltrix.adapters.etcd import EtcdClient, EtcdCoordinator, EtcdSettings
from veltrix.adapters.etcd.client import Listing
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import Unavailable

PARTITIONS = [f"partition/{number}" for number in range(4)]
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def trio(engine_tools: Tools) -> Iterator[EtcdCluster]:
    """Three members; each test leaves them as it found them."""
    try:
        with etcd_cluster(engine_tools) as cluster:
            yield cluster
    except EngineMissing as missing:
        unavailable(missing)


@pytest.fixture
def settings(trio: EtcdCluster, tmp_path: Path) -> EtcdSettings:
    """All three endpoints, and keys of the test's own."""
    one = settings_in(tmp_path, trio.endpoints[0])
    return EtcdSettings(trio.endpoints, prefix=one.prefix)


class Owner:
    """What a service does with a coordinator: own, give back what is lost, and want it again."""

    def __init__(self, coordinator: EtcdCoordinator, client: EtcdClient, resources: list[str]) -> None:
        self.coordinator = coordinator
        self.client = client
        self.grants: dict[str, Grant] = {}
        self.seen: list[tuple[float, str, Grant | None]] = []
        self._changed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._own(resource)) for resource in resources]

    async def _own(self, resource: str) -> None:
        while True:
            grant = await self.coordinator.acquire(resource)
            self._tell(resource, grant)
            await grant.lost.wait()
            self._tell(resource, None)
            await self.coordinator.release(grant)

    def _tell(self, resource: str, grant: Grant | None) -> None:
        if grant is None:
            self.grants.pop(resource, None)
        else:
            self.grants[resource] = grant
        self.seen.append((time.monotonic(), resource, grant))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once it holds; it is looked at after each change."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def sure(self) -> bool:
        """Whether the lease certainly stands."""
        return not self.coordinator.unsure

    async def owns(self, number: int) -> None:
        """Return once it owns so many."""
        await self.until(lambda: len(self.grants) == number)

    async def stop(self) -> None:
        """End in order."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.coordinator.close()
        await self.client.close()


@asynccontextmanager
async def owner(settings: EtcdSettings, resources: list[str]) -> AsyncIterator[Owner]:
    """An owner of its own client."""
    client = await EtcdClient.open(settings)
    it = Owner(await EtcdCoordinator.open(client, group="processing"), client, resources)
    try:
        yield it
    finally:
        await it.stop()


async def test_a_leader_that_is_killed_costs_no_grant(trio: EtcdCluster, settings: EtcdSettings):
    """The leader dies: the two others elect one, the lease lives on, and nothing is lost or handed over."""
    async with owner(settings, PARTITIONS) as it:
        await it.owns(4)
        grants = list(it.grants.values())
        leader = trio.leader()
        trio.kill(leader)
        try:
            fresh = await asyncio.wait_for(it.coordinator.acquire("ticker"), PATIENCE_S)
            await asyncio.sleep(4.0)  # two leases' time: long enough to lose one
            assert not any(grant.lost.is_set() for grant in [*grants, fresh])
            assert it.sure()
        finally:
            trio.start(leader)
            trio.wait()
    assert [grant for _, _, grant in it.seen] == grants


async def test_a_silent_etcd_takes_nothing_away(trio: EtcdCluster, settings: EtcdSettings):
    """All members are paused for longer than the lease: what is owned stays owned, and is said to be unsure.
    Once they are back each resource has one owner again, under the same term or a greater one."""
    async with owner(settings, PARTITIONS) as it:
        await it.owns(4)
        before = dict(it.grants)
        trio.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(5.0)
            assert it.grants == before
            assert not any(grant.lost.is_set() for grant in before.values())
            assert not it.sure()
        finally:
            trio.signal(signal.SIGCONT)
        fresh = await asyncio.wait_for(it.coordinator.acquire("ticker"), PATIENCE_S)
        await it.owns(4)
        assert it.sure()
        for resource, grant in it.grants.items():
            assert grant is before[resource] or grant.term > before[resource].term
        assert fresh.term > max(grant.term for grant in before.values())


async def test_a_whole_restart_of_etcd_is_survived(trio: EtcdCluster, settings: EtcdSettings):
    """All members are killed and started again on their data: nothing is lost while they are gone, and
    afterwards everything is owned."""
    async with owner(settings, PARTITIONS) as it:
        await it.owns(4)
        before = dict(it.grants)
        trio.kill()
        await asyncio.sleep(3.0)
        assert it.grants == before
        assert not any(grant.lost.is_set() for grant in before.values())
        trio.start()
        trio.wait()
        fresh = await asyncio.wait_for(it.coordinator.acquire("ticker"), PATIENCE_S)
        await it.owns(4)
        assert all(grant.term >= before[name].term for name, grant in it.grants.items())
        assert fresh.term > max(grant.term for grant in before.values())


async def test_a_member_that_joins_gets_its_share(settings: EtcdSettings):
    """Who joins has its half within a second, and nothing is owned twice; who stays keeps the rest."""
    async with owner(settings, PARTITIONS) as one:
        await one.owns(4)
        async with owner(settings, PARTITIONS) as two:
            began_s = time.monotonic()
            await two.owns(2)
            assert time.monotonic() - began_s < 1.0
            await one.owns(2)
            assert not set(one.grants) & set(two.grants)
            async with owner(settings, PARTITIONS) as three:
                await three.owns(1)
                await asyncio.sleep(0.3)  # nothing else moves
                assert sorted(len(each.grants) for each in (one, two, three)) == [1, 1, 2]
                kept = {**one.grants, **two.grants, **three.grants}
                assert sorted(kept) == PARTITIONS


async def test_a_member_that_stops_hands_everything_over(settings: EtcdSettings):
    """Who stops revokes its lease: the others own everything within a second, under greater terms."""
    async with owner(settings, PARTITIONS) as one:
        await one.owns(4)
        async with owner(settings, PARTITIONS) as two:
            await two.owns(2)
            terms = {resource: grant.term for resource, grant in two.grants.items()}
            await one.owns(2)
            stopped_s = time.monotonic()
        await one.owns(4)
        assert one.seen[-1][0] - stopped_s < 1.0
        assert all(one.grants[resource].term > term for resource, term in terms.items())


class Process:
    """A member in a process of its own."""

    def __init__(self, settings: EtcdSettings, resources: list[str]) -> None:
        arguments = [settings.prefix, "processing", ",".join(settings.endpoints), *resources]
        self.process = subprocess.Popen(
            [sys.executable, etcd_member.__file__, *arguments], stdout=subprocess.PIPE, text=True
        )

    async def until(self, what: str, count: int) -> list[tuple[str, str]]:
        """Resource and term of the next `count` lines of a kind."""
        assert self.process.stdout is not None
        found: list[tuple[str, str]] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                line = await asyncio.to_thread(self.process.stdout.readline)
                assert line, "it ended"
                kind, resource, term = json.loads(line)
                if kind == what:
                    found.append((resource, term))
        return found

    def end(self) -> None:
        """Kill it, paused or not."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def process(settings: EtcdSettings) -> Iterator[Process]:
    """A process that owns partitions."""
    it = Process(settings, PARTITIONS)
    yield it
    it.end()


async def test_who_is_paused_past_its_lease_learns_that_it_lost(process: Process, settings: EtcdSettings):
    """A paused owner is succeeded after its lease, under greater terms; when it goes on it learns that its
    grants are lost, and gets its share anew, under terms of its own."""
    old = dict(await process.until("owns", 4))
    process.process.send_signal(signal.SIGSTOP)
    paused_s = time.monotonic()
    async with owner(settings, PARTITIONS) as it:
        await it.owns(4)
        assert time.monotonic() - paused_s < 4.0, "TTL, and etcd's own rhythm"
        assert all(str(grant.term) > old[name] for name, grant in it.grants.items())
        process.process.send_signal(signal.SIGCONT)
        lost = dict(await process.until("lost", 4))
        assert lost == old
        anew = dict(await process.until("owns", 2))
        await it.owns(2)
        assert not set(anew) & set(it.grants)
        assert not set(anew.values()) & set(old.values())


async def test_who_dies_is_succeeded_after_its_lease(process: Process, settings: EtcdSettings):
    """kill -9: the next owner has everything once the lease has ended."""
    async with owner(settings, PARTITIONS) as it:
        await process.until("owns", 2)
        await it.owns(2)
        process.process.kill()
        died_s = time.monotonic()
        await it.owns(4)
        assert it.seen[-1][0] - died_s < 4.0


async def test_a_watch_that_broke_has_missed_nothing(trio: EtcdCluster, settings: EtcdSettings):
    """What happened while the watch was broken is seen, also when it was compacted away just there: a
    resource came free, and is owned."""
    async with relay(trio.endpoints[0]) as way, owner(settings, ["slot/1"]) as one:
        await one.owns(1)
        async with owner(replace(settings, endpoints=(way.address,)), ["slot/1"]) as other:
            way.cut()
            await one.stop()
            trio.ctl("compact", str((await latest(settings)).revision))
            way.heal()
            await other.owns(1)
        async with owner(settings, ["slot/1"]) as last:
            await last.owns(1)


async def latest(settings: EtcdSettings) -> Listing:
    """How far etcd has come."""
    client = await EtcdClient.open(settings)
    try:
        return await client.run(client.revision)
    finally:
        await client.close()


async def test_a_way_that_swallows_everything_is_left(trio: EtcdCluster, settings: EtcdSettings):
    """A connection goes dead without being closed: the lease is renewed and the watch goes on elsewhere, in
    time for nothing to be lost."""
    async with relay(trio.endpoints[0]) as way:
        mixed = replace(settings, endpoints=(way.address, trio.endpoints[1]))
        async with owner(settings, ["ticker"]) as rival, owner(mixed, [*PARTITIONS, "ticker"]) as it:
            await rival.owns(1)
            await it.owns(4)
            way.mute()
            await rival.stop()
            await it.owns(5)
            assert not any(grant.lost.is_set() for grant in it.grants.values())
            assert [name for _, name, grant in it.seen if grant is None] == []


async def test_endpoints_that_are_down_are_passed_over(trio: EtcdCluster, settings: EtcdSettings):
    """The first endpoints refuse or swallow everything: the client finds the one that answers."""
    mixed = EtcdSettings(("127.0.0.1:1", "192.0.2.1:2379", *trio.endpoints), prefix=settings.prefix)
    began_s = time.monotonic()
    async with owner(mixed, ["partition/0"]) as it:
        await it.owns(1)
        assert time.monotonic() - began_s < 6.0
    with pytest.raises(Unavailable, match=r"etcd\.endpoints"):
        await EtcdClient.open(EtcdSettings(("127.0.0.1:1",)))
