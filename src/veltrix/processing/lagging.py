"""Tells each second how far behind every owned partition is, also while nothing of it can be decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from veltrix.domain import limits
from veltrix.observability.lag import Lag
from veltrix.ports.errors import PortError
from veltrix.ports.log import Log
from veltrix.ports.system import Clock
from veltrix.processing.processor import Processor


class LagMetrics(Protocol):
    """What is told of a partition that is owned here."""

    def progress(self, partition: int, next_offset: int, log_end: int) -> None:
        """How far is decided, and how far the log goes."""

    def oldest_undecided(self, partition: int, seconds: float) -> None:
        """How long the oldest command has waited that is not decided yet."""

    def unpublished(self, partition: int, facts: int) -> None:
        """So many facts of a partition are committed and not published yet."""


@dataclass(slots=True)
class _Owned:
    """What was last known of a partition. -1: nothing yet."""

    lag: Lag = field(default_factory=Lag)
    next_offset: int = -1
    end_offset: int = -1


@dataclass(slots=True)
class LagWatch:
    """Looks at the partitions between `take` and `drop`; an interrupted processor leaves what it knew."""

    log: Log
    clock: Clock
    metrics: LagMetrics
    processors: Mapping[int, Processor]
    _owned: dict[int, _Owned] = field(default_factory=dict)

    def take(self, partition: int) -> None:
        """It is owned here from now on."""
        self._owned[partition] = _Owned()

    def drop(self, partition: int) -> None:
        """It is owned here no more."""
        self._owned.pop(partition, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(limits.LAG_LOOK_S)
            for partition in list(self._owned):
                await self._look(partition)

    async def _look(self, partition: int) -> None:
        owned = self._owned.get(partition)
        if owned is None:
            return
        processor = self.processors.get(partition)
        if processor is not None and processor.state is not None:
            owned.next_offset = processor.state.next_offset
        with suppress(PortError):  # the log cannot be asked: what was there waits on
            _, owned.end_offset = await self.log.bounds(partition)
        if partition not in self._owned or owned.next_offset < 0 or owned.end_offset < 0:
            return
        oldest_s = owned.lag.seen(self.clock.monotonic_s(), owned.next_offset, owned.end_offset)
        self.metrics.progress(partition, owned.next_offset, owned.end_offset)
        self.metrics.oldest_undecided(partition, oldest_s)
        if processor is not None:
            self.metrics.unpublished(partition, processor.relay.unpublished)
