"""The port `Ledger`: one fenced transaction a batch, and constraints that no defect gets past."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.adapters import HandClock, Subject, WholeLedger
from tests.conformance.batches import LOG, TERM, Desk, by_hand, desk, rows
from tests.domain.room import category, event_spec, sealed, with_capacity
from veltrix.domain.commands import (
    Actor,
    AdoptRules,
    Cancel,
    CancelEvent,
    ChangeAnswers,
    ChangeEvent,
    CheckIn,
    CloseEvent,
    CreateEvent,
    ErasePerson,
    ExtendHold,
    OpenEvent,
    Remind,
    Transfer,
)
from veltrix.domain.decider import REMINDING_RULES
from veltrix.domain.event import Holds, PoolSpec, Waitlist
from veltrix.domain.facts import FactKind
from veltrix.domain.identifiers import first_offset, split_arrival
from veltrix.domain.outcomes import Decision, Outcome
from veltrix.domain.registration import RegistrationStatus
from veltrix.domain.state import Needs, Person
from veltrix.ports.errors import Fenced, Mismatch, Rejected, Unavailable
from veltrix.ports.ledger import Due, PoolRow, Term
from veltrix.ports.log import LogIdentity

FAR_MS = 10**15


def decision(at: Desk, ahead: int = 0, **fields: Any) -> Decision:
    """A decision at the next offset, or one ahead of it."""
    offset = at.state.next_offset + ahead
    return Decision(at.partition, offset, Outcome.ACCEPTED, at.state.log_time_ms, 1, **fields)


async def test_a_new_partition_starts_at_the_beginning(ledger: Subject[WholeLedger]):
    """Taking a partition that never was creates it at offset 0; `head` then shows it, and None before."""
    assert await ledger.it.head(0) is None
    head = await ledger.it.take_over(0, TERM, "me", LOG)
    assert (head.next_offset, head.next_seq, head.relayed_seq, head.last_hash) == (0, 1, 0, "")
    assert (head.term, head.owner, head.topic_id, head.rules_version) == (TERM, "me", "log-1", 1)
    assert await ledger.it.head(0) == head
    assert await ledger.it.head(1) is None


async def test_taking_over_is_repeatable_by_its_owner_alone(ledger: Subject[WholeLedger]):
    """A lost answer may be asked again; another owner under the same term, or an older term, is fenced."""
    await ledger.it.take_over(0, Term(1, 5), "me", LOG)
    await ledger.it.take_over(0, Term(1, 5), "me", LOG)
    for term, owner in ((Term(1, 5), "you"), (Term(1, 4), "me"), (Term(0, 9), "me")):
        with pytest.raises(Fenced):
            await ledger.it.take_over(0, term, owner, LOG)
    assert (await ledger.it.take_over(0, Term(2, 1), "you", LOG)).term == Term(2, 1)


async def test_a_ledger_belongs_to_one_log(ledger: Subject[WholeLedger]):
    """Another topic id, or fewer partitions than the ledger knows, is a mismatch; more are fine."""
    await ledger.it.take_over(3, TERM, "me", LOG)
    with pytest.raises(Mismatch, match="log-1"):
        await ledger.it.take_over(3, TERM, "me", LogIdentity("log-2", 4, 0))
    with pytest.raises(Mismatch, match="partitions"):
        await ledger.it.take_over(0, TERM, "me", LogIdentity("log-1", 3, 0))
    await ledger.it.take_over(0, TERM, "me", LogIdentity("log-1", 5, 0))
    with pytest.raises(Mismatch, match="5 partitions"):
        await ledger.it.take_over(0, TERM, "me", LOG)


async def test_a_batch_moves_the_head(ledger: Subject[WholeLedger]):
    """After a commit the head stands where the batch says, and its facts and decisions are there."""
    at = await desk(ledger.it)
    changes = await at.decide(at.ask(CreateEvent(event_spec(), "key_hash")), b"garbage")
    head = await ledger.it.head(0)
    assert head is not None
    assert (head.next_offset, head.next_seq, head.last_hash) == (2, 2, changes.last_hash)
    assert (head.log_time_ms, head.term) == (changes.log_time_ms, TERM)
    assert await ledger.it.facts(0, 0, 10) == changes.facts
    assert [row[1][:2] for row in await rows(ledger.it, "decisions")] == [(0, 0), (0, 1)]


async def test_an_older_term_writes_nothing(ledger: Subject[WholeLedger]):
    """Whoever was overtaken is fenced at its next write, of whatever kind, and changes nothing."""
    old = await desk(ledger.it)
    event = await old.create()
    late = await old.prepare(old.register(event))
    await ledger.it.take_over(0, Term(1, 2), "you", LOG)
    before = await rows(ledger.it)
    with pytest.raises(Fenced):
        await ledger.it.commit(late)
    with pytest.raises(Fenced):
        await ledger.it.relayed(0, TERM, 1)
    assert await rows(ledger.it) == before
    head = await ledger.it.head(0)
    assert head is not None and head.relayed_seq == 0


async def test_an_offset_is_decided_once(ledger: Subject[WholeLedger]):
    """The same batch a second time, and a batch from a wrong offset, are fenced and write nothing."""
    at = await desk(ledger.it)
    changes = await at.decide(b"garbage", b"more")
    before = await rows(ledger.it)
    for wrong in (changes, by_hand(at, decision(at)), by_hand(at, decision(at))):
        if wrong is not changes:
            wrong.old_offset -= 1
        with pytest.raises(Fenced):
            await ledger.it.commit(wrong)
    with pytest.raises(Fenced):
        await ledger.it.commit(replace(by_hand(at, decision(at)), partition=2))
    assert await rows(ledger.it) == before


async def test_overselling_is_impossible(ledger: Subject[WholeLedger]):
    """More seats taken than allowed, or fewer than none, is rejected whatever else the batch holds."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(2))
    before = await rows(ledger.it)
    for taken in (3, -1, 10**6):
        changes = await at.prepare(at.register(event))
        changes.pools = [PoolRow(event, "main", 2, taken)]
        with pytest.raises(Rejected):
            await ledger.it.commit(changes)
        assert await rows(ledger.it) == before
        await at.take_over()
    for pools in ([PoolRow(event, "main", -1, 0)], [PoolRow(event, "other", 2, 3)]):
        with pytest.raises(Rejected):
            await ledger.it.commit(by_hand(at, decision(at), pools=pools))
    assert await rows(ledger.it) == before


