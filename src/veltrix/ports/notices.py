"""Notification's own store: how far it has read the facts, what it owes, and how each attempt went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

HELD = "held: it may have been sent before the restore"
"""Detail of a notice that is UNKNOWN without a next try: whether it goes out is an operator's to say."""


class NoticeStatus(StrEnum):
    """pending → attempting → accepted, refused, suppressed or dead; unknown waits for its next try."""

    PENDING = "pending"
    ATTEMPTING = "attempting"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    DEAD = "dead"


@dataclass(slots=True)
class Notice:
    """The obligation to tell one recipient, over one channel, of one fact.

    It keeps ids and a key id, never an address or a text. `recipient` is the keyed e-mail hash.
    Unique on (organizer, partition, seq, recipient, channel): that is what makes it exactly one.
    """

    id: str
    organizer: str
    event: str
    partition: int
    seq: int
    kind: str
    registration: str
    recipient: str
    channel: str
    key_id: str
    created_ms: int
    trace: str = ""


@dataclass(slots=True)
class Claimed:
    """A notice that this process may try now, the `attempt`-th time (from 1), under `fence`."""

    notice: Notice
    attempt: int
    fence: int


@dataclass(slots=True)
class Result:
    """How an attempt ended; `next_ms` says when to try again, None when it is over."""

    notice: str
    fence: int
    status: NoticeStatus
    detail: str
    at_ms: int
    next_ms: int | None = None


@dataclass(slots=True)
class FanOut:
    """A job: one notice for every active registration of an event, because of the fact `seq`."""

    partition: int
    seq: int
    organizer: str
    event: str
    kind: str
    after_arrival: int = -1
    trace: str = ""


@dataclass(slots=True)
class Planned:
    """What a run of facts leads to; recorded together with the inbox's new position."""

    notices: list[Notice] = field(default_factory=list)
    jobs: list[FanOut] = field(default_factory=list)
    erased: list[tuple[str, str]] = field(default_factory=list)


class Notices(Protocol):
    """The inbox and the notices. Times are ms since the epoch."""

    async def position(self, partition: int) -> int:
        """The sequence number of the last fact that was planned; 0 at the start."""
        ...

    async def record(self, partition: int, after_seq: int, upto_seq: int, planned: Planned) -> list[str]:
        """Move the inbox from `after_seq` to `upto_seq` and record what is planned, in one transaction.

        Notices that exist already are kept as they are. `erased` (event, person): their open notices
        become suppressed; returns the ids of all of theirs, so that spools can forget them.
        With `upto_seq` equal to `after_seq` the inbox stays: an erasure is carried out before it is passed.
        Raises `Fenced` when the inbox is not at `after_seq`.
        """
        ...

    async def claim(self, now_ms: int, limit: int, lease_ms: int) -> list[Claimed]:
        """Take due notices, oldest first, and write ATTEMPTING with a new fence before returning.

        One whose lease has passed without a result is unknown, and is claimed again.
        """
        ...

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds; returns how many did."""
        ...

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open fan-out jobs."""
        ...

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job's notices and move it on; None ends it. Raises `Fenced` when another did."""
        ...

    async def of_registration(self, registration: str) -> list[tuple[Notice, NoticeStatus, int, str]]:
        """(notice, status, attempts, last detail) of a registration, oldest first."""
        ...

    async def hold(self, partition: int, upto_seq: int) -> int:
        """Hold every open notice of facts up to `upto_seq`, and those that are yet to be recorded: they
        become unknown, with the detail `HELD`, and are not claimed. Returns how many are held at once.

        For facts that were published before a restore: their notices may have been sent.
        """
        ...

    async def release(self, *, send: bool) -> int:
        """Let go what is held: due at once (`send`), or suppressed. Returns how many there were."""
        ...

    async def held(self) -> int:
        """How many are held."""
        ...

    async def counts(self) -> dict[NoticeStatus, int]:
        """How many notices stand in each status."""
        ...

    async def close(self) -> None:
        """Close; safe to call twice."""
        ...
