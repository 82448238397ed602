"""The benchmarks work; what they measure is no test's business."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.metrics import Page

ROOT = Path(__file__).parents[2]


def test_a_quick_run_fills_the_table():
    """Every part runs at a small size, and none fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "cores, memory",
        "ceiling at 10 connections",
        "registrations at 10 connections",
        "60 at once, all answered after",
        "processing at 100/s over 50 open connections",
        "20 clients of a seats stream",
        "a change has reached all after",
        "registrations, everything observed",
        "ratio of throughput",
    ):
        assert words in done.stdout
    assert "failed" not in done.stdout


def test_a_quick_run_measures_notices():
    """Every step of mails and webhooks runs at a small size, beside its limits, and none fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.notify", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "160"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "cores, memory",
        "mails: assembling and sending",
        "the mail sink itself",
        "webhooks: signing and posting",
        "the webhook sink itself",
        "notices by mail, facts to accepted",
        "3 fast endpoints, no slow one beside them",
        "3 fast endpoints, one of 1 s each beside them",
    ):
        assert words in done.stdout


def test_an_unknown_part_is_refused():
    """A part that is not there is named, with those that are."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "speed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "throughput" in done.stderr


def test_a_histogram_is_read_between_two_looks():
    """Mean and quantiles are of what was added, over all series; a quantile lies within its bucket."""

    def page(*counts: int) -> Page:
        lines = ["# TYPE t histogram"]
        for kind in ("a", "b"):
            for bound, count in zip(("0.01", "0.1", "+Inf"), counts, strict=True):
                lines.append(f't_bucket{{kind="{kind}",le="{bound}"}} {count}.0')
            lines += [
                f't_sum{{kind="{kind}"}} {counts[-1] / 100}',
                f't_count{{kind="{kind}"}} {counts[-1]}.0',
            ]
        return Page("\n".join([*lines, ""]))

    gained = page(110, 120, 120).histogram("t").since(page(10, 10, 10).histogram("t"))
    assert gained.count == 220
    assert gained.mean_s == pytest.approx(0.01)
    assert gained.quantile_s(0.5) == pytest.approx(0.01 * 110 / 200)
    assert 0.01 < gained.quantile_s(0.99) < 0.1
    assert page(1, 1, 1).total("t_count") == 2
