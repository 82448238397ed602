"""Months of failures, drawn from a seed, and what commands meet.

Failures of a unit are a Poisson process. Between them, nothing is computed but the number of commands;
while something is felt, each command is followed by itself. Units of a group that are away at once are
counted: with too few left, intake stops until enough are repaired.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from veltrix.simulation.availability.profile import Behaviour, Failure, Profile, Spread, Stops

DAY_S: Final = 86_400.0
MONTH_S: Final = 365.25 / 12 * DAY_S
DECIDED_OBJECTIVE_S: Final = 1.0
TOLD_OBJECTIVE_S: Final = 60.0
_NORMAL_COUNT: Final = 50.0


@dataclass(frozen=True, slots=True)
class Stop:
    """A time in which something stood still."""

    cause: str
    what: Stops
    start_s: float
    end_s: float


@dataclass(slots=True)
class Outcome:
    """What commands met. `by_cause` counts, by cause, commands that missed an objective."""

    months: float
    commands: int = 0
    refused: int = 0
    decided_late: int = 0
    told_late: int = 0
    lost: int = 0
    doubled: int = 0
    wrong_notices: int = 0
    timed_out: int = 0
    failures: int = 0
    longest_s: float = 0.0
    refused_by: Counter[str] = field(default_factory=Counter)
    late_by: Counter[str] = field(default_factory=Counter)
    failures_by: Counter[str] = field(default_factory=Counter)

    def add(self, other: Outcome) -> None:
        """Put another outcome of as many months beside it."""
        self.months += other.months
        for name in ("commands", "refused", "decided_late", "told_late", "lost", "doubled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("wrong_notices", "timed_out", "failures"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_s = max(self.longest_s, other.longest_s)
        self.refused_by += other.refused_by
        self.late_by += other.late_by
        self.failures_by += other.failures_by

    @property
    def accepted(self) -> float:
        """Share of commands that were accepted at their first request."""
        return 1 - self.refused / max(1, self.commands)

    @property
    def in_time(self) -> float:
        """Share of commands that were accepted and decided within a second."""
        return 1 - (self.refused + self.decided_late) / max(1, self.commands)


def simulate(profile: Profile, seed: int, months: float, *, slower: float = 1.0) -> Outcome:
    """So many months of a profile. Equal seeds give equal outcomes."""
    chance = Random(f"{seed}/{profile.title}")  # noqa: S311 - repeatable on purpose
    end_s = months * MONTH_S
    found = Outcome(months)
    found.commands = _count(chance, profile.commands_per_s * end_s)
    stops: list[Stop] = []
    away: defaultdict[tuple[str, int, int], list[tuple[float, float]]] = defaultdict(list)
    for failure in profile.failure:
        for at_s, recovered_s, back_s in _lives(chance, failure, end_s, slower):
            stops.append(Stop(failure.cause, failure.stops, at_s, min(end_s, recovered_s)))
            found.failures_by[failure.cause] += 1
            _before(chance, profile, failure, found)
            if failure.group:
                away[failure.group, failure.units, failure.needs].append((at_s, back_s))
    for (group, units, needs), gone in away.items():
        stops.extend(_without_quorum(group, units - needs, gone, end_s))
    found.failures = sum(found.failures_by.values())
    for stop in sorted(stops, key=lambda one: (one.start_s, one.end_s, one.cause)):
        if stop.what is not Stops.NOTHING:
            found.longest_s = max(found.longest_s, stop.end_s - stop.start_s)
            _meet(chance, profile, stop, found)
    normal = found.commands - found.refused - found.decided_late
    late = _count(chance, max(0, normal) * profile.behaviour.decided_late)
    found.decided_late += late
    if late:
        found.late_by["slow though nothing had failed"] += late
    return found


def _lives(
    chance: Random, failure: Failure, end_s: float, slower: float
) -> Iterator[tuple[float, float, float]]:
    """(fails, is recovered from, is back) of each unit's failures; who is away does not fail again."""
    for _ in range(failure.units):
        at_s = 0.0
        while (at_s := at_s + chance.expovariate(1 / (failure.every_days * DAY_S))) < end_s:
            recovered_s = at_s + _draw(chance, failure.recovery_s) * slower
            back_s = max(recovered_s, at_s + _draw(chance, failure.repair_h) * 3600)
            yield at_s, recovered_s, back_s
            at_s = back_s


def _draw(chance: Random, spread: Spread) -> float:
    """Half of what was measured lies below the median, half above."""
    least, median, most = spread
    return chance.uniform(least, median) if chance.random() < 0.5 else chance.uniform(median, most)


def _count(chance: Random, mean: float) -> int:
    """A draw from Poisson's distribution: by Knuth's method, or from the normal one where it is close."""
    if mean > _NORMAL_COUNT:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def _before(chance: Random, profile: Profile, failure: Failure, found: Outcome) -> None:
    """What a failure does to commands that were answered or worked on just before."""
    lost = _count(chance, profile.commands_per_s * failure.loses_s)
    found.lost += lost
    found.wrong_notices += lost  # each had been told of what is not there any more
    again = _count(chance, profile.commands_per_s * failure.repeats_s)
    if not profile.behaviour.dedupe:
        found.doubled += again
        found.wrong_notices += again


def _without_quorum(
    group: str, spare: int, gone: Sequence[tuple[float, float]], end_s: float
) -> Iterator[Stop]:
    """The times in which more than the spare units of a group are away."""
    moments = sorted([(start, 1) for start, _ in gone] + [(end, -1) for _, end in gone])
    missing, since_s = 0, 0.0
    for at_s, change in moments:
        before, missing = missing, missing + change
        if before <= spare < missing:
            since_s = at_s
        elif missing <= spare < before and since_s < end_s:
            yield Stop(f"{group}: too few left", Stops.INTAKE, since_s, min(at_s, end_s))


def _meet(chance: Random, profile: Profile, stop: Stop, found: Outcome) -> None:
    """Follow each command that comes while something stands still."""
    length_s = stop.end_s - stop.start_s
    drain_s = profile.commands_per_s * length_s / profile.behaviour.decided_per_s
    for _ in range(_count(chance, profile.commands_per_s * length_s)):
        left_s = chance.uniform(0.0, length_s)
        if stop.what is Stops.INTAKE:
            _knock(chance, profile.behaviour, stop, left_s, found)
        elif stop.what is Stops.DECIDING and left_s + drain_s > DECIDED_OBJECTIVE_S:
            found.decided_late += 1
            found.late_by[stop.cause] += 1
        elif stop.what is Stops.TELLING and left_s > TOLD_OBJECTIVE_S:
            found.told_late += 1


def _knock(chance: Random, behaviour: Behaviour, stop: Stop, left_s: float, found: Outcome) -> None:
    """A request while nothing is accepted: held, refused, or left hanging until its client gives up."""
    held_s = behaviour.held_s or behaviour.patience_s
    if left_s <= held_s:
        if left_s > DECIDED_OBJECTIVE_S:
            found.decided_late += 1
            found.late_by[stop.cause] += 1
        return
    found.refused += 1
    found.refused_by[stop.cause] += 1
    if behaviour.held_s:
        return  # the answer says when to come again, under the same key
    found.timed_out += 1
    if behaviour.dedupe:
        return
    attempts = min(behaviour.attempts_max, 1 + int(left_s / behaviour.patience_s))
    effects = sum(chance.random() < behaviour.executed_late for _ in range(attempts - 1)) + 1
    found.doubled += effects - 1
    found.wrong_notices += effects - 1
