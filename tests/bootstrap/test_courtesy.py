"""Notification gives way to those who wait for an answer, and does not give way for ever."""

from __future__ import annotations

import asyncio

from veltrix.adapters.system import SystemClock
from veltrix.bootstrap.courtesy import Courtesy
from veltrix.domain import limits


class Moved(SystemClock):
    """Real time, and more of it when a test says so."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        """Seconds since some moment."""
        return super().monotonic_s() + self.ahead_s


class Crowd:
    """So many people wait for their answers."""

    waiting = limits.CROWD_HELD

    def held(self) -> int:
        """How many."""
        return self.waiting


async def _sends(courtesy: Courtesy) -> bool:
    """Whether sending may begin soon."""
    try:
        async with asyncio.timeout(0.3):
            await courtesy.before_sending()
    except TimeoutError:
        return False
    return True


async def test_a_crowd_is_answered_before_anything_is_sent() -> None:
    """Planning goes on meanwhile; sending begins when fewer wait."""
    crowd = Crowd()
    courtesy = Courtesy(SystemClock(), crowd.held)
    async with asyncio.timeout(2):
        await courtesy.between()
    assert not await _sends(courtesy)
    crowd.waiting -= 1
    assert await _sends(courtesy)


async def test_a_crowd_that_stays_does_not_keep_mails_back_for_ever() -> None:
    """After a while both have their share; another crowd, later, goes first again."""
    crowd, clock = Crowd(), Moved()
    courtesy = Courtesy(clock, crowd.held)
    assert not await _sends(courtesy)
    clock.ahead_s += limits.CROWD_FIRST_S
    assert await _sends(courtesy)
    assert await _sends(courtesy)
    crowd.waiting = 0
    assert await _sends(courtesy)
    crowd.waiting = limits.CROWD_HELD
    assert not await _sends(courtesy)
