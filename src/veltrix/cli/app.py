"""The commands and their options; each body imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from veltrix.cli import (
    auditing,
    clusters,
    configuring,
    doctoring,
    endpoints,
    keys,
    loading,
    mailing,
    moving,
    notices,
    preparing,
    rehearsing,
    running,
    serving,
    simulating,
    templates,
    topping,
    tracing,
)
from veltrix.cli.exits import ExitCode, table
from veltrix.cli.options import Json

app = typer.Typer(
    name="veltrix",
    help="Veltrix takes registrations for events, fairly and without overselling, and tells people.",
    epilog=table(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's takes 0.15 s to import, a half of what people notice
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve", short_help="Run the whole platform here until Ctrl-C.")(serving.serve)
app.command("run", short_help="Run one service of a cluster as a process of its own.")(running.run)
app.command("demo", short_help="Show the whole platform at work, with a crowd.")(loading.demo)
app.command("load", short_help="Let a crowd register, and check every answer.")(loading.load)
app.command("doctor", short_help="Check a deployment end to end, and say what to do.")(doctoring.doctor)
app.command("top", short_help="Show what runs, how fast and how far behind, live.")(topping.top)
app.command("trace", short_help="Show the path of one registration, step by step.")(tracing.trace)
app.command("audit", short_help="Compare the ledger with a replay of the log.")(auditing.audit)
app.command("move", short_help="Carry a data directory into an empty cluster.")(moving.move)
app.command("restore", short_help="Go on after a backup was put back, or a log was lost.")(moving.restore)
app.add_typer(keys.app, name="key")
app.add_typer(templates.app, name="template")
app.add_typer(endpoints.app, name="endpoint")
app.add_typer(notices.app, name="notice")
app.add_typer(mailing.app, name="suppression")
app.command("bounce", short_help="Take a report of mail that came back, from a pipe.")(mailing.bounce)
app.add_typer(configuring.app, name="config")
app.add_typer(simulating.app, name="simulate")
clusters.app.command("prepare")(preparing.prepare)
clusters.app.command("rehearse")(rehearsing.rehearse)
app.add_typer(clusters.app, name="cluster")


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Veltrix takes registrations for events, fairly and without overselling, and tells people."""


@app.command("version")
def version(as_json: Json = False) -> None:
    """Print the version."""
    import platform

    from veltrix import __version__
    from veltrix.cli.output import print_json, print_text

    if as_json:
        print_json({"version": __version__, "python": platform.python_version(), "platform": sys.platform})
    else:
        print_text(f"veltrix {__version__}")


def run() -> int:
    """Run what the arguments ask for; every error becomes a message and an exit code."""
    from veltrix.cli import failures

    try:
        app(prog_name="veltrix")
    except SystemExit as exit_:
        return (
            exit_.code
            if isinstance(exit_.code, int)
            else ExitCode.OK
            if exit_.code is None
            else ExitCode.USAGE
        )
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain about it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        failure = failures.explain(error)
        if failure is None:
            failures.tell_crash(error, sys.argv[1:])
            return ExitCode.CRASHED
        failures.tell(failure)
        return failure.code
    return ExitCode.OK
