"""Reminders: due by log time, once for each start and offset, never late, only by rules that know them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.room import NOW_MS, Room, event_spec, kinds
from veltrix.domain import commands as ask
from veltrix.domain import limits
from veltrix.domain.commands import Actor, Command
from veltrix.domain.decider import REMINDING_RULES
from veltrix.domain.event import EventSpec, EventStatus
from veltrix.domain.facts import FactKind
from veltrix.domain.notices import concerned, expires_ms, fan_out
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.domain.registration import RegistrationStatus
from veltrix.domain.soundness import check_spec
from veltrix.domain.state import evolve

HOUR_MS = 3_600_000
BEGIN = datetime.fromtimestamp(NOW_MS / 1000, UTC)


def starting(hours: float, **changes: Any) -> EventSpec:
    """An event that begins so many hours after the room's first instant, and lasts ten."""
    start = BEGIN + timedelta(hours=hours)
    end = start + timedelta(hours=10)
    return event_spec(
        time_zone="UTC",
        starts_local=f"{start:%Y-%m-%dT%H:%M}",
        ends_local=f"{end:%Y-%m-%dT%H:%M}",
        **changes,
    )


def reminding_room() -> Room:
    """A room whose rules know reminders."""
    room = Room()
    room.ask(ask.AdoptRules(REMINDING_RULES), actor=Actor.SYSTEM)
    return room


def remind(room: Room, event: str) -> bool:
    """Ask as the ticker does; whether people are reminded. It is never refused."""
    judgement = room.ask(ask.Remind(), event, actor=Actor.SYSTEM)
    assert judgement.decision.outcome is Outcome.ACCEPTED
    assert kinds(judgement) in ([], [FactKind.EVENT_REMINDED])
    return bool(judgement.facts)


def test_people_are_reminded_a_day_before_unless_the_event_says_otherwise():
    """Not a millisecond before; then once, at whatever time the ticker comes."""
    room = reminding_room()
    event = room.create(starting(30))
    room.now_ms = NOW_MS + 6 * HOUR_MS - 1
    assert not remind(room, event)
    room.now_ms += 1
    assert remind(room, event)
    assert not remind(room, event)
    room.now_ms += 20 * HOUR_MS
    assert not remind(room, event)


def test_no_reminders_where_none_are_wanted():
    """An empty list means none."""
    room = reminding_room()
    event = room.create(starting(30, reminders=()))
    room.now_ms += 29 * HOUR_MS
    assert not remind(room, event)


def test_a_draft_a_cancelled_and_a_begun_event_remind_nobody():
    """What nobody can come to is not reminded of; a late ticker stays silent from the start on."""
    room = reminding_room()
    draft, off, begun = (room.create(starting(30, slug=slug), opened=slug != "a") for slug in "abc")
    room.ask(ask.CancelEvent(), off)
    room.now_ms += 30 * HOUR_MS - 1
    assert not remind(room, draft)
    assert not remind(room, off)
    room.now_ms += 1
    assert not remind(room, begun)


def test_rules_that_know_no_reminders_refuse_the_command_as_their_programs_did():
    """A program of the time could not read it. What it wrote, a replay by this one writes too."""
    room = Room()
    event = room.create(starting(30))
    room.now_ms += 10 * HOUR_MS
    before = room.state.log_time_ms
    judgement = room.ask(ask.Remind(), event, actor=Actor.SYSTEM)
    decision = judgement.decision
    assert (decision.outcome, decision.refusal) == (Outcome.REFUSED, Refusal.UNKNOWN_VERSION)
    assert decision.detail == "kind 'remind' is unknown"
    assert (decision.command, decision.kind, decision.event) == ("", "", "")
    assert (room.state.log_time_ms, judgement.facts) == (before, [])


def test_a_reminder_is_for_those_who_come_until_it_begins():
    """Everyone confirmed, in one fan-out, which is of no use after the start."""
    room = reminding_room()
    event = room.create(starting(30))
    room.now_ms += 6 * HOUR_MS
    fact = room.ask(ask.Remind(), event, actor=Actor.SYSTEM).facts[0]
    kind = fan_out(fact)
    assert kind is not None
    assert concerned(kind) == {RegistrationStatus.CONFIRMED}
    assert expires_ms(fact) == NOW_MS + 30 * HOUR_MS


