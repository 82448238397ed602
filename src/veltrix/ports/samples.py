"""Looks into the ledger for what must always hold: each one snapshot, each of bounded cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class PoolNumbers(NamedTuple):
    """A pool as its row says, in seats."""

    capacity: int
    taken: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class Balance:
    """An event's pools, and its active seats of held and confirmed registrations by category.

    `pools_of` says which pools each category draws on.
    """

    event: str
    pools: Mapping[str, PoolNumbers]
    seats: Mapping[str, int]
    pools_of: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Run:
    """The last numbers of a table of a partition: how many there are from `first` to `last`, and the next one
    as the partition's own row has it. With `count` 0 there is none."""

    count: int
    first: int
    last: int
    following: int

    @property
    def whole(self) -> bool:
        """Whether none is missing, up to the one before the next."""
        return self.count == 0 or (
            self.last == self.following - 1 and self.count == self.last - self.first + 1
        )


class Samples(Protocol):
    """What a checker looks at. Every call raises `Unavailable` when the ledger cannot be read now."""

    async def events(self, after: str, limit: int) -> list[str]:
        """Ids of events greater than `after` ("" from the start), in order."""
        ...

    async def balance(self, event: str) -> Balance | None:
        """An event's numbers; None when there is no such event."""
        ...

    async def decisions(self, partition: int, most: int) -> Run | None:
        """The last `most` decisions by offset; None when the partition was never taken."""
        ...

    async def facts(self, partition: int, most: int) -> Run | None:
        """The last `most` facts by sequence number; None when the partition was never taken."""
        ...
