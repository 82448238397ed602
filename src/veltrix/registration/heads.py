"""How far the ledger is, asked of itself now and then: for what no hint told.

Facts and replies are hints, and come from other processes; any of them may be lost. One question a partition,
however many wait in it: often where somebody waits and nothing moves, seldom elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from veltrix.observability.logging import get_logger
from veltrix.ports.errors import PortError
from veltrix.ports.ledger import Head
from veltrix.ports.queries import Queries
from veltrix.ports.system import Clock
from veltrix.registration.progress import Progress

_log = get_logger("registration")

_STEP_S: Final = 0.25
_STALLED_S: Final = 1.0
_SELDOM_S: Final = 5.0
_BACKOFF_MAX_S: Final = 5.0
_PER_STEP_MAX: Final = 16


class _Watched:
    """What was seen of one partition."""

    __slots__ = ("asked_s", "moved_s", "next_offset")

    def __init__(self, now_s: float) -> None:
        self.next_offset = -1
        self.moved_s = now_s
        self.asked_s = now_s


class Heads:
    """Asks; `on_head` is told each answer."""

    def __init__(
        self,
        queries: Queries,
        clock: Clock,
        progress: list[Progress],
        waiting: Callable[[], bool],
        on_head: Callable[[Head], None],
    ) -> None:
        self._queries = queries
        self._clock = clock
        self._progress = progress
        self._waiting = waiting
        self._on_head = on_head
        self._watched: list[_Watched] = []

    async def run(self) -> None:
        """Until cancelled; while the ledger is away it is asked less and less often."""
        now_s = self._clock.monotonic_s()
        self._watched = [_Watched(now_s) for _ in self._progress]
        pause_s = _STEP_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                for partition in self._due(self._clock.monotonic_s()):
                    await self._ask(partition)
                pause_s = _STEP_S
            except PortError as error:
                _log.warning("heads_not_read", error=str(error))
                pause_s = min(_BACKOFF_MAX_S, pause_s * 2)

    def _due(self, now_s: float) -> list[int]:
        """The partitions to be asked about now, the longest unasked first; a bounded number."""
        due: list[tuple[float, int]] = []
        waiting = self._waiting()
        for partition, (watched, progress) in enumerate(zip(self._watched, self._progress, strict=True)):
            if progress.next_offset != watched.next_offset:
                watched.next_offset, watched.moved_s = progress.next_offset, now_s
            stalled = (progress.undecided > 0 or waiting) and now_s - watched.moved_s >= _STALLED_S
            if now_s - watched.asked_s >= (_STALLED_S if stalled else _SELDOM_S):
                due.append((watched.asked_s, partition))
        return [partition for _, partition in sorted(due)[:_PER_STEP_MAX]]

    async def _ask(self, partition: int) -> None:
        self._watched[partition].asked_s = self._clock.monotonic_s()
        head = await self._queries.head(partition)
        if head is not None:
            self._on_head(head)
