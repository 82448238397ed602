"""Where notices go, and whether it is worth trying: breaker, throttle, and who does not want any more.

A target is one endpoint, or the relay that takes all mails. What follows from its answers is decided here,
as pure functions; time enters as data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from veltrix.domain import limits


class TargetState(StrEnum):
    """closed → open after failures in a row → half_open for one probe → closed again, or open for longer.

    `disabled`: it said that it is gone (410), or failed for days; only an operator's order ends that.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Target:
    """How a target stands. Nothing is claimed for it before `blocked_until_ms`; of an open one, then one.

    `since_ms` is when it left the closed state. `failures` counts those in a row, `opened` how often in a
    row the breaker opened. `version` rises with
    every change, so that of two processes that change it from the same state one wins.
    """

    name: str
    state: TargetState = TargetState.CLOSED
    since_ms: int = 0
    why: str = ""
    failures: int = 0
    opened: int = 0
    blocked_until_ms: int = 0
    version: int = 0


def succeeded(target: Target, now_ms: int) -> Target:
    """It answered: the breaker closes. A target that is disabled stays so."""
    if target.state is TargetState.DISABLED:
        return target
    if target.state is TargetState.CLOSED:
        return replace(target, failures=0) if target.failures else target
    return replace(
        target,
        state=TargetState.CLOSED,
        since_ms=now_ms,
        why="",
        failures=0,
        opened=0,
        blocked_until_ms=0,
    )


def failed(target: Target, now_ms: int, why: str, give_up_s: float | None = None) -> Target:
    """It could not be reached, or gave no answer of use: after enough of them in a row the breaker opens.

    With `give_up_s` it is disabled once it has done nothing else for so long.
    """
    if target.state is TargetState.DISABLED:
        return target
    failures = target.failures + 1
    if target.state is TargetState.CLOSED and failures < limits.BREAKER_FAILURES:
        return replace(target, failures=failures)
    if target.state is TargetState.OPEN and now_ms < target.blocked_until_ms:
        return replace(target, failures=failures)  # one that was under way when the breaker opened
    if give_up_s is not None and target.opened and now_ms - target.since_ms >= give_up_s * 1000:
        return disabled(target, now_ms, f"it has failed for too long; the last time: {why}")
    pause_s = min(limits.BREAKER_PAUSE_S * 2.0 ** min(target.opened, 16), limits.BREAKER_PAUSE_MAX_S)
    return replace(
        target,
        state=TargetState.OPEN,
        since_ms=now_ms if target.state is TargetState.CLOSED else target.since_ms,
        why=why[: limits.DETAIL_MAX_CHARS],
        failures=failures,
        opened=target.opened + 1,
        blocked_until_ms=now_ms + round(pause_s * 1000),
    )


def probing(target: Target, until_ms: int) -> Target:
    """One notice is under way to see whether it works again; nothing else is until it is back, or lost."""
    return replace(target, state=TargetState.HALF_OPEN, blocked_until_ms=until_ms)


def unprobed(target: Target) -> Target:
    """The probe came back without an answer of the target's: another one may go."""
    return replace(target, blocked_until_ms=0) if target.state is TargetState.HALF_OPEN else target


def throttled(target: Target, until_ms: int) -> Target:
    """It asked to be left alone until then; that it could say so shows that it works."""
    if target.state is TargetState.DISABLED or until_ms <= target.blocked_until_ms:
        return target
    return replace(target, blocked_until_ms=until_ms)


def disabled(target: Target, now_ms: int, why: str) -> Target:
    """It said that it is gone."""
    if target.state is TargetState.DISABLED:
        return target
    return replace(
        target, state=TargetState.DISABLED, since_ms=now_ms, why=why[: limits.DETAIL_MAX_CHARS], failures=0
    )


def disabled_detail(why: str) -> str:
    """What is said of notices that would have gone to a disabled target."""
    return f"the endpoint is disabled: {why}"


def enabled(target: Target, now_ms: int) -> Target:
    """An operator wants it to be tried again."""
    return Target(target.name, since_ms=now_ms, version=target.version)


def room(paced_ms: float, now_ms: int, rate_per_s: float, burst: int) -> int:
    """How many may go now at this rate. `paced_ms` is up to when it is used up (a token bucket in one
    number: the generic cell rate algorithm)."""
    each_ms = 1000 / rate_per_s
    return max(0, int((now_ms + burst * each_ms - max(paced_ms, now_ms)) / each_ms + 1e-6))


def paced(paced_ms: float, now_ms: int, rate_per_s: float, sent: int) -> float:
    """Up to when the rate is used up after so many went."""
    return max(paced_ms, now_ms) + sent * 1000 / rate_per_s