async def test_a_lowered_capacity_takes_nobodys_seat(ledger: Subject[WholeLedger]):
    """The ceiling stays at what is taken, falls with each freed seat, and never below the capacity."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(5))
    there = [await at.registered(event) for _ in range(4)]

    async def pool() -> tuple[object, ...]:
        return (await rows(ledger.it, "pools"))[0][1][2:]

    assert await pool() == (5, 4, 5)
    spec = with_capacity(event_spec(5), main=2)
    await at.decide(at.ask(ChangeEvent(spec, 2), event))
    assert await pool() == (2, 4, 4)
    await at.decide(at.ask(Cancel(there[0].id), event))
    assert await pool() == (2, 3, 3)
    with pytest.raises(Rejected):
        await ledger.it.commit(by_hand(at, decision(at), pools=[PoolRow(event, "main", 2, 4)]))
    await at.decide(*(at.ask(Cancel(each.id), event) for each in there[1:]))
    assert await pool() == (2, 0, 2)
    await at.decide(at.ask(ChangeEvent(with_capacity(spec, main=7), 3), event))
    assert await pool() == (7, 0, 7)


async def test_a_draft_can_lose_a_pool_that_nobody_uses(ledger: Subject[WholeLedger]):
    """A removed pool is gone; one whose seats are taken stays, and the batch is rejected."""
    at = await desk(ledger.it)
    two = event_spec(
        pools=(PoolSpec("main", 5), PoolSpec("side", 5)),
        categories=(category("std"), category("extra", "side")),
    )
    created = await at.decide(at.ask(CreateEvent(two, "key_hash")))
    event = created.decisions[0].event
    assert len(await rows(ledger.it, "pools")) == 2
    await at.decide(at.ask(ChangeEvent(event_spec(5), 1), event))
    assert [row[1][1] for row in await rows(ledger.it, "pools")] == ["main"]
    await at.decide(at.ask(OpenEvent(), event))
    await at.registered(event)
    before = await rows(ledger.it)
    with pytest.raises(Rejected):
        await ledger.it.commit(by_hand(at, decision(at), pools_removed=[(event, "main")]))
    assert await rows(ledger.it) == before


async def test_a_command_has_one_first_decision(ledger: Subject[WholeLedger]):
    """A second first decision of a command is rejected, in a batch and across batches; duplicates pass."""
    at = await desk(ledger.it)
    command = at.ask(CreateEvent(event_spec(), "key_hash"))
    await at.decide(command)
    before = await rows(ledger.it)
    with pytest.raises(Rejected):
        await ledger.it.commit(by_hand(at, decision(at, command=command.id)))
    twice = [decision(at, ahead, command="cmd_new") for ahead in (0, 1)]
    with pytest.raises(Rejected):
        await ledger.it.commit(by_hand(at, *twice))
    assert await rows(ledger.it) == before
    await at.decide(command, command)
    assert [row[1][2] for row in await rows(ledger.it, "decisions")] == ["accepted", "duplicate", "duplicate"]


async def test_every_offset_has_a_decision(ledger: Subject[WholeLedger]):
    """A batch that leaves an offset out, doubles one or reaches beyond its end is rejected."""
    at = await desk(ledger.it)
    for decisions in ([decision(at, 1)], [decision(at), decision(at)], []):
        changes = by_hand(at, *decisions)
        changes.new_offset = max(changes.new_offset, changes.old_offset + 1)
        with pytest.raises(Rejected):
            await ledger.it.commit(changes)
    assert await rows(ledger.it, "decisions") == []


async def test_facts_have_no_gaps(ledger: Subject[WholeLedger]):
    """Facts that leave a sequence number out, or a next number that does not follow, are rejected."""
    at = await desk(ledger.it)
    changes = await at.prepare(at.ask(CreateEvent(event_spec(), "key_hash")))
    gap = replace(changes, facts=[replace(changes.facts[0], seq=2)], next_seq=3)
    too_far = replace(changes, next_seq=3)
    elsewhere = replace(changes, facts=[replace(changes.facts[0], partition=1)])
    for wrong in (gap, too_far, elsewhere):
        with pytest.raises(Rejected):
            await ledger.it.commit(wrong)
    assert await rows(ledger.it, "facts", "events") == []
    await ledger.it.commit(changes)


async def test_a_seat_number_is_given_once(ledger: Subject[WholeLedger]):
    """A number that another registration has, or that one has twice, is rejected; nobody's seat moves."""
    at = await desk(ledger.it)
    event = await at.create()
    first = await at.registered(event)
    before = await rows(ledger.it)
    changes = await at.prepare(at.register(event), at.register(event))
    one, two = changes.registrations
    for wrong in (
        [replace(one, seats=first.seats)],
        [one, replace(two, seats=one.seats)],
        [replace(one, seats=(*one.seats, *one.seats))],
    ):
        with pytest.raises(Rejected):
            await ledger.it.commit(replace(changes, registrations=wrong))
        assert await rows(ledger.it) == before
    await ledger.it.commit(changes)


