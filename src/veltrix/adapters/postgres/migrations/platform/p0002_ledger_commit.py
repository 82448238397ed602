"""How a batch is committed, in one call: the fence, then every table as a set.

A call is a transaction of its own, so no lock outlives the server's own work: a paused owner holds none.
Errors of ours have states of their own: VX001 fenced, VX002 rejected, VX003 mismatch.
"""

from typing import Final

from alembic import op

revision: Final = "p0002"
down_revision: Final = "p0001"

# Registrations that the batch made (the first `p_fresh`, with the first `p_fresh_seats`) are inserted, and
# those that it changed are upserted before: a person or a seat's number that one of them gave up is free.
# Registrations are written before events: what an event allowed before the batch counts too. The CHECK of an
# upsert looks at the row to be inserted, whose ceiling is not the final one: so pools are updated, then
# inserted. Rows that are about to be rewritten leave the index "one_per_email" first, with 3: persons may
# change hands within a batch, and only its end counts; the first bit remembers what they were.
COMMIT: Final = """
CREATE FUNCTION ledger.commit_batch(
    p_partition integer, p_epoch bigint, p_revision bigint, p_old bigint, p_new bigint,
    p_log_time_ms bigint, p_rules_version integer, p_next_seq bigint, p_last_hash text,
    p_wrong text, p_now_ms bigint, p_fresh integer, p_fresh_seats integer,
    d_outcome text[], d_log_time_ms bigint[], d_rules_version integer[], d_command text[], d_kind text[],
    d_refusal text[], d_detail text[], d_organizer text[], d_event text[], d_subject text[], d_person text[],
    d_key_id text[], d_fingerprint text[], d_first_seq bigint[], d_facts integer[], d_own_seq bigint[],
    d_original bigint[],
    f_data bytea[],
    r_id text[], r_event text[], r_arrival bigint[], r_status text[], r_person text[],
    r_active_seats integer[], r_hold_number bigint[], r_hold_deadline_ms bigint[], r_hold_ttl_ms bigint[],
    r_exclusive boolean[], r_snapshot bytea[], r_events text[],
    s_event text[], s_number bigint[], s_registration text[], s_status text[], s_category text[],
    s_price_minor bigint[], s_currency text[], s_holder bigint[], s_checked_in_ms bigint[],
    e_id text[], e_organizer text[], e_slug text[], e_status text[], e_version integer[], e_hash_key text[],
    e_created_ms bigint[], e_changed_ms bigint[], e_ends_ms bigint[], e_one_per_email boolean[],
    e_spec bytea[],
    c_event text[], c_next_seat bigint[], c_code_uses bytea[],
    l_event text[], l_pool text[], l_capacity bigint[], l_taken bigint[],
    g_event text[], g_pool text[]
) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    v_first bigint;
    v_rows bigint;
    v_now_ms bigint;
BEGIN
    UPDATE ledger.partitions
    SET next_offset = p_new, log_time_ms = p_log_time_ms, rules_version = p_rules_version,
        next_seq = next_seq + cardinality(f_data), last_hash = p_last_hash
    WHERE partition = p_partition AND epoch = p_epoch AND revision = p_revision AND next_offset = p_old
    RETURNING next_seq - cardinality(f_data) INTO v_first;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'partition % is not at offset % under term %.%',
            p_partition, p_old, p_epoch, p_revision USING ERRCODE = 'VX001';
    END IF;
    IF p_wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', p_wrong USING ERRCODE = 'VX002';
    END IF;
    IF cardinality(d_outcome) <> p_new - p_old THEN
        RAISE EXCEPTION 'decisions of partition % are not one for each offset from % to %',
            p_partition, p_old, p_new USING ERRCODE = 'VX002';
    END IF;
    IF v_first + cardinality(f_data) <> p_next_seq THEN
        RAISE EXCEPTION 'facts of partition % do not go on from % without a gap', p_partition, v_first
            USING ERRCODE = 'VX002';
    END IF;

    INSERT INTO ledger.decisions
    SELECT p_partition, p_old + place - 1, outcome, log_time_ms, rules_version, command, kind, refusal,
        detail, organizer, event, subject, person, key_id, fingerprint, first_seq, facts, own_seq, original
    FROM unnest(d_outcome, d_log_time_ms, d_rules_version, d_command, d_kind, d_refusal, d_detail,
        d_organizer, d_event, d_subject, d_person, d_key_id, d_fingerprint, d_first_seq, d_facts, d_own_seq,
        d_original) WITH ORDINALITY
        AS d(outcome, log_time_ms, rules_version, command, kind, refusal, detail, organizer, event, subject,
            person, key_id, fingerprint, first_seq, facts, own_seq, original, place);
    INSERT INTO ledger.facts
    SELECT p_partition, v_first + place - 1, data FROM unnest(f_data) WITH ORDINALITY AS f(data, place);

    IF cardinality(r_id) > 0 THEN
        v_now_ms := coalesce(p_now_ms, ledger.now_ms());
    END IF;
    IF p_fresh < cardinality(r_id) THEN
        UPDATE ledger.registrations SET exclusive = 3 WHERE exclusive = 1 AND id = ANY (r_id[p_fresh + 1:]);
        INSERT INTO ledger.registrations AS o
        SELECT r.id, p_partition, r.event, r.arrival, r.status, r.person, r.active_seats, r.hold_number,
            r.hold_deadline_ms, v_now_ms + r.hold_ttl_ms,
            (r.exclusive AND coalesce(e.one_per_email, true))::integer, r.snapshot
        FROM unnest(r_id, r_event, r_arrival, r_status, r_person, r_active_seats, r_hold_number,
            r_hold_deadline_ms, r_hold_ttl_ms, r_exclusive, r_snapshot) WITH ORDINALITY
            AS r(id, event, arrival, status, person, active_seats, hold_number, hold_deadline_ms,
                hold_ttl_ms, exclusive, snapshot, place)
        LEFT JOIN ledger.events e ON e.id = r.event
        WHERE r.place > p_fresh
        ON CONFLICT (id) DO UPDATE SET
            status = excluded.status, person = excluded.person, active_seats = excluded.active_seats,
            hold_number = excluded.hold_number, hold_deadline_ms = excluded.hold_deadline_ms,
            hold_ends_ms = CASE WHEN excluded.hold_ends_ms IS NOT NULL AND o.hold_ends_ms IS NOT NULL
                    AND o.hold_number = excluded.hold_number
                    AND o.hold_deadline_ms = excluded.hold_deadline_ms
                THEN o.hold_ends_ms ELSE excluded.hold_ends_ms END,
            exclusive = CASE WHEN o.person = excluded.person THEN o.exclusive & 1::smallint
                ELSE excluded.exclusive END,
            snapshot = excluded.snapshot
        WHERE o.event = excluded.event AND o.arrival = excluded.arrival;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows <> cardinality(r_id) - p_fresh THEN
            RAISE EXCEPTION 'a registration changed its event or its arrival number' USING ERRCODE = 'VX002';
        END IF;
        INSERT INTO ledger.seats AS o
        SELECT event, number, registration, status, category, price_minor, currency, holder, checked_in_ms
        FROM unnest(s_event, s_number, s_registration, s_status, s_category, s_price_minor, s_currency,
            s_holder, s_checked_in_ms) WITH ORDINALITY
            AS s(event, number, registration, status, category, price_minor, currency, holder,
                checked_in_ms, place)
        WHERE place > p_fresh_seats
        ON CONFLICT (event, number) DO UPDATE SET
            status = excluded.status, category = excluded.category, price_minor = excluded.price_minor,
            currency = excluded.currency, holder = excluded.holder, checked_in_ms = excluded.checked_in_ms
        WHERE o.registration = excluded.registration;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows <> cardinality(s_event) - p_fresh_seats THEN
            RAISE EXCEPTION 'a seat number belongs to another registration' USING ERRCODE = 'VX002';
        END IF;
    END IF;
    IF p_fresh > 0 THEN
        INSERT INTO ledger.registrations
        SELECT r.id, p_partition, r.event, r.arrival, r.status, r.person, r.active_seats, r.hold_number,
            r.hold_deadline_ms, v_now_ms + r.hold_ttl_ms,
            (r.exclusive AND coalesce(e.one_per_email, true))::integer, r.snapshot
        FROM unnest(r_id, r_event, r_arrival, r_status, r_person, r_active_seats, r_hold_number,
            r_hold_deadline_ms, r_hold_ttl_ms, r_exclusive, r_snapshot) WITH ORDINALITY
            AS r(id, event, arrival, status, person, active_seats, hold_number, hold_deadline_ms,
                hold_ttl_ms, exclusive, snapshot, place)
        LEFT JOIN ledger.events e ON e.id = r.event
        WHERE r.place <= p_fresh;
        INSERT INTO ledger.seats
        SELECT event, number, registration, status, category, price_minor, currency, holder, checked_in_ms
        FROM unnest(s_event, s_number, s_registration, s_status, s_category, s_price_minor, s_currency,
            s_holder, s_checked_in_ms) WITH ORDINALITY
            AS s(event, number, registration, status, category, price_minor, currency, holder,
                checked_in_ms, place)
        WHERE place <= p_fresh_seats;
    END IF;

    IF cardinality(e_id) > 0 THEN
        INSERT INTO ledger.events
        SELECT id, p_partition, organizer, slug, status, version, hash_key, created_ms, changed_ms, ends_ms,
            one_per_email, spec
        FROM unnest(e_id, e_organizer, e_slug, e_status, e_version, e_hash_key, e_created_ms, e_changed_ms,
            e_ends_ms, e_one_per_email, e_spec)
            AS e(id, organizer, slug, status, version, hash_key, created_ms, changed_ms, ends_ms,
                one_per_email, spec)
        ON CONFLICT (id) DO UPDATE SET
            organizer = excluded.organizer, slug = excluded.slug, status = excluded.status,
            version = excluded.version, hash_key = excluded.hash_key, created_ms = excluded.created_ms,
            changed_ms = excluded.changed_ms, ends_ms = excluded.ends_ms,
            one_per_email = excluded.one_per_email, spec = excluded.spec;
    END IF;
    IF cardinality(r_events) > 0 AND EXISTS (
        SELECT FROM unnest(r_events) AS wanted(id)
        WHERE NOT EXISTS (SELECT FROM ledger.events e WHERE e.id = wanted.id)
    ) THEN
        RAISE EXCEPTION 'registrations of an event that does not exist' USING ERRCODE = 'VX002';
    END IF;
    INSERT INTO ledger.counters SELECT * FROM unnest(c_event, c_next_seat, c_code_uses)
    ON CONFLICT (event) DO UPDATE SET next_seat = excluded.next_seat, code_uses = excluded.code_uses;

    IF cardinality(g_event) > 0 THEN
        DELETE FROM ledger.pools p USING unnest(g_event, g_pool) AS g(event, pool)
        WHERE p.event = g.event AND p.pool = g.pool AND p.taken = 0;
        IF EXISTS (SELECT FROM unnest(g_event, g_pool) AS g(event, pool) JOIN ledger.pools p
                   ON p.event = g.event AND p.pool = g.pool) THEN
            RAISE EXCEPTION 'a pool that is to be removed has seats taken' USING ERRCODE = 'VX002';
        END IF;
    END IF;
    UPDATE ledger.pools p
    SET capacity = l.capacity, taken = l.taken, ceiling = greatest(l.capacity, least(p.ceiling, l.taken))
    FROM unnest(l_event, l_pool, l_capacity, l_taken) AS l(event, pool, capacity, taken)
    WHERE p.event = l.event AND p.pool = l.pool;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(l_event) THEN
        INSERT INTO ledger.pools
        SELECT event, pool, capacity, taken, capacity
        FROM unnest(l_event, l_pool, l_capacity, l_taken) AS l(event, pool, capacity, taken)
        WHERE NOT EXISTS (SELECT FROM ledger.pools p WHERE p.event = l.event AND p.pool = l.pool);
    END IF;
END
$body$;
"""
NOW: Final = """
CREATE FUNCTION ledger.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $body$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$body$;
"""
GRANTS: Final = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger TO veltrix_processing;
"""


def upgrade() -> None:
    """Make them."""
    for statement in (NOW, COMMIT, GRANTS):
        op.execute(statement)
