"""What shows that a process which was pushed aside wrote nothing any more: its position, its log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from veltrix.cluster.local import LocalCluster
from veltrix.cluster.plan import Kind
from veltrix.cluster.rehearse_faults import Scene

_STEPS_DOWN: Final = frozenset({"fenced", "partition_interrupted", "partition_lost", "lease_lost"})
_TAKES: Final = "partition_taken"


@dataclass(slots=True)
class Marks:
    """The moments of a rehearsal, in monotonic seconds, and how long each log was when the fault struck.

    `absent` says who did not come back.
    """

    struck_s: float = 0.0
    done_s: float = 0.0
    healing_s: float = 0.0
    healed_s: float = 0.0
    ready_s: float = 0.0
    absent: str = ""
    logs: dict[str, int] = field(default_factory=dict)

    def remember(self, cluster: LocalCluster) -> None:
        """Note where the logs of processing end now."""
        for node in cluster.plan.of(Kind.PROCESSING):
            path = cluster.registry.log(node.name)
            self.logs[node.name] = path.stat().st_size if path.exists() else 0


def shown_fenced(scene: Scene, marks: Marks) -> tuple[list[str], list[str]]:
    """What was seen of the processes that were sidelined, in words; and what should not have been seen."""
    evidence: list[str] = []
    broken: list[str] = []
    for node in scene.sidelined:
        after = scene.offsets.first_after(node.name, marks.healing_s)
        entries = entries_of(scene.cluster, node.name, marks.logs.get(node.name, 0))
        downs = [entry for entry in entries if entry.get("message") in _STEPS_DOWN]
        fenced = sum(entry["message"] == "fenced" for entry in downs)
        takers, taken = _taken(scene, marks, node.name)
        if takers:
            evidence.append(f"{', '.join(sorted(takers))} took partitions under higher terms")
        else:
            broken.append(f"nobody took the partitions of {node.name}")
        if fenced:
            evidence.append(f"{node.name} was fenced {fenced} times")
        if after is None:
            continue
        for partition, taken_at in sorted(taken.items()):
            stands = after.offsets.get(partition)
            if stands is None or _takes_back(entries, partition):
                continue
            if stands > taken_at:
                broken.append(f"{node.name} went on deciding partition {partition} beyond {taken_at}")
            else:
                evidence.append(f"{node.name} left partition {partition} at {stands}, taken at {taken_at}")
    return evidence, broken


def _taken(scene: Scene, marks: Marks, name: str) -> tuple[set[str], dict[int, int]]:
    """Who took partitions since the fault, but for this process; and which, first at which offset."""
    takers: set[str] = set()
    taken: dict[int, int] = {}
    for other in scene.offsets.nodes:
        if other.name == name:
            continue
        for entry in entries_of(scene.cluster, other.name, marks.logs.get(other.name, 0)):
            if entry.get("message") == _TAKES:
                takers.add(other.name)
                partition, offset = int(str(entry["partition"])), int(str(entry["next_offset"]))
                taken[partition] = min(offset, taken.get(partition, offset))
    return takers, taken


def _takes_back(entries: list[dict[str, object]], partition: int) -> bool:
    return any(entry.get("message") == _TAKES and entry.get("partition") == partition for entry in entries)


def entries_of(cluster: LocalCluster, name: str, start: int) -> list[dict[str, object]]:
    """What a process has written to its log since it was `start` bytes long."""
    try:
        with cluster.registry.log(name).open("rb") as log:
            log.seek(start)
            lines = log.read().splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries
