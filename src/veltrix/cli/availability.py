"""`veltrix simulate availability`: months of failures, and what people met of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import Json

if TYPE_CHECKING:
    from rich.table import Table

    from veltrix.simulation.availability.model import Outcome
    from veltrix.simulation.availability.profile import Profile

TARGET: Final = 0.9999
Rows = list[tuple["Profile", "Outcome"]]


def availability(
    months: Annotated[float, typer.Option(min=0.1, max=120.0, metavar="N", help="Months of each run.")] = 6.0,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--faults",
            metavar="PROFILE",
            help="A profile's name or file; may be repeated.  [default: ha and as-found]",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="Runs, each of so many months.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The first run's seed.")] = 0,
    as_json: Json = False,
) -> None:
    """What share of commands is accepted and decided in time, over months of failures; and what breaks it.

    Exit code 1 when the first profile accepts less than 99.99 %.
    """
    from veltrix.cli.output import console, print_json, print_table
    from veltrix.simulation.availability.profile import Malformed, load

    try:
        profiles = [load(name) for name in faults or ("ha", "as-found")]
    except Malformed as error:
        raise typer.BadParameter(str(error), param_hint="--faults") from None
    outcomes = [(profile, _all(profile, seed, months, runs)) for profile in profiles]
    varied = [
        (title, _all(other, seed, months, runs, slower)) for title, other, slower in _varied(profiles[0])
    ]
    met = outcomes[0][1].accepted >= TARGET
    if as_json:
        print_json(
            {
                "verdict": "PASS" if met else "FAIL",
                "months": months,
                "runs": runs,
                "seed": seed,
                "profiles": [_document(profile.title, found) for profile, found in outcomes],
                "what_if": [_document(title, found) for title, found in varied],
            }
        )
    else:
        print_table(_main(outcomes, months, runs))
        for profile, found in outcomes:
            print_table(_budget(profile, found))
        if varied:
            print_table(_breaking(profiles[0], outcomes[0][1], varied))
        word = "PASS" if met else "FAIL"
        console().print(f"VERDICT {word}: {_percent(outcomes[0][1].accepted)} accepted, target 99.99 %")
    raise typer.Exit(ExitCode.OK if met else ExitCode.NEGATIVE)


def _all(profile: Profile, seed: int, months: float, runs: int, slower: float = 1.0) -> Outcome:
    from veltrix.simulation.availability.model import Outcome, simulate

    total = Outcome(0.0)
    for number in range(runs):
        total.add(simulate(profile, seed + number, months, slower=slower))
    return total


def _varied(profile: Profile) -> list[tuple[str, Profile, float]]:
    from msgspec.structs import replace

    return [
        (one.title, replace(profile, failure=[*profile.failure, *one.failure], what_if=[]), one.slower)
        for one in profile.what_if
    ]


def _percent(share: float) -> str:
    return f"{math.floor(share * 1e6) / 1e4:.4f} %"  # never rounded up to a promise


def _monthly(found: Outcome, count: int) -> str:
    return f"{count / found.months:,.1f}"


def _table(title: str, first: str, *others: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _main(outcomes: Rows, months: float, runs: int) -> Table:
    years = months * runs / 12
    table = _table(
        f"{runs:,} × {months:g} months ({years:,.0f} years), a light load",
        "",
        *(p.title for p, _ in outcomes),
    )
    lines = {
        "commands": [_monthly(o, o.commands) for _, o in outcomes],
        "accepted (objective 99.99 %)": [_percent(o.accepted) for _, o in outcomes],
        "accepted, and decided within 1 s (99.9 %)": [_percent(o.in_time) for _, o in outcomes],
        "told later than 60 s after": [_monthly(o, o.told_late) for _, o in outcomes],
        "failures": [_monthly(o, o.failures) for _, o in outcomes],
        "longest stop (min)": [f"{o.longest_s / 60:.1f}" for _, o in outcomes],
        "acknowledged, then lost": [_monthly(o, o.lost) for _, o in outcomes],
        "carried out twice": [_monthly(o, o.doubled) for _, o in outcomes],
        "wrong notices": [_monthly(o, o.wrong_notices) for _, o in outcomes],
        "requests that timed out": [_monthly(o, o.timed_out) for _, o in outcomes],
    }
    for name, values in lines.items():
        table.add_row(name, *values)
    return table


def _budget(profile: Profile, found: Outcome) -> Table:
    budget = max(1.0, found.commands * (1 - TARGET))
    table = _table(
        f"Where it goes: {profile.title}", "cause", "a month", "refused", "of the 0.01 %", "decided late"
    )
    causes = {*found.failures_by, *found.refused_by, *found.late_by}
    for cause in sorted(causes, key=lambda one: (-found.refused_by[one], -found.late_by[one], one)):
        table.add_row(
            cause,
            f"{found.failures_by[cause] / found.months:.2f}" if found.failures_by[cause] else "-",
            f"{found.refused_by[cause]:,}",
            f"{found.refused_by[cause] / budget:.1%}",
            f"{found.late_by[cause]:,}",
        )
    for failure in profile.failure:
        table.caption = (f"{table.caption}\n" if table.caption else "") + f"{failure.cause}: {failure.source}"
    table.caption_justify = "left"
    return table


def _breaking(profile: Profile, usual: Outcome, varied: list[tuple[str, Outcome]]) -> Table:
    table = _table(f"What would break it: {profile.title}", "", "accepted", "and decided within 1 s", "")
    for title, found in [("as it is", usual), *varied]:
        holds = "holds" if found.accepted >= TARGET else "broken"
        table.add_row(title, _percent(found.accepted), _percent(found.in_time), holds)
    return table


def _document(title: str, found: Outcome) -> dict[str, Any]:
    from dataclasses import fields

    counted = {each.name: getattr(found, each.name) for each in fields(found)}
    return {"title": title, "accepted": found.accepted, "in_time": found.in_time, **counted}
