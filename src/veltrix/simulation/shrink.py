"""From a plan that fails to a small one that still does: delta debugging over faults, sites and clients.

Whatever is left out changes nothing of what stays, but for the order and the times of messages: so what is
still there when nothing more can go is what the failure needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from veltrix.simulation.explore import Run
from veltrix.simulation.plans import TAIL_S, Plan

_WHAT: Final = re.compile(r"[a-z]{3,}_[0-9a-f]+|\d[\d_.,:-]*|'[^']*'")
MIN_SECONDS: Final = 1.0


def kind_of(complaint: str) -> str:
    """A complaint without its numbers and ids: two failures of one kind say the same."""
    return re.sub(r"\s+", " ", _WHAT.sub("…", complaint))[:80]


class Shrinker:
    """Makes a plan smaller as long as `fails` says that it fails. `tried` counts the runs it took."""

    def __init__(
        self,
        fails: Callable[[Plan], bool],
        *,
        most: int = 300,
        told: Callable[[int, Plan], None] | None = None,
    ) -> None:
        self._fails = fails
        self._most = most
        self._told = told
        self.tried = 0

    def shrink(self, plan: Plan) -> Plan:
        """A plan of which nothing single can be left out; or as small a one as `most` runs allow."""
        plan = self._in_time(plan)
        size = None
        while size != plan.size() and self.tried < self._most:
            size = plan.size()
            plan = self._less(plan, "visits")
            plan = self._less(plan, "strikes")
            plan = self._less(self._less(plan, "sites"), "bounds")
            plan = self._in_time(plan)
        return plan

    def _in_time(self, plan: Plan) -> Plan:
        """End it earlier: by halves, then just behind the last thing that is left of it."""
        while plan.seconds > MIN_SECONDS:
            shorter = plan.shorter(round(max(MIN_SECONDS, plan.seconds / 2), 3))
            if shorter == plan or not self._still(shorter):
                break
            plan = shorter
        last_s = max(
            [MIN_SECONDS, *(visit.at_s for visit in plan.visits)]
            + [strike.at_s - TAIL_S for strike in plan.strikes]
        )
        tight = plan.shorter(round(last_s + 0.001, 3))
        return tight if tight.seconds < plan.seconds and self._still(tight) else plan

    def _less(self, plan: Plan, name: str) -> Plan:
        """Leave out as much as can be of one list: big parts first, then smaller ones, at last one by one."""
        kept: Sequence[Any] = getattr(plan, name)
        parts = 2
        while kept and self.tried < self._most:
            size = max(1, len(kept) // parts)
            for start in range(0, len(kept), size):
                fewer = (*kept[:start], *kept[start + size :])
                without = _with(plan, name, fewer)
                if self._still(without):
                    plan, kept, parts = without, fewer, max(2, parts - 1)
                    break
            else:
                if size == 1:
                    break
                parts = min(len(kept), 2 * parts)
        return plan

    def _still(self, plan: Plan) -> bool:
        if self.tried >= self._most:
            return False
        self.tried += 1
        fails = self._fails(plan)
        if fails and self._told is not None:
            self._told(self.tried, plan)
        return fails


def _with(plan: Plan, name: str, entries: tuple[Any, ...]) -> Plan:
    """The plan with another list of this name."""
    changes: dict[str, Any] = {name: entries}
    return replace(plan, **changes)


def shrunk(
    found: Run,
    run_plan: Callable[[Plan], Run],
    *,
    most: int = 300,
    told: Callable[[int, Plan], None] | None = None,
) -> tuple[Plan, str]:
    """The smallest plan that was found to fail as this run does, and what it complains of first."""
    assert found.plan is not None and found.complaints, "a run that fails is what is shrunk"
    kinds = {kind_of(complaint) for complaint in found.complaints}
    last = [found.complaints[0]]

    def fails(plan: Plan) -> bool:
        complaints = run_plan(plan).complaints
        same = [complaint for complaint in complaints if kind_of(complaint) in kinds]
        last[:] = same[:1] or last
        return bool(same)

    small = Shrinker(fails, most=most, told=told).shrink(found.plan)
    return small, last[0]
