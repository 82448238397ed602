"""What notification writes for operators: their orders carried out once, and how targets stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from veltrix.domain.targets import Target
from veltrix.ports.notices import Notice, NoticeStatus
from veltrix.ports.outreach import Order

ORDERED: Final = -1
"""The partition of notices that follow from an order and not from a fact; `seq` is the order's."""

REPLAYED: Final = frozenset(
    {NoticeStatus.ACCEPTED, NoticeStatus.REFUSED, NoticeStatus.DEAD, NoticeStatus.UNKNOWN}
)
"""What a replay opens again when its order names no statuses."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far orders are carried out: all up to `seq`, and of the next one the notices up to `place`."""

    seq: int = 0
    place: int = 0


class Fulfilment(Protocol):
    """Written by notification alone, in the store that also holds the notices."""

    async def progress(self) -> Progress:
        """How far orders are carried out."""
        ...

    async def carry_out(
        self, order: Order, at: Progress, now_ms: int, notices: Sequence[Notice] = ()
    ) -> Progress:
        """Carry out the order after `at.seq` (if many notices: the next `limits.ORDER_PAGE`), record
        `notices` with it, and move the progress, in one transaction; returns where it stands then.

        Only notices of facts up to the order's time are touched; those that are suppressed, never. A notice
        that is opened again has all attempts of its schedule before it. Raises `Fenced` when the progress is
        not `at`: another process carries it out.
        """
        ...

    async def rewind(self, at: Progress, seq: int) -> bool:
        """Let orders after `seq` be the next ones, if the progress is `at`; False when it is not. For orders
        that were restored from an older state: what they have is carried out, what comes is not."""
        ...

    async def change_target(self, target: Target) -> bool:
        """Record how a target stands, if `target.version` is what is known (0: nothing), and count it up;
        False when it is not."""
        ...
