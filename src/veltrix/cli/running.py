"""`veltrix run`: one service of a cluster as a process of its own."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from veltrix.cli.options import ConfigFile, configured
from veltrix.observability.logging import get_logger

if TYPE_CHECKING:
    from rich.console import Console

    from veltrix.bootstrap.cluster import Running
    from veltrix.config import Loaded

_log = get_logger("cluster")


class KindName(StrEnum):
    """What can be run."""

    REGISTRATION = "registration"
    PROCESSING = "processing"
    NOTIFICATION = "notification"
    TICKER = "ticker"


Which = Annotated[KindName, typer.Argument(help="Which service.", show_default=False)]


def run(kind: Which, file: ConfigFile = None) -> None:
    """Run one service of a cluster until Ctrl-C. Any number of each may run.

    Engines that are not up yet are waited for (operations.start_wait). Ctrl-C or SIGTERM stops it in order:
    registration answers who waits, processing publishes what it committed and hands its partitions over.
    """
    started_s = time.monotonic()
    loaded = configured(file)
    from veltrix.bootstrap.extra import require_extra
    from veltrix.cli.output import console
    from veltrix.cli.serving import run_until_signal
    from veltrix.load.crowd import raise_file_limit
    from veltrix.observability.logging import configure, wants_json

    require_extra()
    logging = loaded.config.logging
    configure(
        logging.level,
        logging.format,
        sys.stderr,
        colours=not console(stderr=True).no_color and sys.stderr.isatty(),
    )
    quiet = wants_json(logging.format, sys.stderr)
    raise_file_limit()

    def ready(running: Running) -> None:
        if quiet:
            _log.info("running", kind=running.kind.value, member=running.member, watch=running.watch,
                      url=running.url, **running.engines)  # fmt: skip
            for remark in loaded.remarks:
                _log.warning("configuration_remark", remark=remark)
        else:
            print_page(console(), loaded, running, time.monotonic() - started_s)

    def stopping(second: bool) -> None:
        if quiet:
            _log.info("stopping_at_once" if second else "stopping")
        else:
            how = "at once." if second else "finishing what was begun (Ctrl-C again: at once)"
            console().print(f"\nStopping: {how}")

    from veltrix.bootstrap.cluster import run as run_process
    from veltrix.bootstrap.opening import Kind

    run_until_signal(run_process(Kind(kind.value), loaded.config, ready=ready), stopping)
    if not quiet:
        console().print("Stopped.")


def print_page(out: Console, loaded: Loaded, running: Running, startup_s: float) -> None:
    """What someone who just started a process wants to know."""
    from rich.text import Text

    from veltrix import __version__

    rows = [("Pages", running.url)] if running.url else []
    rows += [
        ("Watch", f"{running.watch}/readyz, {running.watch}/metrics"),
        *((name.capitalize(), where) for name, where in running.engines.items()),
        ("Member", running.member),
        ("Configured", f"by {loaded.file}" if loaded.file else "by the environment (veltrix config show)"),
    ]
    title = f" {__version__} runs {running.kind} ({startup_s:.1f} s to start)"
    out.print(Text.assemble(("Veltrix", "bold"), title))
    out.print()
    for name, value in rows:
        out.print(Text.assemble((f"  {name:<12}", "dim"), value), soft_wrap=True)
    out.print()
    out.print(Text("  Stop: Ctrl-C"))
    for remark in loaded.remarks:
        out.print(Text.assemble(("  Note: ", "yellow"), remark), soft_wrap=True)
    sys.stdout.flush()