async def test_a_registration_keeps_its_event_and_arrival(ledger: Subject[WholeLedger]):
    """A registration that would move to another event or another place in line is rejected."""
    at = await desk(ledger.it)
    event = await at.create()
    other = await at.create(event_spec(slug="other"))
    first = await at.registered(event)
    before = await rows(ledger.it)
    for wrong in (
        replace(first, event=other),
        replace(first, arrival=first.arrival + 50),
        replace(first, id="reg_new", event="evt_none", seats=()),
    ):
        with pytest.raises(Rejected):
            await ledger.it.commit(by_hand(at, decision(at), registrations=[wrong]))
    assert await rows(ledger.it) == before


async def test_a_slug_is_an_organizers_once(ledger: Subject[WholeLedger]):
    """A second event of the organizer's under a slug is rejected, from whatever partition."""
    at, there = await desk(ledger.it), await desk(ledger.it, 1)
    mine = await at.prepare(at.ask(CreateEvent(event_spec(), "key_hash")))
    theirs = await there.prepare(there.ask(CreateEvent(event_spec(), "key_hash")))
    await ledger.it.commit(mine)
    before = await rows(ledger.it)
    with pytest.raises(Rejected):
        await ledger.it.commit(theirs)
    assert await rows(ledger.it) == before


async def test_one_per_email_holds_against_defects(ledger: Subject[WholeLedger]):
    """A person's second active registration is impossible where the event says one; cancelled is none."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(one_per_email=True))
    first = await at.registered(event, "anna")
    before = await rows(ledger.it)
    changes = await at.prepare(at.register(event, "berta"))
    forged = [replace(changes.registrations[0], person="anna")]
    with pytest.raises(Rejected):
        await ledger.it.commit(replace(changes, registrations=forged))
    assert await rows(ledger.it) == before
    cancelled = replace(first, status=RegistrationStatus.CANCELLED, version=2)
    await ledger.it.commit(replace(changes, registrations=[*forged, cancelled]))


async def test_persons_may_change_places_within_a_batch(ledger: Subject[WholeLedger]):
    """Only the end of a batch counts: two registrations may swap their persons, in any order of rows."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(one_per_email=True))
    anna, berta = await at.registered(event, "anna"), await at.registered(event, "berta")
    swapped = [replace(anna, person="berta", version=2), replace(berta, person="anna", version=2)]
    await ledger.it.commit(by_hand(at, decision(at), registrations=swapped))
    assert await ledger.it.registration(anna.id) == swapped[0]
    await at.take_over()
    with pytest.raises(Rejected):
        forged = [replace(swapped[0], person="anna", version=3)]
        await ledger.it.commit(by_hand(at, decision(at), registrations=forged))


