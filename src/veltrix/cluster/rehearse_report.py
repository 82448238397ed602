"""What rehearsals showed: one table for people, one for docs, one object for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from veltrix.cluster.rehearse_faults import BY_NAME, FAULTS, Measure

CHECKS: Final = ("oversold", "doubled", "lost", "out of order", "unanswered", "untold")
ORDER: Final = ("lost", "doubled", "out of order", "oversold", "unanswered", "untold")
BEGIN: Final = "<!-- rehearsed: written by veltrix cluster rehearse -->"
END: Final = "<!-- end of rehearsed -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One fault, once. Pauses are seconds from the fault until it was over; `offsets_s` is the same as
    `deciding_s`, seen by the next_offset of the partitions under load instead of by clients."""

    fault: str
    measure: str
    goal_s: float | None
    deciding_s: float = 0.0
    intake_s: float = 0.0
    offsets_s: float = 0.0
    stalled_events: int = 0
    answered_after_s: float = 0.0
    ready_after_s: float = 0.0
    people: int = 0
    commands: int = 0
    repeated: int = 0
    followed: int = 0
    checks: dict[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    audit: str = ""
    audit_reason: str = ""
    victims: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    fenced: bool = True
    error: str = ""
    at_unix_s: float = 0.0

    @property
    def pause_s(self) -> float:
        """The pause that the goal is about."""
        return self.intake_s if self.measure == Measure.INTAKE else self.deciding_s

    @property
    def kept(self) -> bool:
        """Whether every promise was kept, however long it took."""
        return not self.error and not any(self.checks.values()) and self.audit == "PASS" and self.fenced

    @property
    def in_time(self) -> bool:
        """Whether the goal was reached."""
        return not self.error and (self.goal_s is None or self.pause_s <= self.goal_s)

    @property
    def verdict(self) -> str:
        """PASS; SLOW where only the goal was missed; FAIL where a promise was broken."""
        if not self.kept:
            return "FAIL"
        return "PASS" if self.in_time else "SLOW"


@dataclass(frozen=True, slots=True)
class Row:
    """All results of one fault."""

    fault: str
    results: Sequence[Result]

    def spread(self, name: str) -> str:
        """Minimum, median and maximum of a time."""
        values = sorted(getattr(result, name) for result in self.results if not result.error)
        if not values:
            return "-"
        if len(values) == 1:
            return f"{values[0]:.1f}"
        return f"{values[0]:.1f} / {median(values):.1f} / {values[-1]:.1f}"

    def count(self, check: str) -> int:
        """Breaches of a promise."""
        return sum(result.checks.get(check, 0) for result in self.results)

    @property
    def verdict(self) -> str:
        """The worst of all."""
        verdicts = {result.verdict for result in self.results}
        return next(word for word in ("FAIL", "SLOW", "PASS") if word in verdicts)


def rows_of(results: Iterable[Result]) -> list[Row]:
    """By fault, in the order of the faults."""
    results = list(results)
    rows = [Row(fault.name, [each for each in results if each.fault == fault.name]) for fault in FAULTS]
    return [row for row in rows if row.results]


def print_result(result: Result, console: Console) -> None:
    """One line, as it comes."""
    style = {"PASS": "green", "SLOW": "yellow", "FAIL": "red"}[result.verdict]
    text = Text.assemble((f"{result.verdict:<5}", style), f"{result.fault}: ")
    if result.error:
        text.append(result.error)
    else:
        text.append(
            f"deciding again after {result.deciding_s:.1f} s (by next_offset {result.offsets_s:.1f} s), "
            f"intake paused {result.intake_s:.1f} s, all answered {result.answered_after_s:.1f} s after "
            f"healing; {result.commands:,} commands, {result.repeated:,} asked again; audit {result.audit}"
        )
    console.print(text, soft_wrap=True)
    for line in (*result.evidence, *result.examples, *filter(None, [result.audit_reason])):
        console.print(Text(f"      {line}", style="dim"), soft_wrap=True)


def print_table(results: Sequence[Result], console: Console) -> None:
    """The table: recovery by fault, and what was broken."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("fault", no_wrap=True)
    table.add_column("n", justify="right")
    for name in ("deciding\nagain, s", "intake\npaused, s", "goal"):
        table.add_column(name, justify="right")
    table.add_column("broken", overflow="fold")
    table.add_column("verdict")
    for row in rows_of(results):
        broken = [f"{row.count(name)} {name}" for name in ORDER if row.count(name)]
        goal_s, measure = BY_NAME[row.fault].goal_s, BY_NAME[row.fault].measure
        style = {"PASS": "green", "SLOW": "yellow", "FAIL": "red"}[row.verdict]
        table.add_row(
            row.fault,
            str(len(row.results)),
            row.spread("deciding_s"),
            row.spread("intake_s"),
            "" if goal_s is None else f"{measure} ≤ {goal_s:g}",
            ", ".join(broken) or "nothing",
            Text(row.verdict, style=style),
        )
    console.print(table)


def markdown(results: Sequence[Result], remark: str) -> str:
    """The table for docs/operations.md."""
    days = sorted({datetime.fromtimestamp(each.at_unix_s, UTC).strftime("%Y-%m-%d") for each in results})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
    commands = sum(each.commands for each in results)
    lines = [
        BEGIN,
        f"Measured {when}, {remark}. Seconds from the fault, seen by clients: minimum / median / maximum. "
        f"{len(results)} rehearsals, {commands:,} commands.",
        "",
        "| fault | goal | n | deciding again (s) | intake paused (s) "
        "| lost | doubled | out of order | oversold | unanswered | untold | audit |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows_of(results):
        fault = BY_NAME[row.fault]
        checks = " | ".join(str(row.count(name)) for name in ORDER)
        audits = {result.audit or "none" for result in row.results}
        lines.append(
            f"| {fault.says} | {fault.goal} | {len(row.results)} | {row.spread('deciding_s')} "
            f"| {row.spread('intake_s')} | {checks} | {', '.join(sorted(audits))} |"
        )
    return "\n".join([*lines, END])


def write_markdown(path: Path, text: str) -> None:
    """Between the marks of a page that has them; else as a page of its own."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    path.write_text(f"{before}{text}{after}" if begin and end else text + "\n", encoding="utf-8")


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """For programs; numbers carry their unit in their name."""
    return {
        "verdict": "PASS" if all(each.verdict == "PASS" for each in results) else "FAIL",
        "kept": all(each.kept for each in results),
        "results": [{**asdict(each), "verdict": each.verdict} for each in results],
    }


def remember(path: Path, result: Result) -> None:
    """Add it to what was measured before."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def recall(path: Path) -> list[Result]:
    """What was measured before."""
    if not path.exists():
        return []
    results = []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        for name in ("examples", "victims", "evidence"):
            found[name] = tuple(found[name])
        results.append(Result(**found))
    return results
