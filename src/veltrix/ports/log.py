"""The log: the durable, ordered record of commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Which log this is: `topic_id` never changes while it lives; `generation` rises when it is replaced."""

    topic_id: str
    partitions: int
    generation: int


@dataclass(slots=True)
class Record:
    """What is appended. `trace` is a W3C traceparent or empty; `reply_to` the address for the reply."""

    value: bytes
    trace: str = ""
    reply_to: str = ""


@dataclass(slots=True)
class Appended:
    """Where a record went; `append_ms` is the log's own clock, ms since the epoch."""

    partition: int
    offset: int
    append_ms: int


@dataclass(slots=True)
class LogRecord:
    """A record as read back."""

    offset: int
    append_ms: int
    value: bytes
    trace: str = ""
    reply_to: str = ""


class Log(Protocol):
    """One topic of commands, partitions numbered from 0, offsets gapless from 0.

    Order: records appended by one caller one after the other (each awaited) have rising offsets.
    Durability: an append that returned survives the loss of the process and of the machine's power.
    """

    @property
    def identity(self) -> LogIdentity:
        """Which log this is; fixed while it is open."""
        ...

    async def append(self, partition: int, record: Record) -> Appended:
        """Append one record and return once it is durable. Concurrent appends share their cost.

        Raises `Rejected` (too large, no such partition), `Unavailable` (surely not appended) or
        `OutcomeUnknown`. A cancelled append may still happen.
        """
        ...

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Up to `max_records` records from `offset` on, in order, durable ones only.

        Waits up to `wait_s` seconds for the first; empty when none came. Bounded also in bytes, but
        always at least one record when there is one. Raises `Mismatch` for an offset below the first,
        `LogBehind` for one beyond the end of the log, `Unavailable` when it cannot be read now.
        """
        ...

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset, next offset to be written) of a partition."""
        ...

    async def close(self) -> None:
        """Finish what was appended and close; safe to call twice."""
        ...
