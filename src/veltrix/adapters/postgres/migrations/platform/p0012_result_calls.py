"""Results with their attempts, orders carried out, and how targets stand: each one call, one transaction."""

from typing import Final

from alembic import op

from veltrix.adapters.postgres.migrations.platform.p0010_deliveries import OPEN, TARGET

revision: Final = "p0012"
down_revision: Final = "p0011"

FINISH: Final = """
CREATE FUNCTION notification.finish(
    p_id text[], p_fence bigint[], p_status text[], p_next_ms bigint[], p_detail text[], p_at_ms bigint[],
    p_outcome text[], p_started_ms bigint[], p_code integer[], p_excerpt text[], p_bounced text[],
    p_kept integer
) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_moved record;
BEGIN
    WITH results AS (
        SELECT DISTINCT ON (r.id) r.*
        FROM unnest(p_id, p_fence, p_status, p_next_ms, p_detail, p_at_ms, p_outcome, p_started_ms, p_code,
            p_excerpt, p_bounced) WITH ORDINALITY AS r(id, fence, status, next_ms, detail, at_ms, outcome,
            started_ms, code, excerpt, bounced, number)
        JOIN notification.notices n ON n.id = r.id AND n.fence = r.fence
        ORDER BY r.id, r.number
    ), standing AS (
        SELECT n.place, n.status AS was, n.attempts, n.organizer, n.ordered, n.event,
            (CASE n.channel WHEN 'webhook' THEN n.recipient ELSE n.channel END) AS target, r.*
        FROM results r JOIN notification.notices n ON n.id = r.id
        WHERE n.fence = r.fence AND n.status IN ('pending', 'attempting', 'unknown')
        ORDER BY n.place FOR UPDATE OF n
    ), tried AS (
        INSERT INTO notification.attempts AS a
        SELECT place, attempts, coalesce(started_ms, at_ms), at_ms, outcome, code, detail, excerpt
        FROM standing WHERE outcome <> ''
        ON CONFLICT (place, number) DO UPDATE SET started_ms = excluded.started_ms,
            ended_ms = excluded.ended_ms, outcome = excluded.outcome, code = excluded.code,
            detail = excluded.detail, excerpt = excluded.excerpt
    ), trimmed AS (
        DELETE FROM notification.attempts a USING standing s
        WHERE s.attempts > p_kept AND a.place = s.place AND a.number <= s.attempts - p_kept
    ), bounced AS (
        INSERT INTO notification.bounces
        SELECT organizer, bounced, at_ms, detail FROM standing WHERE bounced <> ''
        ON CONFLICT DO NOTHING
    ), ended AS (
        UPDATE notification.notices n
        SET status = s.status, due_ms = s.next_ms, detail = s.detail, tried_ms = s.at_ms,
            attempts = n.attempts - (s.outcome = '')::integer, fence = n.fence + 1
        FROM standing s WHERE n.place = s.place
        RETURNING s.was, s.status AS now, s.at_ms,
            CASE WHEN s.ordered AND s.status NOT IN ('pending', 'attempting', 'unknown')
                THEN ARRAY[s.target, s.event] END AS line
    )
    SELECT count(*) FILTER (WHERE now = 'pending') - count(*) FILTER (WHERE was = 'pending') AS pending,
        count(*) FILTER (WHERE now = 'attempting') - count(*) FILTER (WHERE was = 'attempting') AS attempting,
        count(*) FILTER (WHERE now = 'accepted') AS accepted,
        count(*) FILTER (WHERE now = 'refused') AS refused,
        count(*) FILTER (WHERE now = 'unknown') - count(*) FILTER (WHERE was = 'unknown') AS unknown,
        count(*) FILTER (WHERE now = 'suppressed') AS suppressed,
        count(*) FILTER (WHERE now = 'dead') AS dead, count(*) FILTER (WHERE now = 'expired') AS expired,
        count(*) AS recorded, max(at_ms) AS at_ms,
        coalesce(array_agg(line) FILTER (WHERE line IS NOT NULL), '{}') AS lines
    INTO v_moved FROM ended;
    IF cardinality(v_moved.lines) > 0 THEN
        PERFORM notification.advance_line(l.target, l.event, v_moved.at_ms) FROM (
            SELECT DISTINCT v_moved.lines[number][1] AS target, v_moved.lines[number][2] AS event
            FROM generate_subscripts(v_moved.lines, 1) AS number ORDER BY 1, 2
        ) l;
    END IF;
    IF v_moved.recorded > 0 THEN
        PERFORM notification.tally(v_moved.pending, v_moved.attempting, v_moved.accepted, v_moved.refused,
            v_moved.unknown, v_moved.suppressed, v_moved.dead, v_moved.expired);
    END IF;
    RETURN v_moved.recorded;
END
$body$;
"""
PAGE: Final = f"""
CREATE FUNCTION notification.page(
    p_kind text, p_seq bigint, p_after bigint, p_now_ms bigint, p_created_ms bigint, p_most integer,
    f_organizer text, f_ids text[], f_event text, f_registration text, f_statuses text[], f_channel text,
    f_target text, f_kind text, f_since_ms bigint, f_until_ms bigint, f_held boolean
) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_places bigint[];
    v_was record;
BEGIN
    SELECT coalesce(array_agg(place ORDER BY place), '{{}}') INTO v_places FROM (
        SELECT place FROM notification.notices
        WHERE place > p_after AND created_ms <= p_created_ms AND organizer = f_organizer
            AND (cardinality(f_ids) = 0 OR id = ANY (f_ids))
            AND (f_event IS NULL OR event = f_event)
            AND (f_registration IS NULL OR registration = f_registration)
            AND (cardinality(f_statuses) = 0 OR status = ANY (f_statuses))
            AND (f_channel IS NULL OR channel = f_channel)
            AND (f_target IS NULL OR {TARGET} = f_target)
            AND (f_kind IS NULL OR kind = f_kind)
            AND (f_since_ms IS NULL OR created_ms >= f_since_ms)
            AND (f_until_ms IS NULL OR created_ms < f_until_ms)
            AND (NOT f_held OR (status = 'unknown' AND due_ms IS NULL))
        ORDER BY place LIMIT p_most + 1 FOR UPDATE
    ) found;
    WITH standing AS (
        SELECT place, status FROM notification.notices WHERE place = ANY (v_places[:p_most])
    ), moved AS (
        UPDATE notification.notices n
        SET status = CASE p_kind WHEN 'replay' THEN 'pending' WHEN 'drop' THEN 'suppressed' ELSE n.status END,
            due_ms = CASE p_kind WHEN 'drop' THEN NULL ELSE p_now_ms END,
            detail = CASE p_kind WHEN 'replay' THEN '' WHEN 'drop' THEN 'dropped by order ' || p_seq
                ELSE n.detail END,
            tried_before = CASE p_kind WHEN 'replay' THEN n.attempts ELSE n.tried_before END,
            fence = n.fence + 1
        FROM standing s WHERE n.place = s.place RETURNING s.status AS was
    )
    SELECT count(*) FILTER (WHERE was = 'pending') AS pending,
        count(*) FILTER (WHERE was = 'accepted') AS accepted,
        count(*) FILTER (WHERE was = 'refused') AS refused,
        count(*) FILTER (WHERE was = 'unknown') AS unknown,
        count(*) FILTER (WHERE was = 'dead') AS dead, count(*) FILTER (WHERE was = 'expired') AS expired,
        count(*) AS moved INTO v_was FROM moved;
    IF p_kind = 'replay' THEN
        PERFORM notification.tally(v_was.moved - v_was.pending, 0, -v_was.accepted, -v_was.refused,
            -v_was.unknown, 0, -v_was.dead, -v_was.expired);
    ELSIF p_kind = 'drop' THEN
        PERFORM notification.advance_lines(p_now_ms);
        PERFORM notification.tally(0, 0, 0, 0, -v_was.moved, v_was.moved, 0, 0);
    END IF;
    RETURN CASE WHEN cardinality(v_places) > p_most THEN v_places[p_most] ELSE 0 END;
END
$body$;
"""
CARRY_OUT: Final = """
CREATE FUNCTION notification.carry_out(
    p_seq bigint, p_at_seq bigint, p_at_place bigint, p_kind text, p_now_ms bigint, p_created_ms bigint,
    p_most integer, p_target text, p_addresses text[],
    f_organizer text, f_ids text[], f_event text, f_registration text, f_statuses text[], f_channel text,
    f_target text, f_kind text, f_since_ms bigint, f_until_ms bigint, f_held boolean,
    n_id text[], n_organizer text[], n_event text[], n_partition integer[], n_seq bigint[], n_kind text[],
    n_registration text[], n_recipient text[], n_channel text[], n_key_id text[], n_created_ms bigint[],
    n_trace text[], n_expires_ms bigint[], n_ordered boolean[]
) RETURNS TABLE (seq bigint, place bigint) LANGUAGE plpgsql AS $body$
DECLARE
    v_place bigint := 0;
    v_added bigint;
BEGIN
    UPDATE notification.progress p SET seq = p.seq WHERE p.seq = p_at_seq AND p.place = p_at_place;
    IF NOT FOUND OR p_seq <> p_at_seq + 1 THEN
        RAISE EXCEPTION 'orders are not carried out up to %/%', p_at_seq, p_at_place USING ERRCODE = 'VX001';
    END IF;
    IF cardinality(n_id) > 0 THEN
        v_added := notification.add(n_id, n_organizer, n_event, n_partition, n_seq, n_kind, n_registration,
            n_recipient, n_channel, n_key_id, n_created_ms, n_trace, n_expires_ms, n_ordered);
        PERFORM notification.tally(v_added, 0, 0, 0, 0, 0, 0, 0);
    END IF;
    IF p_kind IN ('replay', 'release', 'drop') THEN
        v_place := notification.page(p_kind, p_seq, p_at_place, p_now_ms, p_created_ms, p_most, f_organizer,
            f_ids, f_event, f_registration, f_statuses, f_channel, f_target, f_kind, f_since_ms, f_until_ms,
            f_held);
    ELSIF p_kind = 'enable' THEN
        UPDATE notification.targets SET state = 'closed', since_ms = p_now_ms, why = '', failures = 0,
            opened = 0, blocked_until_ms = 0, version = version + 1 WHERE name = p_target;
    ELSIF p_kind = 'unbounce' THEN
        DELETE FROM notification.bounces WHERE organizer = f_organizer AND address = ANY (p_addresses);
    END IF;
    RETURN QUERY UPDATE notification.progress p
        SET seq = CASE WHEN v_place > 0 THEN p_at_seq ELSE p_seq END, place = v_place
        RETURNING p.seq, p.place;
END
$body$;
"""
CHANGE_TARGET: Final = """
CREATE FUNCTION notification.change_target(
    p_name text, p_state text, p_since_ms bigint, p_why text, p_failures integer, p_opened integer,
    p_blocked_until_ms bigint, p_version bigint
) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    IF p_version = 0 THEN
        INSERT INTO notification.targets VALUES (p_name, p_state, p_since_ms, p_why, p_failures, p_opened,
            p_blocked_until_ms, 1) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE notification.targets SET state = p_state, since_ms = p_since_ms, why = p_why,
            failures = p_failures, opened = p_opened, blocked_until_ms = p_blocked_until_ms,
            version = version + 1
        WHERE name = p_name AND version = p_version;
    END IF;
    RETURN FOUND;
END
$body$;
"""
RELEASE: Final = """
CREATE OR REPLACE FUNCTION notification.release(p_send boolean) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_released bigint;
BEGIN
    UPDATE notification.notices
    SET status = CASE WHEN p_send THEN 'unknown' ELSE 'suppressed' END,
        due_ms = CASE WHEN p_send THEN created_ms END, fence = fence + 1
    WHERE status = 'unknown' AND due_ms IS NULL;
    GET DIAGNOSTICS v_released = ROW_COUNT;
    IF NOT p_send AND v_released > 0 THEN
        PERFORM notification.advance_lines(0);
        PERFORM notification.tally(0, 0, 0, 0, -v_released, v_released, 0, 0);
    END IF;
    RETURN v_released;
END
$body$;
"""
HOLD: Final = f"""
CREATE OR REPLACE FUNCTION notification.hold(p_partition integer, p_upto bigint, p_detail text)
RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_from record;
BEGIN
    INSERT INTO notification.holds AS h VALUES (p_partition, p_upto, p_detail)
    ON CONFLICT (partition) DO UPDATE SET seq = greatest(h.seq, p_upto), detail = p_detail;
    WITH standing AS (
        SELECT place, status FROM notification.notices
        WHERE partition = p_partition AND seq <= p_upto AND {OPEN}
          AND NOT (status = 'unknown' AND due_ms IS NULL)
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
    PERFORM notification.tally(-v_from.pending, -v_from.attempting, 0, 0,
        v_from.pending + v_from.attempting, 0, 0, 0);
    RETURN v_from.held;
END
$body$;
"""
GRANTS: Final = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA notification FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA notification TO veltrix_notification;
"""


def upgrade() -> None:
    """Make them."""
    for statement in (FINISH, PAGE, CARRY_OUT, CHANGE_TARGET, RELEASE, HOLD, GRANTS):
        op.execute(statement)
