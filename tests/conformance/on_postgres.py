"""The stores on a PostgreSQL server that all tests of a run share, each under the role of its service.

The schema is made once; a test's first opening, told by its directory, empties the tables.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg

from tests.engines import PostgresServer
from veltrix.adapters.postgres import (
    Postgres,
    PostgresAccess,
    PostgresLedger,
    PostgresNotices,
    PostgresOutreach,
    PostgresSettings,
    PostgresVault,
    create_roles,
    migrate,
)
from veltrix.adapters.postgres.roles import NOTIFICATION, OWNER, PROCESSING, REGISTRATION

PLATFORM = "veltrix"
VAULT = "veltrix_vault"
_EMPTY = """
DELETE FROM ledger.partitions; DELETE FROM ledger.events; DELETE FROM ledger.counters;
DELETE FROM ledger.pools; DELETE FROM ledger.registrations; DELETE FROM ledger.seats;
DELETE FROM ledger.decisions; DELETE FROM ledger.facts; DELETE FROM notification.positions;
DELETE FROM notification.notices; DELETE FROM notification.jobs; DELETE FROM notification.holds;
DELETE FROM registration.api_keys; DELETE FROM notification.attempts; DELETE FROM notification.targets;
DELETE FROM notification.bounces; DELETE FROM outreach.endpoints; DELETE FROM outreach.suppressions;
DELETE FROM outreach.templates; DELETE FROM outreach.orders;
UPDATE notification.tallies SET pending = 0, attempting = 0, accepted = 0, refused = 0, unknown = 0,
    suppressed = 0, dead = 0, expired = 0;
UPDATE notification.progress SET seq = 0, place = 0;
UPDATE outreach.revisions SET revision = 0, orders = 0;
"""

_prepared: set[PostgresServer] = set()
_emptied: dict[str, Path] = {}


class OwnLedger(PostgresLedger):
    """A ledger that closes its connections with it."""

    async def close(self) -> None:
        """Both."""
        await super().close()
        await self._postgres.close()


class OwnNotices(PostgresNotices):
    """Notices that close their connections with them."""

    async def close(self) -> None:
        """Both."""
        await super().close()
        await self._postgres.close()


class OwnAccess(PostgresAccess):
    """API keys that close their connections with them."""

    async def close(self) -> None:
        """Both."""
        await super().close()
        await self._postgres.close()


class OwnOutreach(PostgresOutreach):
    """What organizers chose, with its connections."""

    async def close(self) -> None:
        """Both."""
        await super().close()
        await self._postgres.close()


class OwnVault(PostgresVault):
    """A vault that closes its connections with it."""

    async def close(self) -> None:
        """Both."""
        await super().close()
        await self._postgres.close()


def settings_of(server: PostgresServer, user: str, database: str = PLATFORM) -> PostgresSettings:
    """How a role reaches the server."""
    return PostgresSettings((f"{server.host}:{server.port}",), database, user)


async def prepare(server: PostgresServer) -> None:
    """Make roles, databases and schemas, once a run."""
    if server in _prepared:
        return
    await create_roles(settings_of(server, server.superuser))
    # The server need not be safe against power cuts, but its commits may have to wait for standbys.
    await execute(server, "postgres", f"ALTER ROLE {PROCESSING} SET synchronous_commit = on")
    await migrate(settings_of(server, OWNER), vault=False)
    await migrate(settings_of(server, OWNER, VAULT), vault=True)
    _prepared.add(server)


async def emptied(server: PostgresServer, directory: Path, database: str) -> None:
    """Empty the tables for a test that is new here."""
    await prepare(server)
    if _emptied.get(database) == directory:
        return
    await execute(server, database, _EMPTY if database == PLATFORM else "DELETE FROM vault.keys")
    _emptied[database] = directory


async def execute(server: PostgresServer, database: str, statements: str) -> None:
    """Have the superuser do something."""
    connection = await asyncpg.connect(
        host=server.host, port=server.port, user=server.superuser, database=database
    )
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def opened_server(
    directory: Path, server: PostgresServer, user: str, database: str = PLATFORM, **changes: Any
) -> Postgres:
    """Connections of a role to tables that were empty when the test began."""
    await emptied(server, directory, database)
    return await Postgres.open(replace(settings_of(server, user, database), **changes))


async def postgres_ledger(directory: Path, engine: PostgresServer, **options: Any) -> OwnLedger:
    """A ledger as processing has it."""
    return OwnLedger(await opened_server(directory, engine, PROCESSING), **options)


async def postgres_notices(directory: Path, engine: PostgresServer) -> OwnNotices:
    """Notification's store."""
    return OwnNotices(await opened_server(directory, engine, NOTIFICATION))


async def postgres_access(directory: Path, engine: PostgresServer) -> OwnAccess:
    """Registration's store."""
    return OwnAccess(await opened_server(directory, engine, REGISTRATION))


async def postgres_outreach(directory: Path, engine: PostgresServer) -> OwnOutreach:
    """What organizers chose, as registration has it."""
    return OwnOutreach(await opened_server(directory, engine, REGISTRATION))


async def postgres_vault(directory: Path, engine: PostgresServer) -> OwnVault:
    """A vault as its owner has it: each service may do a part only."""
    return OwnVault(await opened_server(directory, engine, OWNER, VAULT))
