"""Sites and marks in the real code: nothing in production, drawn in a simulation, each of them known."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from veltrix.ports import simulated
from veltrix.ports.simulated import MARKS, SITES, buggify, sometimes
from veltrix.simulation.difficulties import Difficulties
from veltrix.simulation.loop import SimulatedLoop

SRC = Path(simulated.__file__).parents[1]


def named(function: str) -> set[str]:
    """What the code asks or tells, by the name it gives."""
    found: set[str] = set()
    for path in SRC.rglob("*.py"):
        found |= set(re.findall(rf'\b{function}\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    return found


def test_the_tables_name_what_the_code_has():
    """Every site and every mark in the code stands in its table, and nothing else does; there are many."""
    assert named("buggify") == set(SITES)
    assert named("sometimes") == set(MARKS)
    assert len(SITES) >= 10


def test_production_is_never_difficult():
    """Outside of a simulation no site is difficult, and a mark tells nobody."""
    assert not any(buggify(site) for site in SITES for _ in range(100))
    sometimes("not even in the table")


def drawn(seed: int) -> tuple[dict[str, float], list[bool]]:
    """Which sites a seed enables, and what they say in a run."""
    loop, difficulties = SimulatedLoop(Random(1)), Difficulties(Random(seed))
    loop.surroundings.append(difficulties.installed)
    difficulties.calm = False

    async def main() -> list[bool]:
        return [buggify(site) for _ in range(200) for site in sorted(SITES)]

    said = loop.run(main())
    loop.bury()
    assert sum(difficulties.reached.values()) == sum(said)
    assert set(difficulties.reached) <= set(difficulties.shares)
    return difficulties.shares, said


def test_a_run_draws_a_half_of_the_sites():
    """The seed decides which sites are difficult, and when; over some seeds each of them is."""
    assert drawn(1) == drawn(1)
    enabled = [drawn(seed)[0] for seed in range(20)]
    assert all(0 < len(shares) < len(SITES) for shares in enabled)
    assert set().union(*enabled) == set(SITES)


def test_who_only_watches_and_who_is_calm_meets_no_difficulty():
    """Code that belongs to no host, and everybody once all is calm, is left alone."""
    loop, difficulties = SimulatedLoop(Random(1)), Difficulties(Random(2))
    loop.surroundings.append(difficulties.installed)
    difficulties.calm = False
    assert not any(difficulties.difficult(site) for site in SITES for _ in range(100))
    difficulties.calm = True

    async def main() -> bool:
        return any(buggify(site) for site in SITES for _ in range(100))

    assert loop.run(main()) is False
    loop.bury()


def test_an_unknown_name_is_a_defect():
    """A site or a mark that is not in its table is an error where it is met, so that none is forgotten."""
    difficulties = Difficulties(Random(1))
    with pytest.raises(AssertionError, match="not in the table"):
        difficulties.difficult("nowhere")
    with pytest.raises(AssertionError, match="not in the table"):
        difficulties.happened("never")
