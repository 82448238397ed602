"""Log time: t(n) = max(t(n-1), min(append time, edge stamp + 5 s)), and without a stamp t(n-1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.room import NOW_MS, Room, event_spec
from veltrix.domain import commands as ask
from veltrix.domain import limits
from veltrix.domain.decider import log_time, refuse_record
from veltrix.domain.outcomes import Refusal

times = st.integers(0, 2**48)
stamps = st.none() | st.integers(-10, 2**53)


@given(times, times, stamps)
def test_it_never_runs_backward(previous: int, appended: int, stamp: int | None):
    """Whatever clocks say, no command is judged by an earlier time than the one before it."""
    assert log_time(previous, appended, stamp) >= previous


@given(times, times, st.none() | st.integers(-(2**53), -1))
def test_without_a_valid_stamp_it_stands_still(previous: int, appended: int, stamp: int | None):
    """No stamp, or a negative one: the log's clock alone moves nothing."""
    assert log_time(previous, appended, stamp) == previous


@given(times, times, st.integers(0, 2**53))
def test_it_needs_both_clocks(previous: int, appended: int, stamp: int):
    """Neither a log's clock nor an edge's that runs ahead can move it by itself beyond the other."""
    now = log_time(previous, appended, stamp)
    if now > previous:
        assert now <= appended
        assert now <= stamp + limits.STAMP_AHEAD_MS


@given(times, times, st.integers(0, 2**53))
def test_it_is_the_latest_time_that_both_allow(previous: int, appended: int, stamp: int):
    """The formula itself."""
    assert log_time(previous, appended, stamp) == sorted([previous, min(appended, stamp + 5_000)])[1]


@given(st.lists(st.tuples(times, stamps), max_size=30))
def test_it_is_kept_with_the_offset(clocks: list[tuple[int, int | None]]):
    """Every command moves the partition's log time by the formula, in order, whatever it leads to."""
    room = Room()
    expected = 0
    for offset, (appended, stamp) in enumerate(clocks):
        envelope = room.envelope(ask.CreateEvent(event_spec(slug=f"conf-{offset % 3}"), "key_hash"))
        envelope.stamp_ms = stamp
        room.now_ms = appended
        expected = log_time(expected, appended, stamp)
        decision = room.judge(envelope).decision
        assert decision.log_time_ms == room.state.log_time_ms == expected
        assert room.state.next_offset == offset + 1


def test_a_log_with_a_wrong_clock_neither_reopens_nor_expires():
    """With a log's clock a year ahead, an edge's stamp still decides; a year behind, time stands still."""
    room = Room()
    event = room.create(event_spec())
    year_ms = 365 * 24 * 3600 * 1000
    for wrong_ms in (NOW_MS + year_ms, NOW_MS - year_ms):
        envelope = room.envelope(ask.ContinuePromotions(), event)
        room.now_ms = wrong_ms
        assert room.judge(envelope).decision.log_time_ms - NOW_MS in (0, limits.STAMP_AHEAD_MS)
        room.now_ms = NOW_MS


@pytest.mark.parametrize("refusal", [Refusal.MALFORMED, Refusal.QUARANTINED])
def test_a_record_that_is_no_command_does_not_move_it(refusal: Refusal):
    """Garbage has no stamp."""
    room = Room()
    room.create(event_spec())
    room.later(60)
    decision = refuse_record(room.state, 2, refusal, "garbage").decision
    assert decision.log_time_ms == room.state.log_time_ms == NOW_MS
    assert room.state.next_offset == 3


def test_a_duplicate_moves_it():
    """A command that comes again is a witness of time like any other."""
    room = Room()
    event = room.create(event_spec())
    room.later(60)
    envelope, _ = room.log[0]
    envelope.stamp_ms = room.now_ms
    assert room.judge(envelope).decision.log_time_ms == NOW_MS + 60_000
    assert room.event(event).status == "open"
