"""What operators see of notices: reads alone. Registration answers from it, notification measures by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from veltrix.domain.targets import Target
from veltrix.ports.notices import Notice, NoticeStatus


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notices: all that is given must hold. Times are those of the notice's fact, in ms.

    `target`: an endpoint's id, or the name of a channel that carries mail. `held`: only those that wait for
    an operator.
    """

    organizer: str | None = None
    ids: tuple[str, ...] = ()
    event: str | None = None
    registration: str | None = None
    statuses: frozenset[NoticeStatus] = frozenset()
    channel: str | None = None
    target: str | None = None
    kind: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    held: bool = False


@dataclass(slots=True)
class Delivery:
    """A notice and where it stands. `place` orders them; `due_ms` None: over, held, or behind another.

    `attempts` counts every one ever made.
    """

    place: int
    notice: Notice
    status: NoticeStatus
    attempts: int
    detail: str
    due_ms: int | None
    tried_ms: int | None

    @property
    def held(self) -> bool:
        """Whether it waits for an operator."""
        return self.status is NoticeStatus.UNKNOWN and self.due_ms is None


@dataclass(slots=True)
class AttemptRow:
    """One attempt. `outcome` is a `channel.Sent`; `code` what the other side answered, if it did.

    `excerpt` is the first KiB of the answer as text; for mail it is empty, for an answer may name people.
    """

    number: int
    started_ms: int
    ended_ms: int
    outcome: str
    code: int | None
    detail: str
    excerpt: str = ""

    @property
    def latency_ms(self) -> int:
        """How long it took."""
        return self.ended_ms - self.started_ms


@dataclass(frozen=True, slots=True)
class Bounce:
    """An address (its hash) that a mail server said it will never take mail for."""

    organizer: str
    address: str
    created_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a target. Times are None when nothing does; `held` and parked ones are not due."""

    target: str
    channel: str
    waiting: int
    oldest_created_ms: int | None
    oldest_due_ms: int | None


class Deliveries(Protocol):
    """Reads. Pages are ordered and bounded by `limit`."""

    async def search(self, wanted: Wanted, before: int | None, limit: int) -> list[Delivery]:
        """Matching notices, the newest first, with a `place` less than `before` (None: from the newest)."""
        ...

    async def attempts(self, notice: str) -> list[AttemptRow]:
        """The attempts at a notice, oldest first: the last `limits.ATTEMPTS_KEPT_MAX`."""
        ...

    async def targets(self, names: Sequence[str] | None = None) -> list[Target]:
        """How these targets stand, or all that something is known of, by name; one without an entry is
        missing: it is closed and never failed."""
        ...

    async def bounced(self, asked: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (organizer, address) bounced."""
        ...

    async def bounces(self, organizer: str, after: str, limit: int) -> list[Bounce]:
        """An organizer's bounced addresses greater than `after` ("" from the start), by address."""
        ...

    async def backlog(self) -> list[Backlog]:
        """What waits, by target; one for which nothing does may be missing."""
        ...
