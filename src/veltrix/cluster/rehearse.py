"""`veltrix cluster rehearse`: let faults befall a cluster under load, measure what they do, check everything.

The load is the open loop of `veltrix load`, on several events at a time, so that several partitions are at
work. Whoever is not answered repeats under the same key; at the end everybody is answered and told, and what
they were told is compared with each other, with the exported ledger, and the ledger with the log.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from veltrix.cluster.local import ClusterError, LocalCluster
from veltrix.cluster.plan import Kind
from veltrix.cluster.rehearse_evidence import Marks, shown_fenced
from veltrix.cluster.rehearse_faults import Fault, Scene
from veltrix.cluster.rehearse_measures import Offsets, decided, longest_stall, taken_in
from veltrix.cluster.rehearse_report import CHECKS, Result
from veltrix.load.client import ClientError
from veltrix.load.command import execute
from veltrix.load.options import LoadOptions, Mix
from veltrix.load.report import LoadReport

READY_S: Final = 240.0
_READY_AGAIN_S: Final = 2.0
_PATIENCE_S: Final = 120.0
_TRY_S: Final = 8.0
_WAIT_S: Final = 4
_TELLING_S: Final = 120.0
_CONNECTIONS_MIN: Final = 30
_MIX: Final = Mix(impatient=0.35)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How a fault is rehearsed: `rate_per_s` people in all over `events` events, `warm_s` before the fault
    and at least `after_s` after it is mended."""

    rate_per_s: float = 40.0
    events: int = 6
    warm_s: float = 6.0
    after_s: float = 12.0
    hold_share: float = 1.0
    seed: int = 1


@dataclass(slots=True)
class _Started:
    """Tells when the clock of a load has started; a `Watcher`."""

    running: asyncio.Event = field(default_factory=asyncio.Event)

    def phase(self, name: str, total: int) -> None:
        """A part of the run begins."""
        del total
        if name == "registering":
            self.running.set()

    def reached(self, done: int) -> None:
        """Of no interest here."""


def new_key(cluster: LocalCluster) -> str:
    """An API key that may write, made as an operator would."""
    made = _veltrix(cluster, "key", "create", "--organizer", "rehearsal", "--scope", "write", "--json")
    if made.returncode:
        raise ClusterError(f"no API key could be made: {made.stderr.strip()}")
    return str(json.loads(made.stdout)["key"])


def audit(cluster: LocalCluster) -> dict[str, Any]:
    """What `veltrix audit` says."""
    done = _veltrix(cluster, "audit", "--json")
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"verdict": "no verdict", "reason": done.stderr.strip()[-300:] or f"code {done.returncode}"}
    return said


