"""Faults: each kind happens, ends, and can be left out; afterwards a core is well, whatever the rest is."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.simulation.world import a_cluster
from veltrix.simulation import plans, workload
from veltrix.simulation.chance import Chance
from veltrix.simulation.cluster import Cluster
from veltrix.simulation.explore import run
from veltrix.simulation.faults import FAULTS, REACHABLE, FickleMailbox, Nemesis, nemesis
from veltrix.simulation.faults.scene import Scene
from veltrix.simulation.network import Weather

KINDS = ("registration", "processing", "notification")
NEEDS_WORK = {"late_writes", "stuck_write"}
"""Faults that wait for a commit before they do anything, and there is nothing to commit here."""


async def with_hosts(cluster: Cluster, each: int = 2) -> None:
    """Services on so many hosts of each kind, started."""
    for kind in KINDS:
        for number in range(each):
            cluster.ensure(cluster.add(f"{kind}-{number}", kind))
    await asyncio.sleep(5)
    assert all(host.service is not None for host in cluster.hosts.values())


def well(cluster: Cluster) -> bool:
    """Whether nothing of any fault is left, but clocks and releases."""
    log, ledger, elections = cluster.engines.log, cluster.engines.ledger, cluster.elections
    return (
        not cluster.network.cuts
        and not cluster.network.clogs
        and cluster.network.weather == Weather()
        and (log.moods.quorum, log.moods.lag, log.moods.ambiguous, log.moods.duplicated)
        == (True, 0, 0.0, 0.0)
        and not any(
            getattr(ledger.moods, name) for name in ("reset_after", "serialization", "slow", "behind_s")
        )
        and (elections.moods.late_s, elections.moods.compacted) == (0.0, 0.0)
        and all(server.up for server in cluster.engines.servers.values())
        and all(host.life is not None and not host.life.paused for host in cluster.hosts.values())
        and all(host.life is not None and host.life.step_s == 0 for host in cluster.hosts.values())
    )


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_kind_happens_and_ends(name: str):
    """A fault tells that it happened, and when it is over nothing of it is left."""
    cluster = a_cluster(2)
    scene = Scene(cluster, cluster.channel)

    async def main() -> None:
        await with_hosts(cluster)
        for number in range(3):
            await FAULTS[name]().happen(scene, Random(number))
        await asyncio.sleep(5)
        assert well(cluster)
        assert name in NEEDS_WORK or scene.reached[name]

    cluster.loop.run(main())
    cluster.loop.bury()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_kind_can_be_ended_at_once(name: str):
    """A fault that is cancelled mends what it broke; hosts that it crashed are for `calm` to bring back."""
    cluster = a_cluster(3)
    scene = Scene(cluster, cluster.channel)

    async def main() -> None:
        await with_hosts(cluster, 1)
        task = asyncio.create_task(FAULTS[name]().happen(scene, Random(1)))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for host in cluster.hosts.values():
            cluster.ensure(host)
        await asyncio.sleep(0)
        assert well(cluster)

    cluster.loop.run(main())
    cluster.loop.bury()


def drawn(only: set[int] | None) -> list[str]:
    """What a nemesis does in a minute, by its own story; of `only` these strikes."""
    cluster = a_cluster(5)
    cluster.channel = FickleMailbox(cluster, Random(1))

    async def main() -> list[str]:
        await with_hosts(cluster)
        villain = Nemesis(cluster, Chance(5).stream("nemesis"), cluster.channel, only)
        raging = asyncio.create_task(villain.rage())
        await asyncio.sleep(20)
        await villain.calm()
        await raging
        return [f"{strike.number} {strike.at_s:.6f} {strike.fault}" for strike in villain.strikes]

    try:
        return cluster.loop.run(main())
    finally:
        cluster.loop.bury()


def test_a_strike_that_is_left_out_shifts_no_other():
    """The same strikes at the same times are drawn, whichever of them may happen."""
    assert drawn(None) == drawn(set()) == drawn({0, 3})


def test_a_core_is_healed_for_good():
    """After calm at least one host of each kind is well, with its way to every engine; of the others some
    stay broken, in different ways, over some seeds."""
    ways: set[str] = set()
    for seed in range(12):
        cluster = a_cluster(seed)

        async def main(cluster: Cluster = cluster, seed: int = seed) -> dict[str, str]:
            await with_hosts(cluster, 3)
            villain = Nemesis(cluster, Chance(seed).stream("nemesis"), cluster.channel)
            raging = asyncio.create_task(villain.rage())
            await asyncio.sleep(5)
            await villain.calm()
            await raging
            return villain.broken

        broken = cluster.loop.run(main())
        for kind in KINDS:
            core = [host for host in cluster.hosts.values() if host.kind == kind and host.name not in broken]
            assert core
            assert all(host.life is not None and not host.life.paused for host in core)
        names = {name for pair in cluster.network.cuts for name in pair}
        assert names & set(cluster.hosts) <= set(broken)
        assert all(server.up for server in cluster.engines.servers.values())
        ways |= {how.partition(" ")[0] for how in broken.values()}
        cluster.loop.bury()
    assert ways == {"crashed", "paused", "cut", "slow"}


@pytest.mark.timeout(600)  # on a busy machine it may take long; nothing is asserted about it
def test_a_fixed_sweep_reaches_everything(monkeypatch: pytest.MonkeyPatch):
    """With every kind of fault enabled, and more of them, some seeds reach each fault, site and mark, and
    nothing is found."""
    monkeypatch.setattr(nemesis, "ENABLED_SHARE", 1.0)
    monkeypatch.setattr(plans, "MEAN_PAUSE_S", 0.4)
    monkeypatch.setattr(workload, "ORGANIZER_SHARE", 0.1)
    missed = set(REACHABLE)
    for seed in range(40):
        found = run(seed, 10.0)
        assert found.complaints == []
        missed -= set(found.reached)
        if not missed:
            break
    assert missed == set()
