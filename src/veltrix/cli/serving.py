"""`veltrix serve`: the whole platform in this process, with a start-up page and an orderly end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Final

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, configured
from veltrix.observability.logging import get_logger

if TYPE_CHECKING:
    from rich.console import Console

    from veltrix.bootstrap import Started
    from veltrix.config import Loaded

_log = get_logger("serve")

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default=False)
]
Port = Annotated[str | None, typer.Option(metavar="N", help="Port; 0 takes a free one.", show_default=False)]

# Files, databases and sockets of the platform itself, beside its clients' connections.
_FILES_OF_OUR_OWN: Final = 200
# Fewer connections than this are worth a remark even where nobody asked for more.
_CROWD: Final = 10_000


def serve(file: ConfigFile = None, host: Host = None, port: Port = None, data: DataDirectory = None) -> None:
    """Run the whole platform here until Ctrl-C.

    Ctrl-C or SIGTERM stops it in order: who waits is answered, what was accepted is decided. A second
    Ctrl-C ends it at once; nothing that was acknowledged is lost then either.
    """
    started_s = time.monotonic()
    loaded = configured(file, data=data, host=host, port=port)
    from veltrix.cli.failures import Failure
    from veltrix.cli.output import console
    from veltrix.load.crowd import raise_file_limit
    from veltrix.observability.logging import configure, wants_json

    if loaded.config.clustered:
        raise Failure(
            "the configuration names a cluster, and `veltrix serve` runs everything here on files of its own",
            "run `veltrix run registration` and so on, or leave [kafka], [postgres] and [etcd] out",
            ExitCode.USAGE,
        )
    logging = loaded.config.logging
    colours = not console(stderr=True).no_color and sys.stderr.isatty()
    configure(logging.level, logging.format, sys.stderr, colours=colours)
    quiet = wants_json(logging.format, sys.stderr)
    remarks = [*loaded.remarks, *_file_limit_remark(loaded, raise_file_limit())]

    def ready(started: Started) -> None:
        if quiet:
            _log.info("serving", url=started.url, local_url=started.local_url, data=str(started.data),
                     channel=started.channel)  # fmt: skip
            for remark in remarks:
                _log.warning("configuration_remark", remark=remark)
        else:
            print_page(console(), loaded, started, time.monotonic() - started_s, remarks)

    def stopping(second: bool) -> None:
        if not quiet:
            how = "at once." if second else "finishing what was accepted (Ctrl-C again: at once)"
            console().print(f"\nStopping: {how}")
        elif second:
            _log.info("stopping_at_once")
        else:
            _log.info("stopping")

    from veltrix.bootstrap import serve as run

    run_until_signal(run(loaded.config, ready=ready), stopping)
    if not quiet:
        console().print("Stopped.")


def run_until_signal(platform: Coroutine[None, None, None], stopping: Callable[[bool], None]) -> None:
    """Run `platform` until it ends or a signal cancels it; a second SIGINT ends the process at once."""
    import asyncio

    from veltrix.cli.loops import run_on_fast_loop

    async def main() -> None:
        task = asyncio.ensure_future(platform)
        asked = False

        def stop(number: int) -> None:
            nonlocal asked
            if not asked:
                asked = True
                stopping(False)
                task.cancel()
            elif number == signal.SIGINT:
                stopping(True)
                sys.stdout.flush()
                os._exit(ExitCode.INTERRUPTED)

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        try:
            await task
        except asyncio.CancelledError:
            if not asked:
                raise

    run_on_fast_loop(main())


def _file_limit_remark(loaded: Loaded, limit: int | None) -> list[str]:
    """Says so when the system allows fewer connections than were asked for, or than a crowd needs."""
    from veltrix.config import Source

    wanted = loaded.config.http.held_requests_max
    if loaded.origins["http.held_requests_max"].source is Source.DEFAULT:
        wanted = min(wanted, _CROWD)
    allowed = wanted if limit is None else max(0, limit - _FILES_OF_OUR_OWN)
    if allowed >= wanted:
        return []
    return [
        f"this system lets Veltrix open {limit:,} files, so about {allowed:,} connections at once: "
        f"fewer than http.held_requests_max = {loaded.config.http.held_requests_max:,} (ulimit -n raises it)"
    ]


def print_page(out: Console, loaded: Loaded, started: Started, startup_s: float, remarks: list[str]) -> None:
    """What someone who just started Veltrix wants to know."""
    from rich.text import Text

    from veltrix import __version__

    config = loaded.config
    mail = (
        f"sent through {config.smtp.host}:{config.smtp.port} ({config.smtp.security})"
        if config.notification.channel == "smtp"
        else f"written to {config.notification.spool_directory}, not sent"
    )
    rows = [
        ("Pages", started.url),
        ("API", f"{started.url}/docs (to try it), {started.url}/openapi.json"),
        ("Watch", f"{started.local_url}/readyz, {started.local_url}/metrics"),
        ("Data", str(started.data)),
        ("Mail", mail),
        ("Configured", f"by {loaded.file}" if loaded.file else "by defaults (veltrix config show)"),
    ]
    directory = "" if loaded.origins["data.directory"].source == "default" else f" --data {started.data}"
    out.print(Text.assemble(("Veltrix", "bold"), f" {__version__} serves ({startup_s:.1f} s to start)"))
    out.print()
    for name, value in rows:
        out.print(Text.assemble((f"  {name:<12}", "dim"), value), soft_wrap=True)
    out.print()
    out.print(Text("  Next: make an API key in another terminal; it prints what to do with it"))
    out.print(Text(f"    veltrix key create --organizer acme{directory}", style="bold"), soft_wrap=True)
    out.print(Text("  Stop: Ctrl-C"))
    for remark in remarks:
        out.print(Text.assemble(("  Note: ", "yellow"), remark), soft_wrap=True)
    sys.stdout.flush()
