"""The roles and the two databases, made once by a superuser; what each role may do stands in the migrations.

`veltrix_owner` owns the schemas and serves nobody. Each service has a role of its own, so that a service that
was broken into cannot write what another decides: registration reads the ledger, and processing alone
writes it. The vault is a database of its own, to be backed up apart: who restores it restores forgotten keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import asyncpg

from veltrix.adapters.postgres.errors import port_error
from veltrix.adapters.postgres.links import Connection, find_primary
from veltrix.adapters.postgres.settings import PostgresSettings
from veltrix.ports.errors import Rejected

OWNER: Final = "veltrix_owner"
REGISTRATION: Final = "veltrix_registration"
PROCESSING: Final = "veltrix_processing"
NOTIFICATION: Final = "veltrix_notification"
AUDIT: Final = "veltrix_audit"
ROLES: Final = (OWNER, REGISTRATION, PROCESSING, NOTIFICATION, AUDIT)
_IN_VAULT: Final = (OWNER, REGISTRATION, PROCESSING, NOTIFICATION)
_IN_PLATFORM: Final = ROLES
_LOCK: Final = 0x56_4C_54_52_52_4F_4C_45
_ITERATIONS: Final = 4096


async def create_roles(
    settings: PostgresSettings,
    *,
    vault_settings: PostgresSettings | None = None,
    passwords: Mapping[str, str] | None = None,
) -> list[str]:
    """Make the roles and the databases that `settings` and `vault_settings` name, as a superuser.

    Repeatable; a role that exists keeps its password unless `passwords` has one for it. Without a vault's
    settings the vault is the database `veltrix_vault` on the same servers. Returns what was done.
    """
    passwords = passwords or {}
    unknown = passwords.keys() - set(ROLES)
    if unknown:
        raise Rejected(f"passwords for roles that there are not: {', '.join(sorted(unknown))}")
    vault = vault_settings or replace(settings, database="veltrix_vault")
    done = await _prepare(settings, ROLES, passwords, _IN_PLATFORM)
    return done + await _prepare(vault, _IN_VAULT, passwords, _IN_VAULT)


async def _prepare(
    settings: PostgresSettings,
    roles: tuple[str, ...],
    passwords: Mapping[str, str],
    entering: tuple[str, ...],
) -> list[str]:
    """Roles, and a database that only they may enter."""
    maintenance = replace(settings, database="postgres")
    link = await find_primary(maintenance, settings.application, settings.addresses(), 0)
    connection, done = link.connection, []
    try:
        await connection.execute("SET lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        for role in roles:
            done += await _role(connection, role, passwords.get(role))
        name = settings.database
        if not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name):
            await connection.execute("SET statement_timeout = 0")
            await _run(
                connection, "CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING 'UTF8'", name, OWNER
            )
            done.append(f"database {name}")
        await _run(connection, "REVOKE ALL ON DATABASE %I FROM PUBLIC", name)
        for role in entering:
            await _run(connection, "GRANT CONNECT ON DATABASE %I TO %I", name, role)
    except Exception as error:
        raise port_error(error, writing=False) or error from error
    finally:
        link.drop()
    return done


async def _role(connection: Connection, role: str, password: str | None) -> list[str]:
    done = []
    if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", role):
        try:
            await _run(connection, "CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT", role)
            done.append(f"role {role}")
        except asyncpg.DuplicateObjectError:
            pass
    if password is not None:
        await _run(connection, "ALTER ROLE %I PASSWORD %L", role, scram_verifier(password))
        done.append(f"password of {role}")
    return done


async def _run(connection: Connection, statement: str, *names: str) -> None:
    """A statement that takes no parameters, with names and literals quoted by the server."""
    marks = ", ".join(f"${number}::text" for number in range(2, len(names) + 2))
    await connection.execute(
        await connection.fetchval(f"SELECT format($1::text, {marks})", statement, *names)
    )


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores of a password (RFC 5803): made here, so that no log of the server sees it."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt64}${stored64}:{server64}"
