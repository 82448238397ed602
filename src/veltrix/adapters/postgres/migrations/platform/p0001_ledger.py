"""The ledger's tables.

Ids are compared byte by byte (COLLATE "C"), as every other ledger orders them. Bodies are stored as they
are (STORAGE EXTERNAL): to compress them would cost a decision more than their space. Rows that every batch
rewrites have room on their page for the next version, so that no index is touched.
"""

from typing import Final

from alembic import op

revision: Final = "p0001"
down_revision: Final = None

_ACTIVE: Final = "status IN ('held', 'confirmed', 'waitlisted')"

TABLES: Final = f"""
CREATE SCHEMA ledger;

CREATE TABLE ledger.partitions (
    partition integer PRIMARY KEY,
    epoch bigint NOT NULL,
    revision bigint NOT NULL,
    owner text NOT NULL,
    next_offset bigint NOT NULL,
    log_time_ms bigint NOT NULL,
    rules_version integer NOT NULL,
    next_seq bigint NOT NULL,
    relayed_seq bigint NOT NULL,
    last_hash text NOT NULL,
    topic_id text NOT NULL,
    log_partitions integer NOT NULL,
    session text NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE ledger.events (
    id text COLLATE "C" PRIMARY KEY,
    partition integer NOT NULL,
    organizer text COLLATE "C" NOT NULL,
    slug text COLLATE "C" NOT NULL,
    status text NOT NULL,
    version integer NOT NULL,
    hash_key text NOT NULL,
    created_ms bigint NOT NULL,
    changed_ms bigint NOT NULL,
    ends_ms bigint NOT NULL,
    one_per_email boolean NOT NULL,
    spec bytea NOT NULL,
    CONSTRAINT one_slug UNIQUE (organizer, slug)
);
CREATE INDEX events_by_organizer ON ledger.events (organizer, id);
CREATE INDEX events_by_end ON ledger.events (partition, ends_ms) WHERE status IN ('open', 'closed');

CREATE TABLE ledger.counters (
    event text COLLATE "C" PRIMARY KEY,
    next_seat bigint NOT NULL,
    code_uses bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE ledger.pools (
    event text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    capacity bigint NOT NULL,
    taken bigint NOT NULL,
    ceiling bigint NOT NULL,
    PRIMARY KEY (event, pool),
    CONSTRAINT no_negative_capacity CHECK (capacity >= 0),
    CONSTRAINT never_oversold CHECK (taken >= 0 AND taken <= ceiling)
) WITH (fillfactor = 50);

CREATE TABLE ledger.registrations (
    id text COLLATE "C" PRIMARY KEY,
    partition integer NOT NULL,
    event text COLLATE "C" NOT NULL,
    arrival bigint NOT NULL,
    status text NOT NULL,
    person text COLLATE "C" NOT NULL,
    active_seats integer NOT NULL,
    hold_number bigint NOT NULL,
    hold_deadline_ms bigint,
    hold_ends_ms bigint,
    exclusive smallint NOT NULL,
    snapshot bytea NOT NULL
);
CREATE INDEX registrations_by_arrival ON ledger.registrations (event, arrival);
CREATE INDEX registrations_waiting ON ledger.registrations (event, arrival) WHERE status = 'waitlisted';
CREATE INDEX registrations_held ON ledger.registrations (partition, hold_deadline_ms) WHERE status = 'held';
CREATE UNIQUE INDEX one_per_email ON ledger.registrations (event, person)
    WHERE exclusive = 1 AND {_ACTIVE};

CREATE TABLE ledger.seats (
    event text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    registration text COLLATE "C" NOT NULL,
    status text NOT NULL,
    category text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    holder bigint NOT NULL,
    checked_in_ms bigint,
    CONSTRAINT one_owner_a_seat PRIMARY KEY (event, number)
);

CREATE TABLE ledger.decisions (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    outcome text NOT NULL,
    log_time_ms bigint NOT NULL,
    rules_version integer NOT NULL,
    command text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    refusal text,
    detail text NOT NULL,
    organizer text NOT NULL,
    event text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    person text COLLATE "C",
    key_id text,
    fingerprint text NOT NULL,
    first_seq bigint NOT NULL,
    facts integer NOT NULL,
    own_seq bigint,
    original bigint,
    CONSTRAINT one_decision_an_offset PRIMARY KEY (partition, "offset")
);
CREATE UNIQUE INDEX one_first_decision ON ledger.decisions (command)
    WHERE original IS NULL AND command <> '';
CREATE INDEX decisions_by_person ON ledger.decisions (person) WHERE person IS NOT NULL;
CREATE INDEX decisions_unused ON ledger.decisions (partition, "offset")
    WHERE key_id IS NOT NULL AND outcome <> 'accepted';
CREATE INDEX decisions_quarantined ON ledger.decisions (partition, "offset")
    WHERE outcome = 'quarantined';

CREATE TABLE ledger.facts (
    partition integer NOT NULL,
    seq bigint NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT one_fact_a_number PRIMARY KEY (partition, seq)
);

ALTER TABLE ledger.events ALTER COLUMN spec SET STORAGE EXTERNAL;
ALTER TABLE ledger.registrations ALTER COLUMN snapshot SET STORAGE EXTERNAL;
ALTER TABLE ledger.facts ALTER COLUMN data SET STORAGE EXTERNAL;

REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger
    TO veltrix_registration, veltrix_processing, veltrix_notification, veltrix_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger
    TO veltrix_registration, veltrix_processing, veltrix_notification, veltrix_audit;
GRANT INSERT, UPDATE ON ledger.partitions, ledger.events, ledger.counters, ledger.registrations, ledger.seats
    TO veltrix_processing;
GRANT INSERT, UPDATE, DELETE ON ledger.pools TO veltrix_processing;
GRANT INSERT ON ledger.decisions, ledger.facts TO veltrix_processing;
"""


def upgrade() -> None:
    """Make them."""
    op.execute(TABLES)
