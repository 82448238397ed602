"""From records to transactions: the same log makes the same ledger, however it is cut into batches."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.room import NOW_MS, Room, event_spec, with_capacity
from tests.processing.replaying import LOG, TERM, Replay, any_log, record, records_of, replayed
from veltrix.domain import commands as ask
from veltrix.domain import decider, limits
from veltrix.domain.commands import Actor, Envelope
from veltrix.domain.event import Waitlist
from veltrix.domain.facts import FactKind
from veltrix.domain.identifiers import command_id
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.domain.registration import RegistrationStatus
from veltrix.ports.log import LogRecord
from veltrix.processing.batch import Poisoned, decide_batch, merge, needs_of, read_entries

seeds = st.integers(0, 2**32)
sizes = st.lists(st.integers(1, 30), max_size=30)


@given(seed=seeds, sizes=sizes, cached=st.sampled_from([0, 1, 1_000]))
async def test_batches_do_not_show(seed: int, sizes: list[int], cached: int):
    """One record at a time, all at once, or any cut between, with few events cached or many: one ledger."""
    records = any_log(Random(seed), 60)
    one_by_one = await replayed(records)
    assert await replayed(records, [len(records)]) == one_by_one
    assert await replayed(records, sizes, events_cached=cached) == one_by_one


@given(seed=seeds, sizes=sizes)
async def test_batches_decide_what_judge_decides(seed: int, sizes: list[int]):
    """A batch loads all that its decisions need: each comes out as on a partition that is loaded whole."""
    records = any_log(Random(seed), 60)
    replay, room = Replay(), Room()
    outcomes = [outcome for batch in (records[:9], records[9:]) for outcome in await replay.decide(batch)]
    decisions = iter(decision for outcome in outcomes for decision in outcome.changes.decisions)
    for entry in (entry for each in records for entry in read_entries([each])):
        decision = next(decisions)
        if isinstance(entry.said, Envelope):
            room.now_ms = entry.record.append_ms
            assert room.judge(entry.said).decision == decision
        else:
            room.state.next_offset += 1
            assert decision.refusal is entry.said.refusal
            assert decision.outcome is Outcome.REFUSED


@pytest.fixture
def room() -> Room:
    """Where commands are made up; the ledger's own decisions come from the batches."""
    return Room()


def asked(room: Room) -> list[LogRecord]:
    """All that was asked in the room, as records."""
    return records_of(room.log)


async def test_a_duplicate_inside_one_batch_is_a_duplicate(room: Room):
    """A command that stands twice in one batch has one decision; the second names the first."""
    event = room.create(event_spec())
    room.register(event)
    envelope, _ = room.log[-1]
    values = [*room.log, (envelope, NOW_MS), (replace(envelope, fingerprint="other"), NOW_MS)]
    [outcome] = await Replay().decide(records_of(values))
    first, again, other = outcome.changes.decisions[2:]
    assert (first.outcome, again.outcome, other.outcome) == (
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
        Outcome.KEY_REUSED,
    )
    assert (again.original, other.original) == (2, 2)
    assert len(outcome.changes.facts) == 3


async def test_a_duplicate_in_a_later_batch_is_a_duplicate(room: Room):
    """The ledger remembers what was decided."""
    event = room.create(event_spec())
    room.register(event)
    envelope, _ = room.log[-1]
    replay = Replay()
    await replay.decide(asked(room))
    [outcome] = await replay.decide([record(3, envelope)])
    assert [(each.outcome, each.original) for each in outcome.changes.decisions] == [(Outcome.DUPLICATE, 2)]


async def test_a_record_that_was_appended_twice_keeps_its_key(room: Room):
    """A duplicate under the key of its original does not offer that key to be destroyed as unused."""
    event = room.create(event_spec())
    room.register(event)
    envelope, _ = room.log[-1]
    assert isinstance(envelope.body, ask.Register)
    again = replace(envelope.body, box=replace(envelope.body.box, key_id="key_" + "2" * 32))
    values = [*room.log, (envelope, NOW_MS), (replace(envelope, body=again), NOW_MS)]
    replay = Replay()
    await replay.decide(records_of(values))
    unused = await replay.ledger.unused_keys(0, -1, NOW_MS + 1, 100)
    assert unused == [(4, "key_" + "2" * 32)]


