"""Who should own which partition, played through for members that see the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from veltrix.adapters.etcd.spread import Member, Plan, parse, show, spread

EIGHT = frozenset(range(8))


class Table:
    """Members that act on the same keys, one after the other."""

    def __init__(self, members: dict[str, Member], owners: dict[int, str] | None = None) -> None:
        self.members = members
        self.owners = dict(owners or {})
        self.moves = 0

    def settle(self) -> dict[str, set[int]]:
        """Let everyone act until nobody has anything to do; what each owns then."""
        for _ in range(100):
            plans = {name: spread(name, self.members, self.owners) for name in self.members}
            taken = [partition for plan in plans.values() for partition in plan.take]
            assert len(taken) == len(set(taken)), "nobody competes with who sees the same"
            for name, plan in plans.items():
                self.owners |= dict.fromkeys(plan.take, name)
                for partition in plan.give:
                    assert self.owners.pop(partition) == name
                    self.moves += 1
            if not any(plan.take or plan.give for plan in plans.values()):
                return {
                    name: {p for p, owner in self.owners.items() if owner == name} for name in self.members
                }
        raise AssertionError("it never settles")


def test_one_member_owns_everything():
    """Alone it takes all that it wants."""
    assert Table({"a": Member(1, EIGHT)}).settle() == {"a": set(EIGHT)}


def test_who_joins_gets_its_share_and_nothing_else_moves():
    """Shares differ by one at the most, and as little as possible changes hands."""
    table = Table({"a": Member(1, EIGHT), "b": Member(2, EIGHT)}, dict.fromkeys(EIGHT, "a"))
    assert sorted(map(len, table.settle().values())) == [4, 4]
    assert table.moves == 4
    table.members["c"] = Member(3, EIGHT)
    assert sorted(map(len, table.settle().values())) == [2, 3, 3]
    assert table.moves == 4 + 2


def test_what_a_member_does_not_want_goes_to_another_beyond_its_share():
    """A partition that one member cannot decide is decided by another; the rest is spread evenly."""
    shares = Table({"a": Member(1, EIGHT), "b": Member(2, EIGHT - {6, 7})}).settle()
    assert {6, 7} <= shares["a"]
    assert sorted(map(len, shares.values())) == [4, 4]
    shares = Table({"a": Member(1, EIGHT), "b": Member(2, frozenset({0}))}).settle()
    assert shares == {"a": set(EIGHT - {0}), "b": {0}} or shares["a"] == set(EIGHT)


def test_what_is_being_handed_over_counts_as_given():
    """A hand-over that is under way is not begun twice, and no other in its place."""
    members = {"a": Member(1, EIGHT), "b": Member(2, EIGHT)}
    owners = dict.fromkeys(EIGHT, "a")
    first = spread("a", members, owners)
    assert len(first.give) == 4
    assert spread("a", members, owners, first.give).give == ()


def test_who_has_not_joined_does_nothing():
    """Before its own key is seen a member takes and gives nothing."""
    for members in ({}, {"b": Member(1, EIGHT)}):
        assert spread("a", members, {0: "a"}) == Plan((), ())


@given(
    members=st.dictionaries(
        st.sampled_from("abcdef"),
        st.tuples(st.integers(1, 20), st.frozensets(st.integers(0, 11))),
        min_size=1,
    ),
    owners=st.dictionaries(st.integers(0, 11), st.sampled_from("abcdefxy")),
)
def test_it_always_settles_with_everything_wanted_owned(
    members: dict[str, tuple[int, frozenset[int]]], owners: dict[int, str]
):
    """From any state, also with members that want different things and keys of the dead: it comes to rest,
    and what somebody wants is owned; where all want the same, shares differ by one at the most."""
    living = {name: Member(joined, wants) for name, (joined, wants) in members.items()}
    # An owner that no longer wants what it owns releases it by itself.
    standing = {p: o for p, o in owners.items() if o not in living or p in living[o].wants}
    shares = Table(living, standing).settle()
    owned = set(standing) | set().union(*shares.values())
    assert owned >= set().union(*(member.wants for member in living.values()))
    if len({member.wants for member in living.values()}) == 1 and set(standing.values()) <= set(living):
        sizes = [len(share) for share in shares.values()]
        assert max(sizes) - min(sizes) <= 1


@given(st.frozensets(st.integers(0, 5_000)))
def test_what_is_shown_is_read_again(partitions: frozenset[int]):
    """Runs of numbers come back as they were; nonsense counts as nothing."""
    assert parse(show(partitions)) == partitions
    assert parse("x,1-,-3,½") == frozenset()
