"""A service owns its partitions again after whatever kept it from them."""

from __future__ import annotations

import asyncio

from veltrix.adapters.memory import (
    MemoryCoordinator,
    MemoryFeed,
    MemoryLedger,
    MemoryLog,
    MemoryReplies,
    MemoryVault,
)
from veltrix.adapters.system import SystemClock
from veltrix.observability.metrics import NullMetrics
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import Unavailable
from veltrix.ports.log import Record
from veltrix.processing.service import ProcessingService


class Moody(MemoryCoordinator):
    """A coordinator that fails when it is first asked, as one does whose disk is full."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.failed = asyncio.Event()

    async def acquire(self, resource: str) -> Grant:
        """Fail twice, once for the partition and once for the ticker."""
        if self.failures < 2:
            self.failures += 1
            self.failed.set()
            raise Unavailable("the disk is full")
        return await super().acquire(resource)


def service(log: MemoryLog, coordinator: MemoryCoordinator) -> ProcessingService:
    """A service on memory."""
    return ProcessingService(
        log,
        MemoryLedger(),
        MemoryFeed(),
        MemoryReplies(),
        MemoryVault(),
        coordinator,
        SystemClock(),
        NullMetrics(),
    )


async def test_a_coordinator_that_fails_is_asked_again() -> None:
    """A partition whose owner could not be settled once is decided as soon as it can be."""
    log, coordinator = MemoryLog(), Moody()
    it = service(log, coordinator)
    await it.start()
    await coordinator.failed.wait()
    await log.append(0, Record(b"garbage"))
    async with asyncio.timeout(10):
        while (head := await it.ledger.head(0)) is None or head.next_offset < 1:  # noqa: ASYNC110 - a ledger gives no signal
            await asyncio.sleep(0.01)
    await it.stop()


async def test_it_stops_twice_and_while_starting() -> None:
    """Stopping is safe at any time and any number of times."""
    it = service(MemoryLog(), MemoryCoordinator())
    await it.start()
    await it.stop()
    await it.stop()
