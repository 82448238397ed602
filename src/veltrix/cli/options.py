"""Options that several commands share, and how they become configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from veltrix.config import Loaded

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Configuration file (TOML).", show_default=False),
]
DataDirectory = Annotated[
    str | None,
    typer.Option("--data", metavar="DIR", help="Data directory (data.directory).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def configured(
    file: Path | None, *, data: str | None = None, host: str | None = None, port: str | None = None
) -> Loaded:
    """The configuration with these options on top; raises `ConfigError`."""
    from veltrix.cli.failures import Wanted
    from veltrix.config import load

    given = {
        "data.directory": ("--data", data),
        "http.host": ("--host", host),
        "http.port": ("--port", port),
    }
    overrides = {key: (option, text) for key, (option, text) in given.items() if text is not None}
    loaded = load(file, overrides)
    Wanted.tracebacks = loaded.config.logging.tracebacks
    return loaded
