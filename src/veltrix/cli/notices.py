"""`veltrix notice`: what people and systems were told, and orders to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured
from veltrix.cli.telling import BY, body_of, is_there, with_telling

if TYPE_CHECKING:
    from veltrix.ports.deliveries import Delivery, Wanted
    from veltrix.ports.outreach import OrderKind
    from veltrix.registration.telling import Telling

Organizer = Annotated[str | None, typer.Option("--organizer", metavar="NAME", help="Only this organizer's.")]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", metavar="ID", help="Only to this endpoint.")
]
EventOption = Annotated[str | None, typer.Option("--event", metavar="ID", help="Only of this event.")]
Statuses = Annotated[
    list[str] | None,
    typer.Option("--status", metavar="STATUS", help="Only of this status: dead, unknown …; may be repeated."),
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only of facts from this time on (RFC 3339).")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only of facts before this time.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="The notices' ids.")]

app = typer.Typer(
    help="What people and systems were told, and whether it reached them.", no_args_is_help=True
)


@app.command("list")
def list_(
    organizer: Organizer = None,
    endpoint: EndpointOption = None,
    event: EventOption = None,
    status: Statuses = None,
    held: Annotated[bool, typer.Option("--held", help="Only those that wait for an order.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most that are shown, the newest first.")] = 50,
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """List or search notices, the newest first."""
    config = configured(file, data=data).config

    async def read(telling: Telling) -> list[Delivery]:
        from dataclasses import replace

        given = {"endpoint": endpoint, "event": event, "statuses": status}
        wanted = replace(_wanted(organizer, {**given, "ids": None}, anything=True), held=held)
        return await telling.deliveries.search(wanted, None, limit)

    found = with_telling(config, read) if is_there(config, "notices.db") else []
    from veltrix.cli.output import console, print_json, print_table

    if as_json:
        print_json([_plain(each) for each in found])
        return
    if not found:
        console().print("No such notices.", markup=False)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Id", "Status", "Kind", "To", "Attempts", "Detail"):
        table.add_column(column, overflow="fold", no_wrap=column == "Id")
    for each in found:
        shown = _plain(each)
        to = shown["endpoint"] or shown["channel"]
        state = "held" if shown["held"] else shown["status"]
        table.add_row(shown["id"], state, shown["kind"], to, str(shown["attempts"]), Text(shown["detail"]))
    print_table(table)


@app.command("show")
def show(
    notice: Annotated[str, typer.Argument(metavar="ID", help="The notice's id (the webhook-id).")],
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Show a notice with each attempt at it, as JSON."""
    config = configured(file, data=data).config

    async def read(telling: Telling) -> dict[str, Any] | None:
        import msgspec

        from veltrix.ports.deliveries import Wanted
        from veltrix.registration.notices import attempt_out

        found = await telling.deliveries.search(Wanted(ids=(notice,)), None, 1)
        if not found:
            return None
        attempts = [attempt_out(each) for each in await telling.deliveries.attempts(notice)]
        return {"notice": _plain(found[0]), "attempts": msgspec.to_builtins(attempts)}

    shown = with_telling(config, read) if is_there(config, "notices.db") else None
    from veltrix.cli.output import console, print_json

    if shown is None:
        text = f"There is no notice {notice}. veltrix notice list shows the ids."
        console(stderr=True).print(text, markup=False, soft_wrap=True)
        raise typer.Exit(ExitCode.NEGATIVE)
    print_json(shown)


@app.command("replay")
def replay(
    notices: Names = None,
    organizer: Organizer = None,
    endpoint: EndpointOption = None,
    event: EventOption = None,
    status: Statuses = None,
    since: Since = None,
    until: Until = None,
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Send notices again that are over; each keeps its id. Dead letters: --status dead."""
    from veltrix.ports.outreach import OrderKind

    given = {
        "ids": notices, "endpoint": endpoint, "event": event, "statuses": status,
        "since": since, "until": until,
    }  # fmt: skip
    _order(OrderKind.REPLAY, organizer, given, file, data)


@app.command("release")
def release(
    notices: Names = None,
    organizer: Organizer = None,
    endpoint: EndpointOption = None,
    event: EventOption = None,
    drop: Annotated[bool, typer.Option("--drop", help="Never send them.")] = False,
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Let go what is held, because it may have arrived: send it now, or drop it."""
    from veltrix.ports.outreach import OrderKind

    given = {"ids": notices, "endpoint": endpoint, "event": event}
    _order(OrderKind.DROP if drop else OrderKind.RELEASE, organizer, given, file, data)


def _order(
    kind: OrderKind, organizer: str | None, given: dict[str, Any], file: Any, data: str | None
) -> None:
    """Give an order for the notices that are meant, one for each organizer that they are of."""
    from veltrix.cli.output import print_json

    config = configured(file, data=data).config

    async def give(telling: Telling) -> list[dict[str, Any]]:
        from dataclasses import replace

        from veltrix.adapters.system import SystemClock
        from veltrix.ports.outreach import Order

        wanted = _wanted(organizer, given, anything=organizer is not None)
        made = []
        for name in [organizer] if organizer is not None else await _organizers(telling, wanted):
            order = Order(kind, name, SystemClock().now_ms(), wanted=replace(wanted, organizer=name), by=BY)
            made.append({"order": await telling.outreach.give(order), "organizer": name})
        return made

    print_json(with_telling(config, give))


async def _organizers(telling: Telling, wanted: Wanted) -> list[str]:
    """Whose notices are meant, where nobody says: those of the ids, or of the endpoint."""
    from veltrix.registration.problems import Problem

    if wanted.ids:
        found = await telling.deliveries.search(wanted, None, len(wanted.ids))
        names = sorted({each.notice.organizer for each in found})
    else:
        endpoint = await telling.outreach.endpoint(wanted.target or "")
        names = [] if endpoint is None else [endpoint.organizer]
    if not names:
        raise Problem("unknown_notice" if wanted.ids else "unknown_endpoint")
    return names


def _wanted(organizer: str | None, given: dict[str, Any], *, anything: bool = False) -> Wanted:
    """Which notices are meant, checked as the API checks it; with `anything`, all may be."""
    from veltrix.ports.deliveries import Wanted
    from veltrix.registration.notices import NoticesChosen, chosen

    named = {name: value for name, value in given.items() if value}
    if anything and not named:
        return Wanted(organizer=organizer)
    if not anything and not named.keys() & {"ids", "endpoint"}:
        raise typer.BadParameter("name notices, an --endpoint or an --organizer")
    return chosen(organizer, body_of(NoticesChosen, named))


def _plain(delivery: Delivery) -> dict[str, Any]:
    import msgspec

    from veltrix.registration.notices import notice_out

    plain: dict[str, Any] = msgspec.to_builtins(notice_out(delivery))
    return {"organizer": delivery.notice.organizer, **plain}
