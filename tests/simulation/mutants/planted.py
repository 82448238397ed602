"""One process with one bug in it: looks for it, or keeps a small scenario that finds it.

`python -m tests.simulation.mutants.planted seeds NAME FIRST COUNT SECONDS` runs seeds until one fails, and
prints what was found as JSON; the empty name plants nothing. `… look …` tries the scenario that is kept for
the bug first. `… keep …` shrinks what seeds find, and writes tests/scenarios/NAME.json.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.planting import Misplanted, plant

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SHRINK_RUNS = 100


def scenario_of(name: str) -> Path:
    """Where the scenario of a mutant is kept."""
    return SCENARIOS / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".json")


def look(name: str, first: int, count: int, seconds: float, *, kept: bool = True) -> dict[str, Any]:
    """Run what is kept, then seeds from `first` on, until something fails."""
    from veltrix.simulation.explore import Run, run, run_plan
    from veltrix.simulation.scenarios import from_text

    began_s, simulated_s, runs, where = time.monotonic(), 0.0, 0, None
    found = Run(first)
    if kept and name and scenario_of(name).exists():
        scenario = from_text(scenario_of(name).read_text(encoding="utf-8"), any_python=True)
        found, runs, where = run_plan(scenario.plan), 1, "kept scenario"
        simulated_s += found.simulated_s
    for seed in range(first, first + count):
        if not found.passed:
            break
        found, runs, where = run(seed, seconds), runs + 1, f"seed {seed}"
        simulated_s += found.simulated_s
    return {
        "found": None if found.passed else where,
        "runs": runs,
        "complaints": found.complaints[:5],
        "simulated_s": round(simulated_s, 1),
        "took_s": round(time.monotonic() - began_s, 1),
    }


def keep(name: str, first: int, count: int, seconds: float) -> dict[str, Any]:
    """Find it by a seed, shrink that, and write it down."""
    from veltrix.simulation.explore import run, run_plan
    from veltrix.simulation.scenarios import Scenario, to_text
    from veltrix.simulation.shrink import shrunk

    for seed in range(first, first + count):
        found = run(seed, seconds)
        if not found.passed:
            break
    else:
        return {"found": None}
    assert found.plan is not None
    small, complaint = shrunk(found, run_plan, most=SHRINK_RUNS)
    why = f"{name} (breaks: {MUTANTS[name].breaks})"
    kept = Scenario(small, found=why, complaint=complaint, mutant=name)
    scenario_of(name).write_text(to_text(kept), encoding="utf-8")
    return {"found": f"seed {seed}", "from": found.plan.size(), "to": small.size(), "complaint": complaint}


def main(what: str, name: str, first: str, count: str, seconds: str) -> int:
    """Plant, look or keep, tell."""
    try:
        if name:
            plant(MUTANTS[name])
        budget = name, int(first), int(count), float(seconds)
        told = keep(*budget) if what == "keep" else look(*budget, kept=what == "look")
    except Misplanted as error:
        told = {"misplanted": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 2 if "misplanted" in told else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
