"""`veltrix key`: the API keys of organizers."""

from __future__ import annotations

from typing import Annotated

import typer

from veltrix.cli.options import ConfigFile, DataDirectory, Json
from veltrix.ports.access import Scope

app = typer.Typer(help="The API keys of organizers.", no_args_is_help=True)


@app.command("create")
def create(
    organizer: Annotated[str, typer.Option(help="Whose key it is: the tenant that owns the events.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; may be repeated. write includes read.  [default: write]"),
    ] = None,
    label: Annotated[str, typer.Option(help="A note for people, shown by `veltrix key list`.")] = "",
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Make a key and print its secret, once. It works at once, also while Veltrix serves."""
    raise NotImplementedError


@app.command("list")
def list_(file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """List the keys; secrets are not kept and cannot be shown."""
    raise NotImplementedError


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `veltrix key list` shows it.")],
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Revoke a key: it opens nothing any more."""
    raise NotImplementedError
