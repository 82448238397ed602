"""`veltrix simulate`: the services as a cluster in one process, under faults that a seed draws."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from veltrix.cli.availability import availability
from veltrix.cli.exits import ExitCode
from veltrix.cli.options import Json

if TYPE_CHECKING:
    from veltrix.simulation.explore import Run

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
_STORY_LINES: Final = 40
_COMPLAINTS_SHOWN: Final = 20


@app.command("explore")
def explore(
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="How many seeds.")] = 100,
    base: Annotated[int, typer.Option(min=0, metavar="SEED", help="The first seed.")] = 0,
    minutes: Annotated[float, typer.Option(min=0.0, metavar="M", help="Stop after so long; 0: never.")] = 0.0,
    jobs: Annotated[int, typer.Option(min=1, max=256, metavar="J", help="Processes at once.")] = 1,
    seconds: Seconds = 20.0,
    as_json: Json = False,
) -> None:
    """Run one seed after the other and check everything that Veltrix promises.

    Exit code 1 when a seed fails: `veltrix simulate replay SEED` shows what happened.
    """
    from veltrix.cli.progress import Progress

    began_s = time.monotonic()
    ends_s = began_s + minutes * 60 if minutes else float("inf")
    runs: list[Run] = []
    with Progress("Exploring", quiet=as_json) as progress:
        for run in _runs(range(base, base + seeds), seconds, jobs):
            runs.append(run)
            progress.reached(len(runs), seeds)
            if time.monotonic() > ends_s:
                break
    _tell(runs, base, time.monotonic() - began_s, as_json=as_json)
    raise typer.Exit(ExitCode.OK if all(run.passed for run in runs) else ExitCode.NEGATIVE)


@app.command("replay")
def replay(
    seed: Annotated[int, typer.Argument(min=0, metavar="SEED")],
    seconds: Seconds = 20.0,
    as_json: Json = False,
) -> None:
    """Run one seed again and show what went wrong, and when, by the simulated clock."""
    from veltrix.cli.output import console, print_json
    from veltrix.simulation.explore import run

    found = run(seed, seconds)
    if as_json:
        print_json(found.to_json())
    else:
        out = console()
        skipped = len(found.story) - _STORY_LINES
        if skipped > 0:
            out.print(f"… {skipped} earlier faults (all of them with --json)")
        for line in found.story[-_STORY_LINES:]:
            out.print(line, soft_wrap=True, markup=False)
        _complain(found)
        out.print(f"{found.requests:,} requests, {found.simulated_s:,.1f} simulated s, {found.steps:,} steps")
        out.print(f"digest {found.digest}")
        out.print("VERDICT PASS" if found.passed else f"VERDICT FAIL: {len(found.complaints)} complaints")
    raise typer.Exit(ExitCode.OK if found.passed else ExitCode.NEGATIVE)


def _runs(seeds: range, seconds: float, jobs: int) -> Iterator[Run]:
    """The runs, in the order of their seeds, `jobs` at once."""
    from veltrix.simulation.explore import run

    if jobs == 1:
        for seed in seeds:
            yield run(seed, seconds)
        return
    import multiprocessing

    # Whoever stops listening ends the pool, and with it what is still under way.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_Explorer(seconds), seeds)


class _Explorer:
    """A run, as another process can be asked for it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, seed: int) -> Run:
        from veltrix.simulation.explore import run

        return run(seed, self._seconds)


def _tell(runs: list[Run], base: int, took_s: float, *, as_json: bool) -> None:
    from veltrix.cli.output import console, print_json

    failed = [run for run in runs if not run.passed]
    reached: Counter[str] = Counter()
    for run in runs:
        reached.update(run.reached)
    simulated_s = sum(run.simulated_s for run in runs)
    if as_json:
        print_json(
            {
                "verdict": "FAIL" if failed else "PASS",
                "seeds": len(runs),
                "base": base,
                "simulated_s": round(simulated_s, 1),
                "seconds": round(took_s, 1),
                "requests": sum(run.requests for run in runs),
                "reached": dict(reached.most_common()),
                "failed": [run.to_json() for run in failed],
            }
        )
        return
    out = console()
    requests = sum(run.requests for run in runs)
    out.print(
        f"{len(runs):,} seeds from {base}: {requests:,} requests, {simulated_s:,.0f} simulated s in "
        f"{took_s:,.1f} s ({simulated_s / took_s:.1f} : 1, {len(runs) / took_s:.2f} seeds/s)",
        soft_wrap=True,
    )
    counted = ", ".join(f"{name} {count:,}" for name, count in reached.most_common())
    out.print(f"Reached: {counted}", soft_wrap=True)
    for run in failed:
        _complain(run)
    if failed:
        seed = failed[0].seed
        out.print(f"VERDICT FAIL: seed {seed}; see `veltrix simulate replay {seed}`")
    else:
        out.print("VERDICT PASS: nothing was found")


def _complain(run: Run) -> None:
    from veltrix.cli.output import console

    for complaint in run.complaints[:_COMPLAINTS_SHOWN]:
        console().print(f"seed {run.seed}: {complaint}", soft_wrap=True, markup=False)
    if len(run.complaints) > _COMPLAINTS_SHOWN:
        console().print(f"seed {run.seed}: … {len(run.complaints) - _COMPLAINTS_SHOWN} more")
