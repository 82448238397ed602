"""`python -m benchmarks.cluster`: a cluster on this machine, how fast it is, and where the time goes.

Real processes and engines, all on this machine together with the load generator: the figures say what the
pieces cost, not what machines of their own would give. Goals stand beside; nothing is judged.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.metrics import Histogram, Page
from veltrix.cluster.local import ClusterError, LocalCluster
from veltrix.cluster.plan import SERVICES, Kind, Profile
from veltrix.cluster.rehearse import new_key
from veltrix.cluster.tools import Tools
from veltrix.load.client import ClientError
from veltrix.load.command import execute, run_on_fast_loop
from veltrix.load.crowd import raise_file_limit
from veltrix.load.options import SINGLES_ONLY, LoadOptions
from veltrix.load.report import LoadReport

PARTS = ("small", "pair", "ha")
Row = tuple[str, str, str]
STEPS = ("append", "queue", "load", "decide", "commit", "publish", "reply")
_SETTLE_S = 3.0


@dataclass(frozen=True)
class Sizes:
    """How large the runs are."""

    connections: int = 200
    people: int = 6_000
    events: int = 12
    duration_s: float = 15.0
    small_rate: float = 1_000.0
    ha_rates: tuple[float, ...] = (500.0, 1_000.0)
    crowd: int = 10_000

    @classmethod
    def quick(cls) -> "Sizes":
        """Shows that it works, not how fast."""
        return cls(20, 120, 3, 2.0, 60.0, (30.0,), 200)


@dataclass(frozen=True)
class Look:
    """Metrics and CPU time of all of it at one moment."""

    pages: dict[Kind, Page]
    cpu_s: dict[Kind, float]


@dataclass
class Bench:
    """A running cluster under measurement."""

    cluster: LocalCluster
    key: str
    say: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)

    @property
    def doors(self) -> list[str]:
        """Where people register."""
        return [f"http://{node.endpoint('http')}" for node in self.cluster.plan.of(Kind.REGISTRATION)]

    def look(self) -> Look:
        """As it is now; processes that are stopped are left out."""
        pages, cpu_s = {}, {}
        for kind in Kind:
            texts = []
            cpu_s[kind] = 0.0
            for node in self.cluster.plan.of(kind):
                if self.cluster.registry.find(node.name) is None:
                    continue
                for process in self.cluster.processes(node):
                    try:
                        times = psutil.Process(process.pid).cpu_times()
                    except psutil.Error:
                        continue
                    cpu_s[kind] += times.user + times.system
                if kind in SERVICES:
                    port = "http" if kind is Kind.REGISTRATION else "operations"
                    with urlopen(f"http://{node.endpoint(port)}/metrics", timeout=30) as answer:
                        texts.append(answer.read().decode())
            pages[kind] = Page("\n".join(texts))
        return Look(pages, cpu_s)

    def options(self, people: int, number: int = 0, **more: object) -> LoadOptions:
        """A run of one seat a person; each event's connections begin at another door."""
        doors = self.doors[number % len(self.doors) :] + self.doors[: number % len(self.doors)]
        base: dict[str, object] = {
            "url": doors[0],
            "also": tuple(doors[1:]),
            "api_key": self.key,
            "registrants": people,
            "capacity": 2 * people,
            "waitlist": None,
            "one_per_email": False,
            "pools": 1,
            "mix": SINGLES_ONLY,
            "seed": number + 1,
            "timeout_s": 60.0,
            "patience_s": 120.0,
        }
        return LoadOptions(**(base | more))  # type: ignore[arg-type] # names and types as LoadOptions has them

    async def settle(self) -> None:
        """Let notices and checkpoints of the run before go by."""
        await asyncio.sleep(_SETTLE_S)


def gained(before: Look, after: Look, kind: Kind, name: str) -> Histogram:
    """What a histogram gained, over all processes of a kind."""
    return after.pages[kind].histogram(name).since(before.pages[kind].histogram(name))


def steps_ms(before: Look, after: Look) -> dict[str, float]:
    """Where the time goes, each a mean. `queue` is what deciding leaves over: waiting for the batch before;
    `reply` is what the wait in registration leaves over."""
    batch = {
        step: gained(before, after, Kind.PROCESSING, f"veltrix_{name}_seconds").mean_s * 1e3
        for step, name in {
            "load": "batch_load",
            "decide": "batch_decide",
            "commit": "batch_commit",
            "publish": "publish",
        }.items()
    }
    decision_ms = gained(before, after, Kind.PROCESSING, "veltrix_decision_seconds").mean_s * 1e3
    append_ms = gained(before, after, Kind.REGISTRATION, "veltrix_log_append_seconds").mean_s * 1e3
    waited_ms = gained(before, after, Kind.REGISTRATION, "veltrix_decision_wait_seconds").mean_s * 1e3
    found = {"append": append_ms, **batch}
    found["queue"] = max(0.0, decision_ms - sum(batch.values()))
    found["reply"] = max(0.0, waited_ms - append_ms - decision_ms + batch["publish"])
    return {step: found[step] for step in STEPS}


