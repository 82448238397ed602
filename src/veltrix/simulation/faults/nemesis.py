"""The nemesis: what goes wrong, when, and for how long, all drawn from the seed.

Each run enables a random half of the faults, each with a share of its own. Every strike has a number and
draws from a stream of its own, so that one that is left out shifts no other. `calm` ends them all: a core of
hosts is healed for good, and what is not needed may stay broken.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Final

from veltrix.simulation.cluster import ENGINES, Cluster, Host
from veltrix.simulation.faults.kinds import FAULTS
from veltrix.simulation.faults.mailbox import FickleMailbox
from veltrix.simulation.faults.processes import SLOW_STEP_S
from veltrix.simulation.faults.scene import Scene

MEAN_PAUSE_S: Final = 0.8
ENABLED_SHARE: Final = 0.5
BROKEN_SHARE: Final = 0.6
"""Of the hosts that the core can do without, so many stay broken."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that was drawn: its number, when, and which."""

    number: int
    at_s: float
    fault: str


class Nemesis:
    """Draws faults and lets them happen. `only`: strikes with other numbers are left out."""

    def __init__(
        self,
        cluster: Cluster,
        random: Random,
        mailbox: FickleMailbox,
        only: Collection[int] | None = None,
    ) -> None:
        self._cluster = cluster
        self._random = random
        self._scene = Scene(cluster, mailbox)
        self._only = only
        self._streams = random.getrandbits(64)
        self.strikes: list[Strike] = []
        self.broken: dict[str, str] = {}
        self.shares = {
            name: fault.share * (0.2 + random.expovariate(1.0))
            for name, fault in FAULTS.items()
            if random.random() < ENABLED_SHARE
        } or {"crash": 1.0}
        self._running: set[asyncio.Task[None]] = set()
        self._calm = False

    @property
    def reached(self) -> Counter[str]:
        """How often each fault happened, each `site …` was difficult, each `mark …` was passed."""
        difficulties = self._cluster.difficulties
        reached = Counter(self._scene.reached)
        reached.update({f"site {site}": count for site, count in difficulties.reached.items()})
        reached.update({f"mark {mark}": count for mark, count in difficulties.marks.items()})
        return reached

    @property
    def story(self) -> list[str]:
        """What happened, in order."""
        return self._scene.story

    async def rage(self) -> None:
        """Begin one fault after the other until `calm`."""
        names, shares = list(self.shares), list(self.shares.values())
        while True:
            await asyncio.sleep(self._random.expovariate(1 / MEAN_PAUSE_S))
            if self._calm:
                return
            (name,) = self._random.choices(names, shares)
            strike = Strike(len(self.strikes), self._cluster.loop.time(), name)
            self.strikes.append(strike)
            if self._only is None or strike.number in self._only:
                self._begin(strike)

    def _begin(self, strike: Strike) -> None:
        random = Random(f"{self._streams}/{strike.number}")  # noqa: S311 - to be repeatable is the point
        happening = FAULTS[strike.fault]().happen(self._scene, random)
        task = asyncio.create_task(happening, name=f"{strike.fault}/{strike.number}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def calm(self) -> None:
        """End every fault, bring every host back, and then break again what the core can do without."""
        self._calm = self._cluster.difficulties.calm = True
        running = sorted(self._running, key=lambda task: task.get_name())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        cluster = self._cluster
        cluster.network.heal()
        for host in cluster.hosts.values():
            life = cluster.ensure(host)
            cluster.loop.resume(life)
            life.step_s = 0.0
        self._scene.say("calm")
        self._leave_broken(self._random)

    def _leave_broken(self, random: Random) -> None:
        """At least one host of each kind is well from now on; of the others some never will be."""
        for kind in sorted({host.kind for host in self._cluster.hosts.values()}):
            hosts = [host for host in self._cluster.hosts.values() if host.kind == kind]
            random.shuffle(hosts)
            for host in hosts[1:]:
                if random.random() < BROKEN_SHARE:
                    self._break(host, random)

    def _break(self, host: Host, random: Random) -> None:
        how = random.choice(["crashed", "paused", "cut", "partly cut", "slow"])
        life = self._cluster.ensure(host)
        if how == "crashed":
            self._cluster.crash(host)
        elif how == "paused":
            self._cluster.loop.pause(life)
        elif how == "slow":
            life.step_s = SLOW_STEP_S
        else:
            others = [name for name in ENGINES if how == "cut" or random.random() < 0.5]
            self._cluster.network.cut(host.name, others=others)
            how = f"cut from {', '.join(others)}"
        self.broken[host.name] = how
        self._scene.say("stays_broken", f"{host.name} {how}")
