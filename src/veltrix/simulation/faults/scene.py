"""What faults act upon, and how they share it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from random import Random
from typing import Any, ClassVar, Final

from veltrix.simulation.cluster import Cluster, Host
from veltrix.simulation.faults.mailbox import FickleMailbox

LONG_S: Final = 3.5
"""Longer than a lease, so that a pause or a cut costs a process what it owns."""


class Scene:
    """The cluster under attack. `story` tells what happened, `reached` counts it by the fault's name."""

    def __init__(self, cluster: Cluster, mailbox: FickleMailbox) -> None:
        self.cluster = cluster
        self.mailbox = mailbox
        self.reached: Counter[str] = Counter()
        self.story: list[str] = []
        self._calm: dict[tuple[int, str], Any] = {}
        self._levels: dict[tuple[int, str], list[Any]] = {}
        self._kept: dict[int, Any] = {}  # or another one would come to have its id

    def say(self, fault: str, whom: str = "") -> None:
        """It happens now."""
        self.reached[fault] += 1
        self.story.append(f"{self.cluster.loop.time():9.3f}  {fault:<18} {whom}".rstrip())

    def host(self, random: Random, kind: str = "") -> Host:
        """One of the hosts, of any kind or of this one."""
        hosts = [host for host in self.cluster.hosts.values() if not kind or host.kind == kind]
        return random.choice(hosts)

    async def last(self, random: Random, mean_s: float = LONG_S) -> None:
        """As long as it lasts."""
        await asyncio.sleep(random.expovariate(1 / mean_s))

    @contextmanager
    def moved(self, target: Any, **levels: Any) -> Generator[None]:
        """Attributes moved to these values; where faults overlap the greatest counts (False, of what is well
        when it is true), and the last one to end puts back what was before them all."""
        for name, level in levels.items():
            key = id(target), name
            self._kept[id(target)] = target
            self._calm.setdefault(key, getattr(target, name))
            self._levels.setdefault(key, []).append(level)
            setattr(target, name, self._worst(key))
        try:
            yield
        finally:
            for name, level in levels.items():
                key = id(target), name
                self._levels[key].remove(level)
                setattr(target, name, self._worst(key))

    def _worst(self, key: tuple[int, str]) -> Any:
        levels = self._levels[key]
        if not levels:
            return self._calm[key]
        return min(levels) if isinstance(levels[0], bool) else max(levels)


class Fault:
    """One kind of thing that goes wrong. `share`: how often beside the others, where a run has it at all."""

    name: ClassVar[str]
    share: ClassVar[float] = 1.0

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong, for a while; when it is cancelled, mend it at once."""
        raise NotImplementedError