def test_what_is_wrong_with_reminders_is_said():
    """Too many, twice the same, or at no hour that there is."""
    fine = event_spec(reminders=(1, limits.REMINDER_MAX_H))
    assert check_spec(fine) == []
    for wrong in (
        tuple(range(1, limits.REMINDERS_MAX + 2)),
        (24, 24),
        (0,),
        (-1,),
        (limits.REMINDER_MAX_H + 1,),
    ):
        faults = check_spec(replace(fine, reminders=wrong))
        assert [fault.field for fault in faults] == ["reminders"]
        assert all(fault.fault and fault.remedy for fault in faults)


TURNS: dict[str, Command] = {
    "open": ask.OpenEvent(),
    "close": ask.CloseEvent(),
    "call-off": ask.CancelEvent(),
}
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.integers(0, 30 * HOUR_MS)),
    st.tuples(st.just("move"), st.integers(1, 200)),
    st.tuples(st.just("reminders"), st.none() | st.lists(st.integers(1, 60), max_size=3, unique=True)),
    st.tuples(st.sampled_from(["open", "close"]), st.none()),
    st.tuples(st.just("remind"), st.none()),
    st.tuples(st.just("remind"), st.none()),  # twice as often
)


@given(st.lists(STEPS, max_size=40), st.booleans())
def test_never_twice_for_one_start_and_offset_and_never_missed(steps: list[tuple[str, object]], off: bool):
    """Whatever is changed in between: a reminder covers something that is due and that none covered before,
    nothing that is due stays uncovered when the ticker asks, and none comes at or after the start."""
    room = reminding_room()
    event = room.create(starting(50))
    start_version, covered, last_ms = 0, set[tuple[int, int]](), -1
    for verb, value in [*steps, ("call-off", None) if off else ("remind", None), ("remind", None)]:
        spec = room.event(event).spec
        if verb == "wait":
            assert isinstance(value, int)
            room.now_ms += value
        elif verb == "move":
            assert isinstance(value, int)
            moved = starting(value, reminders=spec.reminders)
            room.ask(ask.ChangeEvent(moved, room.event(event).version), event)
            start_version += moved.starts_ms() != spec.starts_ms()
        elif verb == "reminders":
            hours = tuple(value) if isinstance(value, list) else None
            room.ask(ask.ChangeEvent(replace(spec, reminders=hours), room.event(event).version), event)
        elif verb == "remind":
            hours = limits.REMINDERS_DEFAULT_H if spec.reminders is None else spec.reminders
            due = {each for each in hours if last_ms < spec.starts_ms() - each * HOUR_MS <= room.now_ms}
            wanted = (
                bool(due)
                and room.now_ms < spec.starts_ms()
                and room.event(event).status in (EventStatus.OPEN, EventStatus.CLOSED)
            )
            assert remind(room, event) == wanted
            if wanted:
                new = {(start_version, each) for each in due}
                assert not new & covered
                covered |= new
                last_ms = room.now_ms
        else:
            room.ask(TURNS[verb], event)
    assert (room.event(event).status is EventStatus.CANCELLED) == off


@given(st.lists(STEPS, max_size=25))
def test_a_replica_that_only_folds_facts_knows_the_same(steps: list[tuple[str, object]]):
    """What was reminded of is in the fact, so whoever folds facts needs no clock and no rules."""
    room, replica = Room(), Room().state
    judged = [room.ask(ask.AdoptRules(REMINDING_RULES), actor=Actor.SYSTEM)]
    judged.append(room.ask(ask.CreateEvent(starting(50), "key_hash")))
    event = judged[-1].decision.event
    judged.append(room.ask(ask.OpenEvent(), event))
    for verb, value in steps:
        if verb == "wait":
            assert isinstance(value, int)
            room.now_ms += value
        elif verb == "remind":
            judged.append(room.ask(ask.Remind(), event, actor=Actor.SYSTEM))
    for judgement in judged:
        for fact in judgement.facts:
            evolve(replica, fact)
    copy = replica.events[event]
    assert copy is not None
    assert copy.event == room.event(event)
    assert copy.event.remind_ms() == room.event(event).remind_ms()