HOSTILE: dict[str, tuple[bytes, Refusal]] = {
    "empty": (b"", Refusal.MALFORMED),
    "garbage": (b"\xff\x00{", Refusal.MALFORMED),
    "unknown version": (b'{"v":2,"kind":"register"}', Refusal.UNKNOWN_VERSION),
    "unknown kind": (b'{"v":1,"kind":"dance"}', Refusal.UNKNOWN_VERSION),
    "oversized": (b"x" * (limits.RECORD_MAX_BYTES + 1), Refusal.OVERSIZED),
    "deep": (b"[" * 90_000, Refusal.MALFORMED),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_no_command_is_refused_and_the_partition_goes_on(room: Room, name: str):
    """Garbage, an unknown version and an oversized record each have a refused decision with its reason."""
    value, refusal = HOSTILE[name]
    event = room.create(event_spec())
    room.register(event)
    create, opened, register = room.log
    values: list[tuple[Any, int]] = [create, (value, NOW_MS), opened, (value, NOW_MS), register]
    [outcome] = await Replay().decide(records_of(values))
    decisions = outcome.changes.decisions
    assert [each.refusal for each in decisions] == [None, refusal, None, refusal, None]
    assert [each.offset for each in decisions] == [0, 1, 2, 3, 4]
    bad = decisions[1]
    assert bad.outcome is Outcome.REFUSED
    assert bad.detail
    assert (bad.command, bad.facts, bad.first_seq, bad.log_time_ms) == ("", 0, 0, NOW_MS)
    assert outcome.changes.new_offset == 5


def poison(monkeypatch: pytest.MonkeyPatch, person: str) -> None:
    """Let the decision about one person raise, after it has changed some of the state."""
    honest = decider.RULES[1][ask.Register]

    def step(context: Any, body: Any) -> Any:
        if body.person == person:
            context.event.pools["main"].taken += 1
            raise ZeroDivisionError("a defect")
        return honest(context, body)

    monkeypatch.setitem(decider.RULES[1], ask.Register, step)


async def test_a_decision_that_raises_is_told_with_its_index(room: Room, monkeypatch: pytest.MonkeyPatch):
    """The batch stops at the culprit; nothing of it is committed."""
    event = room.create(event_spec())
    room.register(event, person="ann")
    room.register(event, person="bob")
    poison(monkeypatch, "bob")
    with pytest.raises(Poisoned, match="ZeroDivisionError: a defect") as caught:
        await Replay().decide(asked(room))
    assert caught.value.index == 3


async def test_replay_with_the_quarantine_list_makes_the_same_ledger(
    room: Room, monkeypatch: pytest.MonkeyPatch
):
    """A quarantined record is an entry that replay takes as input, also once the defect is mended."""
    event = room.create(event_spec())
    for person in ("ann", "bob", "cyd"):
        room.register(event, person=person)
    room.judge(room.log[3][0])  # bob tries again
    records, listed = asked(room), {3: "ZeroDivisionError: a defect"}
    poison(monkeypatch, "bob")
    live = Replay(listed)
    for each in records:
        await live.decide([each])
    monkeypatch.undo()
    rows = await live.rows()
    assert rows == await replayed(records, [len(records)], listed)
    assert rows == await replayed(records, [2, 2, 2], await live.ledger.quarantined(0))
    decisions = [(await live.ledger.decision(envelope.id)) for envelope, _ in room.log]
    outcome, again = decisions[3], live.ledger
    assert outcome is not None
    assert (outcome[0].outcome, outcome[0].detail) == (Outcome.QUARANTINED, listed[3])
    assert outcome[0].key_id is not None
    assert (await again.head(0)).next_offset == 6  # type: ignore[union-attr]  # the partition exists


async def test_only_the_first_change_of_an_event_shares_a_batch(room: Room):
    """A change of an event stands at the head of its batch, so that the ledger sees each ceiling."""
    event = room.create(event_spec(3))
    for version, capacity in ((2, 1), (3, 5)):
        room.ask(ask.ChangeEvent(with_capacity(room.event(event).spec, main=capacity), version), event)
        room.register(event)
    outcomes = await Replay().decide(asked(room))
    assert [len(outcome.changes.decisions) for outcome in outcomes] == [2, 2, 2]


async def test_an_event_of_another_partition_is_unknown(room: Room):
    """A command on the wrong partition finds nothing: two owners could otherwise write one event."""
    replay = Replay()
    event = room.create(event_spec())
    room.register(event)
    await replay.decide(asked(room))
    astray = Replay(partition=1)
    astray.ledger = replay.ledger
    astray.log = replace(LOG, partitions=2)
    envelope = room.envelope(ask.CloseEvent(), event)
    [outcome] = await astray.decide([record(0, envelope)])
    assert outcome.changes.decisions[0].refusal is Refusal.UNKNOWN_EVENT


async def test_replies_carry_the_fact_that_answers(room: Room):
    """Each record with an address has its reply, in order, with its own fact and not a promotion."""
    event = room.create(event_spec(1, waitlist=Waitlist(5)))
    first = room.registered(event)
    room.register(event)
    room.ask(ask.Cancel(first), event)
    room.judge(room.log[-1][0])
    records = [replace(each, reply_to="me" if each.offset else "") for each in asked(room)]
    [outcome] = await Replay().decide(records)
    replies = outcome.replies["me"]
    assert [reply.decision.offset for reply in replies] == [1, 2, 3, 4, 5]
    own = [reply.own.fact.kind if reply.own is not None else None for reply in replies]
    assert own == [
        FactKind.EVENT_OPENED,
        FactKind.REGISTRATION_CONFIRMED,
        FactKind.REGISTRATION_WAITLISTED,
        FactKind.REGISTRATION_CANCELLED,
        None,
    ]
    assert outcome.changes.facts[-1].fact.kind is FactKind.REGISTRATION_PROMOTED


async def test_facts_are_numbered_without_a_gap(room: Room):
    """Sequence numbers go on over batches and partitions' refusals, and name their cause."""
    event = room.create(event_spec(2, waitlist=Waitlist(5)))
    holders = [room.registered(event) for _ in range(4)]
    room.ask(ask.Cancel(holders[0]), event)
    replay = Replay()
    outcomes = [outcome for each in asked(room) for outcome in await replay.decide([each])]
    facts = [fact for outcome in outcomes for fact in outcome.changes.facts]
    assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
    for outcome in outcomes:
        for decision in outcome.changes.decisions:
            of_it = [fact.seq for fact in facts if fact.offset == decision.offset]
            assert len(of_it) == decision.facts
            assert of_it[:1] == ([decision.first_seq] if of_it else [])


async def raised(room: Room, waiting: int, capacity: int) -> tuple[Replay, str]:
    """An event with so many who wait, whose capacity was just raised."""
    event = room.create(event_spec(1, waitlist=Waitlist(2 * waiting)))
    for _ in range(1 + waiting):
        room.register(event)
    room.ask(ask.ChangeEvent(with_capacity(room.event(event).spec, main=capacity), 2), event)
    replay = Replay()
    await replay.decide(asked(room))
    return replay, event


async def drain(replay: Replay, room: Room) -> list[int]:
    """Feed each continuation back as the processor does; the number of facts of each decision."""
    counts: list[int] = []
    while replay.continuations:
        [due] = replay.continuations
        replay.continuations = []
        identity = command_id([due.organizer, "continue", due.event, str(due.offset)])
        envelope = Envelope(
            identity, due.organizer, due.event, ask.ContinuePromotions(), Actor.SYSTEM, room.now_ms, ""
        )
        [outcome] = await replay.decide([record(replay.state.next_offset, envelope)])
        counts.append(len(outcome.changes.facts))
    return counts


async def test_promotions_beyond_one_decision_go_on_by_continuations(room: Room):
    """Capacity raised for 1,000 who wait: each decision promotes its share, continuations drain the rest."""
    replay, event = await raised(room, 1_000, 2_000)
    assert [due.event for due in replay.continuations] == [event]
    counts = await drain(replay, room)
    most = limits.PROMOTIONS_PER_DECISION
    left = 1_000 - most
    assert counts == [most] * (left // most) + [left % most]
    arrivals = [
        fact.fact.registration.arrival
        for fact in await replay.ledger.facts(0, 0, 10_000)
        if fact.fact.kind is FactKind.REGISTRATION_PROMOTED and fact.fact.registration is not None
    ]
    assert len(arrivals) == 1_000
    assert arrivals == sorted(arrivals)


async def test_a_command_in_between_comes_after_the_promotions_that_are_due(room: Room):
    """Whoever registers before the continuation waits behind those who waited, and seats stay in order."""
    replay, event = await raised(room, 200, 201)
    latecomer = room.envelope(ask.OpenEvent(), event, actor=Actor.REGISTRANT)
    room.register(event)
    latecomer, _ = room.log[-1]
    [outcome] = await replay.decide([record(replay.state.next_offset, latecomer)])
    kinds = [fact.fact.kind for fact in outcome.changes.facts]
    assert kinds == [FactKind.REGISTRATION_PROMOTED] * limits.PROMOTIONS_PER_DECISION + [
        FactKind.REGISTRATION_WAITLISTED
    ]
    assert len(kinds) <= limits.FACTS_PER_DECISION
    replay.continuations = replay.continuations[-1:]
    await drain(replay, room)
    registration = await replay.ledger.registration(outcome.changes.decisions[0].subject)
    assert registration is not None
    assert registration.status is RegistrationStatus.WAITLISTED
    view = await replay.ledger.event(event)
    assert view is not None
    assert (view.waiting, view.pools[0].free) == (1, 0)


async def test_an_event_asks_for_one_continuation_a_batch(room: Room):
    """However many decisions of a batch leave promotions due, one command goes on; none if none is left."""
    replay, event = await raised(room, 300, 1_000)
    replay.continuations = []
    start = len(room.log)
    for _ in range(3):
        room.ask(ask.ContinuePromotions(), event)
    room.judge(room.log[start][0])  # comes again, and decides nothing about the event; so does the next
    room.ask(ask.ContinuePromotions(), event, organizer="org_2")
    [outcome] = await replay.decide([record(start + n, each[0]) for n, each in enumerate(room.log[start:])])
    assert [(due.event, due.offset) for due in outcome.continuations] == [(event, start + 2)]
    start = len(room.log)
    for _ in range(3):
        room.ask(ask.ContinuePromotions(), event)
    [outcome] = await replay.decide([record(start + n, each[0]) for n, each in enumerate(room.log[start:])])
    assert outcome.continuations == []


async def test_nothing_of_a_failed_batch_is_left(room: Room):
    """Deciding changes the state it is given and nothing else: the ledger's rows are copies."""
    event = room.create(event_spec(waitlist=Waitlist(5)))
    room.register(event)
    replay = Replay()
    await replay.decide(asked(room))
    before = await replay.rows()
    registered = room.register(event)
    entries = read_entries([record(3, room.log[-1][0])])
    needs = needs_of(Replay().state, entries)
    other = Replay()
    other.state.next_offset = 3
    merge(other.state, entries, await replay.ledger.load(0, needs))
    outcome = decide_batch(other.state, entries, TERM, {})
    assert registered.decision.refusal is None
    assert len(outcome.changes.registrations) == 1
    assert await replay.rows() == before


async def test_events_are_forgotten_but_for_the_latest(room: Room):
    """A cache of so many events keeps those that were loaded last; their waiting lines stay whole."""
    events = [room.create(event_spec(0, slug=f"conf-{n}", waitlist=Waitlist(5))) for n in range(3)]
    for event in events:
        room.ask(ask.ChangeEvent(with_capacity(room.event(event).spec, main=1), 2), event)
        room.register(event)
        room.register(event)
    room.ask(ask.ContinuePromotions(), events[0])
    replay = Replay()
    replay.events_cached = 2
    for each in asked(room):
        await replay.decide([each])
    assert set(replay.state.events) == {events[0], events[2]}
    kept = replay.state.events[events[2]]
    assert kept is not None
    assert len(kept.waiting) == len(kept.registrations) == 1
    assert kept.people == {}
    assert replay.state.decided == {}
