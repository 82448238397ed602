"""`veltrix doctor`: whether a deployment works, end to end, and what to do where it does not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured

if TYPE_CHECKING:
    from veltrix.readiness.checkup import Look

Url = Annotated[
    str,
    typer.Option("--url", metavar="URL", help="Where registration answers (default: as configured)."),
]
MailTo = Annotated[
    str,
    typer.Option("--mail-to", metavar="ADDRESS", help="Who gets the canary's mail (default: the sender)."),
]
NoCanary = Annotated[bool, typer.Option("--no-canary", help="Only look; register nobody.")]
_MARKS: Final = {
    "well": ("✓", "green"),
    "poor": ("!", "yellow"),
    "ill": ("✗", "bold red"),
    "unseen": ("?", "cyan"),
}


def doctor(
    file: ConfigFile = None,
    data: DataDirectory = None,
    url: Url = "",
    mail_to: MailTo = "",
    no_canary: NoCanary = False,
    as_json: Json = False,
) -> None:
    """Look at a deployment from end to end, and say what to do.

    Engines and their versions, topics, schemas and constraints, clocks, permissions, certificates, whether
    registration is ready; then a canary: an event that is made, registered for, and called off again, and
    the notice of it (organizer `veltrix-doctor`). Exit code 1 when something does not work.
    """
    loaded = configured(file, data=data)
    import asyncio
    from dataclasses import asdict

    from veltrix.cli.output import print_json
    from veltrix.readiness.checkup import State
    from veltrix.readiness.doctor import Wishes, examine_all

    wishes = Wishes(url.rstrip("/"), not no_canary, mail_to)
    looks = asyncio.run(examine_all(loaded, wishes, _quiet if as_json else _tell))
    good = all(look.state is not State.ILL for look in looks)
    if as_json:
        print_json({"ok": good, "looks": [asdict(look) for look in looks]})
    else:
        _verdict(looks, good=good)
    if not good:
        raise typer.Exit(ExitCode.NEGATIVE)


def _quiet(look: Look) -> None:
    """Says nothing."""


def _tell(look: Look) -> None:
    from rich.text import Text

    from veltrix.cli.output import console

    mark, style = _MARKS[look.state]
    out = console()
    out.print(Text.assemble((mark, style), f" {look.name}: {look.said}"), soft_wrap=True)
    if look.remedy:
        out.print(Text(f"    {look.remedy}", style="dim"), soft_wrap=True)


def _verdict(looks: list[Look], *, good: bool) -> None:
    from rich.text import Text

    from veltrix.cli.output import console

    counts = Counter(look.state.value for look in looks)
    told = ", ".join(f"{counts[state]} {state}" for state in _MARKS if counts[state])
    said = "The deployment works" if good else "The deployment does not work as it should"
    console().print(Text(f"\n{said}: {told}.", style="bold green" if good else "bold red"), soft_wrap=True)
