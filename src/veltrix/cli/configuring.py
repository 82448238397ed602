"""`veltrix config`: what is configured, whether it is right, and what can be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, Json, configured

if TYPE_CHECKING:
    from veltrix.config import Loaded
    from veltrix.readiness import Verdict

Production = Annotated[
    bool, typer.Option("--production", help="Judge it, its files and the running engines for production.")
]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        metavar="N",
        help="With --production: how many processes there will be (default: those that run).",
        show_default=False,
    ),
]
_COLOURS: Final = {"danger": "bold red", "unknown": "bold yellow", "advice": "cyan"}

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
def check(
    file: ConfigFile = None,
    as_json: Json = False,
    production: Production = False,
    processes: Processes = None,
) -> None:
    """Say whether the configuration can be used; if not, everything that is wrong with it.

    With --production also whether it should be: settings, files, and the engines as they run.
    """
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
    if production:
        _examine(loaded, processes, as_json=as_json)
        return
    if as_json:
        print_json({"ok": True, "file": str(loaded.file) if loaded.file else None, "remarks": loaded.remarks})
        return
    print_text(f"The configuration can be used ({loaded.file or 'no file'}).")
    for remark in loaded.remarks:
        warn(remark)


def _examine(loaded: Loaded, processes: int | None, *, as_json: bool) -> None:
    """Print what is found; the exit code says whether it is fit for production."""
    import asyncio
    from dataclasses import asdict

    from veltrix.cli.output import print_json
    from veltrix.readiness import examine

    verdict = asyncio.run(examine(loaded, processes=processes))
    if as_json:
        findings = [asdict(finding) for finding in verdict.findings]
        file = str(loaded.file) if loaded.file else None
        print_json({"ok": verdict.good, "file": file, "findings": findings, "remarks": loaded.remarks})
    else:
        _print_verdict(verdict, loaded)
    if not verdict.good:
        raise typer.Exit(ExitCode.NEGATIVE)


def _print_verdict(verdict: Verdict, loaded: Loaded) -> None:
    from rich.table import Table

    from veltrix.cli.output import escape, print_table, print_text

    if verdict.findings:
        table = Table(box=None, pad_edge=False, header_style="bold", show_lines=False, padding=(0, 2, 1, 0))
        table.add_column("")
        for column in ("What", "Now", "Why it matters", "What to do"):
            table.add_column(column, overflow="fold")
        for finding in verdict.findings:
            texts = (finding.what, finding.value, finding.why, finding.remedy)
            table.add_row(f"[{_COLOURS[finding.level]}]{finding.level}[/]", *map(escape, texts))
        print_table(table)
    counts = Counter(finding.level.value for finding in verdict.findings)
    told = ", ".join(f"{counts[level]} {level}" for level in _COLOURS if counts[level]) or "nothing found"
    fit = "fit" if verdict.good else "not fit"
    print_text(f"The deployment is {fit} for production: {told} ({loaded.file or 'no file'}).")


@app.command("reference")
def reference() -> None:
    """Print the reference of all settings (docs/configuration.md)."""
    from veltrix.cli.output import print_text
    from veltrix.config.reference import reference as rendered

    print_text(rendered().rstrip("\n"))
