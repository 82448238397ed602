"""What a move or a restore did, in numbers, and whether it may be relied on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

Step = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(slots=True)
class MoveReport:
    """What was carried. `rows` by table; `undecided` commands are decided by the cluster."""

    source: str
    partitions: int = 0
    records: int = 0
    undecided: int = 0
    resumed: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    audits: dict[str, str] = field(default_factory=dict)
    master_key: str = ""
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether everything is there, and log and ledger agree on both sides."""
        return not self.reason

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"verdict": "PASS" if self.passed else "FAIL", **asdict(self)}


@dataclass(slots=True)
class RestoreReport:
    """What was done by partition, and what is left to an operator."""

    decided: dict[int, int] = field(default_factory=dict)
    compared: int = 0
    erasures: int = 0
    held: int = 0
    generation: int = 0
    audit: str = ""
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether log and ledger agree."""
        return not self.reason

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"verdict": "PASS" if self.passed else "FAIL", **asdict(self)}
