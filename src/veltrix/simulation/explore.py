"""One run: a cluster, its people and its nemesis from a seed; then calm, and the checks."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from veltrix.ports.access import Scope
from veltrix.registration.access import new_api_key
from veltrix.simulation import checks
from veltrix.simulation.chance import Chance
from veltrix.simulation.cluster import Cluster
from veltrix.simulation.faults import FickleMailbox, Nemesis
from veltrix.simulation.loop import SimulatedLoop, Stalled
from veltrix.simulation.workload import Said, Workload

CONVERGED_S: Final = 240.0
"""After calm everything must have come right within so many simulated seconds: a mail's lease and retries."""
RUN_MAX_S: Final = 3_600.0
LOOK_S: Final = 0.25


@dataclass(slots=True)
class Run:
    """What one seed led to. `digest` is of the whole history: equal for equal seeds, code and Python."""

    seed: int
    complaints: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    simulated_s: float = 0.0
    steps: int = 0
    digest: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.complaints

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"verdict": "PASS" if self.passed else "FAIL", **asdict(self)}


def run(seed: int, seconds: float = 20.0) -> Run:
    """Explore one seed: `seconds` of simulated time with people and faults, then calm."""
    found = Run(seed)
    chance = Chance(seed)
    loop = SimulatedLoop(chance.stream("order"))
    cluster = Cluster(loop, chance, partitions=chance.stream("shape").randint(1, 3))
    mailbox = cluster.channel = FickleMailbox(cluster, chance.stream("mailbox"))
    nemesis = Nemesis(cluster, chance.stream("nemesis"), mailbox)
    history: list[Said] = []
    with _defects_of_services(cluster.defects):
        try:
            loop.run(_whole(cluster, nemesis, mailbox, history, found, seconds), RUN_MAX_S)
        except Stalled as stalled:
            found.complaints.append(f"stalled: {stalled}")
        finally:
            loop.bury()
    found.story, found.reached = nemesis.story, nemesis.reached
    found.requests, found.simulated_s, found.steps = len(history), round(loop.time(), 3), loop.steps
    found.digest = _digest(found, history)
    return found


async def _whole(
    cluster: Cluster,
    nemesis: Nemesis,
    mailbox: FickleMailbox,
    history: list[Said],
    found: Run,
    seconds: float,
) -> None:
    shape = cluster.chance.stream("hosts")
    for kind, least, most in (("registration", 1, 2), ("processing", 2, 3), ("notification", 1, 2)):
        for number in range(shape.randint(least, most)):
            cluster.ensure(cluster.add(f"{kind}-{number}", kind))
    stored, key = new_api_key("acme", [Scope.WRITE], cluster.chance.of("api key"), cluster.clock)
    await cluster.access.add(stored)
    while any(host.service is None for host in cluster.hosts.values()):  # noqa: ASYNC110 - time is virtual
        await asyncio.sleep(LOOK_S)
    workload = Workload(
        cluster, cluster.chance.stream("workload"), {"authorization": f"Bearer {key}"}, history=history
    )
    await workload.publish(shape.randint(1, 3))
    raging = asyncio.create_task(nemesis.rage())
    await workload.run(seconds)
    await nemesis.calm()
    await raging
    await workload.ask_again()
    if not await _converged(cluster):
        found.complaints.append(f"not converged {CONVERGED_S:.0f} simulated seconds after calm")
    found.complaints += await checks.everything(cluster, history, mailbox)


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


class _Errors(logging.Handler):
    """Whatever a service logs as an error: a defect, or something that no run may come to."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, with its exception's last line."""
        error = record.exc_info[1] if record.exc_info else None
        self._found.append(
            f"{record.getMessage()}: {type(error).__name__}: {error}" if error else record.getMessage()
        )


@contextmanager
def _defects_of_services(found: list[str]) -> Iterator[None]:
    """Errors in the logs of the services are complaints; anything less is what faults look like."""
    logger, handler = logging.getLogger("veltrix"), _Errors(found)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _digest(found: Run, history: list[Said]) -> str:
    said = [
        (each.kind, each.key, each.sent_s, each.heard_s, each.status, repr(each.answer)) for each in history
    ]
    whole = repr((found.steps, found.simulated_s, found.story, found.complaints, said))
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
