"""What was fetched of a partition and is kept at hand: its readers go on in it without asking the broker."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Final

from veltrix.domain import limits
from veltrix.ports.errors import PortError
from veltrix.ports.log import LogRecord

AHEAD_MAX_RECORDS: Final = 20_000
AHEAD_MAX_BYTES: Final = 16 * 1024 * 1024
_BEHIND_MAX_RECORDS: Final = 2_000
_BEHIND_MAX_BYTES: Final = 8 * 1024 * 1024


class Window:
    """A run of records of one partition, from `start` up to `next_offset`.

    `known_end`: the partition is known to reach that far. `gaps`: how often something was missing.
    """

    def __init__(self, partition: int, offset: int, known_end: int, first: int) -> None:
        self.partition = partition
        self.first = first
        self.start = offset
        self.next_offset = offset
        self.known_end = known_end
        self.paused = False
        self.dropped = False
        self.error: PortError | None = None
        self.gaps = 0
        self.read_s = 0.0
        self._read_offset = offset
        self._records: list[LogRecord] = []
        self._bytes_ahead = 0
        self._bytes_behind = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def holds(self, offset: int) -> bool:
        """Whether a reader at `offset` is served from here."""
        return not self.dropped and self.start <= offset <= self.next_offset

    def take(self, records: list[LogRecord]) -> bool:
        """Add what follows on what is here, ignoring what is here already; False if something is missing."""
        if records[0].offset != self.next_offset:
            records = [record for record in records if record.offset >= self.next_offset]
        if not records:
            return True
        if records[0].offset != self.next_offset:
            return False
        whole = records[-1].offset - records[0].offset + 1 == len(records)
        if not whole:
            records = [each for at, each in enumerate(records) if each.offset == self.next_offset + at]
        self._records += records
        self._bytes_ahead += sum(len(record.value) for record in records)
        self.next_offset += len(records)
        self.gaps = 0
        self.wake()
        return whole

    def page(self, offset: int, max_records: int) -> tuple[list[LogRecord], bool]:
        """Records from `offset` on, bounded in number and bytes; and whether the bounds ended the page."""
        index = offset - self.start
        found = self._records[index : index + max_records]
        size = 0
        for at, record in enumerate(found):
            size += len(record.value)
            if size > limits.READ_BATCH_MAX_BYTES and at:
                return found[:at], True
        return found, len(found) == max_records

    def passed(self, offset: int) -> None:
        """A reader has been given everything before `offset`."""
        if offset > self._read_offset:
            run = islice(self._records, self._read_offset - self.start, offset - self.start)
            size = sum(len(record.value) for record in run)
            self._bytes_ahead -= size
            self._bytes_behind += size
            self._read_offset = offset
        behind = self._read_offset - self.start
        if behind > 2 * _BEHIND_MAX_RECORDS or self._bytes_behind > _BEHIND_MAX_BYTES:
            drop = (behind + 1) // 2  # half, so that moving the rest is rare
            self._bytes_behind -= sum(len(record.value) for record in islice(self._records, drop))
            del self._records[:drop]
            self.start += drop

    @property
    def full(self) -> bool:
        """Whether so much was fetched ahead of its reader that fetching should pause."""
        ahead = self.next_offset - self._read_offset
        return ahead > AHEAD_MAX_RECORDS or self._bytes_ahead > AHEAD_MAX_BYTES

    @property
    def roomy(self) -> bool:
        """Whether fetching may go on after a pause."""
        ahead = self.next_offset - self._read_offset
        return ahead < AHEAD_MAX_RECORDS // 2 and self._bytes_ahead < AHEAD_MAX_BYTES // 2

    async def wait(self, wait_s: float) -> None:
        """Return when something came or changed, or when the time is over."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            async with asyncio.timeout(wait_s):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiter)

    def drop(self, error: PortError | None = None) -> None:
        """End it: who waits looks again, or gets the error."""
        self.dropped = True
        self.error = error
        self.wake()

    def wake(self) -> None:
        """Let who waits look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
