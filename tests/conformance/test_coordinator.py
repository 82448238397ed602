"""The port `Coordinator`: one owner a resource, under terms that only rise."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.adapters import Subject
from veltrix.adapters.memory import MemoryCluster, MemoryCoordinator
from veltrix.ports.coordinator import Coordinator
from veltrix.ports.errors import TermsBehind, Unavailable
from veltrix.ports.ledger import Term


async def test_what_is_free_is_granted_at_once(coordinator: Subject[Coordinator]):
    """A grant names the resource and this member, and is not lost; members have names of their own."""
    grant = await coordinator.it.acquire("partition/3")
    assert (grant.resource, grant.owner) == ("partition/3", coordinator.it.member)
    assert not grant.lost.is_set()
    assert (await coordinator.another()).member != coordinator.it.member


async def test_terms_only_rise(coordinator: Subject[Coordinator]):
    """Each grant's term is greater than all before, of the same resource and of others."""
    terms = []
    for number in range(6):
        grant = await coordinator.it.acquire(f"partition/{number % 3}")
        terms.append(grant.term)
        await coordinator.it.release(grant)
    several = await asyncio.gather(*(coordinator.it.acquire(f"partition/{number}") for number in range(5)))
    terms += sorted(grant.term for grant in several)
    assert terms == sorted(set(terms))


async def test_the_next_waits_for_the_release(coordinator: Subject[Coordinator]):
    """A resource has one owner: who asks meanwhile waits, and gets it in turn under a greater term."""
    first = await coordinator.it.acquire("ticker")
    waiting = [asyncio.create_task(coordinator.it.acquire("ticker")) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    await coordinator.it.release(first)
    assert first.lost.is_set()
    second = await waiting[0]
    assert second.term > first.term
    await coordinator.it.release(first)  # safe to call twice, and no longer about the resource
    await asyncio.sleep(0)
    assert not waiting[1].done()
    assert not second.lost.is_set()
    await coordinator.it.release(second)
    assert (await waiting[1]).term > second.term


async def test_who_gives_up_waiting_blocks_nobody(coordinator: Subject[Coordinator]):
    """A cancelled waiter is passed over, also when it is cancelled in the moment of the release."""
    first = await coordinator.it.acquire("ticker")
    waiting = [asyncio.create_task(coordinator.it.acquire("ticker")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await coordinator.it.release(first)
    waiting[1].cancel()
    grant = await waiting[2]
    assert not grant.lost.is_set()


async def test_any_of_several_is_the_first_that_is_free(coordinator: Subject[Coordinator]):
    """Who needs one of several gets the first that nobody has; when all are taken, the first released."""
    slots = [f"reply/{number}" for number in range(3)]
    grants = [await coordinator.it.acquire_any(slots) for _ in slots]
    assert [grant.resource for grant in grants] == slots
    waiting = asyncio.create_task(coordinator.it.acquire_any(slots))
    other = asyncio.create_task(coordinator.it.acquire_any(slots))
    await asyncio.sleep(0)
    assert not waiting.done()
    await coordinator.it.release(grants[1])
    assert (await waiting).resource == "reply/1"
    other.cancel()
    await coordinator.it.release(grants[2])
    assert (await coordinator.it.acquire("reply/2")).term > grants[2].term


async def test_a_term_that_was_never_granted_is_noticed(coordinator: Subject[Coordinator]):
    """Whatever was granted can be verified; a greater term means that the coordinator went back in time: that
    is refused, or the next grant is greater still."""
    grant = await coordinator.it.acquire("partition/0")
    await coordinator.it.verify(grant.term)
    for number, term in enumerate((Term(grant.term.epoch, 2**60), Term(grant.term.epoch + 1, 1))):
        try:
            await coordinator.it.verify(term)
        except TermsBehind:
            continue
        assert (await coordinator.it.acquire(f"slot/{number}")).term > term


async def test_closing_gives_everything_up(coordinator: Subject[Coordinator]):
    """Grants are lost, who waits is told, and nothing is granted any more; closing twice is harmless."""
    grant = await coordinator.it.acquire("ticker")
    waiting = asyncio.create_task(coordinator.it.acquire("ticker"))
    await asyncio.sleep(0)
    await coordinator.it.close()
    await coordinator.it.close()
    assert grant.lost.is_set()
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await coordinator.it.acquire("partition/0")


async def test_terms_rise_across_restarts(lasting_coordinator: Subject[Coordinator]):
    """A restarted process never uses a term again, whether or not the last one closed in order."""
    terms = [(await lasting_coordinator.it.acquire(f"partition/{number}")).term for number in range(3)]
    successor = await lasting_coordinator.another()
    terms.append((await successor.acquire("partition/3")).term)
    reopened = await lasting_coordinator.reopen()
    terms.append((await reopened.acquire("partition/0")).term)
    assert terms == sorted(set(terms))


async def test_members_of_a_memory_cluster_compete():
    """Members that share a cluster own a resource one after the other; closing one hands its grants on."""
    cluster = MemoryCluster(epoch=3)
    one, two = MemoryCoordinator(cluster, "one"), MemoryCoordinator(cluster, "two")
    first = await one.acquire("partition/0")
    waiting = asyncio.create_task(two.acquire("partition/0"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await one.close()
    second = await waiting
    assert (second.owner, second.term.epoch) == ("two", 3)
    assert first.lost.is_set()
    assert second.term > first.term
