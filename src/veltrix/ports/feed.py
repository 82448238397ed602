"""Hints between services: published facts and replies. They speed things up and are never the truth.

A hint can be lost or come twice. Facts carry a gapless sequence, so a consumer sees a gap and reads
the ledger; a missing reply is answered from the ledger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision


@dataclass(slots=True)
class Reply:
    """A decision on its way back, with the fact that answers the command (None for a duplicate)."""

    decision: Decision
    own: NumberedFact | None


class Feed(Protocol):
    """Published facts, per partition in sequence."""

    async def publish(self, partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        """Publish committed facts; returns when all are acknowledged. Also says how far is decided.

        Raises `Unavailable`: then none, some or all were published and the caller repeats from there.
        """
        ...

    async def last_seq(self, partition: int) -> int:
        """The sequence number of the last fact that was published, as far as the feed remembers; else 0.

        One beyond the ledger's last says that the ledger was restored from an older state.
        """
        ...

    def subscribe(self) -> AsyncIterator[Published]:
        """Batches published from now on. A slow subscriber loses the oldest batches, never the newest."""
        ...


@dataclass(slots=True)
class Published:
    """A batch of facts of one partition; all commands before `next_offset` are decided."""

    partition: int
    facts: Sequence[NumberedFact]
    next_offset: int


class Replies(Protocol):
    """The way back to the process that holds the request open."""

    @property
    def address(self) -> str:
        """What this process writes into `Record.reply_to`."""
        ...

    def send(self, reply_to: str, replies: Sequence[Reply]) -> None:
        """Send; never waits and never raises: what cannot be sent is dropped."""
        ...

    def listen(self, receive: Callable[[Sequence[Reply]], None]) -> None:
        """Hand every reply to this process's address to `receive`, which must not block."""
        ...
