"""`veltrix top`: what runs, how fast, how far behind, from the metrics alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, Json, configured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veltrix.cli.top_view import Frame, View

Urls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[URL]...",
        help="Where processes answer /metrics (default: those of --directory, else the configured one).",
        show_default=False,
    ),
]
Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory", "-d", metavar="DIR", help="A cluster of `veltrix cluster up`.", show_default=False
    ),
]
Once = Annotated[bool, typer.Option("--once", help="One picture, then end.")]
Interval = Annotated[
    float, typer.Option("--interval", min=0.2, max=60.0, metavar="S", help="Seconds between two looks.")
]


def top(
    urls: Urls = None,
    file: ConfigFile = None,
    directory: Directory = None,
    once: Once = False,
    as_json: Json = False,
    interval: Interval = 2.0,
) -> None:
    """Show services, partitions, lag, rates, latencies, hot events and incidents, live.

    Reads /metrics and /hot-events of each process; nothing else is needed. A process that is gone is shown
    as gone. With --json one picture is printed for programs; exit code 1 when a process is gone or not ready.
    """
    asked = _urls(urls or [], file, directory)
    from veltrix.cli.top_pages import fetch_all
    from veltrix.cli.top_view import View

    view = View()
    view.frame(fetch_all(asked), _clock())
    if once or as_json:
        time.sleep(min(interval, 1.0) if once and not as_json else interval)
        frame = view.frame(fetch_all(asked), _clock())
        _print(frame, len(asked), as_json=as_json)
        good = all(row["state"] == "ready" for row in frame.services)
        raise typer.Exit(ExitCode.OK if good else ExitCode.NEGATIVE)
    _live(view, asked, interval)


def _urls(urls: Sequence[str], file: Path | None, directory: Path | None) -> list[str]:
    """The processes to look at."""
    from urllib.parse import urlsplit

    from veltrix.cli.failures import Failure

    if directory is not None:
        return [*map(_base, urls), *_of_cluster(directory)]
    if urls:
        for url in urls:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise Failure(
                    f"{url!r} is no address of a process",
                    "write it like http://127.0.0.1:9090",
                    ExitCode.USAGE,
                )
        return [_base(url) for url in urls]
    config = configured(file).config
    found = [config.http.local_url()]
    if config.clustered:
        found.append(f"http://{config.operations.host}:{config.operations.port}")
    return found


def _base(url: str) -> str:
    full = url if "://" in url else f"http://{url}"
    return full.removesuffix("/metrics").rstrip("/")


def _of_cluster(directory: Path) -> list[str]:
    from veltrix.cli.failures import Failure
    from veltrix.cluster.local import PLAN_FILE
    from veltrix.cluster.plan import SERVICES, Kind, Plan

    try:
        plan = Plan.read(directory / PLAN_FILE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"there is no cluster in {directory} ({error})",
            "name the directory of `veltrix cluster up`, or the URLs of the processes",
            ExitCode.USAGE,
        ) from error
    ports = {Kind.REGISTRATION: "http"}
    return [f"http://{node.endpoint(ports.get(node.kind, 'operations'))}" for node in plan.of(*SERVICES)]


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _print(frame: Frame, count: int, *, as_json: bool) -> None:
    from veltrix.cli.output import console, print_json

    if as_json:
        print_json(frame.to_json())
        return
    from veltrix.cli.top_render import rendered

    out = console()
    if not out.is_terminal:
        out.width = 160
    out.print(rendered(frame, f"Veltrix, {count} process{'es' if count != 1 else ''} at {_clock()}"))


def _live(view: View, asked: Sequence[str], interval: float) -> None:
    """Until Ctrl-C."""
    from contextlib import suppress

    from rich.live import Live

    from veltrix.cli.output import console
    from veltrix.cli.top_pages import fetch_all
    from veltrix.cli.top_render import rendered

    out = console()
    title = (
        f"Veltrix, {len(asked)} process{'es' if len(asked) != 1 else ''}, every {interval:g} s; Ctrl-C ends"
    )
    with suppress(KeyboardInterrupt), Live(console=out, screen=out.is_terminal, auto_refresh=False) as live:
        while True:
            live.update(
                rendered(view.frame(fetch_all(asked), _clock()), f"{title}    {_clock()}"), refresh=True
            )
            time.sleep(interval)
