"""The ledger, as processing writes it: one fenced transaction a batch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Registration
from veltrix.domain.state import EventState, Needs, Person
from veltrix.ports.log import LogIdentity

MOVING = "moving:"
"""The id of no log: to it belongs a ledger whose data is on its way, so that nobody takes a partition."""


class Term(NamedTuple):
    """A period of sole ownership of a partition: the fencing token. Compares by epoch, then revision."""

    epoch: int
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a partition stands. `last_hash` is the hash of record `next_offset - 1`, empty at 0.

    `relayed_seq`: facts up to it are published. `next_seq` is the sequence number of the next fact.
    """

    partition: int
    term: Term
    owner: str
    next_offset: int
    log_time_ms: int
    rules_version: int
    next_seq: int
    relayed_seq: int
    last_hash: str
    topic_id: str


@dataclass(slots=True)
class EventRow:
    """An event with the counters that decisions read."""

    event: Event
    next_seat: int
    code_uses: dict[str, int]


@dataclass(slots=True)
class PoolRow:
    """A pool's final numbers in a batch. The ledger itself computes the ceiling and checks it:

    ceiling' = max(capacity', min(ceiling, taken')), CHECK taken' ≤ ceiling'. A batch holds at most one
    change of an event's capacity, as its first command, so that this rule needs no history.
    """

    event: str
    pool: str
    capacity: int
    taken: int


@dataclass(slots=True)
class Changes:
    """All that one batch commits. Rows are final states: an upsert each; decisions and facts are inserts."""

    partition: int
    term: Term
    old_offset: int
    new_offset: int
    log_time_ms: int
    rules_version: int
    next_seq: int
    last_hash: str
    events: list[EventRow] = field(default_factory=list)
    pools: list[PoolRow] = field(default_factory=list)
    pools_removed: list[tuple[str, str]] = field(default_factory=list)
    registrations: list[Registration] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    facts: list[NumberedFact] = field(default_factory=list)


@dataclass(slots=True)
class Loaded:
    """What `load` found; whatever was asked for and is not there is None (people: zeros)."""

    events: dict[str, EventState | None] = field(default_factory=dict)
    slugs: dict[tuple[str, str], str | None] = field(default_factory=dict)
    decided: dict[str, Decision] = field(default_factory=dict)
    registrations: dict[str, Registration | None] = field(default_factory=dict)
    people: dict[tuple[str, str], Person] = field(default_factory=dict)
    seat_owners: dict[tuple[str, int], str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Due:
    """Work whose time has come: a hold that expires, or (with `hold_number` 0) an event that ends, or (with
    `remind`) one that people are to be reminded of."""

    organizer: str
    event: str
    registration: str
    hold_number: int
    due_ms: int
    remind: bool = False


class Ledger(Protocol):
    """The strongly consistent store, as the owner of a partition uses it.

    Every write names a term; one under an older term than the ledger's changes nothing and raises
    `Fenced`. Reads see at least this process's own committed writes.
    """

    async def take_over(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Take the partition under `term`, creating it at offset 0 when it is new; repeatable by `owner`.

        Raises `Fenced` when a newer term (or the same by another owner) is there, `Mismatch` when the
        ledger belongs to a log with another topic id or more partitions.
        """
        ...

    async def rebind(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Take the partition under `term` and bind it to another log, which goes on at `first_offset` of its
        generation; a partition that is bound to that log already stays where it is.

        Raises `Fenced` as `take_over` does, `Rejected` when the ledger stands beyond that offset.
        """
        ...

    async def load(self, partition: int, needs: Needs) -> Loaded:
        """What a batch touches. An event comes with its pools, counters and its whole waiting line;
        a seat's owner and the registrations asked for come with it."""
        ...

    async def commit(self, changes: Changes) -> None:
        """Commit a batch in one transaction, first moving `next_offset` from old to new under the term.

        Raises `Fenced` (nothing written), `Rejected` (a constraint; nothing written), `Unavailable`
        (nothing written) or `OutcomeUnknown`.
        """
        ...

    async def head(self, partition: int) -> Head | None:
        """Where the partition stands, None when it was never taken."""
        ...

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Committed facts with a greater sequence number, in order."""
        ...

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Record that facts up to `seq` are published; never moves back. Raises `Fenced`."""
        ...

    async def due(self, partition: int, before_ms: int, limit: int, *, reminders: bool = True) -> list[Due]:
        """Holds whose deadline is before `before_ms` and whose full time has also passed since the ledger
        committed them (by its own clock), open or closed events that ended before it, and (`reminders`)
        those that begin after it and have a reminder that was due before it; by time."""
        ...

    async def keys_of(self, event: str, person: str, before_offset: int) -> list[str]:
        """The key ids of every decision before an offset that names this person in this event, whatever
        its outcome: the keys of all boxes that ever were theirs."""
        ...

    async def erasures(self, partition: int, after_offset: int, limit: int) -> list[tuple[int, str, str]]:
        """(offset, event, person) of accepted erasures past `after_offset`, in order: what every vault that
        is put in the place of this one has to forget too."""
        ...

    async def unused_keys(
        self, partition: int, after_offset: int, before_ms: int, limit: int
    ) -> list[tuple[int, str]]:
        """(offset, key id) of records past `after_offset`, decided before `before_ms` (log time), whose box
        came to nothing: refused, duplicate, key reused or quarantined."""
        ...

    async def close(self) -> None:
        """Close; safe to call twice."""
        ...


class LedgerRows(Protocol):
    """The whole ledger as plain rows, for the audit: canonical, in key order, and only what replay gives
    too (no owner, no term, no relay position, no commit times)."""

    def rows(self) -> AsyncIterator[tuple[str, tuple[object, ...]]]:
        """(table, row) of every table in a fixed order of tables and keys, all of one snapshot that is
        taken with the first row. `partitions` comes first: (partition, topic id, next_offset, …)."""
        ...

    async def quarantined(self, partition: int) -> dict[int, str]:
        """Offset and reason of every record that was quarantined, which replay takes as input."""
        ...
