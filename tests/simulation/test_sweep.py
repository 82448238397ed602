"""Fresh seeds on every run of the tests: what they find is a defect, whoever changed what."""

from __future__ import annotations

import os
import time

import pytest

from veltrix.simulation.explore import run
from veltrix.simulation.sweep import Sweep

BUDGET_S = float(os.environ.get("VELTRIX_SIMULATE_BUDGET_S", "45"))
BASE = int(os.environ.get("VELTRIX_SIMULATE_BASE", str(int(time.time()) * 1_000)))
SEEDS_MIN = 3
SECONDS = 10.0


@pytest.mark.timeout(900)  # on a busy machine the last seed may take long; nothing is asserted about it
def test_fresh_seeds_find_nothing(capsys):
    """As many seeds as the time allows, from a base that is printed, and nothing is found."""
    swept, ends_s, seed = Sweep(), time.monotonic() + BUDGET_S, BASE
    while swept.runs < SEEDS_MIN or time.monotonic() < ends_s:
        swept.add(run(seed, SECONDS))
        seed += 1
        if swept.failed:
            break
    with capsys.disabled():
        print(f"\nseeds {BASE} to {seed - 1} ({swept.simulated_s:,.0f} simulated s)", end=" ")  # noqa: T201 - for people
    for found in swept.failed:
        pytest.fail(
            f"veltrix simulate replay {found.seed} --seconds {SECONDS:g}:\n"
            + "\n".join(found.complaints[:20])
        )
