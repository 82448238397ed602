"""`veltrix simulate`."""

from __future__ import annotations

import json

from tests.cli.console import veltrix


def test_exploring_says_what_was_reached(tmp_path):
    """A few seeds: the verdict, what went wrong on purpose, and how fast time passed, for programs too."""
    told = veltrix(tmp_path, "simulate", "explore", "--seeds", "2", "--seconds", "2", "--json")
    said = json.loads(told.stdout)
    assert (told.returncode, said["verdict"], said["seeds"], said["failed"]) == (0, "PASS", 2, [])
    assert said["reached"]
    assert said["simulated_s"] > 4


def test_a_replay_is_the_same_run(tmp_path):
    """The same seed twice: the same story, the same digest."""
    first, second = (veltrix(tmp_path, "simulate", "replay", "3", "--seconds", "2") for _ in range(2))
    assert first.returncode == 0
    assert "VERDICT PASS" in first.stdout
    assert first.stdout == second.stdout
