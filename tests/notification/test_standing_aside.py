"""Several planners at one inbox: one plans a partition, and the others stand by."""

from __future__ import annotations

import pytest

from tests.notification.stage import Stage
from veltrix.adapters.memory import MemoryNotices


class CountedNotices(MemoryNotices):
    """Counts how often somebody looked at the inbox, and tried to move it."""

    looks = 0
    tries = 0

    async def position(self, *args, **kwargs):
        """Count, and say."""
        self.looks += 1
        return await super().position(*args, **kwargs)

    async def record(self, *args, **kwargs):
        """Count, and record."""
        self.tries += 1
        return await super().record(*args, **kwargs)


@pytest.fixture
async def stage():
    """A stage whose notices count."""
    return await Stage(notices=CountedNotices()).begin()


async def met(stage):
    """Two planners, the second of which was fenced by the first."""
    event = await stage.event()
    await stage.register(event, "Ada")
    await stage.publish()
    first, second = stage.parts(), stage.parts()
    await second.plan()
    await stage.register(event, "Bob")
    await stage.publish()
    await first.plan()
    await second.plan()
    return event, first, second


async def test_who_was_fenced_leaves_the_partition_to_the_other(stage):
    """As long as the inbox moves, the one who came second does not even try."""
    event, first, second = await met(stage)
    for name in ("Eve", "Dan", "Kim"):
        tries = stage.notices.tries
        ada = await stage.register(event, name)
        await stage.publish()
        await first.plan()
        await second.plan()
        assert stage.notices.tries == tries + 1
        assert len(await stage.told(ada)) == 1


async def test_an_inbox_that_stands_still_is_taken_up(stage):
    """When the one who planned is gone, the other one notices that facts wait and nothing moves."""
    event, _, second = await met(stage)
    await second.plan()
    dan = await stage.register(event, "Dan")
    await stage.publish()
    await second.plan()
    await second.plan()
    assert len(await stage.told(dan)) == 1
    kim = await stage.register(event, "Kim")
    await stage.publish()
    await second.plan()
    assert len(await stage.told(kim)) == 1, "from there on it is this one's"


async def test_an_inbox_that_moves_is_left_alone_though_facts_wait(stage):
    """One who is behind is not one who is gone: what counts is whether the inbox moved between two looks."""
    event, first, second = await met(stage)
    for name in ("Dan", "Kim", "Lea"):
        await stage.register(event, name)
        await stage.publish()
        tries = stage.notices.tries
        await second.plan()
        assert stage.notices.tries == tries
        await first.plan()


async def test_hints_wake_nobody_who_stands_by(stage):
    """Published facts of a partition that another one plans are let go: the ledger has them."""
    event, _, second = await met(stage)
    await stage.register(event, "Dan")
    second.planner.take(stage.hint(stage.facts[-1:]))
    looks = stage.notices.looks
    assert not await second.planner.step()
    assert stage.notices.looks == looks
