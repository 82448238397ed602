"""The fault that fencing is for: what an owner wrote arrives when another one owns the partition already."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any, Final

from veltrix.ports.ledger import Changes
from veltrix.simulation.coordinator import LEASE_TTL_S
from veltrix.simulation.faults.scene import Fault, Scene


class LateWrites(Fault):
    """The next commit of a process is kept on its way, with whatever it asks after that, until its lease is
    over and somebody else has taken a partition; then all of it arrives."""

    name = "late_writes"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        cluster, host = scene.cluster, scene.host(random, "processing")
        if host.service is None:
            return
        ledger: Any = host.service.ledger
        network, loop = cluster.network, cluster.loop
        real, others = ledger.commit, ["coordinator"]

        async def keep(changes: Changes) -> None:
            ledger.commit = real
            scene.say(self.name, host.name)
            network.clog(host.name, "ledger")
            network.cut(host.name, others=others)
            await real(changes)

        ledger.commit = keep
        owned, ends_s = _owners(scene), loop.time() + 3 * LEASE_TTL_S
        try:
            # At the take-over itself, before the new owner has written anything.
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends_s):
                    while _owners(scene) == owned:
                        cluster.engines.ledger.taken.clear()
                        await cluster.engines.ledger.taken.wait()
        finally:
            ledger.commit = real
            network.unclog(host.name, "ledger")
            for other in others:
                network.cuts.discard((host.name, other))
                network.cuts.discard((other, host.name))


def _owners(scene: Scene) -> list[str]:
    """Who owns the partitions by the ledger."""
    return [partition.head.owner for partition in scene.cluster.engines.ledger._tables.partitions.values()]


LATE_FAULTS: Final = (LateWrites,)
