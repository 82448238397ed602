"""`veltrix serve`, `demo`, `load` and `audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from veltrix.cli.options import ConfigFile, DataDirectory, Json

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default=False)
]
Port = Annotated[str | None, typer.Option(metavar="N", help="Port; 0 takes a free one.", show_default=False)]


def serve(file: ConfigFile = None, host: Host = None, port: Port = None, data: DataDirectory = None) -> None:
    """Run the whole platform here until Ctrl-C."""
    raise NotImplementedError


def demo() -> None:
    """Show the platform at work."""
    raise NotImplementedError


def load() -> None:
    """Load."""
    raise NotImplementedError


def audit(file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """Replay the log and compare the result with the ledger."""
    raise NotImplementedError
