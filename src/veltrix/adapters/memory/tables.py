"""The ledger's tables as dictionaries, with the constraints that a database would enforce."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import ACTIVE, Registration, RegistrationStatus, Seat
from veltrix.ports.errors import Fenced, Rejected
from veltrix.ports.ledger import Changes, EventRow, Head


@dataclass(slots=True)
class PoolRecord:
    """A pool's numbers; `0 <= taken <= ceiling` always holds."""

    capacity: int
    taken: int
    ceiling: int


@dataclass(slots=True)
class Partition:
    """A partition's head with what was decided on it; a decision's index is its offset, a fact's its
    sequence number less one."""

    head: Head
    log_partitions: int
    decisions: list[Decision] = field(default_factory=list)
    facts: list[NumberedFact] = field(default_factory=list)


@dataclass(slots=True)
class Staged:
    """What a batch turns the rows that it touches into, checked against every constraint."""

    events: dict[str, EventRow] = field(default_factory=dict)
    pools: dict[tuple[str, str], PoolRecord | None] = field(default_factory=dict)
    registrations: dict[str, Registration] = field(default_factory=dict)
    seats: dict[tuple[str, int], tuple[str, Seat]] = field(default_factory=dict)
    exclusive: dict[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class Tables:
    """All rows, and the indexes that reads need. `hold_ends` is when a hold's full time has passed."""

    partitions: dict[int, Partition] = field(default_factory=dict)
    events: dict[str, EventRow] = field(default_factory=dict)
    event_partition: dict[str, int] = field(default_factory=dict)
    slugs: dict[tuple[str, str], str] = field(default_factory=dict)
    pools: dict[tuple[str, str], PoolRecord] = field(default_factory=dict)
    registrations: dict[str, Registration] = field(default_factory=dict)
    registration_partition: dict[str, int] = field(default_factory=dict)
    seats: dict[tuple[str, int], tuple[str, Seat]] = field(default_factory=dict)
    commands: dict[str, Decision] = field(default_factory=dict)
    arrivals: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    waiting: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    persons: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    decided_persons: dict[tuple[str, str], list[Decision]] = field(default_factory=dict)
    exclusive: set[str] = field(default_factory=set)
    holders: dict[tuple[str, str], str] = field(default_factory=dict)
    hold_ends: dict[str, int] = field(default_factory=dict)

    def check(self, changes: Changes) -> Staged:
        """What the batch leads to; raises `Fenced` or `Rejected` and changes nothing."""
        partition = self.partitions.get(changes.partition)
        if partition is None or partition.head.term != changes.term:
            raise Fenced(f"partition {changes.partition} is not owned under term {tuple(changes.term)}")
        if partition.head.next_offset != changes.old_offset:
            raise Fenced(
                f"partition {changes.partition} stands at offset {partition.head.next_offset}, "
                f"not {changes.old_offset}"
            )
        check_shape(changes, partition.head.next_seq)
        self._check_commands(changes.decisions)
        staged = Staged()
        self._stage_events(staged, changes)
        self._stage_pools(staged, changes)
        self._stage_registrations(staged, changes)
        return staged

    def apply(self, changes: Changes, staged: Staged, now_ms: int) -> None:
        """Make a checked batch's rows the rows. `now_ms` is the ledger's clock."""
        for event_id, row in staged.events.items():
            self.events[event_id] = row
            self.event_partition.setdefault(event_id, changes.partition)
            self.slugs[row.event.organizer, row.event.spec.slug] = event_id
        for key, pool in staged.pools.items():
            if pool is None:
                self.pools.pop(key, None)
            else:
                self.pools[key] = pool
        for registration in staged.registrations.values():
            self._unindex(registration.id)
        for registration in staged.registrations.values():
            self._index(registration, changes.partition, staged.exclusive[registration.id], now_ms)
        self.seats.update(staged.seats)
        partition = self.partitions[changes.partition]
        partition.decisions += changes.decisions
        partition.facts += changes.facts
        for decision in changes.decisions:
            if decision.original is None and decision.command:
                self.commands[decision.command] = decision
            if decision.person is not None:
                self.decided_persons.setdefault((decision.event, decision.person), []).append(decision)

    def pools_of(self, event: Event) -> list[tuple[str, PoolRecord]]:
        """An event's pools, in the order of its specification."""
        keys = [pool.key for pool in event.spec.pools if (event.id, pool.key) in self.pools]
        return [(key, self.pools[event.id, key]) for key in keys]

    def frozen(self) -> Tables:
        """The rows as they are now, whatever is committed later: rows are replaced, never changed."""
        return Tables(
            {
                number: replace(each, decisions=list(each.decisions), facts=list(each.facts))
                for number, each in self.partitions.items()
            },
            dict(self.events),
            self.event_partition,
            pools=dict(self.pools),
            registrations=dict(self.registrations),
            registration_partition=self.registration_partition,
            seats=dict(self.seats),
        )

    def _check_commands(self, decisions: Iterable[Decision]) -> None:
        seen: set[str] = set()
        for decision in decisions:
            if decision.original is not None or not decision.command:
                continue
            if decision.command in seen or decision.command in self.commands:
                raise Rejected(f"command {decision.command} has a first decision already")
            seen.add(decision.command)

    def _stage_events(self, staged: Staged, changes: Changes) -> None:
        slugs: dict[tuple[str, str], str] = {}
        for row in changes.events:
            event = row.event
            key = event.organizer, event.spec.slug
            owner = slugs.get(key) or self.slugs.get(key)
            if owner not in (None, event.id):
                raise Rejected(f"slug {event.spec.slug!r} of {event.organizer} belongs to event {owner}")
            slugs[key] = event.id
            staged.events[event.id] = EventRow(event, row.next_seat, dict(row.code_uses))

    def _stage_pools(self, staged: Staged, changes: Changes) -> None:
        for key in changes.pools_removed:
            standing = self.pools.get(key)
            if standing is not None and standing.taken:
                raise Rejected(f"pool {key[1]!r} of {key[0]} has {standing.taken} seats taken")
            staged.pools[key] = None
        for row in changes.pools:
            key = row.event, row.pool
            before = staged.pools[key] if key in staged.pools else self.pools.get(key)
            ceiling = row.capacity if before is None else max(row.capacity, min(before.ceiling, row.taken))
            if row.capacity < 0 or not 0 <= row.taken <= ceiling:
                raise Rejected(
                    f"pool {row.pool!r} of {row.event}: {row.taken} seats taken, {ceiling} allowed"
                )
            staged.pools[key] = PoolRecord(row.capacity, row.taken, ceiling)

    def _stage_registrations(self, staged: Staged, changes: Changes) -> None:
        for registration in changes.registrations:
            before = self.registrations.get(registration.id)
            place = registration.event, registration.arrival
            if before is not None and (before.event, before.arrival) != place:
                raise Rejected(f"registration {registration.id} changed its event or its arrival number")
            if registration.event not in self.events and registration.event not in staged.events:
                raise Rejected(f"registration {registration.id} is of no event that exists")
            staged.registrations[registration.id] = registration
            self._stage_seats(staged, registration)
        strict: dict[str, bool] = {}
        holders: dict[tuple[str, str], str] = {}
        for registration in staged.registrations.values():
            before = self.registrations.get(registration.id)
            if before is not None and before.person == registration.person:
                exclusive = registration.id in self.exclusive
            else:
                event = registration.event
                if event not in strict:
                    strict[event] = self._one_per_email(event, staged, changes)
                exclusive = strict[event]
            staged.exclusive[registration.id] = exclusive
            if not exclusive or registration.status not in ACTIVE:
                continue
            key = registration.event, registration.person
            other = self.holders.get(key)
            if key in holders or (other is not None and other not in staged.registrations):
                raise Rejected(f"one person has two registrations of event {registration.event}")
            holders[key] = registration.id

    def _stage_seats(self, staged: Staged, registration: Registration) -> None:
        if len({seat.number for seat in registration.seats}) != len(registration.seats):
            raise Rejected(f"registration {registration.id} has a seat number twice")
        for seat in registration.seats:
            key = registration.event, seat.number
            owner = staged.seats.get(key) or self.seats.get(key)
            if owner is not None and owner[0] != registration.id:
                raise Rejected(f"seat {seat.number} of {registration.event} belongs to {owner[0]}")
            staged.seats[key] = registration.id, seat

    def _one_per_email(self, event: str, staged: Staged, changes: Changes) -> bool:
        """Whether the event allowed one registration an e-mail all through the batch."""
        standing, row = self.events.get(event), staged.events.get(event)
        specs = [each.event.spec for each in (standing, row) if each is not None]
        for numbered in changes.facts:
            after = numbered.fact.event_after
            if after is not None and after.id == event:
                specs.append(after.spec)
        return all(spec.one_per_email for spec in specs)

    def _unindex(self, registration_id: str) -> None:
        before = self.registrations.get(registration_id)
        if before is None:
            return
        key = before.event, before.person
        self.persons[key].discard(before.id)
        if self.holders.get(key) == before.id:
            del self.holders[key]
        if before.status is RegistrationStatus.WAITLISTED:
            self.waiting[before.event].remove((before.arrival, before.id))

    def _index(self, registration: Registration, partition: int, exclusive: bool, now_ms: int) -> None:
        before = self.registrations.get(registration.id)
        key = registration.event, registration.person
        place = registration.arrival, registration.id
        self.registrations[registration.id] = registration
        self.persons.setdefault(key, set()).add(registration.id)
        if before is None:
            self.registration_partition[registration.id] = partition
            insort(self.arrivals.setdefault(registration.event, []), place)
        if exclusive:
            self.exclusive.add(registration.id)
            if registration.status in ACTIVE:
                self.holders[key] = registration.id
        else:
            self.exclusive.discard(registration.id)
        if registration.status is RegistrationStatus.WAITLISTED:
            insort(self.waiting.setdefault(registration.event, []), place)
        self._index_hold(before, registration, now_ms)

    def _index_hold(self, before: Registration | None, after: Registration, now_ms: int) -> None:
        """A hold's full time counts from its commit: a late decision shortens nobody's time to pay."""
        deadline = after.hold_deadline_ms
        if after.status is not RegistrationStatus.HELD or deadline is None:
            self.hold_ends.pop(after.id, None)
        elif before is None or (before.hold_number, before.hold_deadline_ms) != (after.hold_number, deadline):
            self.hold_ends[after.id] = now_ms + deadline - after.changed_ms


def check_shape(changes: Changes, next_seq: int) -> None:
    """Every offset has exactly one decision, and facts go on without a gap; raises `Rejected`."""
    offsets = [decision.offset for decision in changes.decisions if decision.partition == changes.partition]
    if offsets != list(range(changes.old_offset, changes.new_offset)):
        raise Rejected(
            f"decisions of partition {changes.partition} are not one for each offset from "
            f"{changes.old_offset} to {changes.new_offset}"
        )
    seqs = [fact.seq for fact in changes.facts if fact.partition == changes.partition]
    if seqs != list(range(next_seq, changes.next_seq)) or len(seqs) != len(changes.facts):
        raise Rejected(f"facts of partition {changes.partition} do not go on from {next_seq} without a gap")
