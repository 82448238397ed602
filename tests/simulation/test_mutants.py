"""The short mutation matrix: every planted bug is found. `make mutants` is the long one, by seeds alone."""

from __future__ import annotations

import pytest

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.matrix import look_for
from tests.simulation.mutants.planted import scenario_of
from tests.simulation.mutants.planting import Misplanted, Mutant, Patch, check

SEEDS = 12
SECONDS = 10.0
PLANTED = [mutant for mutant in MUTANTS.values() if not mutant.equivalent]
SHORT = [mutant for mutant in PLANTED if not mutant.rare]
"""Those that are rare are for `make mutants`."""


def test_there_are_enough():
    """At least twenty bugs, each with a name, a promise that it breaks, and a change of its own."""
    assert len(SHORT) >= 20
    assert sum(mutant.rare for mutant in PLANTED) <= 12
    assert len({mutant.patches for mutant in MUTANTS.values()}) == len(MUTANTS)
    assert all(mutant.breaks and mutant.patches for mutant in MUTANTS.values())


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant):
    """The text that it changes is there, once, and what comes out is Python."""
    check(mutant)


def test_a_mutant_that_does_not_fit_is_told():
    """One whose text is gone, or there twice, raises an error that names module and text."""
    with pytest.raises(Misplanted, match=r"veltrix\.domain\.decider"):
        check(Mutant("gone", "nothing", (Patch("veltrix.domain.decider", "no such text", ""),)))
    with pytest.raises(Misplanted, match="times, not once"):
        check(Mutant("twice", "nothing", (Patch("veltrix.domain.decider", "import", ""),)))
    with pytest.raises(Misplanted, match="there is no module"):
        check(Mutant("nowhere", "nothing", (Patch("veltrix.domain.nowhere", "import", ""),)))


@pytest.mark.timeout(600)  # a process of its own, and how fast it is depends on the machine
@pytest.mark.parametrize("mutant", SHORT, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant):
    """Its kept scenario fails with it, or, where that is another history by now, one of a few seeds does."""
    row = look_for(mutant.name, 0, min(SEEDS, mutant.seeds), SECONDS, kept=scenario_of(mutant.name).exists())
    assert row.found is not None, f"{mutant.name} was not found in {row.runs} runs"
