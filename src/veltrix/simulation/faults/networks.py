"""Faults of the network."""

from __future__ import annotations

from random import Random
from typing import Final

from veltrix.simulation.cluster import ENGINES
from veltrix.simulation.faults.scene import Fault, Scene


async def cut(scene: Scene, random: Random, fault: str, *, inward: bool, outward: bool) -> None:
    """Separate a host from some engines for a while."""
    network, host = scene.cluster.network, scene.host(random)
    others = [name for name in ENGINES if random.random() < 0.6] or [ENGINES[0]]
    how = "both ways" if inward and outward else "inward" if inward else "outward"
    scene.say(fault, f"{host.name} {how} from {', '.join(others)}")
    network.cut(host.name, inward=inward, outward=outward, others=others)
    try:
        await scene.last(random)
    finally:
        for other in others:
            network.cuts.discard((host.name, other))
            network.cuts.discard((other, host.name))


class Cut(Fault):
    """A process and some engines cannot reach each other."""

    name = "cut"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await cut(scene, random, self.name, inward=True, outward=True)


class OneWayCut(Fault):
    """One of the directions goes."""

    name = "one_way_cut"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        inward = random.random() < 0.5
        await cut(scene, random, self.name, inward=inward, outward=not inward)


class Clog(Fault):
    """What a process and some engines say to each other is kept, and comes at once in another order."""

    name = "clog"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        network, host = scene.cluster.network, scene.host(random)
        others = [name for name in ENGINES if random.random() < 0.5] or [ENGINES[0]]
        pairs = [(host.name, other) for other in others] + [(other, host.name) for other in others]
        pairs = [pair for pair in pairs if random.random() < 0.7]
        scene.say(self.name, f"{host.name} and {', '.join(others)}")
        for pair in pairs:
            network.clog(*pair)
        try:
            await scene.last(random, 1.0)
        finally:
            random.shuffle(pairs)
            for pair in pairs:
                network.unclog(*pair)


class _Weather(Fault):
    """Something about all messages."""

    async def storm(self, scene: Scene, random: Random, **levels: float) -> None:
        """For a while."""
        scene.say(self.name)
        with scene.moved(scene.cluster.network.weather, **levels):
            await scene.last(random)


class Loss(_Weather):
    """Messages are lost."""

    name = "loss"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.storm(scene, random, lost=random.choice([0.01, 0.05, 0.2]))


class Delay(_Weather):
    """Messages take their time."""

    name = "delay"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.storm(scene, random, latency_s=random.choice([0.01, 0.05, 0.2]))


class Reorder(_Weather):
    """Some messages come much later than others that were sent after them."""

    name = "reorder"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.storm(scene, random, delayed=0.1, delay_s=random.choice([0.05, 0.5, 2.0]))


class Duplicate(_Weather):
    """Hints come twice: facts, replies, word of who owns what."""

    name = "duplicate"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.storm(scene, random, duplicated=0.2)


class LostAnswers(_Weather):
    """What was asked for happens, and nobody hears of it."""

    name = "lost_answers"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.storm(scene, random, answer_lost=0.1)


NETWORK_FAULTS: Final = (Cut, OneWayCut, Clog, Loss, Delay, Reorder, Duplicate, LostAnswers)
