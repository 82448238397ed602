"""Attempts, targets, bounces, and how far orders are carried out; what a notice may wait for, or until when.

The functions of p0005 and p0007 stay, for the processes of an older version as long as there are any. They
know mail alone, so they claim nothing else.
"""

from typing import Final

from alembic import op

revision: Final = "p0010"
down_revision: Final = "p0009"

# An endpoint is a target of its own, every other channel one. Indexes are on this very expression.
TARGET: Final = "(CASE channel WHEN 'webhook' THEN recipient ELSE channel END)"
WAITING: Final = "status IN ('pending', 'unknown')"
OPEN: Final = "status IN ('pending', 'attempting', 'unknown')"

TABLES: Final = f"""
ALTER TABLE notification.notices
    ADD COLUMN tried_before integer NOT NULL DEFAULT 0,
    ADD COLUMN expires_ms bigint,
    ADD COLUMN ordered boolean NOT NULL DEFAULT false;
ALTER TABLE notification.jobs ADD COLUMN expires_ms bigint;
ALTER TABLE notification.tallies ADD COLUMN expired bigint NOT NULL DEFAULT 0;
DROP INDEX notification.notices_due;
CREATE INDEX notices_waiting ON notification.notices ({TARGET}, due_ms, place) WHERE {WAITING};
CREATE INDEX notices_in_line ON notification.notices ({TARGET}, event, seq) WHERE ordered AND {OPEN};
CREATE INDEX notices_expiring ON notification.notices (expires_ms) WHERE expires_ms IS NOT NULL AND {WAITING};
CREATE INDEX notices_failed ON notification.notices (status, place)
    WHERE status IN ('refused', 'dead', 'expired', 'suppressed');
CREATE INDEX notices_of_organizer ON notification.notices (organizer, place);

CREATE TABLE notification.attempts (
    place bigint NOT NULL,
    number integer NOT NULL,
    started_ms bigint NOT NULL,
    ended_ms bigint NOT NULL,
    outcome text NOT NULL,
    code integer,
    detail text NOT NULL,
    excerpt text NOT NULL,
    PRIMARY KEY (place, number)
);
CREATE TABLE notification.targets (
    name text COLLATE "C" PRIMARY KEY,
    state text NOT NULL,
    since_ms bigint NOT NULL,
    why text NOT NULL,
    failures integer NOT NULL,
    opened integer NOT NULL,
    blocked_until_ms bigint NOT NULL,
    version bigint NOT NULL,
    paced_ms double precision NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE notification.bounces (
    organizer text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (organizer, address)
);
CREATE TABLE notification.progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL DEFAULT 0,
    place bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
INSERT INTO notification.progress DEFAULT VALUES;
"""
TALLY: Final = """
CREATE FUNCTION notification.tally(
    p_pending bigint, p_attempting bigint, p_accepted bigint, p_refused bigint, p_unknown bigint,
    p_suppressed bigint, p_dead bigint, p_expired bigint
) RETURNS void LANGUAGE sql AS $body$
    UPDATE notification.tallies
    SET pending = pending + p_pending, attempting = attempting + p_attempting,
        accepted = accepted + p_accepted, refused = refused + p_refused, unknown = unknown + p_unknown,
        suppressed = suppressed + p_suppressed, dead = dead + p_dead, expired = expired + p_expired
    WHERE slot = pg_backend_pid() % 64
$body$;
"""
# Two who end and claim notices of one line at the same time could each miss what the other just wrote: the
# lock of the line is taken first, and the statements after it see what was committed before.
LINES: Final = f"""
CREATE FUNCTION notification.line(p_target text, p_event text) RETURNS bigint LANGUAGE sql IMMUTABLE
AS $body$ SELECT hashtextextended(p_target || ' ' || p_event, 0) $body$;

CREATE FUNCTION notification.advance_line(p_target text, p_event text, p_now_ms bigint)
RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock(notification.line(p_target, p_event));
    UPDATE notification.notices SET due_ms = p_now_ms
    WHERE place = (
        SELECT place FROM notification.notices
        WHERE {TARGET} = p_target AND event = p_event AND ordered AND {OPEN} ORDER BY seq LIMIT 1
    ) AND status = 'pending' AND due_ms IS NULL;
END
$body$;

CREATE FUNCTION notification.advance_lines(p_now_ms bigint) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM notification.advance_line(l.target, l.event, p_now_ms) FROM (
        SELECT DISTINCT {TARGET} AS target, event FROM notification.notices
        WHERE ordered AND {OPEN} AND status = 'pending' AND due_ms IS NULL ORDER BY 1, 2
    ) l;
END
$body$;
"""
GRANTS: Final = """
GRANT SELECT ON notification.attempts, notification.targets, notification.bounces, notification.progress
    TO veltrix_audit;
GRANT SELECT, INSERT, UPDATE, DELETE ON notification.attempts, notification.bounces TO veltrix_notification;
GRANT SELECT, INSERT, UPDATE ON notification.targets TO veltrix_notification;
GRANT SELECT, UPDATE ON notification.progress TO veltrix_notification;
GRANT USAGE ON SCHEMA notification TO veltrix_registration;
GRANT SELECT ON notification.notices, notification.attempts, notification.targets, notification.bounces,
    notification.progress, notification.tallies TO veltrix_registration;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA notification FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA notification TO veltrix_notification;
"""


def upgrade() -> None:
    """Make them."""
    for statement in (TABLES, TALLY, LINES, GRANTS):
        op.execute(statement)
