"""The faults that fencing is for: what one owner wrote arrives when another one owns the partition."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any, Final

from veltrix.simulation.cluster import Host
from veltrix.simulation.coordinator import LEASE_TTL_S
from veltrix.simulation.faults.scene import Fault, Scene

AWAY_S: Final = 0.0008
"""So soon after it was sent a message has arrived, as a rule, and its answer has not."""


LINGER_S: Final = 0.1
"""By then the new owner has written something, where anything is asked for."""


class LateWrites(Fault):
    """The next commit of a process is kept on its way, with whatever it asks after that, until its lease is
    over and somebody else has taken a partition; then all of it arrives."""

    name = "late_writes"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        host = scene.host(random, "processing")
        if random.random() < 0.6:
            await _keep_next(scene, self.name, "commit", [host])
        else:
            await _keep_next(scene, self.name, "commit", [host], AWAY_S, LINGER_S)


class LateTakeOver(Fault):
    """An owner dies, and whoever takes a partition next does so too late: the next one has it already."""

    name = "late_take_over"
    share = 0.7

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        owner, hosts = scene.host(random, "processing"), scene.cluster.hosts.values()
        if owner.life is None:
            return
        scene.cluster.crash(owner)
        others = [host for host in hosts if host.kind == "processing" and host is not owner]
        keeping = asyncio.create_task(_keep_next(scene, self.name, "take_over", others))
        try:
            await asyncio.sleep(LEASE_TTL_S / 2)
            scene.cluster.ensure(owner)  # to be the next one, if there is no third
            await keeping
        finally:
            keeping.cancel()
            scene.cluster.ensure(owner)
            await asyncio.gather(keeping, return_exceptions=True)


async def _keep_next(
    scene: Scene, fault: str, method: str, hosts: list[Host], delay_s: float = 0.0, linger_s: float = 0.0
) -> None:
    """Keep the next such write of one of these hosts until somebody else has taken its place, and `linger_s`
    longer; or, after `delay_s`, what follows it so soon that it must have been part of it."""
    network, ledger_engine = scene.cluster.network, scene.cluster.engines.ledger
    ledgers: list[Any] = [host.service.ledger for host in hosts if host.service is not None]
    kept: list[str] = []
    over = False

    def stop(name: str) -> None:
        if not over:
            network.clog(name, "ledger")
            network.cut(name, others=["coordinator"])

    def keeping(ledger: Any, name: str) -> Any:
        real = getattr(ledger, method)

        async def keep(*args: Any) -> Any:
            if not kept:
                kept.append(name)
                scene.say(fault, name)
                if delay_s:
                    scene.cluster.loop.call_later(delay_s, stop, name)
                else:
                    stop(name)
            return await real(*args)

        return keep

    for ledger, host in zip(ledgers, [host for host in hosts if host.service is not None], strict=True):
        setattr(ledger, method, keeping(ledger, host.name))
    owned, ends_s = _owners(scene), scene.cluster.loop.time() + 3 * LEASE_TTL_S
    try:
        # At the take-over itself, before the new owner has written anything.
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ends_s):
                while _owners(scene) == owned:
                    ledger_engine.taken.clear()
                    await ledger_engine.taken.wait()
                await asyncio.sleep(linger_s)
    finally:
        over = True
        for ledger in ledgers:
            ledger.__dict__.pop(method, None)
        for name in kept:
            network.unclog(name, "ledger")
            network.cuts.discard((name, "coordinator"))
            network.cuts.discard(("coordinator", name))


def _owners(scene: Scene) -> list[str]:
    """Who owns the partitions by the ledger."""
    return [partition.head.owner for partition in scene.cluster.engines.ledger._tables.partitions.values()]


LATE_FAULTS: Final = (LateWrites, LateTakeOver)
