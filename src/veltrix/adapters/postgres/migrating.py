"""Brings a database to the schema that this version of Veltrix needs.

Alembic knows the steps and their order and writes their SQL; it is carried out here, in one transaction
under an advisory lock. So any number of processes may ask for it at the same time, and any number of times.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from veltrix.adapters.postgres.errors import port_error
from veltrix.adapters.postgres.links import Connection, find_primary
from veltrix.adapters.postgres.settings import PostgresSettings
from veltrix.ports.errors import Mismatch

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK: Final = 0x56_4C_54_52_4C_4F_43_4B
_HERE: Final = Path(__file__).parent / "migrations"
_CURRENT: Final = "SELECT version_num FROM migrations.versions"


async def migrate(settings: PostgresSettings, *, vault: bool) -> list[str]:
    """Carry out the steps that are missing, and say which; as the role that owns the database.

    Raises `Mismatch` for a database of a newer version of Veltrix, `Unavailable`, or `OutcomeUnknown`.
    """
    link = await find_primary(settings, settings.application, settings.addresses(), 0)
    connection = link.connection
    try:
        # A step takes the time that it takes, and waits for whoever carries it out already.
        await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
        async with connection.transaction():
            return await _migrate(connection, vault)
    except Exception as error:
        raise port_error(error, writing=True) or error from error
    finally:
        link.drop()


async def _migrate(connection: Connection, vault: bool) -> list[str]:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    await connection.execute("CREATE SCHEMA IF NOT EXISTS migrations")
    current: str | None = None
    if await connection.fetchval("SELECT to_regclass('migrations.versions')") is not None:
        current = await connection.fetchval(_CURRENT)
    steps, sql = missing_steps(current, vault=vault)
    if steps:
        await connection.execute(sql)
    return steps


def missing_steps(current: str | None, *, vault: bool) -> tuple[list[str], str]:
    """The steps from `current` (None: an empty database) to the newest, and their SQL."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError

    written = io.StringIO()
    config = _config(written, vault)
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head()
    if current == newest:
        return [], ""
    try:
        revisions = list(scripts.iterate_revisions(newest, current or "base"))
    except (CommandError, RevisionError):
        raise Mismatch(
            f"the database was brought to step {current!r}, which this version of Veltrix does not know; "
            "start the version that did it, or a newer one"
        ) from None
    command.upgrade(config, "head" if current is None else f"{current}:head", sql=True)
    return [Path(each.path).stem for each in reversed(revisions)], written.getvalue()


def _config(written: io.StringIO, vault: bool) -> Config:
    from alembic.config import Config

    config = Config(output_buffer=written)
    config.set_main_option("script_location", _literal(_HERE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", _literal(_HERE / ("vault" if vault else "platform")))
    return config


def _literal(path: Path) -> str:
    return str(path).replace("%", "%%")
