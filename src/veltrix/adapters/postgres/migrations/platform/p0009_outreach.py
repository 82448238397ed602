"""What organizers and people chose, and what operators ordered; registration writes, notification reads."""

from typing import Final

from alembic import op

revision: Final = "p0009"
down_revision: Final = "p0008"

TABLES: Final = """
CREATE SCHEMA outreach;

CREATE TABLE outreach.revisions (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision bigint NOT NULL DEFAULT 0,
    orders bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
INSERT INTO outreach.revisions DEFAULT VALUES;

CREATE TABLE outreach.endpoints (
    id text COLLATE "C" PRIMARY KEY,
    organizer text COLLATE "C" NOT NULL,
    url text NOT NULL,
    kinds text NOT NULL,
    ordered boolean NOT NULL,
    on_unknown text NOT NULL,
    description text NOT NULL,
    enabled boolean NOT NULL,
    created_ms bigint NOT NULL,
    changed_ms bigint NOT NULL,
    rate_per_s double precision NOT NULL
);
CREATE INDEX endpoints_of ON outreach.endpoints (organizer, id);

CREATE TABLE outreach.secrets (
    id text COLLATE "C" PRIMARY KEY,
    endpoint text COLLATE "C" NOT NULL REFERENCES outreach.endpoints ON DELETE CASCADE,
    scheme text NOT NULL,
    sealed bytea NOT NULL,
    created_ms bigint NOT NULL,
    ends_ms bigint
);
CREATE INDEX secrets_of ON outreach.secrets (endpoint);

CREATE TABLE outreach.suppressions (
    organizer text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    created_ms bigint NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (organizer, address, category)
);

CREATE TABLE outreach.templates (
    organizer text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    locale text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    html text NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (organizer, kind, locale, version)
);

CREATE TABLE outreach.orders (
    seq bigint PRIMARY KEY,
    kind text NOT NULL,
    organizer text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL,
    wanted text,
    target text NOT NULL,
    addresses text NOT NULL,
    payload bytea NOT NULL,
    given_by text NOT NULL,
    request text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX orders_of_requests ON outreach.orders (request) WHERE request <> '';
"""
ENDPOINTS: Final = """
CREATE FUNCTION outreach.changed() RETURNS void LANGUAGE sql AS $body$
    UPDATE outreach.revisions SET revision = revision + 1
$body$;

CREATE FUNCTION outreach.put_endpoint(
    p_id text, p_organizer text, p_url text, p_kinds text, p_ordered boolean, p_on_unknown text,
    p_description text, p_enabled boolean, p_created_ms bigint, p_changed_ms bigint,
    p_rate double precision, p_most integer
) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    v_known text;
BEGIN
    PERFORM outreach.changed();  -- and with it, one change at a time
    SELECT organizer INTO v_known FROM outreach.endpoints WHERE id = p_id;
    IF v_known <> p_organizer THEN
        RAISE EXCEPTION 'endpoint % is another organizer''s', p_id USING ERRCODE = 'VX002';
    END IF;
    IF v_known IS NULL
        AND (SELECT count(*) FROM outreach.endpoints WHERE organizer = p_organizer) >= p_most THEN
        RAISE EXCEPTION 'an organizer has % endpoints at the most', p_most USING ERRCODE = 'VX002';
    END IF;
    INSERT INTO outreach.endpoints VALUES (p_id, p_organizer, p_url, p_kinds, p_ordered, p_on_unknown,
        p_description, p_enabled, p_created_ms, p_changed_ms, p_rate)
    ON CONFLICT (id) DO UPDATE SET url = p_url, kinds = p_kinds, ordered = p_ordered,
        on_unknown = p_on_unknown, description = p_description, enabled = p_enabled,
        created_ms = p_created_ms, changed_ms = p_changed_ms, rate_per_s = p_rate;
END
$body$;

CREATE FUNCTION outreach.remove_endpoint(p_id text) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM outreach.changed();
    DELETE FROM outreach.endpoints WHERE id = p_id;
    RETURN FOUND;
END
$body$;

CREATE FUNCTION outreach.add_secret(
    p_id text, p_endpoint text, p_scheme text, p_sealed bytea, p_created_ms bigint, p_ends_ms bigint,
    p_others_end_ms bigint, p_most integer
) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM outreach.changed();
    IF NOT EXISTS (SELECT FROM outreach.endpoints WHERE id = p_endpoint) THEN
        RAISE EXCEPTION 'there is no endpoint %', p_endpoint USING ERRCODE = 'VX002';
    END IF;
    DELETE FROM outreach.secrets WHERE endpoint = p_endpoint AND ends_ms <= p_created_ms;
    IF EXISTS (SELECT FROM outreach.secrets WHERE id = p_id)
        OR (SELECT count(*) FROM outreach.secrets WHERE endpoint = p_endpoint) >= p_most THEN
        RAISE EXCEPTION 'an endpoint has % secrets at the most, each once', p_most USING ERRCODE = 'VX002';
    END IF;
    UPDATE outreach.secrets SET ends_ms = p_others_end_ms
    WHERE endpoint = p_endpoint AND scheme = p_scheme AND p_others_end_ms IS NOT NULL
        AND (ends_ms IS NULL OR ends_ms > p_others_end_ms);
    INSERT INTO outreach.secrets VALUES (p_id, p_endpoint, p_scheme, p_sealed, p_created_ms, p_ends_ms);
END
$body$;

CREATE FUNCTION outreach.end_secret(p_id text, p_ends_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM outreach.changed();
    UPDATE outreach.secrets SET ends_ms = p_ends_ms WHERE id = p_id;
    RETURN FOUND;
END
$body$;
"""
TEMPLATES: Final = """
CREATE FUNCTION outreach.save_template(
    p_organizer text, p_kind text, p_locale text, p_version integer, p_subject text, p_text text, p_html text,
    p_created_ms bigint
) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    v_last integer;
BEGIN
    PERFORM outreach.changed();
    SELECT coalesce(max(version), 0) INTO v_last FROM outreach.templates
    WHERE organizer = p_organizer AND kind = p_kind AND locale = p_locale;
    IF p_version <> v_last + 1 THEN
        RAISE EXCEPTION 'the template is at version %; save version %', v_last, v_last + 1
            USING ERRCODE = 'VX002';
    END IF;
    INSERT INTO outreach.templates VALUES (p_organizer, p_kind, p_locale, p_version, p_subject, p_text,
        p_html, p_created_ms);
END
$body$;

CREATE FUNCTION outreach.drop_template(p_organizer text, p_kind text, p_locale text)
RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM outreach.changed();
    DELETE FROM outreach.templates WHERE organizer = p_organizer AND kind = p_kind AND locale = p_locale;
    RETURN FOUND;
END
$body$;
"""
# The row of `revisions` stays locked until the commit: numbers have no gap, and are seen in their order.
ORDERS: Final = """
CREATE FUNCTION outreach.give(
    p_kind text, p_organizer text, p_created_ms bigint, p_wanted text, p_target text, p_addresses text,
    p_payload bytea, p_by text, p_request text
) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    v_seq bigint;
BEGIN
    PERFORM 1 FROM outreach.revisions FOR UPDATE;
    SELECT seq INTO v_seq FROM outreach.orders WHERE request = p_request AND request <> '';
    IF FOUND THEN
        RETURN v_seq;
    END IF;
    UPDATE outreach.revisions SET orders = orders + 1 RETURNING orders INTO v_seq;
    INSERT INTO outreach.orders VALUES (v_seq, p_kind, p_organizer, p_created_ms, p_wanted, p_target,
        p_addresses, p_payload, p_by, p_request);
    RETURN v_seq;
END
$body$;
"""
GRANTS: Final = """
REVOKE ALL ON SCHEMA outreach FROM PUBLIC;
GRANT USAGE ON SCHEMA outreach TO veltrix_registration, veltrix_notification;
GRANT SELECT ON ALL TABLES IN SCHEMA outreach TO veltrix_registration, veltrix_notification;
GRANT INSERT, UPDATE, DELETE ON outreach.endpoints, outreach.secrets, outreach.suppressions,
    outreach.templates TO veltrix_registration;
GRANT UPDATE ON outreach.revisions TO veltrix_registration;
GRANT INSERT ON outreach.orders TO veltrix_registration;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA outreach FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA outreach TO veltrix_registration;
"""


def upgrade() -> None:
    """Make them."""
    for statement in (TABLES, ENDPOINTS, TEMPLATES, ORDERS, GRANTS):
        op.execute(statement)
