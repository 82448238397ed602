"""What can be seen of PostgreSQL's servers from outside: plain data, to be judged elsewhere.

The connections are plain ones, without the settings that Veltrix asks for, so that what is seen is what the
servers, roles and databases say of themselves.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg

from veltrix.adapters.postgres.links import TOO_LATE, Address, Connection, QuietConnection
from veltrix.adapters.postgres.roles import OWNER, ROLES
from veltrix.adapters.postgres.settings import PostgresSettings
from veltrix.ports.errors import Rejected

_LOOKED_AT: Final = (
    "fsync",
    "full_page_writes",
    "idle_in_transaction_session_timeout",
    "max_connections",
    "password_encryption",
    "reserved_connections",
    "ssl",
    "statement_timeout",
    "superuser_reserved_connections",
    "synchronous_commit",
    "synchronous_standby_names",
    "tcp_keepalives_idle",
    "tcp_user_timeout",
    "wal_sender_timeout",
)
_ROLE: Final = """
SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
    EXISTS (SELECT FROM pg_namespace n
        WHERE n.nspname IN ('ledger', 'notification', 'outreach', 'registration', 'vault')
        AND pg_has_role(current_user, n.nspowner, 'MEMBER')) AS owns
FROM pg_roles WHERE rolname = current_user
"""
# The settings of roles stand in the order of strength: this database's own come after those for all.
_OF_ROLES: Final = """
SELECT r.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
WHERE r.rolname = ANY ($1::text[])
    AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY s.setdatabase
"""
_SESSIONS: Final = """
SELECT a.application_name, coalesce(a.usename, '') AS role, coalesce(r.rolsuper, false) AS super
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.pid <> pg_backend_pid() AND a.datname = current_database()
    AND a.application_name ~ '^veltrix[^:]*:[0-9a-f]+$'
"""
_HBA: Final = """
SELECT DISTINCT type || ' ' || array_to_string(database, ',') || ' ' || array_to_string(user_name, ',') || ' '
    || coalesce(address, '') || ' ' || auth_method
FROM pg_hba_file_rules
WHERE type <> 'local' AND auth_method IN ('trust', 'password', 'md5')
    AND coalesce(address, '') NOT IN ('127.0.0.1', '::1', 'localhost')
"""
_CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"


@dataclass(frozen=True, slots=True)
class Role:
    """The role that was logged in as. `owns`: it is, or may become, the owner of Veltrix' schemas."""

    name: str
    superuser: bool
    powers: tuple[str, ...]
    owns: bool


@dataclass(frozen=True, slots=True)
class Server:
    """What one server said of itself; only `address` and `error` when it said nothing.

    `lacks_database`: the rest was asked in the database `postgres`. `standbys` are the names of those that
    stream from it, `sessions` the (name, role, superuser) of Veltrix' connections to this database.
    `clock_ahead_s` is by how much its clock differs from ours, `clock_slack_s` how exact that is.
    `weak_rules` is None where the role may not see them.
    """

    address: str
    error: str = ""
    lacks_database: bool = False
    version: int = 0
    primary: bool = False
    encrypted: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    role: Role = Role("", False, (), False)
    of_roles: dict[str, dict[str, str]] = field(default_factory=dict)
    standbys: tuple[str, ...] = ()
    sessions: tuple[tuple[str, str, bool], ...] = ()
    weak_rules: tuple[str, ...] | None = None
    clock_ahead_s: float = 0.0
    clock_slack_s: float = 0.0

    def number(self, name: str) -> int:
        """A setting that counts something; 0 where this version does not have it."""
        return int(self.settings.get(name, "0"))


async def inspect_servers(settings: PostgresSettings, timeout_s: float) -> tuple[Server, ...]:
    """Look at each server for itself, at most so long; who does not answer stands there with the reason."""
    return tuple(
        await asyncio.gather(*(_look(settings, address, timeout_s) for address in settings.addresses()))
    )


async def _look(settings: PostgresSettings, address: Address, timeout_s: float) -> Server:
    server = Server(f"{address[0]}:{address[1]}")
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timeout_s):
            try:
                connection = await _connected(settings, address, settings.database)
            except asyncpg.InvalidCatalogNameError:
                connection = await _connected(settings, address, "postgres")
                server = replace(server, lacks_database=True)
            return await _asked(connection, server)
    except TimeoutError:
        return replace(server, error=TOO_LATE)
    except OSError as error:
        return replace(
            server, error=os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, Rejected) as error:
        return replace(server, error=str(error) or type(error).__name__)
    finally:
        if connection is not None:
            connection.terminate()


async def _connected(settings: PostgresSettings, address: Address, database: str) -> Connection:
    return await asyncpg.connect(
        host=address[0],
        port=address[1],
        user=settings.user,
        password=settings.password,
        database=database,
        ssl=settings.ssl_context(),
        timeout=3600,  # it is bounded by whoever calls
        server_settings={"application_name": f"{settings.application} config check"},
        connection_class=QuietConnection,
    )


async def _asked(connection: Connection, server: Server) -> Server:
    row = await connection.fetchrow(_ROLE)
    assert row is not None
    powers = [word for word in ("createrole", "createdb", "replication", "bypassrls") if row[f"rol{word}"]]
    names = "SELECT name, setting FROM pg_settings WHERE name = ANY ($1::text[])"
    found = await connection.fetch(names, list(_LOOKED_AT))
    roles = list(dict.fromkeys((*ROLES, row["rolname"])))
    began_s = time.time()
    theirs_s: float = await connection.fetchval(_CLOCK)
    ended_s = time.time()
    return replace(
        server,
        version=connection.get_server_version().major,
        primary=not await connection.fetchval("SELECT pg_is_in_recovery()"),
        encrypted=bool(await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")),
        settings={each["name"]: each["setting"] for each in found},
        role=Role(row["rolname"], row["rolsuper"], tuple(powers), row["owns"]),
        of_roles=_by_role(await connection.fetch(_OF_ROLES, roles)),
        standbys=tuple(
            each["application_name"]
            for each in await connection.fetch("SELECT application_name FROM pg_stat_replication")
        ),
        sessions=tuple(
            (each["application_name"], each["role"], each["super"])
            for each in await connection.fetch(_SESSIONS)
        ),
        weak_rules=await _weak_rules(connection),
        clock_ahead_s=theirs_s - (began_s + ended_s) / 2,
        clock_slack_s=(ended_s - began_s) / 2,
    )


def _by_role(rows: list[Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        pairs = (entry.partition("=") for entry in row["setconfig"])
        found.setdefault(row["rolname"], {}).update({name: value for name, _, value in pairs})
    return found


async def _weak_rules(connection: Connection) -> tuple[str, ...] | None:
    try:
        return tuple(row[0] for row in await connection.fetch(_HBA))
    except asyncpg.InsufficientPrivilegeError:
        return None


def service_roles() -> tuple[str, ...]:
    """The roles that services log in as; the owner's is none of them."""
    return tuple(role for role in ROLES if role != OWNER)
