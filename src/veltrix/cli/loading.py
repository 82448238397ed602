"""`veltrix load` and `veltrix demo`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from veltrix.cli.options import Json

if TYPE_CHECKING:
    from veltrix.load.options import LoadOptions, Mix

Urls = Annotated[
    list[str],
    typer.Argument(
        metavar="URL...",
        help="The platform, or an event (…/v1/events/evt_…); of a cluster the URLs of all who answer.",
        show_default=False,
    ),
]
ApiKey = Annotated[str | None, Option(metavar="KEY", help="To publish the event and read the ledger.")]
ApiKeyFile = Annotated[Path | None, Option(metavar="FILE", help="File with that key instead.")]
Registrants = Annotated[int, Option("--registrants", "-n", metavar="N", min=1, help="How many people.")]
Concurrency = Annotated[
    int | None, Option(metavar="N", min=1, help="Closed loop: how many at a time.  [default: all]")
]
Connections = Annotated[
    int | None, Option(metavar="N", min=1, help="Open connections.  [default: one a person]")
]
Rate = Annotated[float | None, Option(metavar="R", help="Open loop: people a second, by a schedule.")]
Duration = Annotated[float, Option(metavar="S", help="Open loop: for how many seconds.")]
Seed = Annotated[int, Option(metavar="N", help="Of the schedule and of who does what.")]
Timeout = Annotated[float, Option(metavar="S", help="Longest wait for one answer.")]
Wait = Annotated[int, Option(metavar="S", min=0, help="Prefer: wait=S of each registration.")]
Capacity = Annotated[int, Option(metavar="N", min=0, help="Seats of the event that is published.")]
Waitlist = Annotated[int, Option(metavar="N", min=0, help="Its waitlist; 0 means none.")]
Pools = Annotated[int, Option(metavar="1|2", min=1, max=2, help="2: one category has a pool of its own.")]
AccessCode = Annotated[str | None, Option(metavar="CODE", help="When the event wants one.")]
MixOf = Annotated[
    list[str] | None,
    Option(
        "--mix",
        metavar="NAME=SHARE",
        help="What people do besides: cancels, duplicates, retries, other_bodies, again or impatient, as a "
        "share of them (0 to 1); or party_weights=60,25,10,5: the odds of 1, 2, 3 … seats. May be repeated.",
    ),
]
Patience = Annotated[
    float | None,
    Option(
        metavar="S",
        min=0,
        help="How long a person follows a 202, and repeats what was not answered under the same key at "
        "another URL.  [default: 0; with several URLs 90]",
    ),
]
Spools = Annotated[
    list[Path] | None,
    Option(
        "--spool",
        metavar="DIR",
        help="Where mails go: check that everybody is told. May be repeated, one for each process.",
    ),
]
SinglesOnly = Annotated[bool, Option("--singles-only", help="One request a person, one seat a request.")]
People = Annotated[int, Option("--people", "-n", metavar="N", min=10, help="How many people.")]
_PATIENCE_S = 90.0
Keep = Annotated[bool, Option("--keep", help="Go on serving afterwards, until Ctrl-C.")]
Tolerate = Annotated[bool, Option("--tolerate-unanswered", help="Unanswered requests do not fail the run.")]


def load(  # noqa: PLR0913 - an argument an option
    urls: Urls,
    *,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    registrants: Registrants = 10_000,
    concurrency: Concurrency = None,
    connections: Connections = None,
    rate: Rate = None,
    duration: Duration = 10.0,
    seed: Seed = 1,
    timeout: Timeout = 30.0,
    wait: Wait = 20,
    patience: Patience = None,
    spool: Spools = None,
    capacity: Capacity = 5_000,
    waitlist: Waitlist = 4_000,
    pools: Pools = 2,
    access_code: AccessCode = None,
    mix: MixOf = None,
    singles_only: SinglesOnly = False,
    tolerate_unanswered: Tolerate = False,
    as_json: Json = False,
) -> None:
    """Let a crowd register at once, and check every answer against the others and the ledger.

    Closed loop by default: everyone at once (or --concurrency at a time). With --rate people come by a
    schedule, however slow the answers are, and latency counts from the time that was meant.
    """
    if api_key is not None and api_key_file is not None:
        raise typer.BadParameter("give --api-key or --api-key-file, not both")
    options = _options(
        url=urls[0],
        also=tuple(urls[1:]),
        api_key=_key(api_key_file) if api_key_file else api_key,
        registrants=registrants,
        concurrency=concurrency,
        connections=connections,
        rate_per_s=rate,
        duration_s=duration,
        seed=seed,
        timeout_s=timeout,
        wait_s=wait,
        patience_s=(_PATIENCE_S if len(urls) > 1 else 0.0) if patience is None else patience,
        spools=tuple(spool or ()),
        capacity=capacity,
        waitlist=waitlist or None,
        pools=pools,
        access_code=access_code,
        mix=_mix(mix or [], singles_only),
        tolerate_unanswered=tolerate_unanswered,
        json=as_json,
    )
    from veltrix.cli.output import console
    from veltrix.load.command import run_load

    raise typer.Exit(run_load(options, console()))


def _options(**values: Any) -> LoadOptions:
    from veltrix.load.options import LoadOptions

    try:
        return LoadOptions(**values)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read ({error})") from None


def _mix(given: list[str], singles_only: bool) -> Mix:
    """What people do; what is not given stays as it is by default."""
    from veltrix.load.options import SINGLES_ONLY, Mix

    if singles_only and given:
        raise typer.BadParameter("give --singles-only or --mix, not both")
    if singles_only:
        return SINGLES_ONLY
    names = [field.name for field in fields(Mix)]
    values: dict[str, Any] = {}
    for item in given:
        name, _, text = item.partition("=")
        if name not in names:
            raise typer.BadParameter(f"--mix knows no {name!r}; it knows {', '.join(names)}")
        try:
            numbers = tuple(float(number) for number in text.split(","))
        except ValueError:
            raise typer.BadParameter(f"--mix {item}: {text!r} is no number") from None
        values[name] = numbers if name == "party_weights" else numbers[0]
    try:
        return Mix(**values)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Directory = Annotated[
    Path | None,
    Option(
        metavar="DIR", help="Where the run's directory is made.", show_default="$XDG_STATE_HOME/veltrix/demo"
    ),
]


def demo(
    people: People = 10_000, keep: Keep = False, directory: Directory = None, as_json: Json = False
) -> None:
    """Show the whole platform at work: 10,000 people register at once, everyone is told.

    It starts `veltrix serve` on a free port and a fresh directory, lets a crowd register, waits for all
    mails, and checks everything against everything.
    """
    from veltrix.cli.output import console
    from veltrix.demo import run_demo

    raise typer.Exit(run_demo(console(), people=people, keep=keep, as_json=as_json, directory=directory))
