"""The keys of the boxes, in a database that is backed up apart from the ledger.

A key that is destroyed leaves a dead row, which VACUUM clears; autovacuum is told to come soon and often.
Processing destroys keys and may read none.
"""

from typing import Final

from alembic import op

revision: Final = "v0001"
down_revision: Final = None

TABLES: Final = """
CREATE SCHEMA vault;

CREATE TABLE vault.keys (
    id uuid PRIMARY KEY,
    key bytea NOT NULL CONSTRAINT key_of_256_bits CHECK (length(key) = 32)
) WITH (
    autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE vault.keys ALTER COLUMN key SET STORAGE PLAIN;

REVOKE ALL ON SCHEMA vault FROM PUBLIC;
GRANT USAGE ON SCHEMA vault TO veltrix_registration, veltrix_processing, veltrix_notification;
GRANT SELECT, INSERT ON vault.keys TO veltrix_registration;
GRANT SELECT (id), DELETE ON vault.keys TO veltrix_processing;
GRANT SELECT ON vault.keys TO veltrix_notification;
"""


def upgrade() -> None:
    """Make it."""
    op.execute(TABLES)
