"""Terms by etcd: what is certain when answers are lost, the event loop is busy, or etcd goes back in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.etcd_cluster import etcd_cluster
from tests.conformance.on_etcd import settings_in
from veltrix.adapters.etcd import (
    EtcdClient,
    EtcdCoordinator,
    EtcdSettings,
    LogGeneration,
    prepare_epoch,
    prepare_log,
    raise_epoch,
    raise_log,
    read_log,
    rounds,
)
from veltrix.adapters.etcd.client import EtcdClient as Client
from veltrix.adapters.etcd.client import delete
from veltrix.cluster.tools import Tools
from veltrix.ports.errors import Mismatch, OutcomeUnknown, Rejected, TermsBehind
from veltrix.ports.ledger import Term

PATIENCE_S = 20.0


@pytest.fixture
async def client(etcd_server: str, tmp_path: Path) -> AsyncIterator[EtcdClient]:
    """A client below keys of the test's own."""
    it = await EtcdClient.open(settings_in(tmp_path, etcd_server))
    yield it
    await it.close()


@pytest.fixture
async def coordinator(client: EtcdClient) -> AsyncIterator[EtcdCoordinator]:
    """A member of a group."""
    it = await EtcdCoordinator.open(client, group="processing")
    yield it
    await it.close()


def owners(client: EtcdClient) -> dict[str, int]:
    """Who is owned by anybody, and the revision at which the key was created."""
    prefix = f"{client.prefix}/coordination/owners/"
    return {entry.key.removeprefix(prefix): entry.create_revision for entry in client.list(prefix).entries}


async def test_a_busy_event_loop_costs_nothing(coordinator: EtcdCoordinator):
    """The event loop is blocked, and the interpreter kept busy, for twice the lease's time: it is renewed all
    the same."""
    grant = await coordinator.acquire("partition/0")
    until_s = time.monotonic() + 4.5
    while time.monotonic() < until_s:
        sum(range(10_000))
    assert not coordinator.unsure
    await asyncio.sleep(0.1)
    assert not grant.lost.is_set()
    assert (await coordinator.acquire("ticker")).term > grant.term


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_lost_answer_is_read_back_and_never_taken_for_granted(
    client: EtcdClient, coordinator: EtcdCoordinator, monkeypatch: pytest.MonkeyPatch, arrived: bool
):
    """The answers to a campaign and to a release are lost, whether or not they arrived: in the end there is
    one key for one grant, under a term that no earlier one had."""
    lost = {"owners/partition/0": 1}
    honest = Client.txn

    def txn(self: EtcdClient, conditions: Any, then: Any, otherwise: Any = ()) -> Any:
        key = conditions[0].key.decode().partition("coordination/")[2] if conditions else ""
        if lost.get(key):
            lost[key] -= 1
            if arrived:
                honest(self, conditions, then, otherwise)
            raise OutcomeUnknown("the answer was lost")
        return honest(self, conditions, then, otherwise)

    monkeypatch.setattr(Client, "txn", txn)
    grant = await asyncio.wait_for(coordinator.acquire("partition/0"), PATIENCE_S)
    assert owners(client) == {"partition/0": grant.term.revision}
    assert not grant.lost.is_set()
    lost["owners/partition/0"] = 1
    await coordinator.release(grant)
    again = await asyncio.wait_for(coordinator.acquire("partition/0"), PATIENCE_S)
    assert again.term > grant.term
    assert owners(client) == {"partition/0": again.term.revision}


async def test_a_key_that_somebody_deletes_is_lost(client: EtcdClient, coordinator: EtcdCoordinator):
    """An operator who deletes an owner's key takes the grant away; what is wanted still is won anew."""
    grant = await coordinator.acquire("partition/0")
    client.txn([], [delete(f"{client.prefix}/coordination/owners/partition/0")])
    await asyncio.wait_for(grant.lost.wait(), PATIENCE_S)
    await coordinator.release(grant)
    assert (await coordinator.acquire("partition/0")).term > grant.term


async def test_who_hangs_in_a_hand_over_is_passed_over(client: EtcdClient, monkeypatch: pytest.MonkeyPatch):
    """An owner that is asked to hand over and does not is waited for only so long."""
    monkeypatch.setattr(rounds, "_HAND_OVER_MAX_S", 0.2)
    one = await EtcdCoordinator.open(client, group="processing")
    stuck = [await one.acquire(f"partition/{number}") for number in range(2)]
    two = await EtcdCoordinator.open(client, group="processing")
    grant = await asyncio.wait_for(two.acquire("partition/1"), PATIENCE_S)
    assert stuck[1].lost.is_set()
    assert not stuck[0].lost.is_set()
    assert grant.term > stuck[1].term
    await two.close()
    await one.close()


async def test_the_epoch_comes_first_in_a_term(client: EtcdClient, coordinator: EtcdCoordinator):
    """A raised epoch is in every term granted from then on; it is written once and never lowered."""
    assert prepare_epoch(client)
    assert not prepare_epoch(client)
    before = await coordinator.acquire("partition/0")
    assert before.term.epoch == 1
    assert raise_epoch(client) == 2
    assert raise_epoch(client, 5) == 5
    with pytest.raises(Rejected, match="can only be raised"):
        raise_epoch(client, 5)
    after = await coordinator.acquire("partition/1")
    assert after.term.epoch == 5
    assert after.term > before.term
    assert not before.lost.is_set(), "an owner of before goes on: its ledger knows nothing newer"
    await coordinator.verify(after.term)
    with pytest.raises(TermsBehind, match="veltrix cluster epoch raise --to 7"):
        await coordinator.verify(Term(6, 1))


async def test_the_log_in_use_is_recorded(client: EtcdClient):
    """The first log is generation 0; another one is refused until it is declared, under the next."""
    assert read_log(client) is None
    assert prepare_log(client, "one") == prepare_log(client, "one") == LogGeneration("one", 0)
    with pytest.raises(Mismatch, match="the topic was replaced"):
        prepare_log(client, "two")
    assert raise_log(client, "two") == raise_log(client, "two") == LogGeneration("two", 1)
    assert prepare_log(client, "two") == read_log(client) == LogGeneration("two", 1)


async def test_an_etcd_that_was_replaced_is_noticed(engine_tools: Tools):
    """etcd comes back empty: what was owned is lost, what is won is under a smaller term, and the coordinator
    says so, with the remedy; under a raised epoch terms are greater than all before."""
    with etcd_cluster(engine_tools, 1) as cluster:
        client = await EtcdClient.open(EtcdSettings(cluster.endpoints))
        coordinator = await EtcdCoordinator.open(client, group="processing")
        for number in range(20):
            await coordinator.release(await coordinator.acquire(f"slot/{number}"))
        grant = await coordinator.acquire("partition/0")
        cluster.kill(0)
        data = cluster.members[0].directory / "data"
        data.rename(data.with_name("before"))
        cluster.start(0)
        await asyncio.wait_for(grant.lost.wait(), PATIENCE_S)
        await coordinator.release(grant)
        again = await asyncio.wait_for(coordinator.acquire("partition/0"), PATIENCE_S)
        assert again.term < grant.term
        with pytest.raises(TermsBehind, match="veltrix cluster epoch raise --to 2"):
            await coordinator.verify(grant.term)
        await client.run(raise_epoch, client, 2)
        await coordinator.release(again)
        assert (await coordinator.acquire("partition/0")).term > grant.term
        await coordinator.close()
        await client.close()