async def test_one_per_email_binds_only_who_came_under_it(ledger: Subject[WholeLedger]):
    """Turning the option on harms nobody: those with two registrations can still change and cancel them."""
    at = await desk(ledger.it)
    event = await at.create()
    first, second = await at.registered(event, "anna"), await at.registered(event, "anna")
    await at.decide(at.ask(ChangeEvent(event_spec(one_per_email=True), 2), event))
    answered = [at.ask(ChangeAnswers(each.id, "anna", sealed("cmd_a"), 1), event) for each in (first, second)]
    changes = await at.decide(*answered)
    assert [each.outcome for each in changes.decisions] == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    await at.decide(at.ask(Cancel(second.id), event))
    refused = await at.decide(at.register(event, "anna"))
    assert refused.decisions[0].outcome is Outcome.REFUSED
    await at.decide(at.ask(ChangeEvent(event_spec(), 3), event))
    assert (await at.registered(event, "anna")).status is RegistrationStatus.CONFIRMED


async def test_a_rejected_batch_leaves_the_partition_usable(ledger: Subject[WholeLedger]):
    """After a rejection the same owner goes on under the same term."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(1))
    with pytest.raises(Rejected):
        await ledger.it.commit(by_hand(at, decision(at), pools=[PoolRow(event, "main", 1, 2)]))
    assert (await at.registered(event)).status is RegistrationStatus.CONFIRMED


async def test_load_brings_an_event_with_its_waiting_line(ledger: Subject[WholeLedger]):
    """Pools, counters and everyone who waits come with an event; what is not there is None."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(1, waitlist=Waitlist(5)))
    await at.registered(event)
    waiting = [await at.registered(event) for _ in range(3)]
    await at.decide(at.ask(Cancel(waiting[1].id), event))
    loaded = await ledger.it.load(0, Needs(events={event, "evt_none"}))
    assert loaded.events["evt_none"] is None
    state = loaded.events[event]
    assert state is not None
    assert (state.pools["main"].capacity, state.pools["main"].taken) == (1, 1)
    assert state.next_seat == 5
    assert [line for _, line in state.waiting.lines()] == [
        [(each.arrival, each.id) for each in (waiting[0], waiting[2])]
    ]
    assert state.registrations == {each.id: each for each in (waiting[0], waiting[2])}


async def test_load_gives_copies(ledger: Subject[WholeLedger]):
    """What decisions change in a loaded state does not change the ledger."""
    at = await desk(ledger.it)
    event = await at.create()
    before = await rows(ledger.it)
    loaded = await ledger.it.load(0, Needs(events={event}, people={(event, "anna")}))
    state = loaded.events[event]
    assert state is not None
    state.pools["main"].taken = 7
    state.code_uses["x"] = 1
    loaded.people[event, "anna"].seats = 9
    again = await ledger.it.load(0, Needs(events={event}, people={(event, "anna")}))
    assert again.people[event, "anna"] == Person()
    assert await rows(ledger.it) == before


