"""The ports `Feed` and `Replies`: hints, in order, never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from veltrix.adapters.memory import MemoryReplies
from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.outcomes import Decision, Outcome
from veltrix.ports.feed import Feed, Published, Replies, Reply


def fact(seq: int) -> NumberedFact:
    """A fact of a sequence number."""
    return NumberedFact(0, seq, seq, f"cmd_{seq}", 0, "", Fact(FactKind.PERSON_ERASED, "evt", "org"))


def reply(offset: int) -> Reply:
    """A reply about an offset."""
    return Reply(Decision(0, offset, Outcome.ACCEPTED, 0, 1), None)


async def take(batches: Any, count: int) -> list[Published]:
    """The next so many batches."""
    return [await anext(batches) for _ in range(count)]


async def test_subscribers_get_what_is_published_from_now_on(feed: Feed):
    """Each gets every batch after its subscription, whole, with how far is decided; none before."""
    await feed.publish(0, [fact(1)], 1)
    early = feed.subscribe()
    await feed.publish(0, [fact(2), fact(3)], 3)
    late = feed.subscribe()
    await feed.publish(1, [], 7)
    first, second = sorted(await take(early, 2), key=lambda batch: batch.partition)
    assert (first.partition, list(first.facts), first.next_offset) == (0, [fact(2), fact(3)], 3)
    assert (second.partition, list(second.facts), second.next_offset) == (1, [], 7)
    assert await take(late, 1) == [second]


async def test_the_batches_of_a_partition_come_in_order(feed: Feed):
    """A subscriber gets every batch of a partition in the order in which they were published."""
    batches = feed.subscribe()
    for number in range(50):
        await feed.publish(0, [fact(3 * number + at) for at in (1, 2, 3)] if number % 3 else [], number)
    found = await take(batches, 50)
    assert [batch.next_offset for batch in found] == list(range(50))
    assert [len(batch.facts) for batch in found] == [3 if number % 3 else 0 for number in range(50)]
    assert [each.seq for each in found[49].facts] == [148, 149, 150]


async def test_a_subscriber_waits_for_the_next_batch(feed: Feed):
    """Whoever waits is woken by what is published, also after it was cancelled once."""
    batches = feed.subscribe()
    waiting = asyncio.create_task(take(batches, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    waiting = asyncio.create_task(take(batches, 1))
    await asyncio.sleep(0)
    await feed.publish(0, [fact(1)], 1)
    assert (await waiting)[0].next_offset == 1


async def test_a_slow_subscriber_loses_the_oldest_and_holds_nobody_up(feed: Feed):
    """Publishing never waits for a reader; one who sleeps finds the newest batches, in order, and a gap."""
    slow, quick = feed.subscribe(), feed.subscribe()
    for seq in range(1, 1_001):
        await feed.publish(0, [fact(seq)], seq)
        assert (await take(quick, 1))[0].next_offset == seq
    found = [(await take(slow, 1))[0].next_offset]
    while found[-1] < 1_000:
        found.append((await take(slow, 1))[0].next_offset)
    assert 1 < found[0] < 1_000
    assert found == list(range(found[0], 1_001))


async def test_a_dropped_subscriber_costs_nothing_more(feed: Feed):
    """Publishing goes on after a subscriber has gone away, for those who are left."""
    gone, there = feed.subscribe(), feed.subscribe()
    del gone
    await feed.publish(0, [fact(1)], 1)
    assert len(await take(there, 1)) == 1


class Listener:
    """Collects replies, and says when so many have come."""

    def __init__(self) -> None:
        self.got: list[Reply] = []
        self._more = asyncio.Event()

    def __call__(self, replies: Sequence[Reply]) -> None:
        self.got += replies
        self._more.set()

    async def has(self, count: int) -> list[Reply]:
        """What has come, once it is that much."""
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self._more.clear()
                await self._more.wait()
        return self.got


async def test_replies_reach_who_listens_at_the_address(replies: Replies):
    """What is sent to this process's address comes to its listener, whole and in order."""
    listener = Listener()
    replies.listen(listener)
    replies.send(replies.address, [reply(1), Reply(reply(2).decision, fact(2))])
    replies.send(replies.address, [reply(3)])
    assert await listener.has(3) == [reply(1), Reply(reply(2).decision, fact(2)), reply(3)]


async def test_sending_replies_never_raises(replies: Replies):
    """To an unknown address, before anyone listens, to a listener that fails: dropped, and that is all."""
    for nobody in ("nobody", "", "99999.x", "1.", "-1.x", "\ud800.\ud800"):
        replies.send(nobody, [reply(1)])
    replies.send(replies.address, [reply(1)])
    failed = asyncio.Event()

    def fail(_: Sequence[Reply]) -> None:
        failed.set()
        raise RuntimeError("the listener is broken")

    replies.listen(fail)
    replies.send(replies.address, [reply(1)])
    async with asyncio.timeout(10):
        await failed.wait()
    listener = Listener()
    replies.listen(listener)
    replies.send(replies.address, [reply(2)])
    while reply(2) not in listener.got:
        await listener.has(len(listener.got) + 1)


async def test_memory_replies_cross_a_switchboard():
    """Processes of a simulation that share a switchboard reach each other by address."""
    switchboard: dict[str, MemoryReplies] = {}
    one, two = (MemoryReplies(name, switchboard) for name in ("one", "two"))
    got: list[Sequence[Reply]] = []
    two.listen(got.append)
    one.send("two", [reply(1)])
    assert got == [[reply(1)]]


async def test_the_last_published_fact_is_known(feed: Feed):
    """Of each partition apart; word of progress without a fact changes nothing."""
    assert await feed.last_seq(0) == 0
    await feed.publish(0, [fact(1), fact(2)], 2)
    await feed.publish(0, [], 9)
    assert (await feed.last_seq(0), await feed.last_seq(1)) == (2, 0)
