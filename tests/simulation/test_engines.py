"""The simulated engines on bad days: what they may lose, what they must not, and what they say."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.world import a_cluster, on
from veltrix.ports.errors import Fenced, OutcomeUnknown, Unavailable
from veltrix.ports.ledger import Changes, Term
from veltrix.ports.log import LogIdentity, Record
from veltrix.simulation.coordinator import LEASE_TTL_S, SimCoordinator
from veltrix.simulation.engines import SimLedger, SimLog
from veltrix.simulation.hints import SimFeed
from veltrix.simulation.network import PATIENCE_S

LOG = LogIdentity("simulated", 2, 0)


def empty(term: Term, old: int = 0, new: int = 0) -> Changes:
    """A batch of nothing, which moves nothing."""
    return Changes(0, term, old, new, 0, 1, 1, "")


def test_silence_is_unknown_for_what_writes():
    """A lost request and a lost answer look alike; only the latter had an effect."""
    cluster = a_cluster()

    async def main() -> list[int]:
        log, weather = SimLog(cluster.engines), cluster.network.weather
        ends: list[int] = []
        for name in ("lost", "answer_lost"):
            setattr(weather, name, 1.0)
            with pytest.raises(OutcomeUnknown):
                await log.append(0, Record(b"value"))
            setattr(weather, name, 0.0)
            ends.append((await log.bounds(0))[1])
        return ends

    assert on(cluster, main) == [0, 1]
    assert cluster.loop.time() > 2 * PATIENCE_S


def test_power_loss_takes_what_was_not_acknowledged():
    """Of appends under way any first part may stay; what was acknowledged is always there."""
    kept: set[int] = set()
    for seed in range(20):
        cluster = a_cluster(seed)

        async def main(cluster=cluster) -> int:
            log, server = SimLog(cluster.engines), cluster.engines.servers["log"]
            first = await log.append(0, Record(b"acknowledged"))
            cluster.engines.log.moods.quorum = False  # nothing is synced from here on
            under_way = [asyncio.create_task(log.append(0, Record(b"%d" % n))) for n in range(5)]
            await asyncio.sleep(0.1)
            server.down()
            cluster.engines.log.lose_tail()
            cluster.engines.log.moods.quorum = True
            server.back()
            ended = await asyncio.gather(*under_way, return_exceptions=True)
            assert all(isinstance(each, OutcomeUnknown) for each in ended)
            await log.append(0, Record(b"last"))
            found = await log.read(0, 0, 100, 0)
            assert found[first.offset].value == b"acknowledged"
            assert [record.offset for record in found] == list(range(len(found)))
            assert found[-1].value == b"last"
            return len(found) - 2

        kept.add(on(cluster, main))
    assert {0, 5} <= kept <= set(range(6))


def test_weak_acknowledgements_lose_what_was_said():
    """A log that acknowledges before it syncs loses what it acknowledged: the variant that is forbidden."""
    cluster = a_cluster(3)

    async def main() -> tuple[int, int]:
        log, engine = SimLog(cluster.engines), cluster.engines.log
        engine.moods.weak = True
        said = [(await log.append(0, Record(b"%d" % n))).offset for n in range(20)]
        engine.change_leader()
        await asyncio.sleep(2)
        return len(said), (await log.bounds(0))[1]

    said, there = on(cluster, main)
    assert there < said
    assert cluster.engines.log.lost_acknowledged == said - there


def test_a_new_leader_shows_less_at_first_and_has_another_clock():
    """After a change of the leader nothing acknowledged is lost, but for a moment it is not shown."""
    cluster = a_cluster(4)

    async def main() -> tuple[list[int], bool]:
        log = SimLog(cluster.engines)
        before = [await log.append(0, Record(b"x")) for _ in range(10)]
        cluster.engines.log.change_leader()
        ends = [(await log.bounds(0))[1]]
        await asyncio.sleep(2)
        ends.append((await log.bounds(0))[1])
        after = await log.append(0, Record(b"y"))
        return ends, abs(after.append_ms - before[-1].append_ms) > 3_000

    (at_first, later), another_clock = on(cluster, main)
    assert at_first < later == 10
    assert another_clock


@pytest.mark.parametrize(
    ("mood", "error", "happened"),
    [
        ("reset_before", Unavailable, False),
        ("reset_after", OutcomeUnknown, True),
        ("serialization", Unavailable, False),
        ("exhausted", Unavailable, False),
    ],
)
def test_the_ledgers_errors_say_what_happened(mood: str, error: type[Exception], happened: bool):
    """`Unavailable` means that nothing was written; after a reset behind the commit nobody knows."""
    cluster = a_cluster()

    async def main() -> None:
        ledger = SimLedger(cluster.engines)
        await ledger.take_over(0, Term(1, 1), "me", LOG)
        before = cluster.engines.ledger.version
        setattr(cluster.engines.ledger.moods, mood, 1.0)
        with pytest.raises(error):
            await ledger.commit(empty(Term(1, 1)))
        assert (cluster.engines.ledger.version > before) is happened

    on(cluster, main)


def test_a_slow_commit_arrives_after_its_owner_gave_up_and_is_fenced():
    """Its time-out says nothing: it comes, behind the take-over of a successor, and changes nothing."""
    cluster = a_cluster()
    refused: list[Exception] = []

    async def main() -> None:
        engine, ledger, other = cluster.engines.ledger, SimLedger(cluster.engines), SimLedger(cluster.engines)
        await ledger.take_over(0, Term(1, 1), "me", LOG)
        honest = engine.commit

        async def watched(changes: Changes) -> None:
            try:
                await honest(changes)
            except Fenced as error:
                refused.append(error)
                raise

        engine.commit = watched  # type: ignore[method-assign]  # a witness around the method
        engine.moods.slow, engine.moods.slow_s = 1.0, 1_000.0
        with pytest.raises(OutcomeUnknown):
            await ledger.commit(empty(Term(1, 1)))
        engine.moods.slow = 0.0
        await other.take_over(0, Term(1, 2), "you", LOG)
        await asyncio.sleep(50_000)

    on(cluster, main)
    assert len(refused) == 1


def test_stale_reads_keep_to_the_ports():
    """A replica that is behind shows old heads to others, never to who wrote; a barrier defeats it, and no
    process sees less than it saw before."""
    cluster = a_cluster()

    async def main() -> list[int]:
        writer, reader = SimLedger(cluster.engines), SimLedger(cluster.engines)
        await writer.take_over(0, Term(1, 1), "me", LOG)
        await asyncio.sleep(10)
        cluster.engines.ledger.moods.behind_s = 5.0
        await writer.take_over(0, Term(1, 2), "me", LOG)
        seen = []
        for ledger in (reader, writer):
            head = await ledger.head(0)
            assert head is not None
            seen.append(head.term.revision)
        await reader.barrier()
        for _ in range(2):
            head = await reader.head(0)
            assert head is not None
            seen.append(head.term.revision)
        return seen

    assert on(cluster, main) == [1, 2, 2, 2]
    assert cluster.engines.ledger.stale_reads == 1


def test_a_lease_ends_while_its_holder_stands_still():
    """A paused owner still holds its grant when another one has a greater term; later it learns of it."""
    cluster = a_cluster()

    async def main() -> None:
        loop = cluster.loop
        lives = [loop.begin("one"), loop.begin("two")]
        one, two = (SimCoordinator(cluster.elections, life.host) for life in lives)
        first = await loop.spawn(lives[0], one.acquire("partition/0"))
        waiting = loop.spawn(lives[1], two.acquire("partition/0"))
        await asyncio.sleep(3 * LEASE_TTL_S)
        assert not waiting.done()
        loop.pause(lives[0])
        second = await waiting
        assert second.term > first.term
        assert not first.lost.is_set()
        loop.resume(lives[0])
        await asyncio.sleep(LEASE_TTL_S)
        assert first.lost.is_set()

    on(cluster, main)
    assert cluster.elections.expired == 1


def test_without_a_quorum_no_lease_ends():
    """While the coordinator is away nothing is granted, and owners stay owners; their leases begin anew."""
    cluster = a_cluster()

    async def main() -> None:
        coordinator = SimCoordinator(cluster.elections, "me")
        grant = await coordinator.acquire("ticker")
        server = cluster.elections.server
        server.down()
        await asyncio.sleep(10 * LEASE_TTL_S)
        server.back()
        await asyncio.sleep(2 * LEASE_TTL_S)
        assert not grant.lost.is_set()

    on(cluster, main)


def test_word_that_a_compacted_watch_swallowed_is_asked_for():
    """Who waits for a grant gets it although nobody tells."""
    cluster = a_cluster()

    async def main() -> None:
        one, two = SimCoordinator(cluster.elections, "one"), SimCoordinator(cluster.elections, "two")
        grant = await one.acquire("ticker")
        waiting = asyncio.create_task(two.acquire("ticker"))
        await asyncio.sleep(0.5)
        cluster.elections.moods.compacted = 1.0
        await one.release(grant)
        async with asyncio.timeout(5):
            assert (await waiting).term > grant.term

    on(cluster, main)


def test_what_is_clogged_comes_in_another_order():
    """Nothing between a clog and its end; then all of it, shuffled, effects long after the caller gave up."""
    orders: set[tuple[bytes, ...]] = set()
    for seed in range(5):
        cluster = a_cluster(seed)

        async def main(cluster=cluster) -> tuple[bytes, ...]:
            log = SimLog(cluster.engines)
            cluster.network.clog("tester", "log")
            asked = [asyncio.create_task(log.append(0, Record(b"%d" % n))) for n in range(4)]
            ended = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(each, OutcomeUnknown) for each in ended)
            assert cluster.engines.log.shown == [0, 0]
            cluster.network.unclog("tester", "log")
            return tuple(
                record.value for record in await log.read(0, 0, 10, 1.0) + await log.read(0, 1, 10, 1.0)
            )

        orders.add(on(cluster, main)[:4])
    assert len(orders) > 1


def test_hints_come_twice_and_requests_do_not():
    """A duplicate is for facts and replies; what an engine is asked to do it does once."""
    cluster = a_cluster()

    async def main() -> tuple[int, int]:
        feed, log = SimFeed(cluster.topic), SimLog(cluster.engines)
        batches = feed.subscribe()
        cluster.network.weather.duplicated = 1.0
        await feed.publish(0, [], 7)
        await log.append(0, Record(b"once"))
        await asyncio.sleep(1)
        return len(batches._batches), (await log.bounds(0))[1]

    assert on(cluster, main) == (2, 1)
