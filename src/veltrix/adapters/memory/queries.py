"""Reads of the memory ledger."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterator

import msgspec

from veltrix.adapters.memory.tables import Tables
from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision, Outcome
from veltrix.domain.registration import Registration
from veltrix.ports.errors import Unavailable
from veltrix.ports.ledger import EventRow, Head
from veltrix.ports.queries import EventView, Filter, PoolView
from veltrix.wire import encode_fact, encode_spec

_canonical = msgspec.json.Encoder(order="deterministic")


class MemoryQueries:
    """What registration and notification read, and the rows that the audit compares."""

    def __init__(self) -> None:
        self._tables = Tables()
        self._closed = False

    async def event(self, event: str) -> EventView | None:
        """One event with its numbers."""
        self._check_open()
        row = self._tables.events.get(event)
        return None if row is None else self._view(row.event)

    async def event_by_slug(self, organizer: str, slug: str) -> EventView | None:
        """The organizer's event of that slug."""
        self._check_open()
        event = self._tables.slugs.get((organizer, slug))
        return None if event is None else self._view(self._tables.events[event].event)

    async def events(self, organizer: str, after: str, limit: int) -> list[EventView]:
        """The organizer's events, by id."""
        self._check_open()
        theirs = [
            row.event
            for row in self._tables.events.values()
            if row.event.organizer == organizer and row.event.id > after
        ]
        return [self._view(event) for event in sorted(theirs, key=lambda event: event.id)[:limit]]

    async def registration(self, registration: str) -> Registration | None:
        """One registration."""
        self._check_open()
        return self._tables.registrations.get(registration)

    async def registrations(self, wanted: Filter, after: int, limit: int) -> list[Registration]:
        """Registrations by arrival."""
        self._check_open()
        line = self._tables.arrivals.get(wanted.event, [])
        found: list[Registration] = []
        for index in range(bisect_right(line, after, key=lambda place: place[0]), len(line)):
            registration = self._tables.registrations[line[index][1]]
            if wanted.statuses is not None and registration.status not in wanted.statuses:
                continue
            if wanted.person is not None and registration.person != wanted.person:
                continue
            if len(found) == limit:
                break
            found.append(registration)
        return found

    async def waiting_ahead(self, registration: Registration) -> int:
        """How many wait before it."""
        self._check_open()
        line = self._tables.waiting.get(registration.event, [])
        return bisect_left(line, registration.arrival, key=lambda place: place[0])

    async def decision(self, command: str) -> tuple[Decision, NumberedFact | None] | None:
        """The first decision of a command, with the fact that answers it."""
        self._check_open()
        decision = self._tables.commands.get(command)
        if decision is None:
            return None
        if decision.own_seq is None:
            return decision, None
        return decision, self._tables.partitions[decision.partition].facts[decision.own_seq - 1]

    async def history(
        self, event: str, person: str, after: int, limit: int
    ) -> list[tuple[Decision, NumberedFact | None]]:
        """The decisions that name a person, with the facts that answer them."""
        self._check_open()
        found = self._tables.decided_persons.get((event, person), [])
        page = sorted((each for each in found if each.offset > after), key=lambda each: each.offset)[:limit]
        partitions = self._tables.partitions
        return [
            (
                each,
                None if each.own_seq is None else partitions[each.partition].facts[each.own_seq - 1],
            )
            for each in page
        ]

    async def head(self, partition: int) -> Head | None:
        """Where a partition stands."""
        self._check_open()
        found = self._tables.partitions.get(partition)
        return None if found is None else found.head

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Facts with a greater sequence number."""
        self._check_open()
        found = self._tables.partitions.get(partition)
        return [] if found is None else found.facts[max(0, after_seq) : max(0, after_seq) + limit]

    async def barrier(self) -> None:
        """Reads are linearizable anyway."""
        self._check_open()

    async def rows(self) -> AsyncIterator[tuple[str, tuple[object, ...]]]:
        """Every row, canonical, of one snapshot."""
        self._check_open()
        for row in canonical_rows(self._tables.frozen()):
            yield row

    async def quarantined(self, partition: int) -> dict[int, str]:
        """Offset and reason of every quarantined record."""
        self._check_open()
        found = self._tables.partitions.get(partition)
        decisions = [] if found is None else found.decisions
        return {each.offset: each.detail for each in decisions if each.outcome is Outcome.QUARANTINED}

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the ledger is closed")

    def _view(self, event: Event) -> EventView:
        partition = self._tables.event_partition[event.id]
        pools = tuple(
            PoolView(key, pool.capacity, pool.taken, max(0, pool.capacity - pool.taken))
            for key, pool in self._tables.pools_of(event)
        )
        waiting = len(self._tables.waiting.get(event.id, ()))
        next_offset = self._tables.partitions[partition].head.next_offset
        code_uses = dict(self._tables.events[event.id].code_uses)
        return EventView(event, pools, waiting, partition, next_offset, code_uses)


def canonical_rows(tables: Tables) -> Iterator[tuple[str, tuple[object, ...]]]:
    """The rows that follow from the log alone: no owner, term, relay position or time of a commit."""
    for number, partition in sorted(tables.partitions.items()):
        head = partition.head
        yield (
            "partitions",
            (
                number,
                head.topic_id,
                head.next_offset,
                head.log_time_ms,
                head.rules_version,
                head.next_seq,
                head.last_hash,
            ),
        )
    for event_id, row in sorted(tables.events.items()):
        yield "events", _event_row(tables.event_partition[event_id], row)
    for (event_id, key), pool in sorted(tables.pools.items()):
        yield "pools", (event_id, key, pool.capacity, pool.taken, pool.ceiling)
    for _, registration in sorted(tables.registrations.items()):
        yield (
            "registrations",
            _registration_row(tables.registration_partition[registration.id], registration),
        )
    yield from _seat_rows(tables)
    for _, partition in sorted(tables.partitions.items()):
        for decision in partition.decisions:
            yield "decisions", _decision_row(decision)
    for number, partition in sorted(tables.partitions.items()):
        for fact in partition.facts:
            yield "facts", (number, fact.seq, encode_fact(fact))


def _event_row(partition: int, row: EventRow) -> tuple[object, ...]:
    event = row.event
    return (
        event.id,
        partition,
        event.organizer,
        event.spec.slug,
        str(event.status),
        event.version,
        event.hash_key,
        event.created_ms,
        event.changed_ms,
        event.spec.ends_ms(),
        encode_spec(event.spec),
        row.next_seat,
        _canonical.encode(row.code_uses),
        event.reminded_ms,
    )


def _registration_row(partition: int, registration: Registration) -> tuple[object, ...]:
    return (
        registration.id,
        partition,
        registration.event,
        registration.arrival,
        str(registration.status),
        registration.person,
        len(registration.active_seats()),
        registration.hold_number,
        registration.hold_deadline_ms,
        _canonical.encode(registration),
    )


def _seat_rows(tables: Tables) -> Iterator[tuple[str, tuple[object, ...]]]:
    for (event_id, number), (owner, seat) in sorted(tables.seats.items(), key=lambda item: item[0]):
        status = str(tables.registrations[owner].status) if seat.active else "cancelled"
        yield (
            "seats",
            (
                event_id,
                number,
                owner,
                status,
                seat.category,
                seat.price_minor,
                seat.currency,
                seat.holder,
                seat.checked_in_ms,
            ),
        )


def _decision_row(decision: Decision) -> tuple[object, ...]:
    return (
        decision.partition,
        decision.offset,
        str(decision.outcome),
        decision.log_time_ms,
        decision.rules_version,
        decision.command,
        decision.kind,
        None if decision.refusal is None else str(decision.refusal),
        decision.detail,
        decision.organizer,
        decision.event,
        decision.subject,
        decision.person,
        decision.key_id,
        decision.fingerprint,
        decision.first_seq,
        decision.facts,
        decision.own_seq,
        decision.original,
    )
