"""Registration's table: the organizers' API keys, of which only a hash is kept."""

from typing import Final

from alembic import op

revision: Final = "p0006"
down_revision: Final = "p0005"

TABLES: Final = """
CREATE SCHEMA registration;

CREATE TABLE registration.api_keys (
    id text COLLATE "C" PRIMARY KEY,
    organizer text COLLATE "C" NOT NULL,
    scopes text NOT NULL,
    secret_hash text NOT NULL,
    created_ms bigint NOT NULL,
    label text NOT NULL
);

REVOKE ALL ON SCHEMA registration FROM PUBLIC;
GRANT USAGE ON SCHEMA registration TO veltrix_registration;
GRANT SELECT, INSERT, DELETE ON registration.api_keys TO veltrix_registration;
"""


def upgrade() -> None:
    """Make it."""
    op.execute(TABLES)
