"""What a batch needs to know before it is decided, read by sets.

Several statements see several moments; but what they read is the owner's, and nobody else writes it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from veltrix.adapters.postgres.links import Connection
from veltrix.adapters.postgres.queries import SCAN_ROWS
from veltrix.adapters.postgres.rows import (
    ACTIVE,
    DECISION_COLUMNS,
    EVENT_COLUMNS,
    FIRST,
    decision_of,
    decode_registration,
    decode_uses,
    event_of,
)
from veltrix.domain.state import EventState, Needs, Person, Pool
from veltrix.ports.ledger import Loaded

_EVENTS: Final = f"""
SELECT {EVENT_COLUMNS} FROM ledger.events e JOIN ledger.counters c ON c.event = e.id
WHERE e.id = ANY ($1::text[])
"""
_POOLS: Final = "SELECT event, pool, capacity, taken FROM ledger.pools WHERE event = ANY ($1::text[])"
_WAITING: Final = """
SELECT arrival, snapshot FROM ledger.registrations
WHERE event = $1 AND status = 'waitlisted' AND arrival > $2 ORDER BY arrival LIMIT $3
"""
_SLUGS: Final = """
SELECT e.organizer, e.slug, e.id FROM unnest($1::text[], $2::text[]) AS w(organizer, slug)
JOIN ledger.events e ON e.organizer = w.organizer AND e.slug = w.slug
"""
_DECIDED: Final = f"""
SELECT {DECISION_COLUMNS} FROM ledger.decisions d WHERE d.command = ANY ($1::text[]) AND {FIRST}
"""
# Whoever has a registration was once given it by a decision: that finds theirs without an index of its own.
_PEOPLE: Final = f"""
SELECT DISTINCT r.id, r.event, r.person, r.active_seats
FROM ledger.decisions d
JOIN ledger.registrations r ON r.id = d.subject AND r.person = d.person
WHERE d.person = ANY ($1::text[]) AND d.outcome = 'accepted' AND d.kind IN ('register', 'transfer')
    AND r.{ACTIVE}
"""
_SEATS: Final = """
SELECT s.event, s.number, s.registration FROM unnest($1::text[], $2::bigint[]) AS w(event, number)
JOIN ledger.seats s ON s.event = w.event AND s.number = w.number
"""
_REGISTRATIONS: Final = "SELECT id, snapshot FROM ledger.registrations WHERE id = ANY ($1::text[])"


async def load_batch(connection: Connection, needs: Needs) -> Loaded:
    """What is asked for; what concerns an event that is loaded too is put there as well."""
    loaded = Loaded()
    if needs.commands:
        for row in await connection.fetch(_DECIDED, list(needs.commands)):
            decision = decision_of(tuple(row))
            loaded.decided[decision.command] = decision
    if needs.people:
        await _load_people(connection, needs, loaded)
    if needs.events:
        await _load_events(connection, list(needs.events), loaded)
    if needs.slugs:
        loaded.slugs.update(dict.fromkeys(needs.slugs))
        organizers, slugs = zip(*needs.slugs, strict=True)
        for organizer, slug, event in await connection.fetch(_SLUGS, organizers, slugs):
            loaded.slugs[organizer, slug] = event
    if needs.seats:
        loaded.seat_owners.update(dict.fromkeys(needs.seats))
        events, numbers = zip(*needs.seats, strict=True)
        for event, number, owner in await connection.fetch(_SEATS, events, numbers):
            loaded.seat_owners[event, number] = owner
    owners = {owner for owner in loaded.seat_owners.values() if owner is not None}
    wanted = needs.registrations | owners
    if wanted:
        loaded.registrations.update(dict.fromkeys(wanted))
        for key, snapshot in await connection.fetch(_REGISTRATIONS, list(wanted)):
            loaded.registrations[key] = decode_registration(snapshot)
    _fill(loaded)
    return loaded


async def _load_events(connection: Connection, wanted: list[str], loaded: Loaded) -> None:
    """Events with their pools, counters and waiting lines."""
    loaded.events.update(dict.fromkeys(wanted))
    pools: dict[str, dict[str, Pool]] = {event: {} for event in wanted}
    for event_id, key, capacity, taken in await connection.fetch(_POOLS, wanted):
        pools[event_id][key] = Pool(capacity, taken)
    for row in await connection.fetch(_EVENTS, wanted):
        event = event_of(tuple(row))
        theirs = pools[event.id]
        ordered = {pool.key: theirs[pool.key] for pool in event.spec.pools if pool.key in theirs}
        state = EventState(event, ordered, row[11], decode_uses(row[12]))
        loaded.events[event.id] = state
        if event.spec.waitlist is not None:
            await _load_waiting(connection, state)


async def _load_waiting(connection: Connection, state: EventState) -> None:
    """The waiting line, which may be long, in pages that let others run."""
    after = -1
    while page := await connection.fetch(_WAITING, state.event.id, after, SCAN_ROWS):
        for arrival, snapshot in page:
            registration = decode_registration(snapshot)
            need = state.need_of(tuple(seat.category for seat in registration.active_seats()))
            state.waiting.add(registration.id, arrival, need)
            state.registrations[registration.id] = registration
        if len(page) < SCAN_ROWS:
            return
        after = page[-1][0]
        await asyncio.sleep(0)


async def _load_people(connection: Connection, needs: Needs, loaded: Loaded) -> None:
    """Count registrations that a Register or Transfer once gave to the person, and that still are theirs."""
    counts = {key: Person() for key in needs.people}
    people = list({person for _, person in counts})
    for _, event, person, seats in await connection.fetch(_PEOPLE, people):
        has = counts.get((event, person))
        if has is not None:
            has.registrations += 1
            has.seats += seats
    loaded.people.update(counts)


def _fill(loaded: Loaded) -> None:
    if not loaded.events:
        return
    for registration in loaded.registrations.values():
        event = loaded.events.get(registration.event) if registration is not None else None
        if event is not None and registration is not None:
            event.registrations[registration.id] = registration
    for (event_id, person), has in loaded.people.items():
        event = loaded.events.get(event_id)
        if event is not None:
            event.people[person] = has
    for (event_id, seat), owner in loaded.seat_owners.items():
        event = loaded.events.get(event_id)
        if event is not None:
            event.seat_owners[seat] = owner
