"""`veltrix cluster prepare`: topics, roles, schemas and the epoch, made once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veltrix.cli.options import ConfigFile, Json, configured

if TYPE_CHECKING:
    from veltrix.config import Config


def prepare(
    file: ConfigFile = None,
    passwords: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='TOML file with passwords for PostgreSQL\'s roles (veltrix_processing = "…").',
            show_default=False,
        ),
    ] = None,
    roles: Annotated[
        bool,
        typer.Option(
            help="Make roles and databases too, as a superuser (postgres.user). Without: schemas alone."
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Make what the engines must have: topics, roles, databases, schemas, the epoch, the master key.

    It may be repeated, also while the cluster runs: what is there stays, partitions are added where
    log.partitions was raised, and schemas are brought to this version.
    """
    config = configured(file).config
    from veltrix.bootstrap.extra import require_extra
    from veltrix.cli.exits import ExitCode
    from veltrix.cli.failures import Failure
    from veltrix.cli.output import console, print_json

    if not config.clustered:
        raise Failure(
            "the configuration names no engines",
            "set kafka.bootstrap_servers, postgres.hosts and etcd.endpoints",
            ExitCode.USAGE,
        )
    by_role = _passwords(passwords) if passwords else {}
    require_extra()
    done = _run(config, by_role, roles)
    if as_json:
        print_json(done)
        return
    for engine, steps in done.items():
        for step in steps or ["nothing to do"]:
            console().print(f"{engine:<10}{step}", markup=False, soft_wrap=True)


def _run(config: Config, passwords: dict[str, str], roles: bool) -> dict[str, Any]:
    import asyncio

    from veltrix.bootstrap.prepare import prepare as run

    return asyncio.run(run(config, passwords, roles=roles))


def _passwords(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_mode & 0o077:
            raise typer.BadParameter(f"{path} may be read by others; run: chmod 600 {path}")
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read ({error})") from None
    if not all(isinstance(value, str) for value in found.values()):
        raise typer.BadParameter(f"{path} holds something else than a password for each role")
    return found
