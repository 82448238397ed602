"""The last committed records of a partition, so that a reader who keeps up needs no SQL."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Final

from veltrix.domain import limits
from veltrix.ports.errors import PortError
from veltrix.ports.log import LogRecord

TAIL_MAX_RECORDS: Final = 20_000
TAIL_MAX_BYTES: Final = 32 * 1024 * 1024


class Tail:
    """A partition's committed end: its offsets, its last records, and who waits for more."""

    def __init__(self, first: int, next_offset: int) -> None:
        self.first = first
        self.next_offset = next_offset
        self._start = next_offset
        self._records: list[LogRecord] = []
        self._bytes = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def extend(self, records: list[LogRecord]) -> None:
        """Add records that were committed just now, and wake who waits for them."""
        self._records += records
        self._bytes += sum(len(record.value) for record in records)
        self.next_offset += len(records)
        if len(self._records) > TAIL_MAX_RECORDS or self._bytes > TAIL_MAX_BYTES:
            self._trim()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def holds(self, offset: int) -> bool:
        """Whether the records from `offset` on are all here."""
        return offset >= self._start

    def slice(self, offset: int, max_records: int) -> list[LogRecord]:
        """Records from `offset` on, which `holds`, bounded in number and bytes."""
        index = offset - self._start
        return bounded(self._records[index : index + max_records])

    async def wait(self, wait_s: float) -> None:
        """Return when something was committed, or the time is over."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            async with asyncio.timeout(wait_s):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiter)

    def fail(self, error: PortError) -> None:
        """Let who waits have an error."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)

    def _trim(self) -> None:
        """Drop the older half of what is allowed, so that trimming is rare."""
        drop = max(0, len(self._records) - TAIL_MAX_RECORDS // 2)
        self._bytes -= sum(len(record.value) for record in islice(self._records, drop))
        while self._bytes > TAIL_MAX_BYTES // 2:
            self._bytes -= len(self._records[drop].value)
            drop += 1
        del self._records[:drop]
        self._start += drop


def bounded(records: list[LogRecord]) -> list[LogRecord]:
    """The records up to `limits.READ_BATCH_MAX_BYTES`, but at least one."""
    size = 0
    for index, record in enumerate(records):
        size += len(record.value)
        if size > limits.READ_BATCH_MAX_BYTES and index:
            return records[:index]
    return records
