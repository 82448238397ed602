"""What notification does with its tables since p0010, each in one call that is a transaction of its own."""

from typing import Final

from alembic import op

from veltrix.adapters.postgres.migrations.platform.p0005_notification_calls import (
    ADVANCE,
    CLAIM,
    RECORD,
)
from veltrix.adapters.postgres.migrations.platform.p0007_restoring import ADD
from veltrix.adapters.postgres.migrations.platform.p0010_deliveries import OPEN, TARGET, WAITING

revision: Final = "p0011"
down_revision: Final = "p0010"


def _changed(function: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in function, f"there is a place for {new!r}"
        function = function.replace(old, new)
    return function


# The same with what a notice may wait for: beside the old ones, which have fewer parameters.
_PARAMETERS: Final = ("n_trace text[]", "n_trace text[], n_expires_ms bigint[], n_ordered boolean[]")
_ARGUMENTS: Final = ("n_created_ms, n_trace)", "n_created_ms, n_trace, n_expires_ms, n_ordered)")
ADD_NOW: Final = _changed(
    ADD,
    ("CREATE OR REPLACE FUNCTION", "CREATE FUNCTION"),
    _PARAMETERS,
    ("key_id, created_ms, trace, due_ms", "key_id, created_ms, trace, expires_ms, ordered, due_ms"),
    ("n.key_id, n.created_ms, n.trace,", "n.key_id, n.created_ms, n.trace, n.expires_ms, n.ordered,"),
    _ARGUMENTS,
    ("created_ms, trace, place)", "created_ms, trace, expires_ms, ordered, place)"),
)
RECORD_NOW: Final = _changed(
    RECORD,
    _PARAMETERS,
    ("j_trace text[],", "j_trace text[], j_expires_ms bigint[],"),
    _ARGUMENTS,
    ("after_arrival, trace)\n        SELECT", "after_arrival, trace, expires_ms)\n        SELECT"),
    ("j.after_arrival, j.trace\n", "j.after_arrival, j.trace, j.expires_ms\n"),
    ("j_after_arrival, j_trace)", "j_after_arrival, j_trace, j_expires_ms)"),
    (
        "after_arrival, trace, place)\n        ORDER",
        "after_arrival, trace, expires_ms, place)\n        ORDER",
    ),
)
ADVANCE_NOW: Final = _changed(ADVANCE, _PARAMETERS, _ARGUMENTS)
CLAIM_MAIL: Final = _changed(
    CLAIM,
    ("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
    ("due_ms <= p_now_ms\n        ORDER", "due_ms <= p_now_ms AND channel = 'email'\n        ORDER"),
)
LOSE: Final = f"""
CREATE FUNCTION notification.lose(
    p_now_ms bigint, p_detail text, p_held text, s_name text[], s_hold boolean[], o_hold boolean
) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_lost bigint;
BEGIN
    WITH lost AS (
        SELECT place, attempts, tried_ms, {TARGET} AS target FROM notification.notices
        WHERE status = 'attempting' AND due_ms <= p_now_ms FOR UPDATE SKIP LOCKED
    ), rows AS (
        INSERT INTO notification.attempts
        SELECT place, attempts, coalesce(tried_ms, p_now_ms), p_now_ms, 'unknown', NULL, p_detail, ''
        FROM lost ON CONFLICT DO NOTHING
    ), moved AS (
        UPDATE notification.notices n
        SET status = 'unknown', due_ms = CASE WHEN l.hold THEN NULL ELSE n.due_ms END,
            detail = CASE WHEN l.hold THEN p_held ELSE n.detail END, fence = n.fence + l.hold::integer
        FROM (
            SELECT lost.place, coalesce(s.hold, o_hold) AS hold FROM lost
            LEFT JOIN unnest(s_name, s_hold) AS s(name, hold) ON s.name = lost.target
        ) l WHERE n.place = l.place RETURNING 1
    )
    SELECT count(*) INTO v_lost FROM moved;
    RETURN v_lost;
END
$body$;
"""
EXPIRE: Final = f"""
CREATE FUNCTION notification.expire(p_now_ms bigint, OUT pending bigint, OUT unknown bigint)
LANGUAGE plpgsql AS $body$
BEGIN
    WITH over AS (
        SELECT place, status FROM notification.notices
        WHERE expires_ms IS NOT NULL AND expires_ms <= p_now_ms AND {WAITING} FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE notification.notices n SET status = 'expired', due_ms = NULL, fence = n.fence + 1
        FROM over WHERE n.place = over.place RETURNING over.status AS was
    )
    SELECT count(*) FILTER (WHERE was = 'pending'), count(*) FILTER (WHERE was = 'unknown')
    INTO pending, unknown FROM ended;
    IF pending + unknown > 0 THEN
        PERFORM notification.advance_lines(p_now_ms);
    END IF;
END
$body$;
"""
END_DISABLED: Final = f"""
CREATE FUNCTION notification.end_disabled(
    p_target text, p_detail text, OUT pending bigint, OUT unknown bigint
) LANGUAGE plpgsql AS $body$
BEGIN
    WITH theirs AS (
        SELECT place, status FROM notification.notices
        WHERE {TARGET} = p_target AND {WAITING} AND (status = 'pending' OR due_ms IS NOT NULL)
        FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE notification.notices n
        SET status = 'dead', due_ms = NULL, detail = p_detail, fence = n.fence + 1
        FROM theirs t WHERE n.place = t.place RETURNING t.status AS was
    )
    SELECT count(*) FILTER (WHERE was = 'pending'), count(*) FILTER (WHERE was = 'unknown')
    INTO pending, unknown FROM ended;
END
$body$;
"""
# What is due for one target. Those of a line that are behind another are put aside, until its end.
DUE: Final = f"""
CREATE FUNCTION notification.due(p_target text, p_now_ms bigint, p_most integer)
RETURNS bigint[] LANGUAGE plpgsql AS $body$
DECLARE
    v_places bigint[];
    v_aside bigint[];
    v_one record;
BEGIN
    LOOP
        v_places := '{{}}';
        v_aside := '{{}}';
        FOR v_one IN
            SELECT place, event, seq, ordered AND status = 'pending' AS in_line FROM notification.notices
            WHERE {TARGET} = p_target AND due_ms <= p_now_ms AND {WAITING}
            ORDER BY due_ms, place LIMIT p_most FOR UPDATE SKIP LOCKED
        LOOP
            IF v_one.in_line THEN
                CONTINUE WHEN NOT pg_try_advisory_xact_lock(notification.line(p_target, v_one.event));
                IF EXISTS (SELECT FROM notification.notices
                    WHERE {TARGET} = p_target AND event = v_one.event AND seq < v_one.seq AND ordered
                        AND {OPEN})
                THEN
                    v_aside := v_aside || v_one.place;
                    CONTINUE;
                END IF;
            END IF;
            v_places := v_places || v_one.place;
        END LOOP;
        EXIT WHEN cardinality(v_aside) = 0;
        UPDATE notification.notices SET due_ms = NULL WHERE place = ANY (v_aside);
    END LOOP;
    RETURN v_places;
END
$body$;
"""
CLAIM_SHARED: Final = f"""
CREATE FUNCTION notification.claim(
    p_now_ms bigint, p_limit integer, p_lease_ms bigint, p_lost text, p_held text, p_disabled text,
    s_name text[], s_most integer[], s_rate double precision[], s_burst integer[], s_hold boolean[],
    o_most integer, o_rate double precision, o_burst integer, o_hold boolean
) RETURNS SETOF notification.notices LANGUAGE plpgsql AS $body$
DECLARE
    v_lost bigint;
    v_expired record;
    v_ended record;
    v_dead bigint[] := '{{0, 0}}';
    v_from record;
    v_target text := '';
    v_share record;
    v_state notification.targets;
    v_places bigint[] := '{{}}';
BEGIN
    v_lost := notification.lose(p_now_ms, p_lost, p_held, s_name, s_hold, o_hold);
    SELECT * INTO v_expired FROM notification.expire(p_now_ms);
    LOOP
        SELECT {TARGET} INTO v_target FROM notification.notices
        WHERE {WAITING} AND {TARGET} > v_target ORDER BY {TARGET} LIMIT 1;
        EXIT WHEN NOT FOUND;
        SELECT coalesce(s.most, o_most) AS most, coalesce(s.rate, o_rate) AS rate,
            coalesce(s.burst, o_burst) AS burst INTO v_share
        FROM (SELECT 1) one
        LEFT JOIN unnest(s_name, s_most, s_rate, s_burst) AS s(name, most, rate, burst) ON s.name = v_target;
        IF v_share.rate > 0 THEN
            INSERT INTO notification.targets VALUES (v_target, 'closed', p_now_ms, '', 0, 0, 0, 1)
            ON CONFLICT DO NOTHING;
        END IF;
        SELECT * INTO v_state FROM notification.targets WHERE name = v_target;
        IF FOUND AND (v_state.state <> 'closed' OR v_share.rate > 0) THEN
            -- a probe, and what a rate allows, is one claimer's at a time
            SELECT * INTO v_state FROM notification.targets WHERE name = v_target FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        IF v_state.state = 'disabled' THEN
            SELECT * INTO v_ended FROM notification.end_disabled(v_target, p_disabled || v_state.why);
            v_dead := ARRAY[v_dead[1] + v_ended.pending, v_dead[2] + v_ended.unknown];
            CONTINUE;
        END IF;
        CONTINUE WHEN v_state.blocked_until_ms > p_now_ms;
        IF v_state.state <> 'closed' THEN
            v_share.most := least(v_share.most, 1);
        END IF;
        IF v_share.rate > 0 THEN
            v_share.most := least(v_share.most, floor((p_now_ms + v_share.burst * 1000 / v_share.rate
                - greatest(v_state.paced_ms, p_now_ms)) * v_share.rate / 1000 + 1e-6)::integer);
        END IF;
        IF v_share.most > 0 THEN
            v_places := v_places || notification.due(v_target, p_now_ms, least(v_share.most, p_limit));
        END IF;
    END LOOP;
    SELECT coalesce(array_agg(place ORDER BY due_ms, place), '{{}}') AS places,
        count(*) FILTER (WHERE status = 'pending') AS pending,
        count(*) FILTER (WHERE status = 'unknown') AS unknown, count(*) AS taken
    INTO v_from FROM (
        SELECT place, due_ms, status FROM notification.notices WHERE place = ANY (v_places)
        ORDER BY due_ms, place LIMIT p_limit
    ) t;
    IF v_from.taken > 0 THEN
        RETURN QUERY SELECT n.* FROM unnest(v_from.places) WITH ORDINALITY AS d(place, number)
            JOIN notification.notices n ON n.place = d.place ORDER BY d.number;
        UPDATE notification.notices
        SET status = 'attempting', due_ms = p_now_ms + p_lease_ms, tried_ms = p_now_ms,
            attempts = attempts + 1, fence = fence + 1
        WHERE place = ANY (v_from.places);
        UPDATE notification.targets t
        SET paced_ms = CASE WHEN g.rate > 0
                THEN greatest(t.paced_ms, p_now_ms) + g.taken * 1000 / g.rate ELSE t.paced_ms END,
            state = CASE WHEN t.state = 'open' THEN 'half_open' ELSE t.state END,
            blocked_until_ms = CASE WHEN t.state IN ('open', 'half_open')
                THEN p_now_ms + p_lease_ms ELSE t.blocked_until_ms END,
            version = t.version + (t.state IN ('open', 'half_open'))::integer
        FROM (
            SELECT n.target, n.taken, coalesce(s.rate, o_rate) AS rate FROM (
                SELECT {TARGET} AS target, count(*) AS taken FROM notification.notices
                WHERE place = ANY (v_from.places) GROUP BY 1
            ) n LEFT JOIN unnest(s_name, s_rate) AS s(name, rate) ON s.name = n.target
        ) g WHERE t.name = g.target AND (g.rate > 0 OR t.state IN ('open', 'half_open'));
    END IF;
    IF v_from.taken + v_lost + v_expired.pending + v_expired.unknown + v_dead[1] + v_dead[2] > 0 THEN
        PERFORM notification.tally(-v_from.pending - v_expired.pending - v_dead[1], v_from.taken - v_lost,
            0, 0, v_lost - v_from.unknown - v_expired.unknown - v_dead[2], 0, v_dead[1] + v_dead[2],
            v_expired.pending + v_expired.unknown);
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
    for statement in (
        *(ADD_NOW, RECORD_NOW, ADVANCE_NOW, CLAIM_MAIL, LOSE, EXPIRE, END_DISABLED, DUE, CLAIM_SHARED),
        GRANTS,
    ):
        op.execute(statement)