async def test_load_finds_what_a_batch_touches(ledger: Subject[WholeLedger]):
    """Commands, slugs, registrations, people and seats, each alone and put into the event they belong to."""
    at = await desk(ledger.it)
    event = await at.create()
    command = at.register(event, "anna", "std", "std")
    (registration,) = (await at.decide(command)).registrations
    cancelled = await at.registered(event, "anna")
    await at.decide(at.ask(Cancel(cancelled.id), event), command)
    needs = Needs(
        commands={command.id, "cmd_none"},
        events={event},
        slugs={("org_1", "conf"), ("org_1", "none")},
        registrations={cancelled.id, "reg_none"},
        people={(event, "anna"), (event, "nobody"), ("evt_none", "anna")},
        seats={(event, 2), (event, 99)},
    )
    loaded = await ledger.it.load(0, needs)
    assert list(loaded.decided) == [command.id]
    assert loaded.decided[command.id].outcome is Outcome.ACCEPTED
    assert loaded.slugs == {("org_1", "conf"): event, ("org_1", "none"): None}
    found = loaded.registrations[cancelled.id]
    assert found is not None and found.status is RegistrationStatus.CANCELLED
    assert loaded.registrations["reg_none"] is None
    assert loaded.registrations[registration.id] == registration  # it came with its seat
    assert loaded.people == {
        (event, "anna"): Person(1, 2),
        (event, "nobody"): Person(),
        ("evt_none", "anna"): Person(),
    }
    assert loaded.seat_owners == {(event, 2): registration.id, (event, 99): None}
    state = loaded.events[event]
    assert state is not None
    assert state.registrations[cancelled.id] == found
    assert state.people["anna"] is loaded.people[event, "anna"]
    assert state.seat_owners == {2: registration.id, 99: None}


async def test_people_are_counted_by_who_has_it_now(ledger: Subject[WholeLedger]):
    """A transferred registration counts for whom it was given to, also when given back or given by seat."""
    at = await desk(ledger.it)
    event = await at.create()
    first = await at.registered(event, "anna", "std", "std")

    async def has(person: str) -> Person:
        loaded = await ledger.it.load(0, Needs(people={(event, person)}))
        return loaded.people[event, person]

    given = at.ask(Transfer(first.id, "berta", sealed("cmd_b")), event)
    seat = at.ask(Transfer(first.id, "carla", sealed("cmd_c"), first.seats[0].number), event)
    await at.decide(given, seat)
    assert (await has("anna"), await has("berta"), await has("carla")) == (Person(), Person(1, 2), Person())
    await at.decide(at.ask(Transfer(first.id, "anna", sealed("cmd_a")), event))
    await at.decide(at.ask(Cancel(first.id, first.seats[1].number), event))
    assert (await has("anna"), await has("berta")) == (Person(1, 1), Person())


async def test_facts_come_in_pages(ledger: Subject[WholeLedger]):
    """Facts after a sequence number, in order, at most so many; equal to those that were committed."""
    at = await desk(ledger.it)
    event = await at.create()
    changes = await at.decide(*(at.register(event) for _ in range(5)))
    assert [fact.seq for fact in await ledger.it.facts(0, 0, 3)] == [1, 2, 3]
    assert await ledger.it.facts(0, 2, 10) == changes.facts
    assert await ledger.it.facts(0, 7, 10) == []
    assert await ledger.it.facts(1, 0, 10) == []


async def test_the_relay_never_moves_back(ledger: Subject[WholeLedger]):
    """A position that was recorded stays when an older one comes late."""
    at = await desk(ledger.it)
    await at.create()
    for seq, expected in ((2, 2), (1, 2)):
        await ledger.it.relayed(0, TERM, seq)
        head = await ledger.it.head(0)
        assert head is not None and head.relayed_seq == expected


async def test_holds_are_due_when_their_full_time_has_passed(ledger: Subject[WholeLedger], clock: HandClock):
    """Due is a hold past its deadline whose time has also passed since its commit, by the ledger's clock."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(holds=Holds(60)))
    clock.ms = at.now_ms + 30_000  # decided half a minute after it was asked for
    held = await at.registered(event)
    deadline = at.now_ms + 60_000
    assert held.hold_deadline_ms == deadline
    due = Due("org_1", event, held.id, 1, deadline)
    clock.ms = at.now_ms + 60_001
    assert await ledger.it.due(0, clock.ms, 10) == []
    await at.decide(at.ask(ChangeAnswers(held.id, held.person, sealed("cmd_a"), 1), event))
    clock.ms = at.now_ms + 90_000
    assert await ledger.it.due(0, clock.ms, 10) == [due]
    assert await ledger.it.due(0, deadline, 10) == []
    assert await ledger.it.due(1, clock.ms, 10) == []


async def test_an_extended_hold_is_due_later(ledger: Subject[WholeLedger], clock: HandClock):
    """An extension counts from its own commit; what is confirmed or cancelled is never due."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(holds=Holds(60)))
    clock.ms = at.now_ms
    held, gone = await at.registered(event), await at.registered(event)
    at.now_ms += 10_000
    clock.ms += 20_000
    await at.decide(at.ask(ExtendHold(held.id, 100), event), at.ask(Cancel(gone.id), event))
    clock.ms += 99_999
    assert await ledger.it.due(0, FAR_MS - 1, 10) == [Due("org_1", event, "", 0, event_spec().ends_ms())]
    clock.ms += 1
    found = await ledger.it.due(0, FAR_MS - 1, 10)
    assert [(each.registration, each.hold_number) for each in found] == [(held.id, 2), ("", 0)]
    assert await ledger.it.due(0, FAR_MS, 1) == found[:1]


