"""One process with one bug in it: runs seeds until something is found, and prints what as JSON.

`python -m tests.simulation.mutants.planted NAME FIRST COUNT SECONDS`; the empty name plants nothing.
"""

from __future__ import annotations

import json
import sys
import time

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.planting import Misplanted, plant


def look(first: int, count: int, seconds: float) -> dict[str, object]:
    """Run seeds from `first` on until one fails."""
    from veltrix.simulation.explore import run

    began_s, simulated_s = time.monotonic(), 0.0
    for seed in range(first, first + count):
        found = run(seed, seconds)
        simulated_s += found.simulated_s
        if not found.passed:
            break
    return {
        "seed": None if found.passed else seed,
        "runs": seed - first + 1,
        "complaints": found.complaints[:5],
        "simulated_s": round(simulated_s, 1),
        "took_s": round(time.monotonic() - began_s, 1),
    }


def main(name: str, first: str, count: str, seconds: str) -> int:
    """Plant, look, tell."""
    try:
        if name:
            plant(MUTANTS[name])
        told = look(int(first), int(count), float(seconds))
    except Misplanted as error:
        told = {"misplanted": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 2 if "misplanted" in told else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
