"""The ledger in memory: the reference for every other one."""

from __future__ import annotations

from dataclasses import replace

from veltrix.adapters.memory.clock import WallClock
from veltrix.adapters.memory.queries import MemoryQueries
from veltrix.adapters.memory.tables import Partition
from veltrix.domain.commands import KIND_OF, ErasePerson
from veltrix.domain.event import EventStatus
from veltrix.domain.identifiers import first_offset
from veltrix.domain.outcomes import Outcome
from veltrix.domain.registration import ACTIVE
from veltrix.domain.state import EventState, Needs, Person, Pool
from veltrix.ports.errors import Fenced, Mismatch, Rejected
from veltrix.ports.ledger import Changes, Due, Head, Loaded, Term
from veltrix.ports.log import LogIdentity
from veltrix.ports.system import Clock

ERASE = KIND_OF[ErasePerson]


class MemoryLedger(MemoryQueries):
    """Ledger, Queries and LedgerRows on one set of tables."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__()
        self._clock = clock or WallClock()

    async def take_over(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Take a partition under a term."""
        self._check_open()
        self._check_log(log)
        found = self._tables.partitions.get(partition)
        if found is None:
            head = Head(partition, term, owner, 0, 0, 1, 1, 0, "", log.topic_id)
            self._tables.partitions[partition] = Partition(head, log.partitions)
            return head
        if found.head.term > term or (found.head.term == term and found.head.owner != owner):
            raise Fenced(
                f"partition {partition} is owned by {found.head.owner} under term {tuple(found.head.term)}"
            )
        found.head = replace(found.head, term=term, owner=owner)
        found.log_partitions = log.partitions
        return found.head

    async def rebind(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Bind a partition to another log."""
        self._check_open()
        first = first_offset(log.generation)
        found = self._tables.partitions.get(partition)
        if found is None:
            head = Head(partition, term, owner, first, 0, 1, 1, 0, "", log.topic_id)
            self._tables.partitions[partition] = Partition(head, log.partitions)
            return head
        head = found.head
        if head.term > term or (head.term == term and head.owner != owner):
            raise Fenced(f"partition {partition} is owned by {head.owner} under term {tuple(head.term)}")
        if head.topic_id != log.topic_id and head.next_offset > first:
            raise Rejected(f"partition {partition} stands at {head.next_offset}, beyond {first}")
        if head.topic_id != log.topic_id or head.next_offset < first:
            head = replace(head, topic_id=log.topic_id, next_offset=first, last_hash="")
        found.head = replace(head, term=term, owner=owner)
        found.log_partitions = log.partitions
        return found.head

    async def load(self, partition: int, needs: Needs) -> Loaded:
        """What a batch touches, as fresh copies of all that decisions change."""
        self._check_open()
        tables = self._tables
        loaded = Loaded()
        for event in needs.events:
            loaded.events[event] = self._event_state(event)
        for slug in needs.slugs:
            loaded.slugs[slug] = tables.slugs.get(slug)
        for command in needs.commands:
            if command in tables.commands:
                loaded.decided[command] = tables.commands[command]
        for registration in needs.registrations:
            loaded.registrations[registration] = tables.registrations.get(registration)
        for seat in needs.seats:
            owner = tables.seats.get(seat)
            loaded.seat_owners[seat] = None if owner is None else owner[0]
            if owner is not None:
                loaded.registrations[owner[0]] = tables.registrations[owner[0]]
        for person in needs.people:
            loaded.people[person] = self._person(person)
        _fill(loaded)
        return loaded

    async def commit(self, changes: Changes) -> None:
        """Commit a batch: all of it, or nothing."""
        self._check_open()
        staged = self._tables.check(changes)
        self._tables.apply(changes, staged, self._clock.now_ms())
        partition = self._tables.partitions[changes.partition]
        partition.head = replace(
            partition.head,
            next_offset=changes.new_offset,
            log_time_ms=changes.log_time_ms,
            rules_version=changes.rules_version,
            next_seq=changes.next_seq,
            last_hash=changes.last_hash,
        )

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Move the relay's position on."""
        self._check_open()
        found = self._tables.partitions.get(partition)
        if found is None or found.head.term != term:
            raise Fenced(f"partition {partition} is not owned under term {tuple(term)}")
        found.head = replace(found.head, relayed_seq=max(found.head.relayed_seq, seq))

    async def due(self, partition: int, before_ms: int, limit: int, *, reminders: bool = True) -> list[Due]:
        """Holds and events whose time has come, by time."""
        self._check_open()
        tables, now_ms = self._tables, self._clock.now_ms()
        found: list[Due] = []
        for registration_id, ends_ms in tables.hold_ends.items():
            registration = tables.registrations[registration_id]
            deadline = registration.hold_deadline_ms
            assert deadline is not None
            if tables.registration_partition[registration_id] != partition:
                continue
            if deadline < before_ms and ends_ms <= now_ms:
                organizer = tables.events[registration.event].event.organizer
                hold = registration.hold_number
                found.append(Due(organizer, registration.event, registration_id, hold, deadline))
        for row in tables.events.values():
            event, ends_ms = row.event, row.event.spec.ends_ms()
            if tables.event_partition[event.id] != partition:
                continue
            if event.status in (EventStatus.OPEN, EventStatus.CLOSED) and ends_ms < before_ms:
                found.append(Due(event.organizer, event.id, "", 0, ends_ms))
            remind_ms = event.remind_ms() if reminders else None
            if remind_ms is not None and remind_ms < before_ms < event.spec.starts_ms():
                found.append(Due(event.organizer, event.id, "", 0, remind_ms, True))
        found.sort(key=lambda due: (due.due_ms, due.event, due.registration))
        return found[:limit]

    async def keys_of(self, event: str, person: str, before_offset: int) -> list[str]:
        """The keys of all boxes that ever were a person's."""
        self._check_open()
        decisions = self._tables.decided_persons.get((event, person), [])
        keys = [each.key_id for each in decisions if each.key_id is not None and each.offset < before_offset]
        return list(dict.fromkeys(keys))

    async def erasures(self, partition: int, after_offset: int, limit: int) -> list[tuple[int, str, str]]:
        """Accepted erasures, in order."""
        self._check_open()
        found = self._tables.partitions.get(partition)
        return [
            (each.offset, each.event, each.person)
            for each in (found.decisions if found is not None else ())
            if each.kind == ERASE
            and each.outcome is Outcome.ACCEPTED
            and each.person is not None
            and each.offset > after_offset
        ][:limit]

    async def unused_keys(
        self, partition: int, after_offset: int, before_ms: int, limit: int
    ) -> list[tuple[int, str]]:
        """The keys of boxes that came to nothing."""
        self._check_open()
        found = self._tables.partitions.get(partition)
        unused: list[tuple[int, str]] = []
        for decision in [] if found is None else found.decisions[max(0, after_offset + 1) :]:
            if len(unused) == limit or decision.log_time_ms >= before_ms:
                break
            if decision.key_id is not None and decision.outcome is not Outcome.ACCEPTED:
                unused.append((decision.offset, decision.key_id))
        return unused

    async def close(self) -> None:
        """Close."""
        self._closed = True

    def _check_log(self, log: LogIdentity) -> None:
        for number, partition in self._tables.partitions.items():
            if partition.head.topic_id != log.topic_id:
                raise Mismatch(
                    f"the ledger belongs to log {partition.head.topic_id}, not {log.topic_id}; "
                    "start with the log and the ledger that belong together"
                )
            most = max(number + 1, partition.log_partitions)
            if most > log.partitions:
                raise Mismatch(
                    f"the ledger belongs to a log of {most} partitions, this one has {log.partitions}; "
                    "start with the log that the ledger was written from"
                )

    def _event_state(self, event_id: str) -> EventState | None:
        row = self._tables.events.get(event_id)
        if row is None:
            return None
        pools = {key: Pool(pool.capacity, pool.taken) for key, pool in self._tables.pools_of(row.event)}
        state = EventState(row.event, pools, row.next_seat, dict(row.code_uses))
        for arrival, registration_id in self._tables.waiting.get(event_id, ()):
            registration = self._tables.registrations[registration_id]
            need = state.need_of(tuple(seat.category for seat in registration.active_seats()))
            state.waiting.add(registration_id, arrival, need)
            state.registrations[registration_id] = registration
        return state

    def _person(self, key: tuple[str, str]) -> Person:
        person = Person()
        for registration_id in self._tables.persons.get(key, ()):
            registration = self._tables.registrations[registration_id]
            if registration.status in ACTIVE:
                person.registrations += 1
                person.seats += len(registration.active_seats())
        return person


def _fill(loaded: Loaded) -> None:
    """Put what was asked for beside an event into that event's state too."""
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
