"""`veltrix cluster rehearse`: faults under load, measured and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veltrix.cli.clusters import DEFAULT_DIRECTORY, Directory, ProfileName, told
from veltrix.cli.exits import ExitCode
from veltrix.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from veltrix.cluster.local import LocalCluster
    from veltrix.cluster.rehearse import Rehearsal
    from veltrix.cluster.rehearse_faults import Fault
    from veltrix.cluster.rehearse_report import Result

Names = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="NAME", help="Which; may be repeated.  [default: all that fit]"),
]
Repeat = Annotated[int, typer.Option(metavar="N", min=1, help="How often each.")]
Rate = Annotated[float, typer.Option(metavar="R", min=1.0, help="People a second, over all events.")]
Events = Annotated[int, typer.Option(metavar="N", min=1, max=50, help="Events under load at a time.")]
Hosts = Annotated[int, typer.Option(min=0, max=9, help="Test hosts, for cuts (root, Linux); 3 fits `ha`.")]
Processing = Annotated[
    int,
    typer.Option(min=0, max=20, help="Processing processes.  [default: the profile's]", show_default=False),
]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the cluster running afterwards.")]
Again = Annotated[bool, typer.Option("--more", help="Add to the results that the directory has from before.")]
Snippet = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write the table there in Markdown, between its marks where the page has them."
    ),
]
Remark = Annotated[str, typer.Option(metavar="TEXT", help="Where and under what the table was measured.")]


def rehearse(  # noqa: PLR0913 - an argument an option
    fault: Names = None,
    *,
    repeat: Repeat = 1,
    profile: Annotated[ProfileName, typer.Option(help="Of the cluster that is started.")] = ProfileName.HA,
    hosts: Hosts = 0,
    rate: Rate = 40.0,
    events: Events = 6,
    processing: Processing = 0,
    directory: Directory = DEFAULT_DIRECTORY,
    keep: Keep = False,
    more: Again = False,
    markdown: Snippet = None,
    remark: Remark = "",
    as_json: Json = False,
) -> None:
    """Let faults befall a cluster under load: how soon it recovers, and whether every promise is kept.

    Uses the cluster of the directory, or starts one. Exit code 1 when a promise is broken or a goal missed.
    """
    from veltrix.cli.output import console
    from veltrix.cluster import rehearse_report
    from veltrix.cluster.rehearse import Rehearsal
    from veltrix.load.command import run_on_fast_loop

    with told():
        _check_names(fault or [])
        it, fresh = _cluster(directory.resolve(), profile, hosts, processing)
        kept = it.directory / "rehearsed.jsonl"
        results = rehearse_report.recall(kept) if more else []
        if not more:
            kept.unlink(missing_ok=True)
        faults = _chosen(fault or [], it)
        out, errors = console(), console(stderr=True)

        def done(result: Result) -> None:
            results.append(result)
            rehearse_report.remember(kept, result)
            if not as_json:
                rehearse_report.print_result(result, out)

        def say(text: str) -> None:
            errors.print(text, style="dim", markup=False, highlight=False)

        try:
            rehearsal = Rehearsal(rate_per_s=rate, events=events)
            run_on_fast_loop(_all(it, faults, repeat, rehearsal, say, done))
        finally:
            if fresh and not keep:
                it.down()
    where = (
        remark or f"`{it.plan.profile}`, {len(it.plan.hosts) or 'no'} test hosts, {rate:g} people a second"
    )
    snippet = markdown or it.directory / "rehearsed.md"
    rehearse_report.write_markdown(snippet, rehearse_report.markdown(results, where))
    _end(results, as_json=as_json)


def _end(results: Sequence[Result], *, as_json: bool) -> None:
    """The table, or the document; and the exit code."""
    from veltrix.cli.output import console, print_json
    from veltrix.cluster import rehearse_report

    if as_json:
        print_json(rehearse_report.as_json(results))
    else:
        rehearse_report.print_table(results, console())
    passed = all(result.verdict == "PASS" for result in results)
    raise typer.Exit(ExitCode.OK if passed else ExitCode.NEGATIVE)


async def _all(
    it: LocalCluster,
    faults: Sequence[Fault],
    repeat: int,
    rehearsal: Rehearsal,
    say: Callable[[str], None],
    done: Callable[[Result], None],
) -> None:
    import asyncio
    from dataclasses import replace
    from functools import partial

    from veltrix.cluster.local import ClusterError
    from veltrix.cluster.rehearse import new_key, rehearse, unusable
    from veltrix.load.crowd import raise_file_limit

    raise_file_limit()
    key = await asyncio.to_thread(new_key, it)
    for number in range(1, repeat + 1):
        for fault in faults:
            telling = partial(_tell, say, f"{fault.name} ({number} of {repeat})")
            try:
                found = await rehearse(it, fault, replace(rehearsal, seed=number), key, telling)
            except ClusterError as error:
                found = unusable(fault, error)
            done(found)


def _tell(say: Callable[[str], None], title: str, text: str) -> None:
    say(f"{title}: {text}")


def _cluster(directory: Path, profile: ProfileName, hosts: int, processing: int) -> tuple[LocalCluster, bool]:
    """The cluster that runs in the directory, or a new one; and whether it was started for this."""
    from veltrix.cli.output import warn
    from veltrix.cluster.local import LocalCluster
    from veltrix.cluster.plan import Profile
    from veltrix.cluster.tools import Tools

    if (directory / "cluster.json").exists():
        it = LocalCluster.open(directory, Tools.here())
        runs = any(it.registry.find(node.name) for node in it.plan.nodes)
    else:
        it, why = LocalCluster.create(directory, Tools.here(), Profile(profile.value), hosts, processing)
        runs = False
        if why:
            warn(f"No test hosts: {why}. Cuts are left out.")
    if not runs:
        it.up()
    return it, not runs


def _check_names(names: Sequence[str]) -> None:
    """Refuse what is misspelt before minutes go into starting a cluster for it."""
    from veltrix.cluster.rehearse_faults import BY_NAME

    for name in names:
        if name not in BY_NAME:
            raise typer.BadParameter(f"there is no fault {name}; there are {', '.join(BY_NAME)}")


def _chosen(names: Sequence[str], it: LocalCluster) -> list[Fault]:
    """The faults of these names, or all that this cluster can be rehearsed for."""
    from veltrix.cluster.plan import Profile
    from veltrix.cluster.rehearse_faults import BY_NAME, FAULTS

    wanted = [BY_NAME[name] for name in names] or list(FAULTS)
    able = [
        fault
        for fault in wanted
        if (it.plan.hosts or not fault.hosts) and (it.plan.profile is Profile.HA or not fault.ha)
    ]
    if names and len(able) < len(wanted):
        missing = ", ".join(fault.name for fault in wanted if fault not in able)
        raise typer.BadParameter(
            f"this cluster cannot be rehearsed for {missing}: use --profile ha --hosts 3"
        )
    return able
