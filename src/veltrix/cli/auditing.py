"""`veltrix audit`: replay the log and compare the result with the ledger."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured

if TYPE_CHECKING:
    from veltrix.audit import AuditReport


def audit(file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """Replay the log and compare the result with the ledger; also while Veltrix serves.

    Exit code 1 when they differ: the first difference is shown.
    """
    config = configured(file, data=data).config
    from veltrix.cli.failures import Failure
    from veltrix.cli.output import print_json

    if not config.clustered and not (config.data.directory / "log.db").is_file():
        raise Failure(
            f"there is no data in {config.data.directory}",
            "name the data directory with --data, or the configuration that does with --config",
            ExitCode.USAGE,
        )
    started_s = time.monotonic()
    from veltrix.bootstrap import audit as run
    from veltrix.cli.loops import run_on_fast_loop
    from veltrix.cli.progress import Progress

    with Progress("Replaying", quiet=as_json) as progress:
        report = run_on_fast_loop(run(config, progress.reached))
    seconds = time.monotonic() - started_s
    if as_json:
        where = ", ".join(config.postgres.hosts) if config.clustered else str(config.data.directory)
        print_json({**report.to_json(), "data": where, "seconds": round(seconds, 3)})
    else:
        _print(report, seconds)
    raise typer.Exit(ExitCode.OK if report.passed else ExitCode.NEGATIVE)


def _print(report: AuditReport, seconds: float) -> None:
    """What was compared, and the verdict."""
    from rich.text import Text

    from veltrix.cli.output import console

    out = console()
    rows = ", ".join(f"{count:,} {table}" for table, count in report.rows.items())
    out.print(
        f"Replayed {report.commands:,} commands of {report.partitions:,} partition(s) in {seconds:.1f} s"
        + (f"; {report.quarantined:,} quarantined" if report.quarantined else ""),
        soft_wrap=True,
    )
    out.print(f"Compared {rows or 'nothing: the ledger is empty'}", soft_wrap=True)
    if report.difference is not None:
        for name, row in (("ledger", report.difference.ledger), ("replay", report.difference.replay)):
            out.print(Text(f"  {name}: {row if row is not None else '(no such row)'}"), soft_wrap=True)
    if report.passed:
        out.print(Text("VERDICT PASS: the ledger is what the log leads to", style="bold green"))
    else:
        out.print(Text(f"VERDICT FAIL: {report.reason}", style="bold red"), soft_wrap=True)
