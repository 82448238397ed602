"""One run: a cluster, its people and its nemesis by a plan; then calm, and the checks."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from veltrix.ports.access import Scope
from veltrix.registration.access import new_api_key
from veltrix.simulation import checks
from veltrix.simulation.bounds import bounded, draw_bounds
from veltrix.simulation.chance import Chance
from veltrix.simulation.cluster import Cluster
from veltrix.simulation.exchanges import Exchange, Recorder
from veltrix.simulation.faults import FickleMailbox
from veltrix.simulation.loop import SimulatedLoop, Stalled
from veltrix.simulation.plans import Plan, PlannedNemesis, PlannedWorkload, draw_visits, set_sites
from veltrix.simulation.timeline import Timeline
from veltrix.simulation.visitors import Visitors
from veltrix.simulation.witness import Witness

CONVERGED_S: Final = 900.0
"""After calm everything must have come right within so many simulated seconds: a mail's lease and retries."""
RUN_MAX_S: Final = 1_800.0
LOOK_S: Final = 0.25


@dataclass(slots=True)
class Run:
    """What one seed led to. `digest` is of the whole history: equal for equal plans, code and Python.

    `plan` is what happened on purpose, `timeline` the last of what happened at all, by host; `twice`: it was
    run again, to compare the digests.
    """

    seed: int
    complaints: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    simulated_s: float = 0.0
    steps: int = 0
    digest: str = ""
    twice: bool = False
    plan: Plan | None = None
    timeline: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.complaints

    def to_json(self) -> dict[str, Any]:
        """For `--json`, without the plan: a scenario file has that."""
        told = asdict(self)
        del told["plan"]
        return {"verdict": "PASS" if self.passed else "FAIL", **told}


def run(seed: int, seconds: float = 20.0, *, tracing: bool = False) -> Run:
    """Explore one seed: `seconds` of simulated time with people and faults, then calm."""

    def drawn(cluster: Cluster, nemesis: PlannedNemesis) -> Plan:
        sites = tuple(cluster.difficulties.shares.items())
        bounds = tuple(draw_bounds(cluster.chance.stream("bounds")).items())
        return Plan(seed, seconds, nemesis.draw(seconds), draw_visits(seed, seconds), sites, bounds)

    return _run(seed, tracing, drawn)


def run_plan(plan: Plan, *, tracing: bool = False) -> Run:
    """Let happen what a plan says; the plan that a seed leads to gives the run of that seed."""
    return _run(plan.seed, tracing, lambda cluster, nemesis: plan)


def _run(seed: int, tracing: bool, planned: Callable[[Cluster, PlannedNemesis], Plan]) -> Run:
    found = Run(seed)
    chance = Chance(seed)
    loop = SimulatedLoop(chance.stream("order"))
    cluster = Cluster(loop, chance, partitions=chance.stream("shape").randint(1, 3))
    mailbox = cluster.channel = FickleMailbox(cluster, chance.stream("mailbox"))
    nemesis = PlannedNemesis(cluster, chance.stream("nemesis"), mailbox)
    plan = found.plan = planned(cluster, nemesis)
    nemesis.planned = plan.strikes
    set_sites(cluster.difficulties, plan)
    recorder, witness = Recorder(cluster), Witness(cluster)
    timeline = Timeline(loop, nemesis.story, recorder.exchanges)
    loop.surroundings.append(lambda: bounded(dict(plan.bounds)))
    with timeline.listening(cluster.defects, tracing=tracing):
        try:
            loop.run(_whole(cluster, nemesis, plan, recorder, witness), RUN_MAX_S)
            found.complaints += loop.run(_judged(cluster, recorder, mailbox, witness), RUN_MAX_S)
        except Stalled as stalled:
            found.complaints += [f"stalled: {stalled}", *witness.complaints, *cluster.defects]
        finally:
            loop.bury()
    found.story, found.reached = nemesis.story, nemesis.reached
    found.requests, found.simulated_s, found.steps = (
        len(recorder.exchanges),
        round(loop.time(), 3),
        loop.steps,
    )
    found.digest = _digest(found, recorder.exchanges)
    found.timeline = timeline.lines() if tracing else []
    return found


async def _whole(
    cluster: Cluster, nemesis: PlannedNemesis, plan: Plan, recorder: Recorder, witness: Witness
) -> None:
    shape = cluster.chance.stream("hosts")
    for kind, least, most in (("registration", 1, 2), ("processing", 2, 3), ("notification", 1, 2)):
        for number in range(shape.randint(least, most)):
            cluster.ensure(cluster.add(f"{kind}-{number}", kind))
    stored, key = new_api_key("acme", [Scope.WRITE], cluster.chance.of("api key"), cluster.clock)
    await cluster.access.add(stored)
    while any(host.service is None for host in cluster.hosts.values()):  # noqa: ASYNC110 - time is virtual
        await asyncio.sleep(LOOK_S)
    workload = PlannedWorkload(cluster, cluster.chance.stream("workload"), {"authorization": f"Bearer {key}"})
    workload.planned = plan.visits
    workload.visitors = Visitors(cluster, workload.events, recorder.exchanges)
    await workload.publish(shape.randint(1, 3))
    raging = asyncio.create_task(nemesis.rage())
    await workload.run(plan.seconds)
    await nemesis.calm()
    raging.cancel()
    await asyncio.gather(raging, return_exceptions=True)
    if not _broken(cluster, witness):
        await workload.ask_again()


async def _judged(
    cluster: Cluster, recorder: Recorder, mailbox: FickleMailbox, witness: Witness
) -> list[str]:
    """Everything that is wrong; what follows from a breach that was seen already is not waited for."""
    if not _broken(cluster, witness):
        if await _converged(cluster):
            return await checks.everything(cluster, recorder.exchanges, mailbox, witness)
        late = f"not converged {CONVERGED_S:.0f} simulated seconds after calm"
        return [late, *await checks.everything(cluster, recorder.exchanges, mailbox, witness)]
    return [*witness.complaints, *cluster.loop.defects, *cluster.defects]


def _broken(cluster: Cluster, witness: Witness) -> bool:
    """Whether something was seen that no run may come to."""
    return bool(witness.complaints or cluster.defects or cluster.loop.defects)


async def _converged(cluster: Cluster) -> bool:
    """Wait until everything in the log is decided, published, planned and told."""
    deadline_s = cluster.loop.time() + CONVERGED_S
    while cluster.loop.time() < deadline_s:
        if await _quiet(cluster):
            return True
        await asyncio.sleep(LOOK_S)
    return False


async def _quiet(cluster: Cluster) -> bool:
    engines = cluster.engines
    for partition in range(cluster.partitions):
        _, end = await engines.log.bounds(partition)
        head = await engines.ledger.head(partition)
        if head is None or head.next_offset < end or head.relayed_seq < head.next_seq - 1:
            return False
        if await engines.notices.position(partition) < head.next_seq - 1:
            return False
    counts = await engines.notices.counts()
    return not any(
        count for status, count in counts.items() if status in ("pending", "attempting", "unknown")
    )


def _digest(found: Run, exchanges: list[Exchange]) -> str:
    said = [
        (each.method, each.path, each.key, each.sent_s, each.heard_s, each.status, repr(each.answer))
        for each in exchanges
    ]
    whole = repr((found.steps, found.simulated_s, found.story, found.complaints, said))
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
