"""Scenarios in files: what is kept runs for ever; what cannot be run is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulation.mutants.catalogue import MUTANTS
from veltrix.simulation.explore import run, run_plan
from veltrix.simulation.scenarios import PYTHON, Scenario, ScenarioError, from_text, to_text

KEPT = sorted((Path(__file__).parents[1] / "scenarios").glob("*.json"))
SEED = 3
SECONDS = 3.0


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """A scenario of a run that passes."""
    plan = run(SEED, SECONDS).plan
    assert plan is not None
    return Scenario(plan, found="nothing; it is an example")


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_is_kept_passes(path):
    """A failure that was once found, and mended or planted on purpose, does not come back."""
    kept = from_text(path.read_text(encoding="utf-8"), any_python=True)
    assert run_plan(kept.plan).complaints == []
    assert kept.found
    assert kept.mutant in MUTANTS or not kept.mutant


def test_something_is_kept():
    """There are scenarios to run."""
    assert KEPT


def test_a_file_is_the_run_again(scenario):
    """What is written and read is the same plan, and leads to the very run of its seed."""
    read = from_text(to_text(scenario))
    assert read == scenario
    assert run_plan(read.plan).digest == run(SEED, SECONDS).digest


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scenario": 99}, "scenario"),
        ({"wire": 99}, "wire"),
        ({"python": "2.7"}, "python"),
        ({"python": None}, "python"),
        ({"seed": -1}, "seed"),
        ({"seed": "one"}, "seed"),
        ({"seed": True}, "seed"),
        ({"seconds": 1e9}, "seconds"),
        ({"seconds": None}, "seconds"),
        ({"found": 1}, "found"),
        ({"strikes": {}}, "strikes"),
        ({"strikes": ["crash"]}, "strikes[0]"),
        ({"strikes": [{"number": 0, "at_s": 1.0, "fault": "a meteor"}]}, "strikes[0].fault"),
        ({"strikes": [{"number": 0, "at_s": -1.0, "fault": "crash"}]}, "strikes[0].at_s"),
        ({"visits": [{"at_s": 1.0}]}, "visits[0].number"),
        ({"visits": None}, "visits"),
        ({"sites": []}, "sites"),
        ({"sites": {"nowhere": 0.5}}, "sites.nowhere"),
        ({"sites": {"desk.no_reply": 2}}, "sites.desk.no_reply"),
        ({"bounds": {"SKY": 1}}, "bounds.SKY"),
        ({"weather": "fine"}, "weather"),
    ],
)
def test_what_cannot_be_run_is_refused(scenario, change, field):
    """A wrong field, another version or another Python: named with the field and the remedy."""
    document = json.loads(to_text(scenario)) | change
    with pytest.raises(ScenarioError) as refused:
        from_text(json.dumps(document))
    assert refused.value.field == field
    assert refused.value.fault
    assert refused.value.remedy


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "null", '{"scenario": 1}', "\x00"])
def test_what_is_no_scenario_is_refused(text):
    """Whatever a file holds: an error that says what is wrong."""
    with pytest.raises(ScenarioError):
        from_text(text)


def test_another_python_is_refused_unless_it_is_asked_for(scenario):
    """It would be another history; who wants to run it all the same must say so."""
    text = to_text(scenario).replace(f'"python": "{PYTHON}"', '"python": "3.99"')
    with pytest.raises(ScenarioError, match=r"3\.99"):
        from_text(text)
    assert from_text(text, any_python=True).plan == scenario.plan
