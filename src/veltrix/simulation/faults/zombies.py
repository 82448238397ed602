"""The fault that fencing is for: what an owner wrote arrives when another one owns the partition already."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from veltrix.simulation.coordinator import LEASE_TTL_S
from veltrix.simulation.faults.scene import Fault, Scene

LOOK_S: Final = 0.001
"""So soon after the take-over what was kept goes on: before the new owner has written anything."""


class LateWrites(Fault):
    """What a process writes to the ledger is kept on its way until its lease is over and somebody else has
    taken a partition; then all of it arrives."""

    name = "late_writes"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        cluster, host = scene.cluster, scene.host(random, "processing")
        network, loop, owned = cluster.network, cluster.loop, _owners(scene)
        scene.say(self.name, host.name)
        network.clog(host.name, "ledger")
        others = ["coordinator"]
        network.cut(host.name, others=others)
        ends_s = loop.time() + 2.5 * LEASE_TTL_S
        try:
            while _owners(scene) == owned and loop.time() < ends_s:  # noqa: ASYNC110 - the ledger tells nobody
                await asyncio.sleep(LOOK_S)
        finally:
            network.unclog(host.name, "ledger")
            for other in others:
                network.cuts.discard((host.name, other))
                network.cuts.discard((other, host.name))


def _owners(scene: Scene) -> list[str]:
    """Who owns the partitions by the ledger."""
    return [partition.head.owner for partition in scene.cluster.engines.ledger._tables.partitions.values()]


LATE_FAULTS: Final = (LateWrites,)
