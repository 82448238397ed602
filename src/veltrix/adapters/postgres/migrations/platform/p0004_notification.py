"""Notification's tables: how far it has read, what it owes, and how that stands."""

from typing import Final

from alembic import op

revision: Final = "p0004"
down_revision: Final = "p0003"

# `tallies` holds how many notices are in each status, spread over rows that different sessions write: who
# asks often does not count a million rows, and who writes does not wait for each other.
TABLES: Final = """
CREATE SCHEMA notification;

CREATE TABLE notification.positions (
    partition integer PRIMARY KEY,
    seq bigint NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE notification.notices (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    organizer text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    registration text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    key_id text NOT NULL,
    created_ms bigint NOT NULL,
    trace text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    due_ms bigint,
    attempts integer NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    detail text NOT NULL DEFAULT '',
    tried_ms bigint,
    CONSTRAINT one_id UNIQUE (id),
    CONSTRAINT one_notice UNIQUE (partition, seq, recipient, channel, organizer)
) WITH (fillfactor = 80);
CREATE INDEX notices_due ON notification.notices (due_ms, place) WHERE status IN ('pending', 'unknown');
CREATE INDEX notices_leased ON notification.notices (due_ms) WHERE status = 'attempting';
CREATE INDEX notices_of_registration ON notification.notices (registration);
CREATE INDEX notices_of_recipient ON notification.notices (recipient);

CREATE TABLE notification.jobs (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    seq bigint NOT NULL,
    organizer text NOT NULL,
    event text NOT NULL,
    kind text NOT NULL,
    after_arrival bigint NOT NULL,
    trace text NOT NULL,
    CONSTRAINT one_job_a_fact UNIQUE (partition, seq)
);

CREATE TABLE notification.tallies (
    slot integer PRIMARY KEY,
    pending bigint NOT NULL DEFAULT 0,
    attempting bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    unknown bigint NOT NULL DEFAULT 0,
    suppressed bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
INSERT INTO notification.tallies (slot) SELECT generate_series(0, 63);

REVOKE ALL ON SCHEMA notification FROM PUBLIC;
GRANT USAGE ON SCHEMA notification TO veltrix_notification, veltrix_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA notification TO veltrix_audit;
GRANT SELECT, INSERT, UPDATE ON notification.positions, notification.notices TO veltrix_notification;
GRANT SELECT, INSERT, UPDATE, DELETE ON notification.jobs TO veltrix_notification;
GRANT SELECT, UPDATE ON notification.tallies TO veltrix_notification;
"""


def upgrade() -> None:
    """Make them."""
    op.execute(TABLES)
