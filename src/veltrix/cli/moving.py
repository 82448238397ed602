"""`veltrix move` and `veltrix restore`: what operators do to whole stores, with the services stopped."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured

if TYPE_CHECKING:
    from veltrix.moving.report import MoveReport, RestoreReport


class Held(StrEnum):
    """What to do with notices that may have been sent before a restore."""

    SHOW = "show"
    SEND = "send"
    DROP = "drop"


def move(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="The data directory to move, of a stopped Veltrix.")
    ],
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Carry an embedded deployment into an empty, prepared cluster; ids, order, links and keys stay.

    What is interrupted may be run again. Exit code 1 when the sides differ: then the cluster stays closed.
    """
    loaded = configured(file)
    from veltrix.cli.failures import Failure

    if not loaded.config.clustered:
        raise Failure(
            "the configuration names no cluster",
            "name the cluster's configuration with --config: kafka.bootstrap_servers, postgres.hosts, "
            "etcd.endpoints",
            ExitCode.USAGE,
        )
    from veltrix.bootstrap.extra import require_extra

    require_extra()
    from veltrix.cli.loops import run_on_fast_loop
    from veltrix.cli.output import print_json
    from veltrix.cli.progress import Progress
    from veltrix.moving.move import move as run

    started_s = time.monotonic()
    with Progress("Looking at both sides", quiet=as_json) as progress:
        report = run_on_fast_loop(run(loaded.config, data.absolute(), progress.step))
    seconds = time.monotonic() - started_s
    if as_json:
        print_json({**report.to_json(), "seconds": round(seconds, 3)})
    else:
        _print_move(report, seconds)
    raise typer.Exit(ExitCode.OK if report.passed else ExitCode.NEGATIVE)


def restore(
    file: ConfigFile = None,
    data: DataDirectory = None,
    new_log: Annotated[
        bool,
        typer.Option(
            "--new-log", help="The log is gone: go on with the one that is there, under a new number."
        ),
    ] = False,
    held: Annotated[
        Held | None,
        typer.Option(
            "--held-notices", help="Only this: show how many notices are held, send them, or drop them."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on after a backup was put back, with the services stopped: decide again what the log holds.

    Erased persons are forgotten again before anything can be read. Notices that may have been sent are held
    until `--held-notices send` or `drop`. Exit code 1 when log and ledger do not agree.
    """
    config = configured(file, data=data).config
    from veltrix.cli.failures import Failure

    if new_log and held is not None:
        raise Failure("--new-log and --held-notices are two things", "do one after the other", ExitCode.USAGE)
    if config.clustered:
        from veltrix.bootstrap.extra import require_extra

        require_extra()
    elif not (config.data.directory / "ledger.db").is_file():
        raise Failure(
            f"there is no ledger in {config.data.directory}",
            "name the data directory with --data, or the configuration that does with --config",
            ExitCode.USAGE,
        )
    from veltrix.cli.loops import run_on_fast_loop
    from veltrix.cli.output import console, print_json
    from veltrix.cli.progress import Progress
    from veltrix.moving import restore as restoring

    if held is not None:
        send = None if held is Held.SHOW else held is Held.SEND
        count = run_on_fast_loop(restoring.held_notices(config, send))
        if as_json:
            print_json({"notices": count, "done": held.value})
        else:
            told = {Held.SHOW: "are held", Held.SEND: "will be sent", Held.DROP: "will not be sent"}[held]
            console().print(f"{count:,} notices {told}.")
        return
    with Progress("Looking at what is there", quiet=as_json) as progress:
        work = restoring.adopt_log if new_log else restoring.restore
        report = run_on_fast_loop(work(config, progress.step))
    if as_json:
        print_json(report.to_json())
    else:
        _print_restore(report)
    raise typer.Exit(ExitCode.OK if report.passed else ExitCode.NEGATIVE)


def _print_move(report: MoveReport, seconds: float) -> None:
    """What was carried, and the verdict."""
    from rich.text import Text

    from veltrix.cli.output import console

    out = console()
    out.print(
        f"Moved {report.records:,} commands of {report.partitions:,} partition(s) in {seconds:.1f} s"
        + (f"; {report.undecided:,} of them the cluster decides first" if report.undecided else ""),
        soft_wrap=True,
    )
    rows = ", ".join(f"{count:,} {table}" for table, count in report.rows.items() if count)
    out.print(f"Compared {rows or 'nothing'}", soft_wrap=True)
    for side, verdict in report.audits.items():
        out.print(f"Audit of the {side}: {verdict}", soft_wrap=True)
    if report.master_key:
        out.print(f"Master key: {report.master_key}", soft_wrap=True)
    if report.passed:
        out.print(Text("VERDICT PASS: the cluster may be started", style="bold green"))
        out.print(f"Keep {report.source} as a backup, and never start it again.", soft_wrap=True)
    else:
        out.print(Text(f"VERDICT FAIL: {report.reason}", style="bold red"), soft_wrap=True)


def _print_restore(report: RestoreReport) -> None:
    """What was done, what is left to do, and the verdict."""
    from rich.text import Text

    from veltrix.cli.output import console

    out = console()
    if report.generation:
        out.print(f"The log in use is generation {report.generation} now.", soft_wrap=True)
    out.print(
        f"Decided {sum(report.decided.values()):,} commands again, compared {report.compared:,} facts with "
        f"those that were published, forgot the persons of {report.erasures:,} erasures.",
        soft_wrap=True,
    )
    if report.held:
        out.print(
            f"{report.held:,} notices may have been sent before and are held. Send them with `veltrix "
            "restore --held-notices send`, or not at all with `drop`.",
            soft_wrap=True,
        )
    out.print(f"Audit: {report.audit}", soft_wrap=True)
    if report.passed:
        out.print(Text("VERDICT PASS: the services may be started", style="bold green"))
    else:
        out.print(Text(f"VERDICT FAIL: {report.reason}", style="bold red"), soft_wrap=True)
