"""Notification's own store: how far it has read the facts, what it owes, and how each attempt went.

Beside this port it has two more: what operators see (`deliveries`) and what they order (`fulfilment`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

HELD = "held: it may have been sent before the restore"
"""Detail of a notice that is UNKNOWN without a next try: whether it goes out is an operator's to say."""
LEASE_LOST: Final = "no result came within the lease"
"""Detail of the attempt of a process that was never heard of again."""
HELD_UNKNOWN: Final = "held: it may have arrived"
"""The same, where an attempt's outcome is unknown and `on_unknown` is `hold`."""
WEBHOOK: Final = "webhook"
"""The channel whose recipients are endpoints, each a target of its own."""


class NoticeStatus(StrEnum):
    """pending → attempting → accepted, refused, expired, suppressed or dead; unknown waits for its next try,
    or, without one, for an operator."""

    PENDING = "pending"
    ATTEMPTING = "attempting"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    DEAD = "dead"
    EXPIRED = "expired"


OPEN: Final = frozenset({NoticeStatus.PENDING, NoticeStatus.ATTEMPTING, NoticeStatus.UNKNOWN})
"""What may still be attempted; everything else is over."""


@dataclass(slots=True)
class Notice:
    """The obligation to tell one recipient, over one channel, of one fact.

    It keeps ids and a key id, never an address or a text. `recipient` is the keyed e-mail hash, or an
    endpoint's id. Unique on (organizer, partition, seq, recipient, channel): that makes it exactly one.
    After `expires_ms` it is not sent any more. `ordered`: it waits until earlier notices of its event to the
    same endpoint are over.
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
    expires_ms: int | None = None
    ordered: bool = False

    @property
    def target(self) -> str:
        """Where it goes, as breakers and rates know it: an endpoint's id, else the channel's name."""
        return self.recipient if self.channel == WEBHOOK else self.channel


@dataclass(frozen=True, slots=True)
class Share:
    """What a claim may take of one target. `rate_per_s` 0: as fast as it goes; `burst` notices may go at
    once. `hold`: a notice whose lease ran out waits for an operator instead of its next try."""

    most: int
    rate_per_s: float = 0.0
    burst: int = 1
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of targets by name, and that of everyone else."""

    others: Share
    named: Mapping[str, Share] = field(default_factory=dict)

    def of(self, target: str) -> Share:
        """A target's share."""
        return self.named.get(target, self.others)


@dataclass(slots=True)
class Claimed:
    """A notice that this process may try now, the `attempt`-th time (from 1) since it was last opened, under
    `fence`, which rises with each claim and each result."""

    notice: Notice
    attempt: int
    fence: int


@dataclass(slots=True)
class Result:
    """How a claim ended; `next_ms` says when to try again. Without one it is over, or (unknown) held.

    `outcome` is a `channel.Sent`, and makes an attempt's row of `started_ms` (None: `at_ms`), `code` and
    `excerpt`; empty where nothing was tried: then no attempt is spent. `bounced`: the hash of an address
    that will never take mail.
    """

    notice: str
    fence: int
    status: NoticeStatus
    detail: str
    at_ms: int
    next_ms: int | None = None
    outcome: str = ""
    started_ms: int | None = None
    code: int | None = None
    excerpt: str = ""
    bounced: str = ""


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
    expires_ms: int | None = None


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

    async def claim(
        self, now_ms: int, limit: int, lease_ms: int, shares: Shares | None = None
    ) -> list[Claimed]:
        """Take due notices, oldest first, and write ATTEMPTING with a new fence before returning.

        Of each target at most its share (None: no bounds), nothing while it is disabled or blocked, and one,
        as a probe, of a target whose breaker is open and was open long enough. What is passed over spends
        no attempt. One whose lease has passed without a result is unknown, and is claimed again or held; one
        that waits past its `expires_ms` is expired.
        """
        ...

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds, with their attempts; returns how many did."""
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
