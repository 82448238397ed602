"""Who should own which partition: an even share for each member that asks, with few hand-overs. Pure.

Every member computes the same from the same keys, and acts on its own part only. For a moment members may see
different keys; then two want the same partition, or none does, and the transaction in etcd, or the next look,
settles it. Nothing here has to be right for anything to be safe.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A living process: when it joined (a revision), and the partitions that it has or waits for."""

    joined: int
    wants: frozenset[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What this member does now: `take` what is free, `give` what another one lacks."""

    take: tuple[int, ...]
    give: tuple[int, ...]


def spread(
    me: str, members: Mapping[str, Member], owners: Mapping[int, str], leaving: Collection[int] = ()
) -> Plan:
    """My part. `owners` says who owns what is owned; `leaving` is what I am handing over already.

    Shares differ by one at the most; the larger ones go to who owns most, so that little moves. A partition
    goes only to a member that waits for it, to one below its share first: what a member cannot decide (it
    does not know the rules, say) goes to another, beyond its share if need be.
    """
    if me not in members:
        return Plan((), ())
    owned = dict.fromkeys(members, 0)
    for owner in owners.values():
        if owner in owned:
            owned[owner] += 1
    share = _shares(members, owned)
    will_own = dict(owned)
    take = []
    for partition in sorted(
        frozenset().union(*(member.wants for member in members.values())) - owners.keys()
    ):
        able = [name for name, member in members.items() if partition in member.wants]
        chosen = min(
            able, key=lambda name: (will_own[name] >= share[name], will_own[name], members[name].joined)
        )
        will_own[chosen] += 1
        if chosen == me:
            take.append(partition)
    lacking = {name: share[name] - will_own[name] for name in members if share[name] > will_own[name]}
    give = _surplus(me, members, owners, leaving, owned[me] - len(leaving) - share[me], lacking)
    return Plan(tuple(take), tuple(give))


def _shares(members: Mapping[str, Member], owned: Mapping[str, int]) -> dict[str, int]:
    partitions = frozenset().union(*(member.wants for member in members.values()))
    least, larger = divmod(len(partitions), len(members))
    order = sorted(members, key=lambda name: (-owned[name], members[name].joined))
    return {name: least + (rank < larger) for rank, name in enumerate(order)}


def _surplus(
    me: str,
    members: Mapping[str, Member],
    owners: Mapping[int, str],
    leaving: Collection[int],
    surplus: int,
    lacking: dict[str, int],
) -> Iterable[int]:
    for partition in sorted((p for p, owner in owners.items() if owner == me), reverse=True):
        if surplus <= 0:
            return
        if partition in leaving:
            continue
        taker = next((name for name in lacking if lacking[name] and partition in members[name].wants), None)
        if taker is not None:
            lacking[taker] -= 1
            surplus -= 1
            yield partition


def show(partitions: Iterable[int]) -> str:
    """Numbers as runs, for the key of a member: "0-3,7"."""
    runs: list[list[int]] = []
    for number in sorted(partitions):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)


def parse(text: str) -> frozenset[int]:
    """The numbers that `show` wrote; what is something else counts as nothing."""
    found: set[int] = set()
    for run in text.split(","):
        first, dash, last = run.partition("-")
        if first.isdecimal() and (last.isdecimal() or not dash):
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)