def cpu_text(before: Look, after: Look, requests: int) -> str:
    """CPU a request by kind of process, the dearest first."""
    used = {kind: (after.cpu_s[kind] - before.cpu_s[kind]) / max(1, requests) * 1e6 for kind in Kind}
    shown = sorted(used.items(), key=lambda item: -item[1])
    return "CPU µs a request: " + ", ".join(f"{kind} {value:,.0f}" for kind, value in shown if value >= 1)


async def closed(
    bench: Bench, people: int, connections: int, events: int
) -> tuple[float, LoadReport, Look, Look]:
    """Everybody as fast as they can over a few connections; registrations a second over all events."""
    await bench.settle()
    before = bench.look()
    each = max(1, connections // events)
    options = [
        bench.options(people // events, number, concurrency=each, connections=each)
        for number in range(events)
    ]
    reports = await asyncio.gather(*(execute(one) for one in options))
    after = bench.look()
    began = min(report.history.attempts[0].sent_ns for report in reports)
    ended = max(a.settled_ns or a.received_ns or 0 for report in reports for a in report.history.attempts)
    rate = sum(report.figures.registered for report in reports) / ((ended - began) / 1e9)
    worst = next((one for one in reports if one.verdict.word != "PASS"), reports[0])
    return rate, worst, before, after


async def throughput(bench: Bench, sizes: Sizes) -> None:
    """One hot event, then many."""
    for events in (1, sizes.events):
        rate, report, before, after = await closed(bench, sizes.people, sizes.connections, events)
        what = "one hot event" if events == 1 else f"{events} events"
        bench.say(f"{what}: {rate:,.0f}/s")
        remark = f"{sizes.connections} connections; {report.verdict}"
        bench.rows.append((f"registrations, {what}", f"{rate:,.0f}/s", remark))
        bench.rows.append(("", "", cpu_text(before, after, sizes.people)))


async def latency(bench: Bench, rate: float, duration_s: float, goal: str) -> None:
    """An open loop on one event: processing latency, its parts, and what clients saw."""
    await bench.settle()
    before = bench.look()
    people = round(2 * rate * duration_s)
    options = bench.options(max(50, round(rate * 2)), rate_per_s=rate, duration_s=duration_s, capacity=people)
    report = await execute(options)
    after = bench.look()
    seen, late = report.figures.total.latency, report.figures.lateness
    decisions = gained(before, after, Kind.PROCESSING, "veltrix_decision_seconds")
    at = f"processing at {rate:,.0f}/s"
    bench.say(f"{at}: mean {decisions.mean_s * 1e3:.1f} ms")
    p99 = f"p50 {decisions.quantile_s(0.5) * 1e3:.1f}, p99 {decisions.quantile_s(0.99) * 1e3:.1f} ms"
    bench.rows.append((at, f"mean {decisions.mean_s * 1e3:.1f} ms", f"{p99}; {goal}"))
    steps = steps_ms(before, after)
    bench.rows.append(
        ("", "where", ", ".join(f"{step} {value:.1f}" for step, value in steps.items()) + " ms")
    )
    size = gained(before, after, Kind.PROCESSING, "veltrix_batch_commands").mean_s
    remark = f"p99 {seen.p99_ms:.1f}, max {seen.max_ms:.0f} ms; batches of {size:.1f}" if seen else "nobody"
    mean = f"mean {seen.mean_ms:.1f} ms" if seen else "-"
    bench.rows.append(("clients saw, from the intended start", mean, remark))
    share = f"{late.share:.1%}" if late else "-"
    bench.rows.append(("left late (> 10 ms)", share, f"{report.verdict}"))
    bench.rows.append(("", "", cpu_text(before, after, len(report.history.attempts))))


async def crowd(bench: Bench, people: int) -> None:
    """Everybody at once."""
    await bench.settle()
    before = bench.look()
    report = await execute(bench.options(people, wait_s=30))
    after = bench.look()
    seen = report.figures.total.latency
    spread = f"p50 {seen.p50_ms / 1e3:.1f}, max {seen.max_ms / 1e3:.1f} s; " if seen else ""
    what = f"{people:,} at once, all answered after"
    bench.rows.append((what, f"{report.figures.registering_s:.1f} s", f"{spread}{report.verdict}"))
    bench.rows.append(("", "", cpu_text(before, after, people)))


async def pair(bench: Bench, sizes: Sizes) -> None:
    """Two processing processes against one, over many partitions."""
    nodes = bench.cluster.plan.of(Kind.PROCESSING)
    rates, costs = [], []
    for count in (2, 1):
        if count == 1:
            await asyncio.to_thread(bench.cluster.stop, nodes[1:])
        rate, report, before, after = await closed(bench, sizes.people, sizes.connections, sizes.events)
        cost_us = (after.cpu_s[Kind.PROCESSING] - before.cpu_s[Kind.PROCESSING]) / sizes.people * 1e6
        rates.append(rate)
        costs.append(cost_us)
        remark = f"{cost_us:,.0f} µs of processing's CPU a decision; {report.verdict}"
        bench.rows.append((f"{count} processing, {sizes.events} events", f"{rate:,.0f}/s", remark))
    cores = psutil.cpu_count() or 1
    remark = (
        f"goal: 1.6 where cores allow (here {cores}); CPU a decision × {costs[0] / max(1e-9, costs[1]):.2f}"
    )
    bench.rows.append(("two against one", f"{rates[0] / rates[1]:.2f} ×", remark))


def connections(bench: Bench) -> None:
    """How long connections to PostgreSQL took to make, over all processes since they started."""
    look = bench.look()
    text = [look.pages[kind] for kind in SERVICES]
    made = [page.histogram("veltrix_postgres_connect_seconds") for page in text]
    count = sum(one.count for one in made)
    mean_ms = sum(one.total_s for one in made) / count * 1e3 if count else float("nan")
    timed_out = sum(
        value
        for page in text
        for name, labels, value in page.samples
        if name == "veltrix_postgres_connects_failed_total" and "timed_out" in labels
    )
    goal = f"{count:,.0f} made, {timed_out:,.0f} timed out; goals: 5 ms, 0"
    bench.rows.append(("connecting to PostgreSQL", f"mean {mean_ms:.1f} ms", goal))


async def measure(part: str, bench: Bench, sizes: Sizes) -> None:
    """One part on its cluster."""
    if part == "pair":
        await pair(bench, sizes)
    elif part == "small":
        await throughput(bench, sizes)
        await latency(bench, sizes.small_rate, sizes.duration_s, "goal: mean at most 5 ms")
    else:
        await throughput(bench, sizes)
        for rate, goal in zip(sizes.ha_rates, ("10 ms", "25 ms"), strict=False):
            await latency(bench, rate, sizes.duration_s, f"goal: mean at most {goal}")
        await crowd(bench, sizes.crowd)
    connections(bench)


@contextmanager
def running(part: str, directory: Path | None, say: Callable[[str], None]) -> Iterator[Bench]:
    """A cluster of its own for a part, removed afterwards; or the one that runs in `directory`."""
    if directory is not None and (directory / "cluster.json").exists():
        there = LocalCluster.open(directory, Tools.here())
        yield Bench(there, new_key(there), say)
        return
    home = Path(tempfile.mkdtemp(prefix="veltrix-bench-", dir=directory or "/var/tmp"))
    profile = Profile.HA if part == "ha" else Profile.SMALL
    cluster, _ = LocalCluster.create(home, Tools.here(), profile, processing=2 if part == "pair" else 0)
    say(f"{part}: starting {len(cluster.plan.nodes)} processes …")
    try:
        cluster.up()
        yield Bench(cluster, new_key(cluster), say)
    finally:
        cluster.down()
        cluster.remove()
        shutil.rmtree(home, ignore_errors=True)


def rows_of(part: str, directory: Path | None, sizes: Sizes, say: Callable[[str], None]) -> list[Row]:
    """Run a part; one that fails says why, so that the others are not lost."""
    rows: list[Row] = [(f"cluster: {part}", "", "")]
    try:
        with running(part, directory, say) as bench:
            try:
                run_on_fast_loop(measure(part, bench, sizes))
            finally:
                rows += bench.rows
    except (ClientError, ClusterError, OSError) as error:
        rows.append((part, "failed", f"{type(error).__name__}: {error}"))
    return rows


def arguments() -> argparse.Namespace:
    """What is to be measured, and how large."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it works")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument(
        "--data", type=Path, help="where the clusters are made (default: /var/tmp), or a running one"
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return chosen


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    raise_file_limit()
    facts = machine.facts()
    say = Console(stderr=True, highlight=False).print
    sizes = Sizes.quick() if chosen.quick else Sizes()
    sections = [rows_of(part, chosen.data, sizes, say) for part in chosen.parts or PARTS]
    failed = any(row[1] == "failed" for section in sections for row in section)
    if chosen.json:
        rows = [
            dict(zip(("what", "measured", "remark"), row, strict=True)) for each in sections for row in each
        ]
        print(json.dumps({"machine": dict(facts), "rows": rows}, indent=2))
        return int(failed)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="Veltrix cluster benchmarks", title_justify="left")
    for name in ("what", "measured", ""):
        table.add_column(name, overflow="fold")
    for name, value in facts:
        table.add_row(name, "", value)
    for section in sections:
        table.add_section()
        for row in section:
            table.add_row(*row)
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=160)
    out.print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