async def test_events_are_due_once_they_ended(ledger: Subject[WholeLedger]):
    """Open and closed events past their end are due; drafts and cancelled ones never."""
    at = await desk(ledger.it)
    opened = await at.create(event_spec(slug="a"))
    closed = await at.create(event_spec(slug="b"))
    await at.decide(at.ask(CloseEvent(), closed))
    await at.decide(at.ask(CreateEvent(event_spec(slug="c"), "key_hash")))
    ends_ms = event_spec().ends_ms()
    assert await ledger.it.due(0, ends_ms, 10) == []
    assert await ledger.it.due(0, ends_ms + 1, 10) == [
        Due("org_1", event, "", 0, ends_ms) for event in sorted((opened, closed))
    ]


async def test_reminders_are_due_until_the_event_begins(ledger: Subject[WholeLedger]):
    """An open or closed event's next reminder, from its time until the start, as long as it was not sent; one
    that another start or other hours move is due at another time. Whoever sends none need not be told."""
    at = await desk(ledger.it)
    await at.decide(at.ask(AdoptRules(REMINDING_RULES)))
    event = await at.create(event_spec(slug="a", reminders=(48, 1)))
    await at.create(event_spec(slug="b", reminders=()))
    await at.decide(at.ask(CreateEvent(event_spec(slug="c"), "key_hash")))
    off = await at.create(event_spec(slug="d"))
    await at.decide(at.ask(CancelEvent(), off))
    starts_ms = event_spec().starts_ms()
    two_days_ms, hour_ms = starts_ms - 48 * 3_600_000, starts_ms - 3_600_000
    due = [Due("org_1", event, "", 0, two_days_ms, True)]
    assert await ledger.it.due(0, two_days_ms, 10) == []
    assert await ledger.it.due(0, two_days_ms + 1, 10) == due
    assert await ledger.it.due(0, starts_ms - 1, 10) == due
    assert await ledger.it.due(0, starts_ms - 1, 10, reminders=False) == []
    assert await ledger.it.due(0, starts_ms, 10) == []
    assert await ledger.it.due(1, two_days_ms + 1, 10) == []
    at.now_ms = two_days_ms + 5
    changes = await at.decide(at.ask(Remind(), event))
    assert [each.fact.kind for each in changes.facts] == [FactKind.EVENT_REMINDED]
    view = await ledger.it.event(event)
    assert view is not None and view.event.reminded_ms == two_days_ms + 5
    assert await ledger.it.due(0, hour_ms, 10) == []
    assert await ledger.it.due(0, hour_ms + 1, 10) == [Due("org_1", event, "", 0, hour_ms, True)]
    later = event_spec(slug="a", starts_local="2027-05-01T12:00", reminders=(1,))
    await at.decide(at.ask(ChangeEvent(later, view.event.version), event))
    assert await ledger.it.due(0, hour_ms + 1, 10) == []
    hours_ms = hour_ms + 2 * 3_600_000
    assert await ledger.it.due(0, hours_ms + 1, 10) == [Due("org_1", event, "", 0, hours_ms, True)]
    state = (await ledger.it.load(0, Needs(events={event}))).events[event]
    assert state is not None and state.event.reminded_ms == two_days_ms + 5


