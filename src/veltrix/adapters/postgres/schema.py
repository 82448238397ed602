"""Whether a database has the schema of this version, and the constraints that its promises rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veltrix.adapters.postgres.errors import port_error
from veltrix.adapters.postgres.links import find_primary
from veltrix.adapters.postgres.migrating import missing_steps
from veltrix.adapters.postgres.settings import PostgresSettings

# What makes overselling, two owners and two decisions impossible for whatever code.
CONSTRAINTS: Final = ("never_oversold", "no_negative_capacity", "one_owner_a_seat", "one_fact_a_number")
INDEXES: Final = ("one_first_decision", "one_per_email")
_STEP: Final = "SELECT version_num FROM migrations.versions"
_CONSTRAINTS: Final = """
SELECT conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
WHERE n.nspname = 'ledger' AND c.convalidated
"""
_INDEXES: Final = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'ledger' AND i.indisunique AND i.indisvalid
"""


@dataclass(frozen=True, slots=True)
class Schema:
    """What is missing. `steps`: migrations; `constraints`: those that are not there, or not validated."""

    step: str
    steps: tuple[str, ...]
    constraints: tuple[str, ...]


async def examine_schema(settings: PostgresSettings, *, vault: bool) -> Schema:
    """Look at a database. Raises `Mismatch` for one of a newer version, `Unavailable`, `Rejected`."""
    link = await find_primary(settings, settings.application, settings.addresses(), 0)
    connection = link.connection
    try:
        there = await connection.fetchval("SELECT to_regclass('migrations.versions')") is not None
        step = await connection.fetchval(_STEP) if there else None
        lacking: set[str] = set()
        if not vault:
            have = {row[0] for query in (_CONSTRAINTS, _INDEXES) for row in await connection.fetch(query)}
            lacking = {*CONSTRAINTS, *INDEXES} - have
    except Exception as error:
        raise port_error(error, writing=False) or error from error
    finally:
        link.drop()
    steps, _ = missing_steps(step, vault=vault)
    return Schema(step or "", tuple(steps), tuple(sorted(lacking)))
