"""Whole runs of the explorer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from veltrix.simulation.explore import run

SEEDS = [0, 4, 6]
SECONDS = 5.0


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_found(seed):
    """Under the faults that the seed draws, everything that Veltrix promises holds."""
    found = run(seed, SECONDS)
    assert found.complaints == []
    assert found.requests > 30
    assert sum(found.reached.values()) > 1


def test_a_seed_is_one_history():
    """Another process with another hash seed comes to the same digest, step for step."""
    here = run(SEEDS[0], SECONDS).digest
    code = f"from veltrix.simulation.explore import run; print(run({SEEDS[0]}, {SECONDS}).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=100
    )
    assert told.stdout.strip() == here
