"""`veltrix simulate`: the services as a cluster in one process, under faults that a seed draws."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from veltrix.cli.availability import availability
from veltrix.cli.exits import ExitCode
from veltrix.cli.options import Json

if TYPE_CHECKING:
    from veltrix.simulation.explore import Run
    from veltrix.simulation.scenarios import Scenario
    from veltrix.simulation.sweep import Sweep

app = typer.Typer(
    name="simulate",
    help="Find failures before users do: the real services, simulated time, drawn faults.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.command("availability")(availability)

Seconds = Annotated[
    float, typer.Option(min=1.0, max=3_600.0, metavar="S", help="Simulated seconds under faults, each run.")
]
Jobs = Annotated[int, typer.Option(min=1, max=256, metavar="J", help="Processes at once.")]
SECONDS: Final = 20.0
_COMPLAINTS_SHOWN: Final = 20


@app.command("explore")
def explore(
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="How many seeds.")] = 100,
    base: Annotated[int, typer.Option(min=0, metavar="SEED", help="The first seed.")] = 0,
    minutes: Annotated[float, typer.Option(min=0.0, metavar="M", help="Stop after so long; 0: never.")] = 0.0,
    jobs: Jobs = 1,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Run one seed after the other and check everything that Veltrix promises.

    Exit code 1 when a seed fails: `veltrix simulate replay SEED` shows what happened, and `shrink SEED` how
    little of it is needed.
    """
    ends_s = time.monotonic() + minutes * 60 if minutes else float("inf")
    swept, took_s = _sweep(range(base, base + seeds), seconds, jobs, ends_s, quiet=as_json)
    _tell(swept, base, took_s, as_json=as_json)
    raise typer.Exit(ExitCode.NEGATIVE if swept.failed else ExitCode.OK)


@app.command("soak")
def soak(
    base: Annotated[
        int | None, typer.Option(min=0, metavar="SEED", help="The first seed.  [default: by the clock]")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.0, metavar="M", help="Stop after so long; 0: never.")] = 0.0,
    jobs: Jobs = 1,
    seconds: Seconds = SECONDS,
    failures: Annotated[
        Path, typer.Option(metavar="FILE", help="Where failing seeds are added, one a line.")
    ] = Path("failing-seeds.txt"),
    as_json: Json = False,
) -> None:
    """Run fresh seeds until one fails, or until it is stopped (Ctrl-C).

    Exit code 1 when one failed: it stands in the file, with its first complaint.
    """
    first = int(time.time()) * 1_000 if base is None else base
    with failures.open("a", encoding="utf-8") as kept:  # before hours of work, not behind them
        ends_s = time.monotonic() + minutes * 60 if minutes else float("inf")
        endless = range(first, first + 2**40)
        swept, took_s = _sweep(endless, seconds, jobs, ends_s, quiet=as_json, until_one_fails=True)
        kept.writelines(f"{run.seed}\t{seconds:g} s\t{run.complaints[0]}\n" for run in swept.failed)
    _tell(swept, first, took_s, as_json=as_json)
    raise typer.Exit(ExitCode.NEGATIVE if swept.failed else ExitCode.OK)


@app.command("replay")
def replay(
    what: Annotated[str, typer.Argument(metavar="SEED|FILE", help="A seed, or a scenario that was kept.")],
    seconds: Seconds = SECONDS,
    lines: Annotated[int, typer.Option(min=0, metavar="N", help="How much of the end is shown.")] = 60,
    as_json: Json = False,
) -> None:
    """Run one seed or scenario again and show what happened last, host by host, and what went wrong.

    A scenario of another wire version or another Python is refused: it would be another history.
    """
    from veltrix.cli.output import console, print_json
    from veltrix.simulation.explore import run, run_plan

    scenario = None if what.isdecimal() else _read(Path(what))
    if scenario is None:
        found = run(int(what), seconds, tracing=True)
    else:
        found = run_plan(scenario.plan, tracing=True)
    if as_json:
        print_json(found.to_json())
    else:
        out = console()
        if scenario is not None and scenario.found:
            out.print(f"It once found: {scenario.found}", soft_wrap=True, markup=False)
        skipped = len(found.timeline) - lines
        if skipped > 0:
            out.print(f"… {skipped:,} earlier lines (--lines; all of them with --json)")
        for line in found.timeline[-lines:] if lines else ():
            out.print(line, soft_wrap=True, markup=False)
        _complain(found)
        out.print(f"{found.requests:,} requests, {found.simulated_s:,.1f} simulated s, {found.steps:,} steps")
        out.print(f"digest {found.digest}")
        out.print("VERDICT PASS" if found.passed else f"VERDICT FAIL: {len(found.complaints)} complaints")
    raise typer.Exit(ExitCode.OK if found.passed else ExitCode.NEGATIVE)


