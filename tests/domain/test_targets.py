"""Breakers and rates as pure functions of what targets answered."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from veltrix.domain import limits
from veltrix.domain.targets import (
    Target,
    TargetState,
    disabled,
    enabled,
    failed,
    paced,
    probing,
    room,
    succeeded,
    throttled,
    unprobed,
)

PAUSE_MS = round(limits.BREAKER_PAUSE_S * 1000)


def failing(times: int, now_ms: int = 1_000) -> Target:
    """A target after so many failures in a row."""
    target = Target("ep_1")
    for _ in range(times):
        target = failed(target, now_ms, "connection refused")
    return target


def test_failures_in_a_row_open_it():
    """One less does not, and a success in between begins anew."""
    almost = failing(limits.BREAKER_FAILURES - 1)
    assert (almost.state, almost.blocked_until_ms) == (TargetState.CLOSED, 0)
    assert failed(succeeded(almost, 1_000), 1_000, "again").state is TargetState.CLOSED
    opened = failed(almost, 1_000, "connection refused")
    assert (opened.state, opened.blocked_until_ms) == (TargetState.OPEN, 1_000 + PAUSE_MS)
    assert (opened.why, opened.since_ms) == ("connection refused", 1_000)


def test_those_under_way_do_not_make_the_pause_longer():
    """They fail because of the same trouble; only a probe that fails does."""
    opened = failing(limits.BREAKER_FAILURES)
    late = failed(opened, 1_500, "timed out")
    assert late.blocked_until_ms == opened.blocked_until_ms
    probe = failed(probing(late, 99_000), 20_000, "timed out")
    assert (probe.state, probe.blocked_until_ms) == (TargetState.OPEN, 20_000 + 2 * PAUSE_MS)
    assert probe.since_ms == 1_000, "it has not worked since"


def test_a_probe_that_is_answered_closes_it():
    """And one that came back without an answer makes room for the next."""
    probe = probing(failing(limits.BREAKER_FAILURES), 99_000)
    assert succeeded(probe, 30_000) == Target("ep_1", since_ms=30_000)
    assert unprobed(probe).blocked_until_ms == 0
    assert unprobed(failing(limits.BREAKER_FAILURES)) == failing(limits.BREAKER_FAILURES)


def test_who_fails_for_days_is_disabled():
    """Endpoints; the relay that takes all mails never is."""
    opened = failing(limits.BREAKER_FAILURES)
    later_ms = 1_000 + round(limits.ENDPOINT_GIVE_UP_S * 1000)
    probe = probing(opened, later_ms + 9)
    assert failed(probe, later_ms, "refused", limits.ENDPOINT_GIVE_UP_S).state is TargetState.DISABLED
    assert failed(probe, later_ms - 1, "refused", limits.ENDPOINT_GIVE_UP_S).state is TargetState.OPEN
    assert failed(probe, later_ms, "refused").state is TargetState.OPEN


def test_only_an_operator_ends_disabled():
    """Neither success nor failure nor a throttle does."""
    gone = disabled(replace(Target("ep_1"), version=7), 1_000, "410")
    assert succeeded(gone, 2_000) == failed(gone, 2_000, "x") == throttled(gone, 9_000) == gone
    assert enabled(gone, 3_000) == Target("ep_1", since_ms=3_000, version=7)


def test_a_throttle_blocks_and_is_no_failure():
    """Until the latest time that was asked for."""
    slow = throttled(throttled(Target("relay"), 5_000), 4_000)
    assert (slow.state, slow.failures, slow.blocked_until_ms) == (TargetState.CLOSED, 0, 5_000)


@given(
    rate=st.floats(0.1, 1_000),
    burst=st.integers(1, 50),
    asks=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 40)), max_size=40),
)
def test_a_rate_is_never_exceeded(rate: float, burst: int, asks: list[tuple[int, int]]):
    """In any span, not more than the burst and what the rate gives in it (and one, for what is cut off)."""
    now_ms, paced_ms = 1_000_000, 0.0
    sent: list[tuple[int, int]] = []
    for wait_ms, most in asks:
        now_ms += wait_ms
        count = min(most, room(paced_ms, now_ms, rate, burst))
        paced_ms = paced(paced_ms, now_ms, rate, count)
        sent.append((now_ms, count))
    for first, (began_ms, _) in enumerate(sent):
        total = 0
        for at_ms, count in sent[first:]:
            total += count
            assert total <= burst + (at_ms - began_ms) * rate / 1000 + 1
