"""`veltrix key`: the API keys of organizers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured
from veltrix.ports.access import Scope

if TYPE_CHECKING:
    from veltrix.config import Config
    from veltrix.ports.access import Access, ApiKey

T = TypeVar("T")

ORGANIZER: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
LABEL_MAX_CHARS: Final = 200

app = typer.Typer(help="The API keys of organizers.", no_args_is_help=True)


@app.command("create")
def create(
    organizer: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is: who owns the events.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; may be repeated. write includes read.  [default: write]"),
    ] = None,
    label: Annotated[str, typer.Option(metavar="TEXT", help="A note that `veltrix key list` shows.")] = "",
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, once. It works at once, also while Veltrix serves."""
    if not ORGANIZER.fullmatch(organizer):
        raise typer.BadParameter(
            f"{organizer!r} is no organizer's name; use small letters, digits and hyphens, 64 at most",
            param_hint="--organizer",
        )
    if len(label) > LABEL_MAX_CHARS or not label.isprintable():
        raise typer.BadParameter(
            f"a label is one line of at most {LABEL_MAX_CHARS} characters", param_hint="--label"
        )
    config = configured(file, data=data).config
    from veltrix.adapters.system import SystemClock, SystemEntropy
    from veltrix.registration.access import new_api_key

    stored, key = new_api_key(organizer, scope or [Scope.WRITE], SystemEntropy(), SystemClock(), label)

    async def add(access: Access) -> None:
        await access.add(stored)

    _with_access(config, add)
    if as_json:
        from veltrix.cli.output import print_json

        print_json({**_shown(stored), "key": key})
    else:
        _tell_key(stored, key, config.http.local_url())


def _tell_key(stored: ApiKey, key: str, url: str) -> None:
    """The key on a line of its own, and what to do with it."""
    from rich.text import Text

    from veltrix.cli.output import console

    may = ", ".join(sorted(stored.scopes))
    out = console()
    out.print(f"A key for {stored.organizer} that may {may}:\n", soft_wrap=True)
    out.print(Text(f"  {key}", style="bold"), soft_wrap=True)
    out.print(
        "\nKeep it: only its hash is stored, and it is not shown again. Try it on the running platform:\n",
        soft_wrap=True,
    )
    path = "/v1/events" if stored.scopes & {Scope.READ, Scope.WRITE} else "/openapi.json"
    out.print(Text(f"  curl -H 'Authorization: Bearer {key}' {url}{path}"), soft_wrap=True)
    out.print(f"\nRevoke it: veltrix key revoke {stored.id}", soft_wrap=True)


@app.command("list")
def list_(file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """List the keys. The keys themselves are not stored and cannot be shown."""
    config = configured(file, data=data).config
    from veltrix.cli.output import console, print_json, print_table

    async def read(access: Access) -> list[ApiKey]:
        return await access.keys()

    keys = _with_access(config, read) if _is_there(config) else []
    if as_json:
        print_json([_shown(key) for key in keys])
        return
    if not keys:
        hint = "Make one: veltrix key create --organizer acme"
        where = "the cluster" if config.clustered else config.data.directory
        console().print(f"No keys in {where}. {hint}", markup=False, soft_wrap=True)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Id", "Organizer", "May", "Since", "Label"):
        table.add_column(column, overflow="fold", no_wrap=column == "Id")
    for key in keys:
        shown = _shown(key)
        table.add_row(
            shown["id"], key.organizer, ", ".join(shown["scopes"]), shown["created"][:16], Text(key.label)
        )
    print_table(table)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `veltrix key list` shows it.")],
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Revoke a key. A running platform refuses it within a few seconds."""
    config = configured(file, data=data).config
    from veltrix.cli.output import console, print_json

    async def remove(access: Access) -> bool:
        return await access.revoke(key)

    revoked = _is_there(config) and _with_access(config, remove)
    if as_json:
        print_json({"id": key, "revoked": revoked})
    elif revoked:
        console().print(f"Revoked {key}.", markup=False, soft_wrap=True)
    else:
        told = "that is a key, not its id" if key.startswith("vk_") else f"there is no key {key}"
        text = f"Nothing revoked: {told}. veltrix key list shows the ids."
        console(stderr=True).print(text, markup=False, soft_wrap=True)
    raise typer.Exit(ExitCode.OK if revoked else ExitCode.NEGATIVE)


def _shown(key: ApiKey) -> dict[str, Any]:
    """A key as people may see it."""
    return {
        "id": key.id,
        "organizer": key.organizer,
        "scopes": sorted(scope.value for scope in key.scopes),
        "label": key.label,
        "created": datetime.fromtimestamp(key.created_ms / 1000, UTC).isoformat(timespec="seconds"),
    }


def _is_there(config: Config) -> bool:
    """Whether there is a store of keys; where there is none, looking must not make one."""
    return config.clustered or (config.data.directory / "access.db").exists()


def _with_access(config: Config, use: Callable[[Access], Awaitable[T]]) -> T:
    """Do something with the store of keys, which a running platform may be using too."""
    import asyncio

    from veltrix.bootstrap import api_keys

    async def main() -> T:
        async with api_keys(config) as access:
            return await use(access)

    return asyncio.run(main())
