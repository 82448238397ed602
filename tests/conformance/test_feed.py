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
    """Each gets every batch after its subscription, in order, with how far is decided; none before."""
    await feed.publish(0, [fact(1)], 1)
    early = feed.subscribe()
    await feed.publish(0, [fact(2), fact(3)], 3)
    late = feed.subscribe()
    await feed.publish(1, [], 7)
    first, second = await take(early, 2)
    assert (first.partition, [each.seq for each in first.facts], first.next_offset) == (0, [2, 3], 3)
    assert (second.partition, list(second.facts), second.next_offset) == (1, [], 7)
    assert await take(late, 1) == [second]


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
    for seq in range(1, 5_001):
        await feed.publish(0, [fact(seq)], seq)
        assert (await take(quick, 1))[0].next_offset == seq
    found = [(await take(slow, 1))[0].next_offset]
    while found[-1] < 5_000:
        found.append((await take(slow, 1))[0].next_offset)
    assert 1 < found[0] < 5_000
    assert found == list(range(found[0], 5_001))


async def test_a_dropped_subscriber_costs_nothing_more(feed: Feed):
    """Publishing goes on after a subscriber has gone away, for those who are left."""
    gone, there = feed.subscribe(), feed.subscribe()
    del gone
    await feed.publish(0, [fact(1)], 1)
    assert len(await take(there, 1)) == 1


async def test_replies_reach_who_listens_at_the_address(replies: Replies):
    """What is sent to this process's address comes to its listener, whole and in order."""
    got: list[Sequence[Reply]] = []
    replies.listen(got.append)
    sent = [reply(1), reply(2)]
    replies.send(replies.address, sent)
    replies.send(replies.address, [reply(3)])
    assert [list(each) for each in got] == [sent, [reply(3)]]


async def test_sending_replies_never_raises(replies: Replies):
    """To an unknown address, before anyone listens, to a listener that fails: dropped, and that is all."""
    replies.send("nobody", [reply(1)])
    replies.send(replies.address, [reply(1)])

    def fail(_: Sequence[Reply]) -> None:
        raise RuntimeError("the listener is broken")

    replies.listen(fail)
    replies.send(replies.address, [reply(1)])


async def test_memory_replies_cross_a_switchboard():
    """Processes of a simulation that share a switchboard reach each other by address."""
    switchboard: dict[str, MemoryReplies] = {}
    one, two = (MemoryReplies(name, switchboard) for name in ("one", "two"))
    got: list[Sequence[Reply]] = []
    two.listen(got.append)
    one.send("two", [reply(1)])
    assert got == [[reply(1)]]
