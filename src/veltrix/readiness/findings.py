"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding weighs. Only advice lets the verdict be good."""

    DANGER = "danger"  # a promise does not hold, or will not when something fails
    UNKNOWN = "unknown"  # it could not be looked at
    ADVICE = "advice"  # the promises hold; failures hurt more than they need to


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `what` names it, `value` is how it is now.

    `code` is for programs and stays the same from version to version.
    """

    level: Level
    code: str
    what: str
    value: str
    why: str
    remedy: str


def danger(code: str, what: str, value: object, why: str, remedy: str) -> Finding:
    """A promise that does not hold."""
    return Finding(Level.DANGER, code, what, str(value), why, remedy)


def unknown(code: str, what: str, value: object, why: str, remedy: str) -> Finding:
    """Something that could not be looked at."""
    return Finding(Level.UNKNOWN, code, what, str(value), why, remedy)


def advice(code: str, what: str, value: object, why: str, remedy: str) -> Finding:
    """Something that could be better."""
    return Finding(Level.ADVICE, code, what, str(value), why, remedy)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, the gravest first."""

    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether there is nothing but advice."""
        return all(finding.level is Level.ADVICE for finding in self.findings)
