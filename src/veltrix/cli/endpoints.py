"""`veltrix endpoint`: where organizers have facts posted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veltrix.cli.keys import ORGANIZER
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured
from veltrix.cli.telling import BY, body_of, is_there, with_telling
from veltrix.ports.outreach import OnUnknown, OrderKind, Scheme

if TYPE_CHECKING:
    from veltrix.ports.outreach import Endpoint
    from veltrix.registration.endpoint_book import EndpointBook, Made
    from veltrix.registration.telling import Telling

Name = Annotated[
    str, typer.Argument(metavar="ID", help="The endpoint's id, as `veltrix endpoint list` shows it.")
]
KindOption = Annotated[
    list[str] | None, typer.Option("--kind", metavar="KIND", help="A kind of fact; may be repeated.  [all]")
]
Unknown = Annotated[
    OnUnknown | None,
    typer.Option("--on-unknown", help="After contact was lost: try again, or wait for you.  [retry]"),
]

app = typer.Typer(help="Where organizers have facts posted (webhooks).", no_args_is_help=True)


@app.command("create")
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to post; https.")],
    organizer: Annotated[str, typer.Option(metavar="NAME", help="Whose facts.")],
    kind: KindOption = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="One event's facts one after the other.")
    ] = False,
    on_unknown: Unknown = None,
    scheme: Annotated[Scheme, typer.Option(help="v1: HMAC-SHA256; v1a: ed25519.")] = Scheme.V1,
    description: Annotated[str, typer.Option(metavar="TEXT", help="A note for people.")] = "",
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Make an endpoint and print its secret, once. Facts are posted to it from now on."""
    if not ORGANIZER.fullmatch(organizer):
        raise typer.BadParameter(f"{organizer!r} is no organizer's name", param_hint="--organizer")
    config = configured(file, data=data).config
    wish: dict[str, Any] = {
        "url": url, "kinds": kind or [], "ordered": ordered, "scheme": scheme, "description": description,
    }  # fmt: skip
    if on_unknown is not None:
        wish["on_unknown"] = on_unknown

    async def make(telling: Telling) -> dict[str, Any]:
        from veltrix.adapters.system import SystemEntropy
        from veltrix.registration.endpoint_bodies import EndpointIn

        body = body_of(EndpointIn, wish)
        request = SystemEntropy().token(16).hex()
        return await _made(_book(telling), await _book(telling).create(organizer, request, "", body))

    _tell_secret(with_telling(config, make), as_json)


@app.command("list")
def list_(
    organizer: Annotated[str | None, typer.Option(metavar="NAME", help="Only this organizer's.")] = None,
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """List the endpoints, and how it goes."""
    config = configured(file, data=data).config

    async def read(telling: Telling) -> list[dict[str, Any]]:
        endpoints = await telling.outreach.endpoints(organizer)
        shown = await _book(telling).shown(endpoints)
        return [
            {"organizer": endpoint.organizer, **_plain(each)}
            for endpoint, each in zip(endpoints, shown, strict=True)
        ]

    found = with_telling(config, read) if is_there(config) else []
    from veltrix.cli.output import console, print_json, print_table

    if as_json:
        print_json(found)
        return
    if not found:
        hint = "Make one: veltrix endpoint create --organizer acme https://…"
        console().print(f"No endpoints. {hint}", markup=False, soft_wrap=True)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Id", "Organizer", "State", "URL"):
        table.add_column(column, overflow="fold", no_wrap=column == "Id")
    for each in found:
        state = each["contact"]["state"] if each["enabled"] else "switched off"
        table.add_row(each["id"], each["organizer"], state, Text(each["url"]))
    print_table(table)


@app.command("show")
def show(endpoint: Name, file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """Show an endpoint with its secrets' ids and how it goes, as JSON."""
    _on_endpoint(endpoint, file, data, _shown)


@app.command("change")
def change(
    endpoint: Name,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Where to post.")] = None,
    kind: KindOption = None,
    ordered: Annotated[
        bool | None, typer.Option("--ordered/--unordered", help="Facts one after the other.")
    ] = None,
    on_unknown: Unknown = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--on/--off", help="Whether facts are posted; what happens meanwhile is not."),
    ] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="A note for people.")] = None,
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Change what is named of an endpoint; the rest stays."""
    given = {
        "url": url, "kinds": kind, "ordered": ordered, "on_unknown": on_unknown, "enabled": enabled,
        "description": description,
    }  # fmt: skip

    async def use(book: EndpointBook, found: Endpoint) -> dict[str, Any]:
        from veltrix.registration.endpoint_bodies import EndpointChange

        wish = body_of(EndpointChange, {name: value for name, value in given.items() if value is not None})
        return await _shown(book, await book.change(found, wish))

    _on_endpoint(endpoint, file, data, use)


@app.command("delete")
def delete(
    endpoint: Name, file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False
) -> None:
    """Take an endpoint away with its secrets; what was still to be sent to it is not sent."""

    async def use(book: EndpointBook, found: Endpoint) -> dict[str, Any]:
        return {"id": found.id, "deleted": await book.telling.outreach.remove_endpoint(found.id)}

    _on_endpoint(endpoint, file, data, use)


@app.command("rotate")
def rotate(
    endpoint: Name,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="How long old secrets go on signing.")] = "1 d",
    scheme: Annotated[Scheme | None, typer.Option(help="Change over to this scheme.")] = None,
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Make a new secret and print it, once; the old ones end after the overlap."""
    from veltrix.config.units import WrongAmount, parse_duration_s

    try:
        overlap_s = round(parse_duration_s(overlap))
    except WrongAmount as error:
        raise typer.BadParameter(f"{error}; write it like '1 d' or '2 h'", param_hint="--overlap") from None
    config = configured(file, data=data).config

    async def make(telling: Telling) -> dict[str, Any]:
        from veltrix.adapters.system import SystemEntropy
        from veltrix.registration.endpoint_bodies import RotateBody

        body = body_of(RotateBody, {"overlap_s": overlap_s} | ({"scheme": scheme} if scheme else {}))
        book = _book(telling)
        found = await _found(telling, endpoint)
        return await _made(book, await book.rotate(found, SystemEntropy().token(16).hex(), body))

    _tell_secret(with_telling(config, make), as_json)