async def test_keys_of_finds_every_box_that_was_ever_theirs(ledger: Subject[WholeLedger]):
    """Accepted, refused, duplicate, changed and handed-over boxes before an offset; nobody else's."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(2))
    other = await at.create(event_spec(slug="other"))
    first = at.register(event, "anna")
    (mine,) = (await at.decide(first)).registrations
    boxes = [sealed(f"cmd_{number}") for number in range(3)]
    full = at.register(event, "anna", "std", "std", "std")
    await at.decide(
        first,
        at.ask(ChangeAnswers(mine.id, "anna", boxes[0], 1), event),
        full,
        at.ask(Transfer(mine.id, "berta", boxes[1]), event),
        at.register(event, "carla"),
        at.register(other, "anna"),
    )
    await at.decide(at.ask(Transfer(mine.id, "anna", boxes[2], mine.seats[0].number), event))
    offset = at.state.next_offset
    await at.decide(at.register(event, "anna"))
    expected = [first.box.key_id, boxes[0].key_id, full.box.key_id, boxes[2].key_id]  # type: ignore[union-attr]  # they have boxes
    assert await ledger.it.keys_of(event, "anna", offset) == expected
    assert await ledger.it.keys_of(event, "anna", offset - 1) == expected[:3]
    assert await ledger.it.keys_of(event, "berta", offset) == [boxes[1].key_id]
    assert await ledger.it.keys_of("evt_none", "anna", offset) == []


async def test_unused_keys_are_those_of_boxes_that_came_to_nothing(ledger: Subject[WholeLedger]):
    """Refusals and duplicates past an offset and before a time, in pages; never an accepted one."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(1))
    taken = at.register(event)
    refused = [at.register(event) for _ in range(3)]
    again = replace(taken, body=replace(taken.body, box=sealed("cmd_again")))  # type: ignore[arg-type]  # a Register
    await at.decide(taken, again, *refused, b"garbage")
    start_ms = at.now_ms
    at.now_ms += 1_000
    await at.decide(at.register(event))
    keys = [each.box.key_id for each in (again, *refused) if each.box is not None]
    unused = list(zip(range(3, 7), keys, strict=True))
    assert await ledger.it.unused_keys(0, -1, start_ms + 1, 10) == unused
    assert await ledger.it.unused_keys(0, -1, start_ms + 1, 2) == unused[:2]
    assert await ledger.it.unused_keys(0, 4, start_ms + 1, 10) == unused[2:]
    assert await ledger.it.unused_keys(0, -1, start_ms, 10) == []
    assert await ledger.it.unused_keys(1, -1, FAR_MS, 10) == []


async def test_checking_in_is_kept_with_the_seat(ledger: Subject[WholeLedger]):
    """The seat's row has its check-in time and holder, and is found by its number."""
    at = await desk(ledger.it)
    event = await at.create()
    first = await at.registered(event, "anna")
    await at.decide(at.ask(CheckIn(1, 1, "scan"), event, Actor.ORGANIZER))
    (row,) = await rows(ledger.it, "seats")
    assert row[1] == (event, 1, first.id, "confirmed", "std", 0, "EUR", 1, at.now_ms)


async def test_partitions_are_committed_side_by_side(ledger: Subject[WholeLedger]):
    """Owners of several partitions commit at once, and each sees its own."""
    desks = [await desk(ledger.it, partition) for partition in range(4)]

    async def work(at: Desk) -> str:
        event = await at.create(event_spec(slug=f"conf-{at.partition}"))
        for _ in range(5):
            await at.decide(*(at.register(event) for _ in range(3)))
        return event

    events = await asyncio.gather(*map(work, desks))
    for partition, event in enumerate(events):
        view = await ledger.it.event(event)
        assert view is not None
        assert (view.partition, view.pools[0].taken, view.next_offset) == (partition, 10, 17)


async def test_a_cancelled_commit_is_whole_or_not_at_all(ledger: Subject[WholeLedger]):
    """A cancellation cuts no COMMIT in half: afterwards the batch is there, or the same one still fits."""
    at = await desk(ledger.it)
    event = await at.create()
    changes = await at.prepare(*(at.register(event) for _ in range(5)))
    committing = asyncio.create_task(ledger.it.commit(changes))
    await asyncio.sleep(0)
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)
    head = await ledger.it.head(0)
    assert head is not None
    if head.next_offset == changes.old_offset:
        await ledger.it.commit(changes)
    assert len(await rows(ledger.it, "registrations")) == len(await rows(ledger.it, "seats")) == 5
    assert (await at.take_over()).next_offset == changes.new_offset
    await at.registered(event)


