"""What `veltrix doctor` finds: each thing that was looked at, with what to do where it is not well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from veltrix.readiness.findings import Finding, Level


class State(StrEnum):
    """How something is. Only `ill` makes the verdict bad."""

    WELL = "well"
    POOR = "poor"  # it works; it will hurt when something fails
    ILL = "ill"  # it does not work, or not as promised
    UNSEEN = "unseen"  # it could not be looked at, for a reason that is told


@dataclass(frozen=True, slots=True)
class Look:
    """One thing that was looked at."""

    name: str
    state: State
    said: str
    remedy: str = ""


def well(name: str, said: str) -> Look:
    """Nothing to do."""
    return Look(name, State.WELL, said)


def ill(name: str, said: str, remedy: str) -> Look:
    """It does not work."""
    return Look(name, State.ILL, said, remedy)


def poor(name: str, said: str, remedy: str) -> Look:
    """It works, for now."""
    return Look(name, State.POOR, said, remedy)


def unseen(name: str, said: str, remedy: str) -> Look:
    """Nobody knows."""
    return Look(name, State.UNSEEN, said, remedy)


# Findings of the examination for production that mean: it does not work now, whatever it is used for.
NOT_WORKING: Final = frozenset(
    {
        "clients_missing",
        "clock_skew",
        "database_missing",
        "etcd_complains",
        "etcd_unreachable",
        "kafka_unreachable",
        "kafka_version",
        "patroni_version",
        "postgres_primary",
        "postgres_unreachable",
        "postgres_version",
        "readable_secret",
        "sync_standbys",
        "topic_compacted",
        "topic_retention",
        "topic_shape",
        "topic_sizes",
        "topic_timestamps",
    }
)


def of_findings(findings: Iterable[Finding]) -> list[Look]:
    """What the examination found. What only matters in production is poor, not ill."""
    looks = []
    for finding in dict.fromkeys(findings):
        grave = finding.level is not Level.ADVICE and finding.code in NOT_WORKING
        state = State.ILL if grave else State.POOR
        looks.append(Look(finding.what, state, f"{finding.value}: {finding.why}", finding.remedy))
    return looks
