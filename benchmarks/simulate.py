"""`python -m benchmarks.simulate`: how much simulated time a second of one core gets through, and why.

All figures are CPU seconds of this process, so that what else runs here counts little. A command is a record
of the simulated log; the real services handle each, whether it is decided or turned away.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from veltrix.simulation import explore
from veltrix.simulation.plans import PlannedWorkload

GOAL: Final = 100.0
COMMANDS_GOAL: Final = 20.0
_PARTS: Final = (
    ("veltrix/registration", "registration"),
    ("veltrix/processing", "processing"),
    ("veltrix/notification", "notification"),
    ("veltrix/domain", "deciding and values"),
    ("veltrix/wire", "deciding and values"),
    ("veltrix/sealing", "deciding and values"),
    ("veltrix/simulation/loop", "the event loop"),
    ("asyncio", "the event loop"),
    ("veltrix/simulation/network", "the network"),
    ("veltrix/adapters/memory", "the engines' state"),
    ("veltrix/simulation/workload", "the clients"),
    ("veltrix/simulation/plans", "the clients"),
    ("veltrix/simulation/witness", "witness and checks"),
    ("veltrix/simulation/checks", "witness and checks"),
    ("veltrix/promises", "witness and checks"),
    ("veltrix/audit", "witness and checks"),
    ("veltrix/simulation", "other simulation"),
)


@dataclass(slots=True)
class Load:
    """What a run was under, from the first client to the last: CPU seconds, simulated seconds, commands."""

    cpu_s: float = 0.0
    simulated_s: float = 0.0
    commands: int = 0


class _Timed(PlannedWorkload):
    """The clients, with a watch."""

    load = Load()

    async def run(self, seconds: float) -> None:
        """Clients come; take note of what that took."""
        log = self.cluster.engines.log
        before = sum(map(len, log._records))
        began_s, began_at_s = time.process_time(), self.cluster.loop.time()
        await super().run(seconds)
        _Timed.load = Load(
            time.process_time() - began_s,
            self.cluster.loop.time() - began_at_s,
            sum(map(len, log._records)) - before,
        )


def _ratio(simulated_s: float, cpu_s: float) -> str:
    return f"{simulated_s / cpu_s:,.1f} : 1"


def measure(console: Console, seeds: range, seconds: float) -> None:
    """Run the seeds and print a line for each."""
    table = Table(
        "seed", "simulated s", "CPU s", "ratio", "under load", "commands/s", "steps", box=SIMPLE_HEAD
    )
    simulated_s = cpu_s = 0.0
    whole = Load()
    for seed in seeds:
        began_s = time.process_time()
        found = explore.run(seed, seconds)
        spent_s, load = time.process_time() - began_s, _Timed.load
        simulated_s, cpu_s = simulated_s + found.simulated_s, cpu_s + spent_s
        whole = Load(
            whole.cpu_s + load.cpu_s, whole.simulated_s + load.simulated_s, whole.commands + load.commands
        )
        table.add_row(
            f"{seed}" + ("" if found.passed else " FAILED"),
            f"{found.simulated_s:,.1f}",
            f"{spent_s:.2f}",
            _ratio(found.simulated_s, spent_s),
            _ratio(load.simulated_s, load.cpu_s),
            f"{load.commands / load.simulated_s:.1f}",
            f"{found.steps:,}",
        )
    table.add_section()
    table.add_row(
        "all",
        f"{simulated_s:,.1f}",
        f"{cpu_s:.2f}",
        _ratio(simulated_s, cpu_s),
        _ratio(whole.simulated_s, whole.cpu_s),
        f"{whole.commands / whole.simulated_s:.1f}",
        "",
    )
    console.print(table)
    outside_s = (cpu_s - whole.cpu_s) / len(seeds)
    console.print(
        f"goal: {GOAL:.0f} : 1 at {COMMANDS_GOAL:.0f} commands a simulated second, faults on. A seed costs "
        f"{outside_s:.2f} CPU s beside its load: services that start, healing, checks, the audit.",
        soft_wrap=True,
    )


def show_parts(console: Console, seed: int, seconds: float) -> None:
    """Where the time of one run goes, by a profiler that slows all parts alike."""
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    explore.run(seed, seconds)
    profile.disable()
    own: Counter[str] = Counter()
    entries: dict[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # no stub has it
    for (path, _, _), (_, _, spent_s, _, callers) in entries.items():
        if path != "~":
            own[_part(path)] += spent_s
            continue
        for (caller, _, _), (_, _, there_s, _) in callers.items():  # a built-in counts to who called it
            own[_part(caller)] += there_s
    table = Table("part", "share", box=SIMPLE_HEAD)
    for part, spent_s in own.most_common():
        table.add_row(part, f"{spent_s / sum(own.values()):.0%}")
    console.print(table)


def _part(path: str) -> str:
    return next((part for name, part in _PARTS if name in path), "libraries")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="only that it works")
    options = parser.parse_args()
    seeds, seconds = (2, 5.0) if options.quick else (options.seeds, options.seconds)
    console = Console()
    for name, value in machine.facts():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    vars(explore)["PlannedWorkload"] = _Timed
    explore.run(0, 1.0)  # what is made once a process is made now
    measure(console, range(1, 1 + seeds), seconds)
    show_parts(console, 1, seconds)


if __name__ == "__main__":
    main()
