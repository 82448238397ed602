"""Who waits for a decision, and until when."""

from __future__ import annotations

import asyncio
from typing import Final

from veltrix.ports.feed import Reply
from veltrix.registration.progress import Progress

TICK_S: Final = 0.05


class Waiter:
    """Somebody who waits for the decision of a command; one command may have several."""

    __slots__ = ("future", "offset", "passed", "progress")

    def __init__(self, future: asyncio.Future[Reply | None], progress: Progress) -> None:
        self.future: asyncio.Future[Reply | None] | None = future
        self.progress = progress
        self.offset: int | None = None
        self.passed = False

    def resolve(self, reply: Reply | None) -> None:
        """Wake up, with the reply or (None) because the time is over."""
        if self.future is not None and not self.future.done():
            self.future.set_result(reply)


class Deadlines:
    """When waiting ends, by ticks of 50 ms: a timer for each of 20,000 requests would cost more than
    all else that they do here."""

    def __init__(self) -> None:
        self._due: dict[int, list[Waiter]] = {}

    def add(self, waiter: Waiter, at_s: float) -> None:
        """End this one's waiting at `at_s`, or up to a tick later."""
        tick = int(at_s / TICK_S) + 1
        due = self._due.get(tick)
        if due is None:
            due = self._due[tick] = []
        due.append(waiter)

    def expire(self, now_s: float) -> None:
        """End the waiting of all whose time is over."""
        now = int(now_s / TICK_S)
        for tick in [tick for tick in self._due if tick <= now]:
            for waiter in self._due.pop(tick):
                waiter.resolve(None)
