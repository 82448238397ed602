"""Shrinking: what is left is needed, and nothing else."""

from __future__ import annotations

from veltrix.simulation.faults import Strike
from veltrix.simulation.plans import Plan, Visit
from veltrix.simulation.shrink import Shrinker, kind_of


def plan() -> Plan:
    """Forty faults, two hundred clients, three difficult sites, in twenty seconds."""
    return Plan(
        seed=1,
        seconds=20.0,
        strikes=tuple(Strike(number, number / 2, "crash") for number in range(40)),
        visits=tuple(Visit(number, number / 10) for number in range(200)),
        sites=(("desk.no_reply", 0.1), ("desk.give_up", 0.2), ("relay.tiny_page", 0.3)),
    )


def test_what_is_left_is_what_is_needed():
    """A failure that needs two faults, three clients and a site keeps those, and the time until them."""
    needed = ({3, 17}, {5, 6, 80}, {"desk.give_up"})

    def fails(tried: Plan) -> bool:
        return (
            needed[0] <= {strike.number for strike in tried.strikes}
            and needed[1] <= {visit.number for visit in tried.visits}
            and needed[2] <= {site for site, _ in tried.sites}
        )

    shrinker = Shrinker(fails)
    small = shrinker.shrink(plan())
    assert {strike.number for strike in small.strikes} == needed[0]
    assert {visit.number for visit in small.visits} == needed[1]
    assert {site for site, _ in small.sites} == needed[2]
    assert 8.0 < small.seconds < 9.0
    assert shrinker.tried < 200


def test_a_failure_that_needs_nothing_keeps_nothing():
    """When it fails whatever is left out, everything is."""
    small = Shrinker(lambda tried: True).shrink(plan())
    assert small.size() == (0, 0)
    assert small.seconds <= 1.01


def test_it_ends_when_its_runs_are_used_up():
    """No more runs than it may; the smallest plan so far is what is left."""
    runs = 0

    def fails(tried: Plan) -> bool:
        nonlocal runs
        runs += 1
        return len(tried.visits) > 90

    small = Shrinker(fails, most=10).shrink(plan())
    assert runs == 10
    assert len(small.visits) > 90


def test_complaints_of_one_kind_are_alike():
    """Ids, numbers and places are no difference; words are."""
    one = kind_of("partition 0 offset 12: quarantined: cmd_00ff has a first decision (at 3.125 s)")
    other = kind_of("partition 2 offset 7: quarantined: cmd_aa01 has a first decision (at 11.000 s)")
    assert one == other
    assert one != kind_of("partition 2 offset 7: log time runs back by 5 ms")
