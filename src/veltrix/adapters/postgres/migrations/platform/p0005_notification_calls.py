"""What notification does with its tables, each in one call that is a transaction of its own."""

from typing import Final

from alembic import op

revision: Final = "p0005"
down_revision: Final = "p0004"

# Deferred to the end of each function below: a slot's row stays locked until the commit is replicated.
TALLY: Final = """
CREATE FUNCTION notification.tally(
    p_pending bigint, p_attempting bigint, p_accepted bigint, p_refused bigint, p_unknown bigint,
    p_suppressed bigint, p_dead bigint
) RETURNS void LANGUAGE sql AS $body$
    UPDATE notification.tallies
    SET pending = pending + p_pending, attempting = attempting + p_attempting,
        accepted = accepted + p_accepted, refused = refused + p_refused, unknown = unknown + p_unknown,
        suppressed = suppressed + p_suppressed, dead = dead + p_dead
    WHERE slot = pg_backend_pid() % 64
$body$;
"""
ADD: Final = """
CREATE FUNCTION notification.add(
    n_id text[], n_organizer text[], n_event text[], n_partition integer[], n_seq bigint[], n_kind text[],
    n_registration text[], n_recipient text[], n_channel text[], n_key_id text[], n_created_ms bigint[],
    n_trace text[]
) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_added bigint;
BEGIN
    INSERT INTO notification.notices (id, organizer, event, partition, seq, kind, registration, recipient,
        channel, key_id, created_ms, trace, due_ms)
    SELECT id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id, created_ms,
        trace, created_ms
    FROM unnest(n_id, n_organizer, n_event, n_partition, n_seq, n_kind, n_registration, n_recipient,
        n_channel, n_key_id, n_created_ms, n_trace) WITH ORDINALITY
        AS n(id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id,
            created_ms, trace, place)
    ORDER BY n.place
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_added = ROW_COUNT;
    RETURN v_added;
END
$body$;
"""
RECORD: Final = """
CREATE FUNCTION notification.record(
    p_partition integer, p_after bigint, p_upto bigint,
    n_id text[], n_organizer text[], n_event text[], n_partition integer[], n_seq bigint[], n_kind text[],
    n_registration text[], n_recipient text[], n_channel text[], n_key_id text[], n_created_ms bigint[],
    n_trace text[],
    j_partition integer[], j_seq bigint[], j_organizer text[], j_event text[], j_kind text[],
    j_after_arrival bigint[], j_trace text[],
    x_event text[], x_person text[]
) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    v_pending bigint := 0;
    v_from record;
BEGIN
    INSERT INTO notification.positions VALUES (p_partition, 0) ON CONFLICT DO NOTHING;
    UPDATE notification.positions SET seq = p_upto WHERE partition = p_partition AND seq = p_after;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the inbox of partition % is not at %', p_partition, p_after
            USING ERRCODE = 'VX001';
    END IF;
    IF cardinality(n_id) > 0 THEN
        v_pending := notification.add(n_id, n_organizer, n_event, n_partition, n_seq, n_kind,
            n_registration, n_recipient, n_channel, n_key_id, n_created_ms, n_trace);
    END IF;
    IF cardinality(j_seq) > 0 THEN
        INSERT INTO notification.jobs (partition, seq, organizer, event, kind, after_arrival, trace)
        SELECT j.partition, j.seq, j.organizer, j.event, j.kind, j.after_arrival, j.trace
        FROM unnest(j_partition, j_seq, j_organizer, j_event, j_kind, j_after_arrival, j_trace)
            WITH ORDINALITY AS j(partition, seq, organizer, event, kind, after_arrival, trace, place)
        ORDER BY j.place
        ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(x_event) > 0 THEN
        RETURN QUERY
            SELECT n.id FROM unnest(x_event, x_person) WITH ORDINALITY AS x(event, person, place)
            JOIN notification.notices n ON n.recipient = x.person AND n.event = x.event
            ORDER BY x.place, n.place;
        WITH theirs AS (
            SELECT DISTINCT n.place, n.status
            FROM unnest(x_event, x_person) AS x(event, person)
            JOIN notification.notices n ON n.recipient = x.person AND n.event = x.event
        ), standing AS (
            SELECT n.place, n.status FROM notification.notices n
            WHERE n.place IN (SELECT place FROM theirs) AND n.status IN ('pending', 'attempting', 'unknown')
            ORDER BY n.place FOR UPDATE
        ), ended AS (
            UPDATE notification.notices n
            SET status = 'suppressed', due_ms = NULL, fence = n.fence + 1
            FROM standing s WHERE n.place = s.place
            RETURNING s.status AS was
        )
        SELECT count(*) FILTER (WHERE was = 'pending') AS pending,
            count(*) FILTER (WHERE was = 'attempting') AS attempting,
            count(*) FILTER (WHERE was = 'unknown') AS unknown, count(*) AS ended
        INTO v_from FROM ended;
        PERFORM notification.tally(v_pending - v_from.pending, -v_from.attempting, 0, 0, -v_from.unknown,
            v_from.ended, 0);
    ELSIF v_pending > 0 THEN
        PERFORM notification.tally(v_pending, 0, 0, 0, 0, 0, 0);
    END IF;
END
$body$;
"""
CLAIM: Final = """
CREATE FUNCTION notification.claim(p_now_ms bigint, p_limit integer, p_lease_ms bigint)
RETURNS SETOF notification.notices LANGUAGE plpgsql AS $body$
DECLARE
    v_expired bigint;
    v_pending bigint;
    v_taken bigint;
    v_places bigint[];
BEGIN
    UPDATE notification.notices SET status = 'unknown' WHERE place IN (
        SELECT place FROM notification.notices WHERE status = 'attempting' AND due_ms <= p_now_ms
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS v_expired = ROW_COUNT;
    SELECT coalesce(array_agg(place), '{}'), count(*) FILTER (WHERE status = 'pending'), count(*)
    INTO v_places, v_pending, v_taken
    FROM (
        SELECT place, status FROM notification.notices
        WHERE status IN ('pending', 'unknown') AND due_ms <= p_now_ms
        ORDER BY due_ms, place LIMIT p_limit FOR UPDATE SKIP LOCKED
    ) due;
    IF v_taken > 0 THEN
        RETURN QUERY SELECT n.* FROM unnest(v_places) WITH ORDINALITY AS d(place, number)
            JOIN notification.notices n ON n.place = d.place ORDER BY d.number;
        UPDATE notification.notices
        SET status = 'attempting', due_ms = p_now_ms + p_lease_ms, attempts = attempts + 1,
            fence = fence + 1
        WHERE place = ANY (v_places);
    END IF;
    IF v_taken > 0 OR v_expired > 0 THEN
        PERFORM notification.tally(-v_pending, v_taken - v_expired, 0, 0,
            v_expired - (v_taken - v_pending), 0, 0);
    END IF;
END
$body$;
"""
FINISH: Final = """
CREATE FUNCTION notification.finish(
    p_id text[], p_fence bigint[], p_status text[], p_next_ms bigint[], p_detail text[], p_at_ms bigint[]
) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_moved record;
BEGIN
    WITH results AS (
        SELECT DISTINCT ON (r.id) r.*
        FROM unnest(p_id, p_fence, p_status, p_next_ms, p_detail, p_at_ms) WITH ORDINALITY
            AS r(id, fence, status, next_ms, detail, at_ms, number)
        JOIN notification.notices n ON n.id = r.id AND n.fence = r.fence
        ORDER BY r.id, r.number
    ), standing AS (
        SELECT n.place, n.status AS was, r.*
        FROM results r JOIN notification.notices n ON n.id = r.id
        WHERE n.fence = r.fence AND n.status IN ('pending', 'attempting', 'unknown')
        ORDER BY n.place FOR UPDATE OF n
    ), ended AS (
        UPDATE notification.notices n
        SET status = s.status, due_ms = s.next_ms, detail = s.detail, tried_ms = s.at_ms,
            fence = n.fence + 1
        FROM standing s WHERE n.place = s.place
        RETURNING s.was, s.status AS now
    )
    SELECT count(*) FILTER (WHERE now = 'pending') - count(*) FILTER (WHERE was = 'pending') AS pending,
        count(*) FILTER (WHERE now = 'attempting') - count(*) FILTER (WHERE was = 'attempting') AS attempting,
        count(*) FILTER (WHERE now = 'accepted') AS accepted,
        count(*) FILTER (WHERE now = 'refused') AS refused,
        count(*) FILTER (WHERE now = 'unknown') - count(*) FILTER (WHERE was = 'unknown') AS unknown,
        count(*) FILTER (WHERE now = 'suppressed') AS suppressed,
        count(*) FILTER (WHERE now = 'dead') AS dead, count(*) AS recorded
    INTO v_moved FROM ended;
    IF v_moved.recorded > 0 THEN
        PERFORM notification.tally(v_moved.pending, v_moved.attempting, v_moved.accepted, v_moved.refused,
            v_moved.unknown, v_moved.suppressed, v_moved.dead);
    END IF;
    RETURN v_moved.recorded;
END
$body$;
"""
ADVANCE: Final = """
CREATE FUNCTION notification.advance(
    p_partition integer, p_seq bigint, p_after_arrival bigint, p_upto_arrival bigint,
    n_id text[], n_organizer text[], n_event text[], n_partition integer[], n_seq bigint[], n_kind text[],
    n_registration text[], n_recipient text[], n_channel text[], n_key_id text[], n_created_ms bigint[],
    n_trace text[]
) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    v_added bigint;
BEGIN
    IF p_upto_arrival IS NULL THEN
        DELETE FROM notification.jobs
        WHERE partition = p_partition AND seq = p_seq AND after_arrival = p_after_arrival;
    ELSE
        UPDATE notification.jobs SET after_arrival = p_upto_arrival
        WHERE partition = p_partition AND seq = p_seq AND after_arrival = p_after_arrival;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job %/% is not at arrival % any more', p_partition, p_seq, p_after_arrival
            USING ERRCODE = 'VX001';
    END IF;
    IF cardinality(n_id) > 0 THEN
        v_added := notification.add(n_id, n_organizer, n_event, n_partition, n_seq, n_kind, n_registration,
            n_recipient, n_channel, n_key_id, n_created_ms, n_trace);
        PERFORM notification.tally(v_added, 0, 0, 0, 0, 0, 0);
    END IF;
END
$body$;
"""
GRANTS: Final = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA notification FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA notification TO veltrix_notification;
"""


def upgrade() -> None:
    """Make them."""
    for statement in (TALLY, ADD, RECORD, CLAIM, FINISH, ADVANCE, GRANTS):
        op.execute(statement)
