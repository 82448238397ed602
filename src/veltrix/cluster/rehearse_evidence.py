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
    """The moments of a rehearsal, in monotonic seconds, and how long each log was when the fault struck."""

    struck_s: float = 0.0
    done_s: float = 0.0
    healing_s: float = 0.0
    healed_s: float = 0.0
    ready_s: float = 0.0
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
        before = scene.offsets.last_before(node.name, marks.struck_s)
        after = scene.offsets.first_after(node.name, marks.healing_s)
        entries = entries_of(scene.cluster, node.name, marks.logs.get(node.name, 0))
        downs = [entry for entry in entries if entry.get("message") in _STEPS_DOWN]
        fenced = sum(entry["message"] == "fenced" for entry in downs)
        takers = _takers(scene, marks, node.name)
        if takers:
            evidence.append(f"{', '.join(sorted(takers))} took partitions under higher terms")
        if fenced:
            evidence.append(f"{node.name} was fenced {fenced} times")
        if before is not None and after is not None:
            moved = [
                partition
                for partition in scene.partitions
                if partition in before.offsets
                and partition in _taken_by_others(scene, marks, node.name)
                and not _takes_back(entries, partition)
                and after.offsets.get(partition, 0) > before.offsets[partition]
            ]
            stood = len(scene.partitions) - len(moved)
            evidence.append(f"next_offset of {node.name} stood still on {stood} of {len(scene.partitions)}")
            broken += [f"{node.name} went on deciding partition {partition}" for partition in moved]
        if not takers:
            broken.append(f"nobody took the partitions of {node.name}")
    return evidence, broken


def _takers(scene: Scene, marks: Marks, name: str) -> set[str]:
    return {
        other.name
        for other in scene.offsets.nodes
        if other.name != name
        and any(
            entry.get("message") == _TAKES
            for entry in entries_of(scene.cluster, other.name, marks.logs.get(other.name, 0))
        )
    }


def _taken_by_others(scene: Scene, marks: Marks, name: str) -> set[int]:
    return {
        int(str(entry["partition"]))
        for other in scene.offsets.nodes
        if other.name != name
        for entry in entries_of(scene.cluster, other.name, marks.logs.get(other.name, 0))
        if entry.get("message") == _TAKES and "partition" in entry
    }


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
