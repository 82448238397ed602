"""The stores in PostgreSQL: the ledger, notification's, the API keys, and the vault in a database of its own.

One `Postgres` a process and database finds the primary and keeps the connections; the stores share it. What
they need there is made by `create_roles` and `migrate`.
"""

from veltrix.adapters.postgres.access import PostgresAccess
from veltrix.adapters.postgres.ledger import PostgresLedger
from veltrix.adapters.postgres.meters import PostgresMeters
from veltrix.adapters.postgres.migrating import migrate
from veltrix.adapters.postgres.notices import PostgresNotices
from veltrix.adapters.postgres.outreach import PostgresOutreach
from veltrix.adapters.postgres.roles import create_roles
from veltrix.adapters.postgres.server import Postgres
from veltrix.adapters.postgres.settings import PostgresSettings
from veltrix.adapters.postgres.vault import PostgresVault, scrub

__all__ = [
    "Postgres",
    "PostgresAccess",
    "PostgresLedger",
    "PostgresMeters",
    "PostgresNotices",
    "PostgresOutreach",
    "PostgresSettings",
    "PostgresVault",
    "create_roles",
    "migrate",
    "scrub",
]