@app.command("shrink")
def shrink(
    what: Annotated[str, typer.Argument(metavar="SEED|FILE", help="A seed that fails, or a scenario.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it goes.  [default: scenario-SEED.json]")
    ] = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What bug it finds, for the file.")] = "",
    most: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many runs.")] = 300,
    seconds: Seconds = SECONDS,
) -> None:
    """Leave out faults and clients of a failing run as long as it fails the same way; write what is left.

    Exit code 1 when it does not fail: then there is nothing to shrink.
    """
    from veltrix.cli.output import console
    from veltrix.cli.progress import Progress
    from veltrix.simulation.explore import run, run_plan
    from veltrix.simulation.scenarios import Scenario, to_text
    from veltrix.simulation.shrink import shrunk

    found = run(int(what), seconds) if what.isdecimal() else run_plan(_read(Path(what)).plan)
    assert found.plan is not None, "a run has its plan"
    if found.passed:
        console().print("VERDICT PASS: it does not fail, so there is nothing to shrink")
        raise typer.Exit(ExitCode.NEGATIVE)
    path = Path(f"scenario-{found.seed}.json") if out is None else out
    path.touch()  # before the work, not behind it
    with Progress("Shrinking") as progress:
        small, complaint = shrunk(
            found,
            run_plan,
            most=most,
            told=lambda tried, plan: progress.step(_size(plan.size()), tried, most),
        )
    path.write_text(to_text(Scenario(small, found=why or complaint, complaint=complaint)), encoding="utf-8")
    told = console()
    told.print(f"From {_size(found.plan.size())}, {found.plan.seconds:g} s", markup=False)
    told.print(f"to {_size(small.size())}, {small.seconds:g} s: {path}", markup=False, soft_wrap=True)
    told.print(complaint, markup=False, soft_wrap=True)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]:,} faults, {size[1]:,} clients"


def _read(path: Path) -> Scenario:
    """A scenario from a file; what is wrong with it is told with its field and the remedy."""
    from veltrix.cli.failures import Failure
    from veltrix.simulation.scenarios import ScenarioError, from_text

    try:
        return from_text(path.read_text(encoding="utf-8"))
    except ScenarioError as error:
        raise Failure(f"{path}: {error.field}: {error.fault}", error.remedy, ExitCode.USAGE) from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is no text", "Give a file that `shrink` wrote", ExitCode.USAGE) from None
    except (FileNotFoundError, IsADirectoryError):
        raise Failure(
            f"{path} is neither a seed nor a file",
            "Give a number, or a file that `shrink` wrote",
            ExitCode.USAGE,
        ) from None


def _sweep(
    seeds: range, seconds: float, jobs: int, ends_s: float, *, quiet: bool, until_one_fails: bool = False
) -> tuple[Sweep, float]:
    """Run them until the time is over; also what was done when somebody stops it."""
    from veltrix.cli.progress import Progress
    from veltrix.simulation.sweep import Sweep, explore

    began_s, swept = time.monotonic(), Sweep()
    with Progress("Exploring", quiet=quiet) as progress:
        try:
            for run in explore(seeds, seconds, jobs):
                swept.add(run)
                took_s = time.monotonic() - began_s
                said = f"{swept.runs / took_s:.1f} seeds/s, {swept.simulated_s:,.0f} simulated s"
                progress.step(f"{said}, {len(swept.failed)} failed", swept.runs, len(seeds))
                if time.monotonic() > ends_s or (until_one_fails and swept.failed):
                    break
        except KeyboardInterrupt:
            if not swept.runs:
                raise
    return swept, time.monotonic() - began_s


def _tell(swept: Sweep, base: int, took_s: float, *, as_json: bool) -> None:
    from veltrix.cli.output import console, print_json

    if as_json:
        print_json(
            {
                "verdict": "FAIL" if swept.failed else "PASS",
                "seeds": swept.runs,
                "base": base,
                "twice": swept.twice,
                "simulated_s": round(swept.simulated_s, 1),
                "seconds": round(took_s, 1),
                "requests": swept.requests,
                "reached": dict(swept.reached.most_common()),
                "missed": swept.missed(),
                "failed": [run.to_json() for run in swept.failed],
            }
        )
        return
    out = console()
    speed = f"{swept.simulated_s / took_s:.1f} : 1, {swept.runs / took_s:.2f} seeds/s"
    out.print(
        f"{swept.runs:,} seeds from {base}, {swept.twice:,} of them twice: {swept.requests:,} requests, "
        f"{swept.simulated_s:,.0f} simulated s in {took_s:,.1f} s ({speed})",
        soft_wrap=True,
    )
    counted = ", ".join(f"{name} {count:,}" for name, count in swept.reached.most_common())
    out.print(f"Reached: {counted}", soft_wrap=True)
    out.print(f"Not reached: {', '.join(swept.missed()) or 'nothing'}", soft_wrap=True)
    for run in swept.failed:
        _complain(run)
    if swept.failed:
        seed = swept.failed[0].seed
        out.print(f"VERDICT FAIL: seed {seed}; see `veltrix simulate replay {seed}`")
    else:
        out.print("VERDICT PASS: nothing was found")


def _complain(run: Run) -> None:
    from veltrix.cli.output import console

    for complaint in run.complaints[:_COMPLAINTS_SHOWN]:
        console().print(f"seed {run.seed}: {complaint}", soft_wrap=True, markup=False)
    if len(run.complaints) > _COMPLAINTS_SHOWN:
        console().print(f"seed {run.seed}: … {len(run.complaints) - _COMPLAINTS_SHOWN} more")
