"""Engines on a simulated loop without any service, for tests that are unkind to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from veltrix.simulation.chance import Chance
from veltrix.simulation.cluster import Cluster
from veltrix.simulation.faults import FickleMailbox
from veltrix.simulation.loop import SimulatedLoop


def a_cluster(seed: int = 1, partitions: int = 2) -> Cluster:
    """A cluster without hosts."""
    cluster = Cluster(SimulatedLoop(Random(seed)), Chance(seed), partitions)
    cluster.channel = FickleMailbox(cluster, Random(seed))
    return cluster


def on(cluster: Cluster, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run something as a host of its own, and bury the loop."""

    async def whole() -> Any:
        life = cluster.loop.begin("tester")
        return await cluster.loop.spawn(life, main())  # type: ignore[arg-type]  # an async function's coroutine

    try:
        return cluster.loop.run(whole())
    finally:
        cluster.loop.bury()
