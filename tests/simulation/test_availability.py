"""Months of failures in the model: what is computed agrees with what can be computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.cli.console import veltrix
from veltrix.simulation.availability.model import MONTH_S, Outcome, simulate
from veltrix.simulation.availability.profile import (
    Behaviour,
    Failure,
    Malformed,
    Profile,
    Stops,
    load,
    shipped,
)

BEHAVIOUR = Behaviour(held_s=10, patience_s=60, dedupe=True, decided_late=0.0, decided_per_s=100)


def profile(*failures: Failure, behaviour: Behaviour = BEHAVIOUR) -> Profile:
    """A profile with these failures."""
    return Profile("a test", 0.2, behaviour, list(failures))


def failure(stops: Stops, every_days: float, length_s: float, **more: object) -> Failure:
    """A failure that is felt for exactly so long."""
    spread = (length_s, length_s, length_s)
    return msgspec.convert(
        {
            "cause": "it",
            "source": "a test",
            "stops": stops,
            "every_days": every_days,
            "recovery_s": spread,
            **more,
        },
        Failure,
    )


def many(one: Profile, months: float = 4.0, runs: int = 10) -> Outcome:
    """Several runs together."""
    total = Outcome(0.0)
    for seed in range(runs):
        total.add(simulate(one, seed, months))
    return total


def test_without_failures_nothing_is_late():
    """Nothing is refused, late, lost or doubled where nothing fails."""
    found = simulate(profile(), 1, 1.0)
    assert found.commands == pytest.approx(0.2 * MONTH_S, rel=0.01)
    assert (found.accepted, found.in_time, found.lost, found.doubled) == (1.0, 1.0, 0, 0)


def test_the_same_seed_is_the_same_outcome_and_another_is_another():
    """A table can be had again."""
    ha = load("ha")
    assert simulate(ha, 3, 6.0) == simulate(ha, 3, 6.0)
    assert simulate(ha, 3, 6.0) != simulate(ha, 4, 6.0)


def test_refused_is_whom_the_stop_outlasts():
    """Of a stop of 100 s in which a request is held for 10 s, nine tenths of those who come are refused."""
    found = many(profile(failure(Stops.INTAKE, 1.0, 100.0)))
    met = found.failures * 20.0
    assert found.refused == pytest.approx(0.9 * met, rel=0.05)
    assert found.decided_late == pytest.approx(0.09 * met, rel=0.1), "between one and ten seconds they wait"


def test_deciding_that_stops_refuses_nobody():
    """The log takes what comes; whoever comes in the last second is still in time."""
    found = many(profile(failure(Stops.DECIDING, 1.0, 20.0)))
    assert found.refused == 0
    assert found.decided_late == pytest.approx(found.failures * 0.2 * 19.2, rel=0.1)


def test_two_of_three_away_stop_intake_until_one_is_back():
    """What one failure alone does not do, two at once do: they are counted by their repair times."""
    alone = failure(Stops.NOTHING, 30.0, 0.0, repair_h=(24.0, 24.0, 24.0), group="hosts", units=3, needs=1)
    assert many(profile(alone)).refused < many(profile(msgspec.structs.replace(alone, needs=2))).refused
    found = many(profile(msgspec.structs.replace(alone, needs=2)), 12.0, 40)
    # Each of three is away for p = 1/31 of the time, so two are for 3 p² (1 - p) of it, and all for p³.
    share = 3 * (1 / 31) ** 2 * (30 / 31) + (1 / 31) ** 3
    assert found.refused / found.commands == pytest.approx(share, rel=0.25)


def test_an_asynchronous_copy_loses_what_was_told():
    """What was acknowledged shortly before a failure is gone, and its notice was wrong."""
    found = many(profile(failure(Stops.INTAKE, 1.0, 0.0, loses_s=5.0)))
    assert found.lost == pytest.approx(found.failures, rel=0.1)
    assert found.wrong_notices == found.lost


def test_without_keys_and_time_outs_repeats_double():
    """Where nothing tells a repeated request, what hung and was given up is carried out twice."""
    careless = Behaviour(
        held_s=0, patience_s=30, dedupe=False, decided_late=0, decided_per_s=100, executed_late=1.0
    )
    stop = failure(Stops.INTAKE, 1.0, 600.0, repeats_s=3.0)
    found = many(profile(stop, behaviour=careless))
    assert found.doubled > found.failures * 100
    assert found.timed_out == found.refused
    careful = many(profile(stop, behaviour=msgspec.structs.replace(careless, dedupe=True)))
    assert careful.doubled == 0


def test_as_shipped_keeps_its_objective_and_as_found_does_not():
    """The profiles say what the story says: minutes, doubles, wrong notices, time-outs before; none after."""
    ours, before = many(load("ha"), 6.0), many(load("as-found"), 6.0)
    assert ours.accepted >= 0.9999
    assert ours.in_time >= 0.999
    assert (ours.lost, ours.doubled, ours.wrong_notices, ours.timed_out) == (0, 0, 0, 0)
    assert before.longest_s > 300
    assert min(before.lost, before.doubled, before.wrong_notices, before.timed_out) > 0
    assert before.in_time < 0.999


def test_every_rate_has_its_source():
    """A rate without a source is a guess that looks like knowledge: guesses begin with the word."""
    for name in shipped():
        for each in load(name).failure:
            assert each.source, each.cause


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 3", "title"),
        ("nonsense", "key/value"),
        ("", "title"),
        ("recovery_s = [3, 2, 1]", "recovery_s"),
        ("every_days = 0", "every_days"),
        ("needs = 2", "group"),
        ("surprise = true", "surprise"),
        ('stops = "the world"', "stops"),
    ],
)
def test_a_malformed_profile_is_refused_with_the_field(tmp_path: Path, text: str, said: str):
    """The message names the field, and there is no traceback."""
    whole = {
        "title": 'title = "a test"',
        "commands_per_s": "commands_per_s = 1",
        "behaviour": "[behaviour]\nheld_s = 1\npatience_s = 1\ndedupe = true\n"
        "decided_late = 0\ndecided_per_s = 1",
        "failure": '[[failure]]\ncause = "it"\nsource = "a test"',
        "every_days": "every_days = 1",
        "stops": 'stops = "intake"',
        "recovery_s": "recovery_s = [1, 2, 3]",
    }
    name = text.partition(" ")[0]
    lines = [] if not text else list((whole | {name: text}).values())
    path = tmp_path / "profile.toml"
    path.write_text("\n".join(lines))
    with pytest.raises(Malformed, match=said):
        load(str(path))


def test_the_command_says_what_breaks_it(tmp_path: Path):
    """`veltrix simulate availability` ends with a verdict, for programs too."""
    done = veltrix(tmp_path, "simulate", "availability", "--runs", "3", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "PASS"
    assert [one["title"].partition(":")[0] for one in document["profiles"]] == ["ha", "as found"]
    assert any(one["accepted"] < 0.9999 for one in document["what_if"])
    wrong = veltrix(tmp_path, "simulate", "availability", "--faults", "nope")
    assert wrong.returncode == 2
    assert "nope" in wrong.stderr
