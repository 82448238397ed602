"""What a fault did, seen from outside: how long nothing was decided, and how long nothing was taken in.

A stall is a time in which somebody waits and nobody is answered. That nobody is answered because nobody asks
is none: a slow schedule must not look like an outage.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from veltrix.cluster.plan import Node
from veltrix.load.client import Asker, ClientError, Target
from veltrix.promises.history import History

STARVED_MIN_S: Final = 0.25
LOOK_EVERY_S: Final = 0.25
_LOOK_MAX_S: Final = 0.5
_SAMPLE: Final = re.compile(
    rb'^veltrix_(next_offset\{partition="(\d+)"\}|fenced_total|terms_held) ([0-9.e+]+)$', re.MULTILINE
)

Pair = tuple[float, float]
"""When something was asked and when it was so far, in seconds of the monotonic clock."""


def decided(history: History) -> list[Pair]:
    """When each command was first sent, and when somebody first read its decision."""
    pairs = []
    for asked in history.commands.values():
        read = [
            each.settled_ns or each.received_ns
            for each in asked.attempts
            if each.answer is not None and each.received_ns is not None
        ]
        if read:
            pairs.append((asked.first.sent_ns / 1e9, min(time_ns or 0 for time_ns in read) / 1e9))
    return pairs


def taken_in(history: History) -> list[Pair]:
    """The same for "it is in the log", of those who asked not to be kept waiting for the decision."""
    pairs = []
    for asked in history.commands.values():
        if not asked.first.impatient:
            continue
        read = [
            each.received_ns
            for each in asked.attempts
            if each.received_ns is not None and (each.answer is not None or each.status_code == 202)
        ]
        if read:
            pairs.append((asked.first.sent_ns / 1e9, min(read) / 1e9))
    return pairs


def longest_stall(pairs: Iterable[Pair], from_s: float, until_s: float) -> float:
    """The longest stall that begins before `until_s` and ends after `from_s`, counted from there; or 0.

    It begins with the last answer before, or when the first of those who wait has asked.
    """
    done = sorted((done_s, sent_s) for sent_s, done_s in pairs)
    oldest_waiting_s = [0.0] * len(done)
    oldest_s = float("inf")
    for index in range(len(done) - 1, -1, -1):
        oldest_s = min(oldest_s, done[index][1])
        oldest_waiting_s[index] = oldest_s
    longest_s = 0.0
    for index in range(1, len(done)):
        before_s, after_s = done[index - 1][0], done[index][0]
        if after_s <= from_s or before_s >= until_s:
            continue
        longest_s = max(longest_s, after_s - max(before_s, from_s, oldest_waiting_s[index]))
    return longest_s if longest_s >= STARVED_MIN_S else 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a processing process said at a time: how far each partition is that it decided."""

    at_s: float
    offsets: Mapping[int, int]
    fenced: int
    owned: int


@dataclass(slots=True)
class Offsets:
    """Looks at every processing process again and again, as an operator's monitoring would."""

    nodes: Sequence[Node]
    looks: dict[str, list[Look]] = field(default_factory=dict)

    async def watch(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for node in self.nodes:
                group.create_task(self._watch(node))

    async def _watch(self, node: Node) -> None:
        asker = Asker(Target.of(f"http://{node.endpoint('operations')}"), timeout_s=_LOOK_MAX_S)
        seen = self.looks.setdefault(node.name, [])
        try:
            while True:
                try:
                    answer = await asker.ask("GET", "/metrics")
                except ClientError:
                    await asker.close()
                else:
                    seen.append(read_look(answer.body))
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await asker.close()

    def decider_of(self, partition: int) -> str | None:
        """Who moved the partition on last."""
        latest = (0.0, "")
        for name, looks in self.looks.items():
            moved_s = 0.0
            for before, after in pairwise(looks):
                if after.offsets.get(partition, -1) > before.offsets.get(partition, -1):
                    moved_s = after.at_s
            if moved_s:
                latest = max(latest, (moved_s, name))
        return latest[1] or None

    def moves(self, partition: int) -> list[float]:
        """When the partition was seen further than ever before, whoever decided it."""
        seen = sorted(
            (look.at_s, look.offsets[partition])
            for looks in self.looks.values()
            for look in looks
            if partition in look.offsets
        )
        moves, furthest = [], -1
        for at_s, offset in seen:
            if offset > furthest:
                furthest = offset
                moves.append(at_s)
        return moves

    def pause_of(self, partition: int, from_s: float, until_s: float) -> float:
        """The longest time without a move that began before `until_s`, from `from_s` on."""
        moves = self.moves(partition)
        gaps = (
            after_s - max(before_s, from_s)
            for before_s, after_s in pairwise(moves)
            if after_s > from_s and before_s < until_s
        )
        return max(gaps, default=0.0)

    def last_before(self, name: str, at_s: float) -> Look | None:
        """The last look at a process before a time."""
        return next((look for look in reversed(self.looks.get(name, [])) if look.at_s <= at_s), None)

    def first_after(self, name: str, at_s: float) -> Look | None:
        """The first look at a process after a time."""
        return next((look for look in self.looks.get(name, []) if look.at_s > at_s), None)


def read_look(page: bytes) -> Look:
    """What a metrics page says."""
    offsets: dict[int, int] = {}
    numbers = {b"fenced_total": 0, b"terms_held": 0}
    for name, partition, value in _SAMPLE.findall(page):
        if partition:
            offsets[int(partition)] = round(float(value))
        else:
            numbers[name] = round(float(value))
    return Look(time.monotonic(), offsets, numbers[b"fenced_total"], numbers[b"terms_held"])
