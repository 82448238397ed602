"""The ledger, as it is read: by registration for its answers, by notification for its texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Registration, RegistrationStatus
from veltrix.ports.ledger import Head


@dataclass(frozen=True, slots=True)
class PoolView:
    """Numbers of a pool, in seats."""

    key: str
    capacity: int
    taken: int
    free: int


@dataclass(frozen=True, slots=True)
class EventView:
    """An event as of `next_offset` of its partition. `code_uses`: by the access code's hash."""

    event: Event
    pools: tuple[PoolView, ...]
    waiting: int
    partition: int
    next_offset: int
    code_uses: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which registrations: of one event, by status and person (keyed e-mail hash)."""

    event: str
    statuses: frozenset[RegistrationStatus] | None = None
    person: str | None = None


class Queries(Protocol):
    """Reads. Each is one consistent snapshot; a page is ordered and bounded by `limit`."""

    async def event(self, event: str) -> EventView | None:
        """One event with its numbers."""
        ...

    async def event_by_slug(self, organizer: str, slug: str) -> EventView | None:
        """The organizer's event of that slug."""
        ...

    async def events(self, organizer: str, after: str, limit: int) -> list[EventView]:
        """The organizer's events with an id greater than `after` ("" from the start), by id."""
        ...

    async def registration(self, registration: str) -> Registration | None:
        """One registration."""
        ...

    async def registrations(self, wanted: Filter, after: int, limit: int) -> list[Registration]:
        """Registrations with an arrival number greater than `after` (-1 from the start), by arrival."""
        ...

    async def waiting_ahead(self, registration: Registration) -> int:
        """How many of its event's waitlist arrived before it."""
        ...

    async def decision(self, command: str) -> tuple[Decision, NumberedFact | None] | None:
        """The (first) decision of a command, with the fact that answers it."""
        ...

    async def history(
        self, event: str, person: str, after: int, limit: int
    ) -> list[tuple[Decision, NumberedFact | None]]:
        """Every decision past the offset `after` that names this person in this event, whatever its outcome,
        by offset, with the fact that answers it."""
        ...

    async def head(self, partition: int) -> Head | None:
        """Where a partition stands."""
        ...

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Committed facts with a greater sequence number, in order."""
        ...

    async def barrier(self) -> None:
        """Return once reads that follow are linearizable: a cut-off old primary cannot pass it."""
        ...