def _veltrix(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    configuration = str(cluster.directory / "veltrix.toml")
    return subprocess.run(
        [sys.executable, "-m", "veltrix", *arguments, "--config", configuration],
        capture_output=True,
        text=True,
        check=False,
        cwd=cluster.directory,
    )


async def rehearse(
    cluster: LocalCluster, fault: Fault, rehearsal: Rehearsal, key: str, say: Say = lambda text: None
) -> Result:
    """Let one fault befall the cluster. Raises `ClusterError` when it cannot be rehearsed at all."""
    say("waiting until all is ready")
    await _all_ready(cluster)
    offsets = Offsets(cluster.plan.of(Kind.PROCESSING))
    scene = Scene(cluster, (), offsets)
    if fault.prepare is not None:
        say("setting the scene")
        await asyncio.to_thread(fault.prepare, scene)
        await _all_ready(cluster)
    hold_s = fault.hold_s * rehearsal.hold_share
    looking = asyncio.create_task(offsets.watch())
    started = [_Started() for _ in range(rehearsal.events)]
    loads = [
        asyncio.create_task(execute(options, watcher))
        for options, watcher in zip(_loads(cluster, fault, rehearsal, hold_s, key), started, strict=True)
    ]
    marks = Marks()
    try:
        await _until_running(loads, started)
        say("load runs")
        await asyncio.sleep(rehearsal.warm_s)
        scene.partitions = _busy(offsets)
        marks.remember(cluster)
        marks.struck_s = time.monotonic()
        await asyncio.to_thread(fault.inject, scene)
        marks.done_s = time.monotonic()
        say(f"struck: {', '.join(node.name for node in scene.victims) or scene.host}")
        await asyncio.sleep(hold_s)
        marks.healing_s = time.monotonic()
        await asyncio.to_thread(fault.heal, scene)
        marks.healed_s = time.monotonic()
        say("healed; waiting until everybody is answered and told")
        reports = list(await asyncio.gather(*loads))
        try:
            await _all_ready(cluster, heal=scene)
        except ClusterError as error:
            marks.absent = f"not all came back: {error}".partition("\n")[0]
        marks.ready_s = time.monotonic()
    except ClientError as error:
        raise ClusterError(f"the load could not go on: {error}") from error
    finally:
        for task in (*loads, looking):
            task.cancel()
        await asyncio.gather(*loads, looking, return_exceptions=True)
    say("auditing")
    audited = await asyncio.to_thread(audit, cluster)
    return _judged(fault, scene, marks, reports, audited)


def _loads(
    cluster: LocalCluster, fault: Fault, rehearsal: Rehearsal, hold_s: float, key: str
) -> Iterator[LoadOptions]:
    doors = [f"http://{node.endpoint('http')}" for node in cluster.plan.of(Kind.REGISTRATION)]
    spools = tuple({cluster.directory / "spool"})
    rate_per_s = rehearsal.rate_per_s / rehearsal.events
    duration_s = rehearsal.warm_s + hold_s + max(rehearsal.after_s, fault.goal_s or 0.0)
    people = rate_per_s * duration_s
    # Enough for all who wait at a time: each is held open for a while, then follows a 202.
    connections = max(_CONNECTIONS_MIN, ceil(2 * rate_per_s * (hold_s + 10)))
    for number in range(rehearsal.events):
        first, *also = doors[number % len(doors) :] + doors[: number % len(doors)]
        yield LoadOptions(
            url=first,
            also=tuple(also),
            api_key=key,
            registrants=connections,
            rate_per_s=rate_per_s,
            duration_s=duration_s,
            seed=rehearsal.seed * 100 + number,
            run_tag=f"{fault.name[:12]}-{secrets.token_hex(3)}",
            capacity=round(people * 0.8),
            waitlist=round(people * 0.4),
            title=f"Rehearsal of {fault.name}",
            mix=_MIX,
            timeout_s=_TRY_S,
            wait_s=_WAIT_S,
            patience_s=hold_s + _PATIENCE_S,
            spools=spools,
            telling_s=_TELLING_S,
        )


async def _until_running(loads: Sequence[asyncio.Task[LoadReport]], started: Sequence[_Started]) -> None:
    """Return when all clocks run; a load that ends before says why."""
    waiting = asyncio.create_task(_all_running(started))
    await asyncio.wait({waiting, *loads}, return_when=asyncio.FIRST_COMPLETED)
    for load in loads:
        if load.done():
            load.result()
    await waiting


async def _all_running(started: Sequence[_Started]) -> None:
    for one in started:
        await one.running.wait()


def _busy(offsets: Offsets) -> list[int]:
    """The partitions that move under this load."""
    seen = {partition for looks in offsets.looks.values() for look in looks for partition in look.offsets}
    return sorted(partition for partition in seen if len(offsets.moves(partition)) > 2)


async def _all_ready(cluster: LocalCluster, heal: Scene | None = None) -> None:
    """Everything runs and does its work; what a fault ended for good is started again."""
    nodes = cluster.plan.nodes
    deadline_s = time.monotonic() + READY_S
    while True:
        with suppress(ClusterError):
            await asyncio.to_thread(cluster.start, nodes)
        try:
            await asyncio.to_thread(cluster.wait_ready, nodes, lambda *_: None, READY_S / 4)
        except ClusterError:
            if time.monotonic() > deadline_s:
                raise
        else:
            break
        await asyncio.sleep(_READY_AGAIN_S)
    if heal is not None:
        await asyncio.sleep(_READY_AGAIN_S)  # one more look at metrics and logs of who came back


def _judged(
    fault: Fault, scene: Scene, marks: Marks, reports: Sequence[LoadReport], audited: dict[str, Any]
) -> Result:
    histories = [report.history for report in reports]
    from_s, until_s = marks.struck_s, marks.healing_s
    if fault.goal_s is None:
        until_s = marks.healed_s
    deciding = [longest_stall(decided(history), from_s, until_s) for history in histories]
    intake = [longest_stall(taken_in(history), from_s, until_s) for history in histories]
    offsets = [scene.offsets.pause_of(partition, from_s, until_s) for partition in scene.partitions]
    findings = dict.fromkeys(CHECKS, 0)
    examples: list[str] = []
    for report in reports:
        for finding in report.findings:
            findings[finding.check] += finding.breaches
            examples += [f"{finding.check}: {text}" for text in finding.examples]
    last_s = max((done_s for history in histories for _, done_s in decided(history)), default=from_s)
    evidence, broken = shown_fenced(scene, marks)
    broken += [marks.absent] if marks.absent else []
    return Result(
        fault=fault.name,
        deciding_s=max(deciding, default=0.0),
        intake_s=max(intake, default=0.0),
        offsets_s=max(offsets, default=0.0),
        measure=fault.measure,
        goal_s=fault.goal_s,
        stalled_events=sum(pause_s > 0 for pause_s in deciding),
        answered_after_s=max(0.0, last_s - marks.healed_s),
        ready_after_s=marks.ready_s - marks.healed_s,
        people=sum(report.people for report in reports),
        commands=sum(len(history.commands) for history in histories),
        repeated=sum(report.repeated for report in reports),
        followed=sum(report.followed for report in reports),
        checks=findings,
        examples=tuple([*examples, *broken][:10]),
        audit=str(audited.get("verdict", "no verdict")),
        audit_reason=str(audited.get("reason", "")),
        victims=tuple(node.name for node in scene.victims),
        evidence=tuple(evidence),
        fenced=not broken,
        at_unix_s=time.time(),
    )


def unusable(fault: Fault, error: Exception) -> Result:
    """The result of a fault that could not be rehearsed to its end."""
    nothing = dict.fromkeys(CHECKS, 0)
    return Result(
        fault=fault.name,
        measure=fault.measure,
        goal_s=fault.goal_s,
        checks=nothing,
        error=f"{type(error).__name__}: {error}",
        at_unix_s=time.time(),
    )
