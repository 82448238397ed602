"""The mutation matrix: each bug planted alone, in a process of its own, and looked for by the explorer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.planting import Mutant

ROOT = Path(__file__).parents[3]
SECONDS = 12.0
"""Simulated seconds under faults, each run."""
CORRECT = ""
"""In the place of a mutant's name: the code as it is."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one mutant: what found it (None: nothing did), after how many runs."""

    mutant: str
    seconds: float
    found: str | None
    runs: int
    simulated_s: float
    took_s: float
    complaints: list[str] = field(default_factory=list)

    @property
    def as_it_should(self) -> bool:
        """Found; or nothing to find, in correct code or an equivalent."""
        wanted = self.mutant != CORRECT and not MUTANTS[self.mutant].equivalent
        return (self.found is not None) is wanted


class MatrixError(Exception):
    """A mutant could not be looked for at all: it does not fit the code any more, or the process failed."""


def look_for(name: str, first: int, count: int, seconds: float, *, kept: bool = False) -> Row:
    """Plant one bug in a process of its own and run seeds until one fails; `kept`: its scenario first.

    Raises `MatrixError`.
    """
    how = "look" if kept else "seeds"
    module = "tests.simulation.mutants.planted"
    ran = subprocess.run(
        [sys.executable, "-m", module, how, name, str(first), str(count), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    told: dict[str, Any] = json.loads(ran.stdout) if ran.stdout.startswith("{") else {}
    if "runs" not in told:
        raise MatrixError(f"mutant {name!r}: {told.get('misplanted') or ran.stderr[-2000:]}")
    return Row(name, seconds=seconds, **told)


def matrix(
    names: Sequence[str],
    *,
    first: int = 0,
    most: int | None = None,
    seconds: float = SECONDS,
    jobs: int = 1,
    kept: bool = False,
) -> Iterator[Row]:
    """A row for each name, in their order; each within its own budget of seeds, or `most` of them.

    `kept`: what is kept is tried first, and often enough.
    """

    def one(name: str) -> Row:
        budget = MUTANTS[name].seeds if name else max(mutant.seeds for mutant in MUTANTS.values())
        return look_for(name, first, budget if most is None else min(most, budget), seconds, kept=kept)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, names)


def told(mutant: Mutant | None, row: Row) -> str:
    """A row's verdict in words."""
    if mutant is None:
        return "passes" if row.found is None else f"FAILS: {row.found}"
    if mutant.equivalent:
        return "equivalent" if row.found is None else f"FOUND ({row.found}), though said to be equivalent"
    return "NOT FOUND" if row.found is None else row.found
