"""What a restore needs: a partition bound to another log, erasures found again, notices that are held."""

from typing import Final

from alembic import op

revision: Final = "p0007"
down_revision: Final = "p0006"

ERASURES: Final = """
CREATE INDEX decisions_erasures ON ledger.decisions (partition, "offset")
WHERE kind = 'erase_person' AND outcome = 'accepted'
"""
REBIND: Final = """
CREATE FUNCTION ledger.rebind(
    p_partition integer, p_epoch bigint, p_revision bigint, p_owner text, p_topic_id text,
    p_partitions integer, p_first bigint, p_session text
) RETURNS ledger.partitions LANGUAGE plpgsql AS $body$
DECLARE
    v_bound ledger.partitions;
BEGIN
    INSERT INTO ledger.partitions AS o
    VALUES (p_partition, p_epoch, p_revision, p_owner, p_first, 0, 1, 1, 0, '', p_topic_id, p_partitions,
        p_session)
    ON CONFLICT (partition) DO UPDATE SET
        epoch = excluded.epoch, revision = excluded.revision, owner = excluded.owner,
        log_partitions = excluded.log_partitions, session = excluded.session,
        topic_id = excluded.topic_id,
        last_hash = CASE WHEN o.topic_id = p_topic_id AND o.next_offset >= p_first THEN o.last_hash
            ELSE '' END,
        next_offset = CASE WHEN o.topic_id = p_topic_id AND o.next_offset >= p_first THEN o.next_offset
            ELSE p_first END
    WHERE ((o.epoch, o.revision) < (excluded.epoch, excluded.revision)
       OR (o.epoch, o.revision, o.owner) = (excluded.epoch, excluded.revision, excluded.owner))
      AND (o.topic_id = p_topic_id OR o.next_offset <= p_first)
    RETURNING * INTO v_bound;
    IF NOT FOUND THEN
        SELECT * INTO v_bound FROM ledger.partitions WHERE partition = p_partition;
        IF v_bound.topic_id <> p_topic_id AND v_bound.next_offset > p_first THEN
            RAISE EXCEPTION 'partition % stands at %, beyond %', p_partition, v_bound.next_offset, p_first
                USING ERRCODE = 'VX002';
        END IF;
        RAISE EXCEPTION 'partition % is owned by % under term %.%',
            p_partition, v_bound.owner, v_bound.epoch, v_bound.revision USING ERRCODE = 'VX001';
    END IF;
    RETURN v_bound;
END
$body$;
"""
HOLDS: Final = """
CREATE TABLE notification.holds (
    partition integer PRIMARY KEY,
    seq bigint NOT NULL,
    detail text NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON notification.holds TO veltrix_notification;
GRANT SELECT ON notification.holds TO veltrix_audit;
"""
ADD: Final = """
CREATE OR REPLACE FUNCTION notification.add(
    n_id text[], n_organizer text[], n_event text[], n_partition integer[], n_seq bigint[], n_kind text[],
    n_registration text[], n_recipient text[], n_channel text[], n_key_id text[], n_created_ms bigint[],
    n_trace text[]
) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_pending bigint;
    v_held bigint;
BEGIN
    WITH added AS (
        INSERT INTO notification.notices (id, organizer, event, partition, seq, kind, registration, recipient,
            channel, key_id, created_ms, trace, due_ms, status, detail)
        SELECT n.id, n.organizer, n.event, n.partition, n.seq, n.kind, n.registration, n.recipient, n.channel,
            n.key_id, n.created_ms, n.trace,
            CASE WHEN n.seq <= h.seq THEN NULL ELSE n.created_ms END,
            CASE WHEN n.seq <= h.seq THEN 'unknown' ELSE 'pending' END,
            CASE WHEN n.seq <= h.seq THEN h.detail ELSE '' END
        FROM unnest(n_id, n_organizer, n_event, n_partition, n_seq, n_kind, n_registration, n_recipient,
            n_channel, n_key_id, n_created_ms, n_trace) WITH ORDINALITY
            AS n(id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id,
                created_ms, trace, place)
        LEFT JOIN notification.holds h ON h.partition = n.partition
        ORDER BY n.place
        ON CONFLICT DO NOTHING
        RETURNING status
    )
    SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'unknown')
    INTO v_pending, v_held FROM added;
    IF v_held > 0 THEN
        PERFORM notification.tally(0, 0, 0, 0, v_held, 0, 0);
    END IF;
    RETURN v_pending;
END
$body$;
"""
HOLD: Final = """
CREATE FUNCTION notification.hold(p_partition integer, p_upto bigint, p_detail text)
RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_from record;
BEGIN
    INSERT INTO notification.holds AS h VALUES (p_partition, p_upto, p_detail)
    ON CONFLICT (partition) DO UPDATE SET seq = greatest(h.seq, p_upto), detail = p_detail;
    WITH standing AS (
        SELECT place, status FROM notification.notices
        WHERE partition = p_partition AND seq <= p_upto
          AND status IN ('pending', 'attempting', 'unknown') AND due_ms IS NOT NULL
        ORDER BY place FOR UPDATE
    ), held AS (
        UPDATE notification.notices n
        SET status = 'unknown', due_ms = NULL, detail = p_detail, fence = n.fence + 1
        FROM standing s WHERE n.place = s.place
        RETURNING s.status AS was
    )
    SELECT count(*) FILTER (WHERE was = 'pending') AS pending,
        count(*) FILTER (WHERE was = 'attempting') AS attempting, count(*) AS held
    INTO v_from FROM held;
    PERFORM notification.tally(-v_from.pending, -v_from.attempting, 0, 0, v_from.pending + v_from.attempting,
        0, 0);
    RETURN v_from.held;
END
$body$;
"""
RELEASE: Final = """
CREATE FUNCTION notification.release(p_send boolean) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_released bigint;
BEGIN
    UPDATE notification.notices
    SET status = CASE WHEN p_send THEN 'unknown' ELSE 'suppressed' END,
        due_ms = CASE WHEN p_send THEN created_ms END, fence = fence + 1
    WHERE status = 'unknown' AND due_ms IS NULL;
    GET DIAGNOSTICS v_released = ROW_COUNT;
    IF NOT p_send AND v_released > 0 THEN
        PERFORM notification.tally(0, 0, 0, 0, -v_released, v_released, 0);
    END IF;
    RETURN v_released;
END
$body$;
"""
GRANTS: Final = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger, notification FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.rebind TO veltrix_processing;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA notification TO veltrix_notification;
"""


def upgrade() -> None:
    """Make them."""
    for statement in (ERASURES, REBIND, HOLDS, ADD, HOLD, RELEASE, GRANTS):
        op.execute(statement)
