"""`veltrix simulate`."""

from __future__ import annotations

import json

import pytest

from tests.cli.console import veltrix


def test_exploring_says_what_was_reached(tmp_path):
    """A few seeds: the verdict, what was reached and what was not, how many were run twice; for programs."""
    told = veltrix(tmp_path, "simulate", "explore", "--seeds", "2", "--seconds", "2", "--json")
    said = json.loads(told.stdout)
    assert (told.returncode, said["verdict"], said["seeds"], said["failed"]) == (0, "PASS", 2, [])
    assert said["twice"] == 1
    assert said["reached"]
    assert not said["reached"].keys() & set(said["missed"])
    assert said["simulated_s"] > 4


def test_a_replay_is_the_same_run(tmp_path):
    """The same seed twice: the same timeline, host by host, and the same digest."""
    first, second = (veltrix(tmp_path, "simulate", "replay", "3", "--seconds", "2") for _ in range(2))
    assert first.returncode == 0
    assert "VERDICT PASS" in first.stdout
    assert "nemesis" in first.stdout
    assert "earlier lines" in first.stdout
    assert first.stdout == second.stdout


def test_soaking_leaves_a_file_of_what_failed(tmp_path):
    """It says its base, stops when its time is over, and the file is there, empty where nothing failed."""
    arguments = ("--minutes", "0.0001", "--seconds", "1", "--base", "7", "--failures", "bad.txt")
    told = veltrix(tmp_path, "simulate", "soak", *arguments)
    assert told.returncode == 0
    assert "1 seeds from 7" in told.stdout
    assert (tmp_path / "bad.txt").read_text(encoding="utf-8") == ""


def test_there_is_nothing_to_shrink_in_what_passes(tmp_path):
    """A seed that passes leaves no scenario behind, and the exit code says so."""
    told = veltrix(tmp_path, "simulate", "shrink", "3", "--seconds", "1")
    assert told.returncode == 1
    assert "nothing to shrink" in told.stdout
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"scenario": 1, "wire": 99}', "wire: it speaks wire version 99"),
        ('{"scenario": 1, "wire": 1, "python": "2.7"}', "Python 2.7 made it"),
        ("nonsense", "it is no JSON"),
        (None, "is neither a seed nor a file"),
    ],
)
def test_a_scenario_that_cannot_be_replayed_is_refused(tmp_path, text, said):
    """The field, the fault and the remedy, in one message; exit code 2 and no traceback."""
    if text is not None:
        (tmp_path / "kept.json").write_text(text, encoding="utf-8")
    told = veltrix(tmp_path, "simulate", "replay", "kept.json")
    assert told.returncode == 2
    assert said in told.stderr
    assert "What to do:" in told.stderr
    assert "Traceback" not in told.stderr
