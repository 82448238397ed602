"""`veltrix config`: what is configured, whether it is right, and what can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, Json, configured

if TYPE_CHECKING:
    from veltrix.config import Loaded

app = typer.Typer(help="What is configured, whether it is right, and what can be.", no_args_is_help=True)


def _values(loaded: Loaded) -> list[dict[str, Any]]:
    """Every setting as JSON shows it: key, value as one would write it, where it came from."""
    from veltrix.config.model import SETTINGS

    rows = []
    for key, setting in SETTINGS.items():
        value = getattr(getattr(loaded.config, setting.section), setting.attribute)
        origin = loaded.origins[key]
        shown = None if value is None else setting.kind.show(value)
        rows.append({"key": key, "value": shown, "source": origin.source.value, "where": origin.where})
    return rows


@app.command("show")
def show(file: ConfigFile = None, as_json: Json = False) -> None:
    """Print each value that is in effect, and where it came from. Secrets are never shown."""
    from veltrix.cli.output import console, escape, print_json, print_table, warn
    from veltrix.config.model import SETTINGS

    loaded = configured(file)
    rows = _values(loaded)
    if as_json:
        print_json(
            {"file": str(loaded.file) if loaded.file else None, "settings": rows, "remarks": loaded.remarks}
        )
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Setting", "Value", "From"):
        table.add_column(column, overflow="fold")
    for row in rows:
        derived = SETTINGS[row["key"]].derived
        value = f"({derived.replace('`', '')})" if row["value"] is None else _written(row["value"])
        table.add_row(row["key"], escape(value), escape(row["where"] or row["source"]))
    out = console()
    read = escape(str(loaded.file)) if loaded.file else "none (--config, VELTRIX_CONFIG)"
    out.print(f"File: {read}", soft_wrap=True)
    print_table(table)
    for remark in loaded.remarks:
        warn(remark)


def _written(value: Any) -> str:
    """A value as TOML."""
    import json

    return json.dumps(value, ensure_ascii=False)


@app.command("check")
def check(file: ConfigFile = None, as_json: Json = False) -> None:
    """Say whether the configuration can be used; if not, everything that is wrong with it."""
    from dataclasses import asdict

    from veltrix.cli.failures import listed
    from veltrix.cli.output import console, escape, print_json, print_text, warn
    from veltrix.config import ConfigError

    try:
        loaded = configured(file)
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "problems": [asdict(problem) for problem in error.problems]})
        else:
            console(stderr=True).print(f"[bold red]Wrong:[/] {escape(listed(error))}", soft_wrap=True)
        raise typer.Exit(ExitCode.NEGATIVE) from None
    if as_json:
        print_json({"ok": True, "file": str(loaded.file) if loaded.file else None, "remarks": loaded.remarks})
        return
    print_text(f"The configuration can be used ({loaded.file or 'no file'}).")
    for remark in loaded.remarks:
        warn(remark)


@app.command("reference")
def reference() -> None:
    """Print the reference of all settings (docs/configuration.md)."""
    from veltrix.cli.output import print_text
    from veltrix.config.reference import reference as rendered

    print_text(rendered().rstrip("\n"))
