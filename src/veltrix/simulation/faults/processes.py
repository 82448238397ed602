"""Faults of processes, machines and clocks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from veltrix.domain.commands import Actor, AdoptRules, Envelope
from veltrix.domain.identifiers import command_id
from veltrix.ports.errors import PortError
from veltrix.ports.log import Record
from veltrix.ports.system import Clock
from veltrix.simulation.cluster import NEW_RELEASE, Host
from veltrix.simulation.coordinator import LEASE_TTL_S
from veltrix.simulation.engines import SimLog
from veltrix.simulation.faults.scene import Fault, Scene
from veltrix.simulation.releases import NEWEST
from veltrix.wire import encode_command

STEP_MS: Final = 4_000
SLOW_STEP_S: Final = 0.002


async def crash_once(scene: Scene, fault: str, host: Host, away_s: float) -> None:
    """End a host's life and begin a new one after a while."""
    if host.life is None:
        return
    scene.say(fault, host.name)
    scene.cluster.crash(host)
    await asyncio.sleep(away_s)
    scene.cluster.ensure(host)


class Crash(Fault):
    """A process dies, and comes back after a while."""

    name = "crash"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await crash_once(scene, self.name, scene.host(random), random.expovariate(1 / 1.5))


class CrashLoop(Fault):
    """A process dies again and again, soon after each start."""

    name = "crash_loop"
    share = 0.5

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        host = scene.host(random)
        for _ in range(random.randint(2, 5)):
            await crash_once(scene, self.name, host, 0.2 * random.random())
            await asyncio.sleep(0.5 * random.random())


class PowerLoss(Fault):
    """The machines of a rack lose power at once: some processes, and the log with what it had not synced,
    of which a torn part may be there afterwards."""

    name = "power_loss"
    share = 0.5

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        cluster = scene.cluster
        server = cluster.engines.servers["log"]
        scene.say(self.name, "log and others")
        server.down()
        cluster.engines.log.lose_tail()
        lost = [host for host in cluster.hosts.values() if host.life is not None and random.random() < 0.4]
        for host in lost:
            cluster.crash(host)
        try:
            await scene.last(random, 1.0)
        finally:
            server.back()
            for host in lost:
                cluster.ensure(host)


class Pause(Fault):
    """A process stands still, and goes on as if nothing had been."""

    name = "pause"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await _pause(scene, self.name, scene.host(random), random.expovariate(1 / LEASE_TTL_S))


class PausePastLease(Fault):
    """A process that owns something stands still for longer than its lease, which ends meanwhile."""

    name = "pause_past_lease"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        host = scene.host(random, "processing")
        await _pause(scene, self.name, host, LEASE_TTL_S * (1.3 + 2 * random.random()))


async def _pause(scene: Scene, fault: str, host: Host, seconds: float) -> None:
    life = host.life
    if life is None or life.paused:
        return
    scene.say(fault, host.name)
    scene.cluster.loop.pause(life)
    try:
        await asyncio.sleep(seconds)
    finally:
        scene.cluster.loop.resume(life)


class Slow(Fault):
    """A process is 200 times as slow."""

    name = "slow"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        host = scene.host(random)
        if host.life is not None:
            scene.say(self.name, host.name)
            with scene.moved(host.life, step_s=SLOW_STEP_S):
                await scene.last(random)


class RollingUpgrade(Fault):
    """One process after the other stops in order and starts as the next release, which knows newer rules;
    once all have, the cluster is told to go over to them."""

    name = "rolling_upgrade"
    share = 0.5

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        cluster = scene.cluster
        scene.say(self.name)
        hosts = list(cluster.hosts.values())
        random.shuffle(hosts)
        for host in hosts:
            host.release = NEW_RELEASE
            await cluster.restart(host)
            await asyncio.sleep(0.3 * random.random())
        if cluster.upgraded:
            log = SimLog(cluster.engines)
            for partition in range(cluster.partitions):
                with suppress(PortError):  # then the partition stays under the older rules
                    await log.append(partition, Record(encode_command(_adoption(partition, cluster.clock))))


def _adoption(partition: int, clock: Clock) -> Envelope:
    """The command by which a partition goes over to the newest rules."""
    identity = command_id(["", "adopt", "", "system", f"{partition}/{NEWEST}"])
    return Envelope(identity, "", "", AdoptRules(NEWEST), Actor.SYSTEM, clock.now_ms(), "")


class ClockStep(Fault):
    """A host's clock is put forward or back; its processes notice when they start anew."""

    name = "clock_step"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        host = scene.host(random)
        host.clock.wall_ms += random.randint(-STEP_MS, STEP_MS)
        scene.say(self.name, f"{host.name} {host.clock.wall_ms:+d} ms")
        if host.life is not None and random.random() < 0.7:
            scene.cluster.crash(host)
            try:
                await asyncio.sleep(0.2 * random.random())
            finally:
                scene.cluster.ensure(host)


class ClockOffset(Fault):
    """All clocks disagree from now on, some by much."""

    name = "clock_offset"
    share = 0.3

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        scene.say(self.name)
        for host in scene.cluster.hosts.values():
            host.clock.wall_ms = random.choice([0, 1, 5]) * random.randint(-STEP_MS, STEP_MS)
        scene.cluster.engines.log.clock.offset_ms = random.randint(-STEP_MS, STEP_MS)


PROCESS_FAULTS: Final = (
    Crash,
    CrashLoop,
    PowerLoss,
    Pause,
    PausePastLease,
    Slow,
    RollingUpgrade,
    ClockStep,
    ClockOffset,
)
