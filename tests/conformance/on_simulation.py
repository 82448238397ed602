"""The simulator's adapters, on engines of their own for each directory, in calm weather.

Tests of them run on the simulated event loop: `simulated_loop` is what makes it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from veltrix.adapters.memory import MemoryNotices, MemoryVault
from veltrix.ports.system import Clock
from veltrix.simulation.chance import Chance
from veltrix.simulation.cluster import ENGINES, SimClock
from veltrix.simulation.coordinator import Elections, SimCoordinator
from veltrix.simulation.engines import Engines, SimLedger, SimLog, SimNotices, SimVault
from veltrix.simulation.hints import SimFeed, SimReplies, Topic
from veltrix.simulation.ledger import EngineLedger
from veltrix.simulation.log import LogEngine
from veltrix.simulation.loop import SimulatedLoop
from veltrix.simulation.network import Network, Server

ENGINE = "simulated_engines"
"""The fixture that keeps the engines of a test, by directory."""


def simulated_loop() -> SimulatedLoop:
    """A loop; the order of the hosts is always the same."""
    return SimulatedLoop(Random(1))


class World:
    """Engines behind a network that loses nothing."""

    def __init__(self, partitions: int, clock: Clock | None) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop), "tests of simulated adapters run on the simulated loop"
        network = Network(loop, Random(2), ordered=True)
        servers = {name: Server(name, loop.begin(name)) for name in ENGINES}
        clock = clock or SimClock(loop)
        self.engines = Engines(
            network,
            LogEngine(partitions, clock, loop, servers["log"], Random(3)),
            EngineLedger(clock, replicated=True),
            MemoryVault(Chance(4)),
            MemoryNotices(),
            servers,
            Random(5),
        )
        self.topic = Topic(network, servers["topics"])
        self.elections = Elections(network, servers["coordinator"])
        self.members = 0


Worlds = dict[Path, World]


def _world(worlds: Worlds, directory: Path, partitions: int = 1, clock: Clock | None = None) -> World:
    if directory not in worlds:
        worlds[directory] = World(partitions, clock)
    return worlds[directory]


async def simulated_log(
    directory: Path, *, engine: Worlds, partitions: int = 1, clock: Clock | None = None
) -> SimLog:
    """A process's log."""
    world = _world(engine, directory, partitions, clock)
    world.engines.log.grow(partitions)
    return SimLog(world.engines)


async def simulated_ledger(directory: Path, *, engine: Worlds, clock: Clock | None = None) -> SimLedger:
    """A process's ledger."""
    return SimLedger(_world(engine, directory, clock=clock).engines)


async def simulated_vault(directory: Path, *, engine: Worlds) -> SimVault:
    """A process's vault."""
    return SimVault(_world(engine, directory).engines)


async def simulated_notices(directory: Path, *, engine: Worlds) -> SimNotices:
    """A process's notices."""
    return SimNotices(_world(engine, directory).engines)


async def simulated_coordinator(directory: Path, *, engine: Worlds) -> SimCoordinator:
    """A member of the cluster."""
    world = _world(engine, directory)
    world.members += 1
    return SimCoordinator(world.elections, f"member-{world.members}")


class _OpenFeed(SimFeed):
    async def close(self) -> None:
        pass


class _OpenReplies(SimReplies):
    async def close(self) -> None:
        pass


async def simulated_feed(directory: Path, *, engine: Worlds) -> _OpenFeed:
    """A process's feed."""
    return _OpenFeed(_world(engine, directory).topic)


async def simulated_replies(directory: Path, *, engine: Worlds) -> _OpenReplies:
    """The way back to a process."""
    return _OpenReplies(_world(engine, directory).topic, "process-1")
