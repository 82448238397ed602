"""How a partition is taken over, and how its relay's position moves."""

from typing import Final

from alembic import op

revision: Final = "p0003"
down_revision: Final = "p0002"

TAKE_OVER: Final = """
CREATE FUNCTION ledger.take_over(
    p_partition integer, p_epoch bigint, p_revision bigint, p_owner text, p_topic_id text,
    p_partitions integer, p_session text
) RETURNS ledger.partitions LANGUAGE plpgsql AS $body$
DECLARE
    v_topic_id text;
    v_partitions integer;
    v_taken ledger.partitions;
BEGIN
    SELECT topic_id INTO v_topic_id FROM ledger.partitions WHERE topic_id <> p_topic_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VX003', MESSAGE = format(
            'the ledger belongs to log %s, not %s; '
            'start with the log and the ledger that belong together', v_topic_id, p_topic_id);
    END IF;
    SELECT max(greatest(partition + 1, log_partitions)) INTO v_partitions FROM ledger.partitions;
    IF v_partitions > p_partitions THEN
        RAISE EXCEPTION USING ERRCODE = 'VX003', MESSAGE = format(
            'the ledger belongs to a log of %s partitions, this one has %s; '
            'start with the log that the ledger was written from', v_partitions, p_partitions);
    END IF;
    INSERT INTO ledger.partitions AS o
    VALUES (p_partition, p_epoch, p_revision, p_owner, 0, 0, 1, 1, 0, '', p_topic_id, p_partitions, p_session)
    ON CONFLICT (partition) DO UPDATE SET
        epoch = excluded.epoch, revision = excluded.revision, owner = excluded.owner,
        log_partitions = excluded.log_partitions, session = excluded.session
    WHERE (o.epoch, o.revision) < (excluded.epoch, excluded.revision)
       OR (o.epoch, o.revision, o.owner) = (excluded.epoch, excluded.revision, excluded.owner)
    RETURNING * INTO v_taken;
    IF NOT FOUND THEN
        SELECT * INTO v_taken FROM ledger.partitions WHERE partition = p_partition;
        RAISE EXCEPTION 'partition % is owned by % under term %.%',
            p_partition, v_taken.owner, v_taken.epoch, v_taken.revision USING ERRCODE = 'VX001';
    END IF;
    RETURN v_taken;
END
$body$;
"""
# A position that a crash loses makes some facts be published twice, no more: nobody waits for the disk.
RELAYED: Final = """
CREATE FUNCTION ledger.relayed(p_partition integer, p_epoch bigint, p_revision bigint, p_seq bigint)
RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE ledger.partitions SET relayed_seq = greatest(relayed_seq, p_seq)
    WHERE partition = p_partition AND epoch = p_epoch AND revision = p_revision;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'partition % is not owned under term %.%', p_partition, p_epoch, p_revision
            USING ERRCODE = 'VX001';
    END IF;
END
$body$;
"""
# Only a session of the owner that the row names, under an older term than the one that waits, and only while
# it is what keeps the waiting one from the row.
END_PREVIOUS: Final = """
CREATE FUNCTION ledger.end_previous(
    p_partition integer, p_epoch bigint, p_revision bigint, p_session text, p_waiting integer
) RETURNS integer LANGUAGE sql AS $body$
    SELECT count(*)::integer FROM (
        SELECT pg_terminate_backend(a.pid)
        FROM unnest(pg_blocking_pids(p_waiting)) AS b(pid)
        JOIN pg_stat_activity a ON a.pid = b.pid
        JOIN ledger.partitions p ON p.partition = p_partition AND p.session = a.application_name
        WHERE a.usename = current_user
          AND ((p.epoch, p.revision) < (p_epoch, p_revision) OR p.session = p_session)
    ) ended
$body$;
"""
GRANTS: Final = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger TO veltrix_processing;
"""


def upgrade() -> None:
    """Make them."""
    for statement in (TAKE_OVER, RELAYED, END_PREVIOUS, GRANTS):
        op.execute(statement)
