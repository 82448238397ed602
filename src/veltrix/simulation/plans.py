"""A run's plan as data: which faults strike when, and when clients come. Drawn from a seed, or given.

Every strike and every client draws its details from a chance of its own, so that leaving one out changes
nothing of the others: that is what lets a failure be shrunk. A plan names its faults, so it keeps its meaning
when new kinds of faults are added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from veltrix.simulation.chance import Chance
from veltrix.simulation.difficulties import Difficulties
from veltrix.simulation.faults import Nemesis, Strike
from veltrix.simulation.faults.nemesis import MEAN_PAUSE_S
from veltrix.simulation.visitors import Visitors
from veltrix.simulation.workload import RATE_PER_S, Workload

TAIL_S: Final = 10.0
"""Faults go on for so long after the last client came."""

VISITORS_SHARE: Final = 0.15
"""Of the clients, so many are visitors."""

_DRAWN: ContextVar[Random] = ContextVar("_DRAWN")


@dataclass(frozen=True, slots=True)
class Visit:
    """A client comes, so many seconds after the first may; what for follows from its number."""

    number: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All that happens on purpose in one run. The seed draws what is left: shapes, orders, latencies.

    `sites`: where the services themselves are difficult, and how often; `bounds`: which are tighter.
    """

    seed: int
    seconds: float
    strikes: tuple[Strike, ...]
    visits: tuple[Visit, ...]
    sites: tuple[tuple[str, float], ...] = ()
    bounds: tuple[tuple[str, float], ...] = ()

    def size(self) -> tuple[int, int]:
        """How many faults, how many clients."""
        return len(self.strikes) + len(self.sites), len(self.visits)

    def shorter(self, seconds: float) -> Plan:
        """The same, as if it had ended earlier."""
        return replace(
            self,
            seconds=seconds,
            strikes=tuple(strike for strike in self.strikes if strike.at_s <= seconds + TAIL_S),
            visits=tuple(visit for visit in self.visits if visit.at_s <= seconds),
        )


class PlannedNemesis(Nemesis):
    """Lets happen what a plan says."""

    planned: Sequence[Strike] = ()

    def draw(self, seconds: float) -> tuple[Strike, ...]:
        """What this run's seed leads to."""
        random, names, shares = self._random, list(self.shares), list(self.shares.values())
        drawn: list[Strike] = []
        at_s = random.expovariate(1 / MEAN_PAUSE_S)
        while at_s < seconds + TAIL_S:
            drawn.append(Strike(len(drawn), round(at_s, 6), *random.choices(names, shares)))
            at_s += random.expovariate(1 / MEAN_PAUSE_S)
        return tuple(drawn)

    async def rage(self) -> None:
        """One strike after the other until `calm`."""
        loop = self._cluster.loop
        began_s = loop.time()
        for strike in self.planned:
            await asyncio.sleep(max(0.0, began_s + strike.at_s - loop.time()))
            if self._calm:
                return
            self.strikes.append(strike)
            self._begin(strike)

    async def calm(self) -> None:
        """As ever; who stays broken is drawn apart, so that it does not depend on where strikes came from."""
        self._random = self._cluster.chance.stream("calm")
        await super().calm()


class PlannedWorkload(Workload):
    """Lets clients come when a plan says."""

    planned: Sequence[Visit] = ()
    visitors: Visitors | None = None

    @property
    def random(self) -> Random:
        """The chance of whoever asks: each client has its own."""
        return _DRAWN.get(self._own)

    @random.setter
    def random(self, random: Random) -> None:
        self._own = random

    async def run(self, seconds: float) -> None:
        """Clients come, each with what it drew; returns when each has its answer, or gave up."""
        loop = self.cluster.loop
        began_s = loop.time()
        clients: list[asyncio.Task[None]] = []
        for visit in self.planned:
            await asyncio.sleep(max(0.0, began_s + visit.at_s - loop.time()))
            clients.append(_with_chance(f"{self.cluster.chance.seed}/visit/{visit.number}", self._comes()))
        await asyncio.sleep(max(0.0, began_s + seconds - loop.time()))
        await asyncio.gather(*clients)

    async def _comes(self) -> None:
        """Mostly one of the crowd."""
        if self.visitors is not None and self.random.random() < VISITORS_SHARE:
            await self.visitors.visit(self.random)
        else:
            await self._client()


def draw_visits(seed: int, seconds: float) -> tuple[Visit, ...]:
    """When clients come by this seed."""
    random = Chance(seed, "plan").stream("visits")
    visits: list[Visit] = []
    at_s = random.expovariate(RATE_PER_S)
    while at_s < seconds:
        visits.append(Visit(len(visits), round(at_s, 6)))
        at_s += random.expovariate(RATE_PER_S)
    return tuple(visits)


def set_sites(difficulties: Difficulties, plan: Plan) -> None:
    """Let the services be difficult as the plan says, and nowhere else."""
    difficulties.shares = dict(plan.sites)
    for site in difficulties.shares:
        chance = Random(f"{plan.seed}/site/{site}")  # noqa: S311 - to be repeatable is the point
        difficulties._streams[site] = chance


def _with_chance(name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task with a chance of its own."""
    context = copy_context()
    context.run(_DRAWN.set, Random(name))  # noqa: S311 - to be repeatable is the point
    return asyncio.create_task(coroutine, context=context)
