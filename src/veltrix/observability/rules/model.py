"""What a rule is, as Prometheus knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

# Where the shipped files say that the runbooks are; whoever hosts them elsewhere writes the files anew.
RUNBOOKS: Final = "https://veltrix.example.org/docs/runbooks.md"
# The job that all of Veltrix' processes are scraped under; its targets carry `service` and `instance`.
JOB: Final = "veltrix"


class Severity(StrEnum):
    """Who is to act, and when."""

    CRITICAL = "critical"  # somebody, now: people notice, or will within the hour
    WARNING = "warning"  # somebody, this working day


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes at each evaluation."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """As it stands in a file of rules."""
        shown: dict[str, object] = {"record": self.record, "expr": self.expr}
        if self.labels:
            shown["labels"] = dict(self.labels)
        return shown


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition under which somebody is to act. Each name has its section in docs/runbooks.md.

    `summary` says what is wrong in words that do not change; `description` for whom and how much, with the
    labels and the value. `hold` is how long the condition must last ("for" is a word of Python's).
    """

    name: str
    severity: Severity
    expr: str
    hold: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The anchor of its section among the runbooks."""
        return self.name.lower()

    def document(self, runbooks: str) -> dict[str, object]:
        """As it stands in a file of rules."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity.value} | dict(self.labels),
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks}#{self.anchor}",
            },
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, one after the other."""

    name: str
    interval: str
    rules: Sequence[Recording | Alert]

    def document(self, runbooks: str) -> dict[str, object]:
        """As it stands in a file of rules."""
        rules = [
            rule.document(runbooks) if isinstance(rule, Alert) else rule.document() for rule in self.rules
        ]
        return {"name": self.name, "interval": self.interval, "rules": rules}
