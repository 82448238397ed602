"""Scenarios: plans in files, kept because they once failed. JSON, so that people can read and cut them.

A scenario is a history only for the Python that it was made by and the wire version that it speaks: another
one would run it, and meet something else. It is refused then, with the reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from veltrix.domain import limits
from veltrix.ports.simulated import SITES
from veltrix.simulation.bounds import TIGHT
from veltrix.simulation.faults import FAULTS, Strike
from veltrix.simulation.plans import Plan, Visit
from veltrix.wire import COMMAND_VERSION

FORMAT: Final = 1
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
SECONDS_MAX: Final = 3_600.0
ENTRIES_MAX: Final = 100_000
_FIELDS: Final = frozenset(
    {
        "scenario",
        "wire",
        "python",
        "found",
        "mutant",
        "complaint",
        "seed",
        "seconds",
        "strikes",
        "visits",
        "sites",
        "bounds",
    }
)


class ScenarioError(Exception):
    """A scenario cannot be run: which field, what is wrong with it, and what to do."""

    def __init__(self, field: str, fault: str, remedy: str) -> None:
        super().__init__(f"{field}: {fault}. {remedy}")
        self.field = field
        self.fault = fault
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Scenario:
    """A plan, and why it is kept. `mutant`: the planted bug that it fails with, where it was made by one."""

    plan: Plan
    found: str
    complaint: str = ""
    mutant: str = ""
    python: str = PYTHON
    wire: int = COMMAND_VERSION


def to_text(scenario: Scenario) -> str:
    """The scenario as a file has it."""
    plan = scenario.plan
    document = {
        "scenario": FORMAT,
        "wire": scenario.wire,
        "python": scenario.python,
        "found": scenario.found,
        "mutant": scenario.mutant,
        "complaint": scenario.complaint,
        "seed": plan.seed,
        "seconds": plan.seconds,
        "sites": dict(plan.sites),
        "bounds": dict(plan.bounds),
        "strikes": [{"number": each.number, "at_s": each.at_s, "fault": each.fault} for each in plan.strikes],
        "visits": [{"number": each.number, "at_s": each.at_s} for each in plan.visits],
    }
    head = {key: value for key, value in document.items() if key not in ("strikes", "visits")}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    for name in ("strikes", "visits"):
        entries = ",\n".join(f"    {json.dumps(entry)}" for entry in document[name])  # type: ignore[attr-defined]  # both are lists
        lines.append(f"  {json.dumps(name)}: [" + (f"\n{entries}\n  ]" if entries else "]"))
        if name == "strikes":
            lines[-1] += ","
    return "{\n" + "\n".join(lines) + "\n}\n"


def from_text(text: str, *, any_python: bool = False) -> Scenario:
    """Read a scenario. Raises `ScenarioError`; `any_python`: also where it would be another history."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ScenarioError(
            "the file", f"it is no JSON ({error})", "Give a file that `shrink` wrote"
        ) from None
    if not isinstance(document, dict):
        raise ScenarioError("the file", "it is no JSON object", "Give a file that `shrink` wrote")
    _versions(document, any_python=any_python)
    unknown = sorted(document.keys() - _FIELDS)
    if unknown:
        raise ScenarioError(unknown[0], "there is no such field", "Remove it")
    read = _Reader(document)
    plan = Plan(
        seed=read.number("seed", int, 0, 2**63),
        seconds=float(read.number("seconds", (int, float), 0, SECONDS_MAX)),
        strikes=tuple(read.each("strikes", _strike)),
        visits=tuple(read.each("visits", _visit)),
        sites=tuple(read.shares("sites", SITES).items()),
        bounds=tuple(read.shares("bounds", TIGHT, most=float(limits.UNDECIDED_MAX)).items()),
    )
    return Scenario(
        plan,
        found=read.text("found"),
        complaint=read.text("complaint"),
        mutant=read.text("mutant"),
        python=document["python"],
        wire=document["wire"],
    )


def _versions(document: dict[str, Any], *, any_python: bool) -> None:
    """What another version of it means is not known here."""
    if document.get("scenario") != FORMAT:
        raise ScenarioError(
            "scenario", f"format {document.get('scenario')!r} is not known, {FORMAT} is",
            "Make the scenario anew: `veltrix simulate shrink SEED`",
        )  # fmt: skip
    if document.get("wire") != COMMAND_VERSION:
        raise ScenarioError(
            "wire", f"it speaks wire version {document.get('wire')!r}, this Veltrix speaks {COMMAND_VERSION}",
            "Make the scenario anew with this version, or run the version that made it",
        )  # fmt: skip
    python = document.get("python")
    if not isinstance(python, str):
        raise ScenarioError("python", "it is missing, or no text", f'Say which Python made it, as "{PYTHON}"')
    if python != PYTHON and not any_python:
        raise ScenarioError(
            "python", f"Python {python} made it and this is Python {PYTHON}: it would be another history",
            f"Run it with Python {python}",
        )  # fmt: skip


class _Reader:
    """Takes fields out of a document, or says what is wrong with them."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def number(self, field: str, kind: Any, least: float, most: float) -> Any:
        return _number(self._document, field, field, kind, least, most)

    def text(self, field: str) -> str:
        value = self._document.get(field, "")
        if not isinstance(value, str):
            raise ScenarioError(field, "it is no text", "Give a text")
        return value

    def each(self, field: str, read: Callable[[dict[str, Any], str], Any]) -> list[Any]:
        entries = self._document.get(field)
        if not isinstance(entries, list) or len(entries) > ENTRIES_MAX:
            raise ScenarioError(
                field, f"it is no list of at most {ENTRIES_MAX:,} entries", "Give such a list"
            )
        found = []
        for index, entry in enumerate(entries):
            where = f"{field}[{index}]"
            if not isinstance(entry, dict):
                raise ScenarioError(
                    where, "it is no object", 'Give an object such as {"number": 0, "at_s": 1.5}'
                )
            found.append(read(entry, where))
        return found

    def shares(self, field: str, known: Collection[str], most: float = 1.0) -> dict[str, float]:
        """Numbers by name."""
        found = self._document.get(field, {})
        if not isinstance(found, dict):
            raise ScenarioError(field, "it is no object", "Give an object of names and numbers")
        for name in found:
            if name not in known:
                raise ScenarioError(
                    f"{field}.{name}", "there is no such name", f"Known are {', '.join(sorted(known))}"
                )
            _number(found, name, f"{field}.{name}", (int, float), 0, most)
        return found


def _strike(entry: dict[str, Any], where: str) -> Strike:
    fault = entry.get("fault")
    if fault not in FAULTS:
        known = ", ".join(sorted(FAULTS))
        raise ScenarioError(f"{where}.fault", f"there is no fault {fault!r}", f"Known are {known}")
    return Strike(*_place(entry, where), fault)


def _visit(entry: dict[str, Any], where: str) -> Visit:
    return Visit(*_place(entry, where))


def _place(entry: dict[str, Any], where: str) -> tuple[int, float]:
    number = _number(entry, "number", f"{where}.number", int, 0, 2**31)
    return number, float(_number(entry, "at_s", f"{where}.at_s", (int, float), 0, 2 * SECONDS_MAX))


def _number(entry: dict[str, Any], key: str, where: str, kind: Any, least: float, most: float) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
        raise ScenarioError(where, f"{value!r} is no number from {least:,} to {most:,}", "Give such a number")
    return value
