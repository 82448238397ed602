"""How notification gives way where it shares an event loop with those who answer people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from veltrix.domain import limits
from veltrix.ports.system import Clock

_ROUND_S: Final = 0.005
_STEP_S: Final = 0.005
_STEPS_MAX: Final = 50


class Courtesy:
    """Answers come before mails. `held` says how many requests are held open just now."""

    def __init__(self, clock: Clock, held: Callable[[], int]) -> None:
        self._clock = clock
        self._held = held
        self._crowd_since_s: float | None = None

    async def between(self) -> None:
        """Between pieces of work: let others go first while the event loop is busy, for a second at the most.

        How long a round of the loop takes says so: it is short at any load that leaves time for mail.
        """
        now = self._clock.monotonic_s
        for _ in range(_STEPS_MAX):
            began_s = now()
            await asyncio.sleep(0)
            if now() - began_s < _ROUND_S:
                return
            await asyncio.sleep(_STEP_S)

    async def before_sending(self) -> None:
        """Before what takes most of the time, and can wait: while a crowd waits for its answers, nothing is
        sent for `limits.CROWD_FIRST_S`. After that a crowd that stays shares with those who are to be told.
        """
        while self._crowd_goes_first():  # noqa: ASYNC110 - a crowd has no event: it is people coming and going
            await asyncio.sleep(_STEP_S)
        await self.between()

    def _crowd_goes_first(self) -> bool:
        if self._held() < limits.CROWD_HELD:
            self._crowd_since_s = None
            return False
        now_s = self._clock.monotonic_s()
        if self._crowd_since_s is None:
            self._crowd_since_s = now_s
        return now_s - self._crowd_since_s < limits.CROWD_FIRST_S