@app.command("ping")
def ping(endpoint: Name, file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """Have a test posted; `veltrix notice show` tells what became of it."""
    _on_endpoint(endpoint, file, data, lambda book, found: _ordered(book, found, OrderKind.PING))


@app.command("enable")
def enable(
    endpoint: Name, file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False
) -> None:
    """Have an endpoint tried again that was disabled (410) or rests from failures."""
    _on_endpoint(endpoint, file, data, lambda book, found: _ordered(book, found, OrderKind.ENABLE))


async def _ordered(book: EndpointBook, endpoint: Endpoint, kind: OrderKind) -> dict[str, Any]:
    from veltrix.domain.identifiers import notice_id
    from veltrix.ports.fulfilment import ORDERED
    from veltrix.ports.notices import WEBHOOK
    from veltrix.ports.outreach import Order
    from veltrix.registration.endpoint_bodies import EndpointChange

    if kind is OrderKind.ENABLE:
        await book.change(endpoint, EndpointChange(enabled=True))
    number = await book.telling.outreach.give(
        Order(kind, endpoint.organizer, book.clock.now_ms(), target=endpoint.id, by=BY)
    )
    if kind is OrderKind.ENABLE:
        return {"order": number}
    return {"order": number, "notice": notice_id(ORDERED, number, endpoint.id, WEBHOOK)}


def _on_endpoint(
    name: str, file: Any, data: str | None, use: Callable[[EndpointBook, Endpoint], Awaitable[dict[str, Any]]]
) -> None:
    """Do something with an endpoint, and print what came of it."""
    from veltrix.cli.output import print_json

    config = configured(file, data=data).config

    async def main(telling: Telling) -> dict[str, Any]:
        return await use(_book(telling), await _found(telling, name))

    print_json(with_telling(config, main))


async def _found(telling: Telling, name: str) -> Endpoint:
    from veltrix.registration.problems import Problem

    found = await telling.outreach.endpoint(name)
    if found is None:
        raise Problem("unknown_endpoint")
    return found


def _book(telling: Telling) -> EndpointBook:
    from veltrix.adapters.system import SystemClock, SystemEntropy
    from veltrix.registration.endpoint_book import EndpointBook

    return EndpointBook(telling, SystemClock(), SystemEntropy())


async def _shown(book: EndpointBook, endpoint: Endpoint) -> dict[str, Any]:
    return _plain((await book.shown([endpoint]))[0])


async def _made(book: EndpointBook, made: Made) -> dict[str, Any]:
    return {"endpoint": await _shown(book, made.endpoint), "secret": made.secret}


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _tell_secret(made: dict[str, Any], as_json: bool) -> None:
    """The secret on a line of its own, and what to do with it."""
    from veltrix.cli.output import console, print_json

    if as_json:
        print_json(made)
        return
    from rich.text import Text

    out = console()
    out.print(Text(f"Endpoint {made['endpoint']['id']} verifies what it gets with:\n"), soft_wrap=True)
    out.print(Text(f"  {made['secret']}", style="bold"), soft_wrap=True)
    out.print("\nKeep it: it is not shown again. Have a test posted:\n", soft_wrap=True)
    out.print(Text(f"  veltrix endpoint ping {made['endpoint']['id']}"), soft_wrap=True)
