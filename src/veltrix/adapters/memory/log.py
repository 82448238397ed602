"""The log in memory."""

from __future__ import annotations

import asyncio

from veltrix.adapters.memory.clock import WallClock
from veltrix.domain import limits
from veltrix.ports.errors import LogBehind, Mismatch, Rejected, Unavailable
from veltrix.ports.log import Appended, LogIdentity, LogRecord, Record
from veltrix.ports.system import Clock


class MemoryLog:
    """A list of records for each partition; "durable" as long as the object lives."""

    def __init__(
        self,
        partitions: int = 1,
        *,
        clock: Clock | None = None,
        topic_id: str = "memory",
        generation: int = 0,
    ) -> None:
        assert 1 <= partitions <= limits.PARTITIONS_MAX
        self._identity = LogIdentity(topic_id, partitions, generation)
        self._clock = clock or WallClock()
        self._records: list[list[LogRecord]] = [[] for _ in range(partitions)]
        self._waiting: list[set[asyncio.Future[None]]] = [set() for _ in range(partitions)]
        self._closed = False

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._identity

    async def append(self, partition: int, record: Record) -> Appended:
        """Append one record."""
        if self._closed:
            raise Unavailable("the log is closed")
        if len(record.value) > limits.READ_BATCH_MAX_BYTES:
            raise Rejected(
                f"a record of {len(record.value)} bytes is too large; at most {limits.READ_BATCH_MAX_BYTES}"
            )
        try:
            f"{record.trace}{record.reply_to}".encode()
        except UnicodeEncodeError as error:
            raise Rejected(f"the record's trace or reply address is no text: {error}") from error
        records = self._of(partition)
        offset, append_ms = len(records), self._clock.now_ms()
        records.append(LogRecord(offset, append_ms, record.value, record.trace, record.reply_to))
        for waiter in self._waiting[partition]:
            if not waiter.done():
                waiter.set_result(None)
        return Appended(partition, offset, append_ms)

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Records from `offset` on; waits for the first."""
        found = self._slice(partition, offset, max_records)
        if found or wait_s <= 0:
            return found
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[partition].add(waiter)
        try:
            async with asyncio.timeout(wait_s):
                await waiter
        except TimeoutError:
            return []
        finally:
            self._waiting[partition].discard(waiter)
        return self._slice(partition, offset, max_records)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(0, next offset)."""
        return 0, len(self._of(partition))

    async def close(self) -> None:
        """Close; readers that wait find nothing any more."""
        self._closed = True
        for waiters in self._waiting:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(Unavailable("the log was closed"))

    def _of(self, partition: int) -> list[LogRecord]:
        if not 0 <= partition < self._identity.partitions:
            raise Rejected(f"there is no partition {partition}; the log has {self._identity.partitions}")
        return self._records[partition]

    def _slice(self, partition: int, offset: int, max_records: int) -> list[LogRecord]:
        if self._closed:
            raise Unavailable("the log is closed")
        records = self._of(partition)
        if not 0 <= offset <= len(records):
            wrong = LogBehind if offset > len(records) else Mismatch
            raise wrong(
                f"partition {partition} holds the offsets 0 to {len(records)}, not {offset}; "
                "log and ledger do not belong together, restore both from the same time"
            )
        found = records[offset : offset + max_records]
        size = 0
        for index, record in enumerate(found):
            size += len(record.value)
            if size > limits.READ_BATCH_MAX_BYTES and index:
                return found[:index]
        return found
