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

    `disabled`: it said that it is gone (410); only an operator's order ends that.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Target:
    """How a target stands. Nothing is claimed for it before `blocked_until_ms`; of an open one, then one.

    `failures` counts those in a row, `opened` how often in a row the breaker opened. `version` rises with
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


def failed(target: Target, now_ms: int, why: str) -> Target:
    """It could not be reached, or gave no answer of use: after enough of them in a row the breaker opens."""
    if target.state is TargetState.DISABLED:
        return target
    failures = target.failures + 1
    if target.state is TargetState.CLOSED and failures < limits.BREAKER_FAILURES:
        return replace(target, failures=failures)
    if target.state is TargetState.OPEN and now_ms < target.blocked_until_ms:
        return replace(target, failures=failures)  # one that was under way when the breaker opened
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


def enabled(target: Target, now_ms: int) -> Target:
    """An operator wants it to be tried again."""
    return Target(target.name, since_ms=now_ms, version=target.version)
