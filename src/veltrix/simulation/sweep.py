"""Many runs, several at once; some of them twice, to see that a seed is one history."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from veltrix.ports.simulated import MARKS, SITES
from veltrix.simulation.explore import Run, run
from veltrix.simulation.faults import FAULTS

TWICE_EVERY: Final = 20
"""Of so many seeds one is run twice: 5 %."""


@dataclass(slots=True)
class Sweep:
    """What many runs came to."""

    runs: int = 0
    requests: int = 0
    simulated_s: float = 0.0
    twice: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    failed: list[Run] = field(default_factory=list)

    def add(self, found: Run) -> None:
        """Count one more."""
        self.runs += 1
        self.requests += found.requests
        self.simulated_s += found.simulated_s
        self.twice += found.twice
        self.reached.update(found.reached)
        if not found.passed:
            self.failed.append(found)

    def missed(self) -> list[str]:
        """Every kind of fault, site and mark that no run came to."""
        all_of_them = [*FAULTS, *(f"site {site}" for site in SITES), *(f"mark {mark}" for mark in MARKS)]
        return [name for name in all_of_them if not self.reached[name]]


def explore(seeds: Iterable[int], seconds: float, jobs: int = 1) -> Iterator[Run]:
    """The runs in the order of their seeds, `jobs` at once. Who stops listening ends what is under way."""
    one = _One(seconds)
    if jobs == 1:
        yield from map(one, seeds)
        return
    # Workers leave Ctrl-C to whoever asked for them.
    with multiprocessing.get_context("spawn").Pool(
        jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        yield from pool.imap(one, seeds)


class _One:
    """A run, as another process can be asked for it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, seed: int) -> Run:
        found = run(seed, self._seconds)
        if seed % TWICE_EVERY == 0:
            found.twice = True
            again = run(seed, self._seconds)
            if again.digest != found.digest:
                found.complaints.append(f"not repeatable: digests {found.digest} and {again.digest}")
        if found.passed:
            found.plan = None
        return found
