"""What a run amounts to: the verdict, one table for people, one object for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from veltrix.load.figures import Figures, Latency, Line
from veltrix.load.options import LoadOptions
from veltrix.load.plan import Script
from veltrix.promises.answers import Finding
from veltrix.promises.history import History

EXIT_PASS: Final = 0
EXIT_FAIL: Final = 1
EXIT_UNUSABLE: Final = 3
_STYLES: Final = {"PASS": "bold green", "FAIL": "bold red", "INVALID": "bold yellow"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """PASS, FAIL or INVALID, and why."""

    word: str
    reason: str = ""
    note: str = ""

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return EXIT_PASS if self.word == "PASS" else EXIT_FAIL

    def __str__(self) -> str:
        """As it is printed: `VERDICT PASS`, `VERDICT FAIL: lost (3)`."""
        note = f" ({self.note})" if self.note else ""
        return f"VERDICT {self.word}{note}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Everything about a run that is over. `reduced` says how small a limit made it, and which.

    `began_unix_s` is when the first request was sent; `scripts` has every request with its bytes.
    """

    options: LoadOptions
    base_url: str
    title: str
    run_tag: str
    people: int
    connections: int
    connecting_s: float
    reopened: int
    repeated: int
    followed: int
    cpu_us_per_request: float
    reduced: str
    began_unix_s: float
    scripts: tuple[Script, ...]
    history: History
    figures: Figures
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """A broken promise fails whatever else; a generator that was late makes the figures worthless."""
        tolerated = {"unanswered"} if self.options.tolerate_unanswered else set()
        found = [each for each in self.findings if each.breaches and each.check not in tolerated]
        note = f"reduced: {self.reduced}" if self.reduced else ""
        if found:
            reason = ", ".join(f"{finding.check} ({finding.breaches:,})" for finding in found)
            return Verdict("FAIL", reason, note)
        lateness = self.figures.lateness
        if lateness is not None and lateness.share > self.options.late_share_max:
            reason = (
                f"{lateness.share:.1%} of the requests left more than {lateness.limit_ms:g} ms late "
                f"(at most {self.options.late_share_max:.0%}); the generator was too slow for this schedule"
            )
            return Verdict("INVALID", reason, note)
        return Verdict("PASS", "", note)


def print_report(report: LoadReport, console: Console) -> None:
    """The table, what was found, and the verdict."""
    print_table(report, console)
    print_verdict(report.verdict, console)


def print_table(report: LoadReport, console: Console) -> None:
    """The table, and what was found."""
    console.print(_table(report))
    for finding in report.findings:
        for example in finding.examples:
            console.print(Text(f"  {finding.check}: {example}", style="red"))
        if finding.breaches > len(finding.examples) and finding.check != "unanswered":
            console.print(Text(f"  {finding.check}: {finding.breaches:,} in all", style="red"))


def print_verdict(verdict: Verdict, console: Console) -> None:
    """The last line, by itself, so that programs find it."""
    console.print(Text(str(verdict), style=_STYLES[verdict.word]), soft_wrap=True)


def _table(report: LoadReport) -> Table:
    # The box puts one space between columns; more would not fit a terminal of 80.
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, title=_title(report), title_justify="left")
    table.add_column("requests", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    for name in ("min", "mean", "p50", "p90", "p99", "p99.9", "max ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in report.figures.lines:
        table.add_row(*_cells(line))
    table.add_row(*_cells(report.figures.total), style="bold", end_section=True)
    for name, value in _facts(report):
        table.add_row(name, value)
    lateness = report.figures.lateness
    if lateness is not None:
        name = f"left late (> {lateness.limit_ms:g} ms)"
        table.add_row(name, f"{lateness.share:.2%}", *_spread(lateness.by))
    table.add_section()
    for finding in report.findings:
        style = "red" if finding.breaches else "green"
        table.add_row(finding.check, Text(f"{finding.breaches:,}", style=style))
    return table


def _title(report: LoadReport) -> str:
    loop = "open loop" if report.options.open_loop else "closed loop"
    more = f" and {len(report.options.also)} more" if report.options.also else ""
    return f"{report.title} at {report.base_url}{more}, {loop}, seed {report.options.seed}"


def _facts(report: LoadReport) -> Iterator[tuple[str, str]]:
    figures = report.figures
    yield "people", f"{report.people:,}"
    yield "connections", f"{report.connections:,}"
    yield "connecting took", f"{report.connecting_s:.2f} s"
    yield "all registered after", f"{figures.registering_s:.2f} s"
    yield "registrations a second", f"{figures.registering_rate_per_s:,.0f}"
    yield "everything took", f"{figures.elapsed_s:.2f} s"
    yield "answers a second", f"{figures.rate_per_s:,.0f}"
    yield "generator CPU a request", f"{report.cpu_us_per_request:.0f} µs"
    if report.reopened:
        yield "connections reopened", f"{report.reopened:,}"
    if report.repeated:
        yield "asked again, same key", f"{report.repeated:,}"
    if report.followed:
        yield "looks after a 202", f"{report.followed:,}"
    if report.history.ledger is None:
        yield "ledger", "not read"


def _cells(line: Line) -> list[str]:
    name = f"{line.kind}: {line.outcome}" if line.outcome else line.kind
    return [name, f"{line.count:,}", *_spread(line.latency)]


def _spread(latency: Latency | None) -> list[str]:
    if latency is None:
        return ["-"] * 7
    return [
        _ms(value)
        for value in (
            latency.min_ms,
            latency.mean_ms,
            latency.p50_ms,
            latency.p90_ms,
            latency.p99_ms,
            latency.p999_ms,
            latency.max_ms,
        )
    ]


def _ms(value: float) -> str:
    """At most five characters, so that the table fits a terminal of 80."""
    if value >= 9_999.5:
        return f"{value / 1_000:.0f} s" if value >= 99_950 else f"{value / 1_000:.1f}s"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def as_json(report: LoadReport) -> dict[str, Any]:
    """The report for programs; numbers carry their unit in their name."""
    figures, verdict = report.figures, report.verdict
    return {
        "verdict": verdict.word,
        "reason": verdict.reason,
        "note": verdict.note,
        "exit_code": verdict.exit_code,
        "event": report.history.terms.event,
        "url": report.base_url,
        "seed": report.options.seed,
        "run_tag": report.run_tag,
        "loop": "open" if report.options.open_loop else "closed",
        "people": report.people,
        "connections": report.connections,
        "connections_reopened": report.reopened,
        "requests_repeated": report.repeated,
        "looks_after_202": report.followed,
        "connecting_s": report.connecting_s,
        "registering_s": figures.registering_s,
        "registrations_per_s": figures.registering_rate_per_s,
        "elapsed_s": figures.elapsed_s,
        "answers_per_s": figures.rate_per_s,
        "generator_cpu_us_per_request": report.cpu_us_per_request,
        "requests": [asdict(line) for line in figures.lines],
        "all": asdict(figures.total),
        "lateness": None
        if figures.lateness is None
        else {**asdict(figures.lateness), "share": figures.lateness.share},
        "ledger_read": report.history.ledger is not None,
        "began_unix_s": report.began_unix_s,
        "checks": {
            each.check: {"breaches": each.breaches, "examples": each.examples} for each in report.findings
        },
    }
