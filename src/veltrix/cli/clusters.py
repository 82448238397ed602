"""`veltrix cluster`: a real cluster of engines and services on this machine, and its settings."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def cluster() -> None:
    """A cluster: its engines and services, its faults and its settings."""
