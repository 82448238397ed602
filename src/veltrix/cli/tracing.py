"""`veltrix trace`: the path of one registration, with the time spent at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured

if TYPE_CHECKING:
    from veltrix.cli.paths import Path, Sources
    from veltrix.config import Config

Which = Annotated[
    str,
    typer.Argument(
        metavar="REGISTRATION",
        help="A registration's id (reg_…), its link (r1…), or a decision's token (d1…).",
        show_default=False,
    ),
]


def trace(which: Which, file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """Show the path of a registration: asked, appended, decided, published, told; and how long each took.

    Reads the log, the ledger and the notices; nothing needs to run, and nothing is changed.
    """
    config = configured(file, data=data).config
    import asyncio

    from veltrix.cli.failures import Failure
    from veltrix.cli.output import print_json

    text = which.strip().rstrip("/").rpartition("/")[2]  # an address that ends in it will do
    if not config.clustered and not (config.data.directory / "ledger.db").is_file():
        raise Failure(
            f"there is no data in {config.data.directory}",
            "name the data directory with --data, or the configuration that does with --config",
            ExitCode.USAGE,
        )
    path = asyncio.run(_find(config, text))
    if path is None:
        raise Failure(
            f"the ledger knows no registration {text}",
            "check that it is of this deployment; a request that was answered 202 has a token (d1…) instead",
            ExitCode.NEGATIVE,
        )
    if as_json:
        print_json(path.to_json())
    else:
        _print(path)


async def _find(config: Config, text: str) -> Path | None:
    import re

    from veltrix.bootstrap.stores import opened_paths
    from veltrix.cli.failures import Failure
    from veltrix.cli.paths import Sources, path_of

    async with opened_paths(config) as (log, queries, deliveries, signer):
        sources = Sources(log, queries, deliveries)
        if re.fullmatch(r"reg_[0-9a-f]{32}", text):
            return await path_of(sources, text)
        link = signer.read_link(text)
        if link is not None:
            return await path_of(sources, link.registration)
        receipt = signer.read_receipt(text.partition(".")[0])
        if receipt is not None:
            return await _of_receipt(sources, receipt.command, receipt.partition, receipt.offset)
    raise Failure(
        f"{text!r} is no registration, no link and no token of this deployment",
        "give an id such as reg_0191…, a link such as r1…, or what stands behind /v1/decisions/",
        ExitCode.USAGE,
    )


async def _of_receipt(sources: Sources, command: str, partition: int, offset: int) -> Path:
    from veltrix.cli.failures import Failure
    from veltrix.cli.paths import path_of_command
    from veltrix.registration.links import OFFSET_UNKNOWN

    if not 0 <= partition < sources.log.identity.partitions:
        raise Failure(f"the log has no partition {partition}", "check that the token is of this deployment")
    if offset == OFFSET_UNKNOWN and await sources.queries.decision(command) is None:
        raise Failure(
            "whether that command was appended was not known when it was answered, and it is not decided",
            "look again in a moment; if it stays so, it was not appended, and may safely be repeated",
            ExitCode.NEGATIVE,
        )
    return await path_of_command(sources, command, partition, offset)


def _print(path: Path) -> None:
    from rich.text import Text

    from veltrix.cli.output import console
    from veltrix.cli.paths import timed

    out = console()
    title = path.registration or "A command"
    out.print(Text.assemble((title, "bold"), f"  {path.status}  {path.event}"), soft_wrap=True)
    for walk in path.walks:
        out.print()
        head = f"{walk.kind or 'unreadable'}, partition {path.partition}, offset {walk.offset}"
        trace_id = f"  trace {walk.trace_id}" if walk.trace_id else ""
        out.print(Text.assemble((head, "bold"), (f"  {walk.command}{trace_id}", "dim")), soft_wrap=True)
        steps = timed(walk.steps())
        for step, after_ms in steps:
            when = _clock(step.at_ms)
            took = "" if after_ms is None else f"+{after_ms / 1000:.3f} s"
            out.print(Text(f"  {when:<24}{took:>11}  {step.name:<12}{step.detail}"), soft_wrap=True)
        times = [step.at_ms for step, _ in steps if step.at_ms is not None]
        if len(times) > 1:
            out.print(Text(f"  {'in all':<24}{(times[-1] - times[0]) / 1000:>10.3f} s", style="bold"))
    out.print()
    out.print(Text("What has no time happened between its neighbours: nobody keeps when.", style="dim"))


def _clock(at_ms: int | None) -> str:
    from datetime import UTC, datetime

    if at_ms is None:
        return "…"
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"
