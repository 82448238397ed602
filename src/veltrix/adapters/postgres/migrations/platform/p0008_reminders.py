"""What reminders need: when an event begins, when people are to be reminded next, and until when they were.

The function that commits a batch is there twice from here on: with what an event got, and without it for the
processes of an older version, as long as there are any.
"""

from typing import Final

from alembic import op

from veltrix.adapters.postgres.migrations.platform.p0002_ledger_commit import COMMIT

revision: Final = "p0008"
down_revision: Final = "p0007"

COLUMNS: Final = """
ALTER TABLE ledger.events
    ADD COLUMN starts_ms bigint, ADD COLUMN remind_ms bigint, ADD COLUMN reminded_ms bigint
"""
# Only a hint for the ticker: of an hour that there are two of it takes the later one, and of a zone that the
# server does not know it takes none.
FILL: Final = """
UPDATE ledger.events e SET starts_ms = s.ms, remind_ms = s.ms - 24 * 3600 * 1000
FROM (
    SELECT id, (extract(epoch FROM (said ->> 'starts_local')::timestamp
        AT TIME ZONE (said ->> 'time_zone')) * 1000)::bigint AS ms
    FROM (
        SELECT id, convert_from(spec, 'UTF8')::jsonb AS said FROM ledger.events
        WHERE status IN ('open', 'closed')
    ) AS open_ones
    WHERE said ->> 'time_zone' IN (SELECT name FROM pg_timezone_names)
) AS s
WHERE e.id = s.id
"""
INDEX: Final = """
CREATE INDEX events_by_reminder ON ledger.events (partition, remind_ms) WHERE remind_ms IS NOT NULL
"""
GRANTS: Final = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger TO veltrix_processing;
"""
_CHANGES: Final = (
    (
        "e_one_per_email boolean[],\n    e_spec bytea[],",
        "e_one_per_email boolean[],\n    e_starts_ms bigint[], e_remind_ms bigint[], e_reminded_ms bigint[],"
        " e_spec bytea[],",
    ),
    (
        "ends_ms,\n            one_per_email, spec\n        FROM unnest(e_id",
        "ends_ms,\n            one_per_email, spec, starts_ms, remind_ms, reminded_ms\n"
        "        FROM unnest(e_id",
    ),
    (
        "e_one_per_email, e_spec)",
        "e_one_per_email, e_starts_ms, e_remind_ms, e_reminded_ms, e_spec)",
    ),
    (
        "ends_ms,\n                one_per_email, spec)",
        "ends_ms,\n                one_per_email, starts_ms, remind_ms, reminded_ms, spec)",
    ),
    (
        "one_per_email = excluded.one_per_email, spec = excluded.spec;",
        "one_per_email = excluded.one_per_email, spec = excluded.spec, starts_ms = excluded.starts_ms,\n"
        "            remind_ms = excluded.remind_ms, reminded_ms = excluded.reminded_ms;",
    ),
)


def _with_reminders(function: str) -> str:
    for old, new in _CHANGES:
        assert function.count(old) == 1, f"there is one place for {new!r}"
        function = function.replace(old, new)
    return function


def upgrade() -> None:
    """Make them."""
    for statement in (COLUMNS, FILL, INDEX, _with_reminders(COMMIT), GRANTS):
        op.execute(statement)