async def test_a_closed_ledger_says_so(ledger: Subject[WholeLedger]):
    """Closing twice is harmless; whoever asks or writes gets `Unavailable`."""
    at = await desk(ledger.it)
    changes = await at.prepare(b"garbage")
    await ledger.it.close()
    await ledger.it.close()
    for asking in (
        ledger.it.commit(changes),
        ledger.it.head(0),
        ledger.it.load(0, Needs(commands={"cmd"})),
        ledger.it.relayed(0, TERM, 1),
        ledger.it.take_over(0, TERM, "me", LOG),
        ledger.it.due(0, 1, 1),
    ):
        with pytest.raises(Unavailable):
            await asking


async def test_committed_batches_survive_a_reopening(lasting_ledger: Subject[WholeLedger]):
    """All rows are there again, the term still fences, and the owner goes on where it stood."""
    at = await desk(lasting_ledger.it)
    event = await at.create(event_spec(3, waitlist=Waitlist(5), holds=Holds(60)))
    for _ in range(5):
        await at.registered(event)
    await lasting_ledger.it.relayed(0, TERM, 3)
    before = await rows(lasting_ledger.it)
    at.ledger = await lasting_ledger.reopen()
    assert await rows(at.ledger) == before
    with pytest.raises(Fenced):
        await at.ledger.take_over(0, Term(1, 0), "me", LOG)
    assert (await at.take_over()).relayed_seq == 3
    assert (await at.registered(event)).status is RegistrationStatus.WAITLISTED


async def test_another_process_is_fenced(lasting_ledger: Subject[WholeLedger]):
    """Two instances on one store: once the second took over, the first writes nothing more."""
    at = await desk(lasting_ledger.it)
    event = await at.create()
    late = await at.prepare(at.register(event))
    successor = await lasting_ledger.another()
    await desk(successor, term=Term(1, 2), owner="you")
    with pytest.raises(Fenced):
        await lasting_ledger.it.commit(late)
    assert await rows(successor, "registrations") == []


async def test_erasures_are_found_again(ledger: Subject[WholeLedger]):
    """Accepted erasures come in order and in pages, with whom they were about; refused ones do not."""
    it = await desk(ledger.it)
    event = await it.create()
    await it.registered(event, "anna")
    for person in ("anna", "berta"):
        await it.decide(it.ask(ErasePerson(person), event))
    await it.decide(it.ask(ErasePerson("carla"), "evt_nobody"))
    first, second = await ledger.it.erasures(0, -1, 10)
    assert [first[1:], second[1:]] == [(event, "anna"), (event, "berta")]
    assert await ledger.it.erasures(0, -1, 1) == [first]
    assert await ledger.it.erasures(0, first[0], 10) == [second]
    assert await ledger.it.erasures(1, -1, 10) == []


async def test_a_ledger_outlives_its_log(ledger: Subject[WholeLedger]):
    """Bound to another log it goes on at that generation's first offset, once; older terms are fenced."""
    it = await desk(ledger.it)
    event = await it.create()
    await it.registered(event)
    before = await ledger.it.head(0)
    assert before is not None
    other = LogIdentity("log-2", 4, 1)
    with pytest.raises(Mismatch):
        await ledger.it.take_over(0, Term(2, 1), "me", other)
    with pytest.raises(Fenced):
        await ledger.it.rebind(0, Term(0, 9), "you", other)
    with pytest.raises(Rejected):
        await ledger.it.rebind(0, Term(2, 1), "me", LogIdentity("log-2", 4, 0))
    head = await ledger.it.rebind(0, Term(2, 1), "me", other)
    assert (head.topic_id, head.next_offset, head.last_hash) == ("log-2", first_offset(1), "")
    assert (head.next_seq, head.log_time_ms) == (before.next_seq, before.log_time_ms)
    new = await ledger.it.rebind(2, Term(2, 2), "me", other)
    assert (new.partition, new.next_offset, new.next_seq) == (2, first_offset(1), 1)
    again = Desk(ledger.it, term=Term(2, 1), asked=100)
    again.state = replace(again.state, next_offset=first_offset(1), next_seq=head.next_seq, generation=1)
    registration = await again.registered(event)
    assert split_arrival(registration.arrival) == (1, first_offset(1))
    after = await ledger.it.rebind(0, Term(2, 3), "me", other)
    assert after.next_offset == first_offset(1) + 1
    assert (await ledger.it.take_over(0, Term(2, 4), "me", other)).next_offset == after.next_offset
