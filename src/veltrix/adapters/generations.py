"""The offsets of a log that took another's place.

An engine numbers each log from 0. A ledger that outlived its log has decisions under those numbers already,
so the log of a later generation goes on at `first_offset(generation)`: offsets rise for ever, and nobody
who keeps one, in a link, a decision or a position, can take it for another.
"""

from __future__ import annotations

from dataclasses import dataclass

from veltrix.domain.identifiers import first_offset
from veltrix.ports.errors import Mismatch
from veltrix.ports.log import Appended, Log, LogIdentity, LogRecord, Record


def renumbered(log: Log) -> Log:
    """The log with the offsets of its generation; itself, when it is the first."""
    return LaterLog(log, first_offset(log.identity.generation)) if log.identity.generation else log


@dataclass(frozen=True, slots=True)
class LaterLog:
    """A log whose offsets begin at `base`."""

    log: Log
    base: int

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self.log.identity

    async def append(self, partition: int, record: Record) -> Appended:
        """Append one record."""
        appended = await self.log.append(partition, record)
        return Appended(appended.partition, appended.offset + self.base, appended.append_ms)

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Records from `offset` on."""
        if offset < self.base:
            raise Mismatch(
                f"the log begins at offset {self.base}; {offset} was in the one before it, which is gone"
            )
        found = await self.log.read(partition, offset - self.base, max_records, wait_s)
        return [
            LogRecord(each.offset + self.base, each.append_ms, each.value, each.trace, each.reply_to)
            for each in found
        ]

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first, next) offsets."""
        first, following = await self.log.bounds(partition)
        return first + self.base, following + self.base

    async def close(self) -> None:
        """Close it."""
        await self.log.close()
