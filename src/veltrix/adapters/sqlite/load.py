"""What a batch needs to know before it is decided, read by sets."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from typing import Final

from veltrix.adapters.sqlite.queries import SCAN_ROWS, pools_of
from veltrix.adapters.sqlite.schema import (
    ACTIVE,
    DECISION_COLUMNS,
    EVENT_COLUMNS,
    FIRST,
    HOLDER,
    decision_of,
    decode_registration,
    decode_uses,
    encode_plain,
    event_of,
)
from veltrix.domain.state import EventState, Needs, Person, Pool
from veltrix.ports.ledger import Loaded

# CROSS JOIN keeps the order: look each wanted key up, rather than the table's rows in the list.
_DECIDED: Final = f"""
SELECT {DECISION_COLUMNS} FROM (SELECT value AS wanted FROM json_each(?)) CROSS JOIN decisions
WHERE command = wanted AND {FIRST}
"""
_PEOPLE: Final = f"""
SELECT DISTINCT r.id, r.event, r.person, r.active_seats
FROM (SELECT value AS wanted FROM json_each(?))
CROSS JOIN (SELECT person, subject FROM decisions WHERE {HOLDER}) d ON d.person = wanted
CROSS JOIN (SELECT id, event, person, active_seats FROM registrations WHERE {ACTIVE}) r
    ON r.id = d.subject AND r.person = d.person
"""
_REGISTRATIONS: Final = """
SELECT r.id, r.snapshot
FROM (SELECT value AS wanted FROM json_each(?)) CROSS JOIN registrations r ON r.id = wanted
"""
_WAITING: Final = """
SELECT arrival, snapshot FROM registrations
WHERE event = ? AND status = 'waitlisted' AND arrival > ? ORDER BY arrival LIMIT ?
"""


def load_batch(connection: sqlite3.Connection, needs: Needs, loaded: Loaded) -> None:
    """Everything but the events themselves; what concerns an event in `loaded` is put there too."""
    loaded.slugs.update(_slugs(connection, needs.slugs))
    if needs.commands:
        for row in connection.execute(_DECIDED, (_json(needs.commands),)):
            decision = decision_of(row)
            loaded.decided[decision.command] = decision
    if needs.people:
        _load_people(connection, needs.people, loaded)
    for event, number in needs.seats:
        found = connection.execute(
            "SELECT registration FROM seats WHERE event = ? AND number = ?", (event, number)
        ).fetchone()
        loaded.seat_owners[event, number] = None if found is None else found[0]
    owners = {owner for owner in loaded.seat_owners.values() if owner is not None}
    wanted = needs.registrations | owners
    if wanted:
        loaded.registrations.update(dict.fromkeys(wanted))
        for key, snapshot in connection.execute(_REGISTRATIONS, (_json(wanted),)):
            loaded.registrations[key] = decode_registration(snapshot)
    _fill(loaded)


async def load_events(connection: sqlite3.Connection, events: Iterable[str], loaded: Loaded) -> None:
    """Events with their pools, counters and waiting lines, all of the connection's snapshot."""
    for event_id in events:
        row = connection.execute(
            f"SELECT {EVENT_COLUMNS} FROM events e JOIN counters c ON c.event = e.id WHERE e.id = ?",
            (event_id,),
        ).fetchone()
        if row is None:
            loaded.events[event_id] = None
            continue
        event = event_of(row)
        pools = {key: Pool(capacity, taken) for key, capacity, taken in pools_of(connection, event)}
        state = EventState(event, pools, row[11], decode_uses(row[12]))
        loaded.events[event_id] = state
        await _load_waiting(connection, state)


async def _load_waiting(connection: sqlite3.Connection, state: EventState) -> None:
    """The waiting line, which may be long, in pages that let others run."""
    after = -1
    while page := connection.execute(_WAITING, (state.event.id, after, SCAN_ROWS)).fetchall():
        for arrival, snapshot in page:
            registration = decode_registration(snapshot)
            need = state.need_of(tuple(seat.category for seat in registration.active_seats()))
            state.waiting.add(registration.id, arrival, need)
            state.registrations[registration.id] = registration
        if len(page) < SCAN_ROWS:
            return
        after = page[-1][0]
        await asyncio.sleep(0)


def _slugs(
    connection: sqlite3.Connection, slugs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str | None]:
    found: dict[tuple[str, str], str | None] = {}
    for key in slugs:
        row = connection.execute("SELECT id FROM events WHERE organizer = ? AND slug = ?", key).fetchone()
        found[key] = None if row is None else row[0]
    return found


def _load_people(connection: sqlite3.Connection, people: Iterable[tuple[str, str]], loaded: Loaded) -> None:
    """Count registrations that a Register or Transfer once gave to the person, and that still are theirs."""
    counts = {key: Person() for key in people}
    for _, event, person, seats in connection.execute(_PEOPLE, (_json({person for _, person in counts}),)):
        has = counts.get((event, person))
        if has is not None:
            has.registrations += 1
            has.seats += seats
    loaded.people.update(counts)


def _json(values: Iterable[str]) -> str:
    return encode_plain(list(values)).decode()


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
