"""Clocks that differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from veltrix.domain import limits
from veltrix.readiness.findings import Finding, advice, danger

SKEW_ADVICE_S: Final = 1.0
SKEW_DANGER_S: Final = limits.STAMP_AHEAD_MS / 1000


def judge_clock(name: str, ahead_s: float, slack_s: float) -> Iterator[Finding]:
    """A clock that surely differs from this machine's; `slack_s` is how exactly the difference is known."""
    skew_s = max(0.0, abs(ahead_s) - slack_s)
    if skew_s < SKEW_ADVICE_S:
        return
    judged = danger if skew_s >= SKEW_DANGER_S else advice
    yield judged(
        "clock_skew",
        f"the clock of {name}",
        f"{skew_s:.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's",
        "windows and holds are judged by clocks: registrations open, or holds end, at the wrong moment",
        "let NTP (chrony) keep all machines together",
    )
