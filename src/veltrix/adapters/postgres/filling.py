"""An empty, prepared database that is filled from another store, row by row, by the one who owns it.

Whoever fills it marks it first: as long as the mark stands, the ledger belongs to no log (`MOVING`), nobody
can take a partition, and a copy that was interrupted is begun anew. The mark goes with the last step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from veltrix.adapters.postgres.errors import port_error
from veltrix.adapters.postgres.links import Link, find_primary
from veltrix.adapters.postgres.migrating import missing_steps
from veltrix.adapters.postgres.settings import PostgresSettings
from veltrix.ports.errors import Mismatch, PortError
from veltrix.ports.ledger import MOVING, Head
from veltrix.ports.notices import NoticeStatus

Rows = list[tuple[Any, ...]]

# Columns, and how many of them are the key that rows are ordered by.
_COLUMNS: Final[dict[str, tuple[str, int]]] = {
    "ledger.events": (
        "id partition organizer slug status version hash_key created_ms changed_ms ends_ms "
        "starts_ms remind_ms reminded_ms one_per_email spec",
        1,
    ),
    "ledger.counters": ("event next_seat code_uses", 1),
    "ledger.pools": ("event pool capacity taken ceiling", 2),
    "ledger.registrations": (
        "id partition event arrival status person active_seats hold_number hold_deadline_ms hold_ends_ms "
        "exclusive snapshot",
        1,
    ),
    "ledger.seats": (
        "event number registration status category price_minor currency holder checked_in_ms",
        2,
    ),
    "ledger.decisions": (
        "partition offset outcome log_time_ms rules_version command kind refusal detail organizer event "
        "subject person key_id fingerprint first_seq facts own_seq original",
        2,
    ),
    "ledger.facts": ("partition seq data", 2),
    "notification.positions": ("partition seq", 1),
    "notification.notices": (
        "place id organizer event partition seq kind registration recipient channel key_id created_ms trace "
        "status due_ms attempts fence detail tried_ms tried_before expires_ms ordered",
        1,
    ),
    "notification.jobs": ("place partition seq organizer event kind after_arrival trace expires_ms", 1),
    "notification.attempts": ("place number started_ms ended_ms outcome code detail excerpt", 2),
    "notification.targets": (
        "name state since_ms why failures opened blocked_until_ms version paced_ms",
        1,
    ),
    "notification.bounces": ("organizer address created_ms detail", 2),
    "notification.progress": ("seq place", 1),
    "notification.holds": ("partition seq detail", 1),
    "outreach.endpoints": (
        "id organizer url kinds ordered on_unknown description enabled created_ms changed_ms rate_per_s",
        1,
    ),
    "outreach.secrets": ("id endpoint scheme sealed created_ms ends_ms", 1),
    "outreach.suppressions": ("organizer address category reason created_ms detail", 3),
    "outreach.templates": ("organizer kind locale version subject text html created_ms", 4),
    "outreach.orders": (
        "seq kind organizer created_ms wanted target addresses payload given_by request",
        1,
    ),
    "registration.api_keys": ("id organizer scopes secret_hash created_ms label", 1),
    "vault.keys": ("id key", 1),
}
# A table that has its one row from the beginning, and when that says something.
_ONE_ROW: Final = {"notification.progress": "WHERE seq > 0 OR place > 0"}
_OWNER: Final = "veltrix move"
_PAGE_ROWS: Final = 1_000


class Filling:
    """One database of the platform's, or the vault's. `open` makes one."""

    def __init__(self, link: Link, vault: bool) -> None:
        self._link = link
        self._connection = link.connection
        self._vault = vault

    @classmethod
    async def open(cls, settings: PostgresSettings, *, vault: bool) -> Filling:
        """As the database's owner. Raises `Mismatch` unless it was prepared by this version of Veltrix."""
        link = await find_primary(settings, settings.application, settings.addresses(), 0)
        filling = cls(link, vault)
        try:
            await filling._begin(settings.database)
        except Exception as error:
            link.drop()
            raise port_error(error, writing=False) or error from error
        return filling

    async def _begin(self, database: str) -> None:
        await self._connection.execute("SET statement_timeout = 0")  # a table takes the time that it takes
        await self._connection.execute("SET idle_in_transaction_session_timeout = 0")
        current: str | None = None
        if await self._connection.fetchval("SELECT to_regclass('migrations.versions')") is not None:
            current = await self._connection.fetchval("SELECT version_num FROM migrations.versions")
        steps, _ = missing_steps(current, vault=self._vault)
        if steps:
            raise Mismatch(
                f"the database {database} lacks {len(steps)} step(s) of this version's schema; run: "
                "veltrix cluster prepare"
            )

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that are filled."""
        return tuple(name for name in _COLUMNS if name.startswith("vault.") == self._vault)

    async def logs(self) -> list[str]:
        """The ids of the logs that the ledger says it belongs to."""
        rows = await self._connection.fetch("SELECT DISTINCT topic_id FROM ledger.partitions ORDER BY 1")
        return [topic_id for (topic_id,) in rows]

    async def occupied(self) -> list[str]:
        """The tables that have rows."""
        return [
            name
            for name in self.tables
            if await self._connection.fetchval(f"SELECT EXISTS (SELECT FROM {name} {_ONE_ROW.get(name, '')})")
        ]

    async def mark(self, source: str, partitions: Sequence[int], log_partitions: int) -> None:
        """Say whose data is on its way here, so that nobody takes a partition meanwhile."""
        rows = [
            (each, 0, 0, _OWNER, 0, 0, 1, 1, 0, "", MOVING + source, log_partitions, "")
            for each in partitions
        ]
        async with self._connection.transaction():
            await self._connection.execute("DELETE FROM ledger.partitions")
            await self._connection.copy_records_to_table("partitions", schema_name="ledger", records=rows)

    async def fill(self, table: str, pages: Iterable[Rows]) -> None:
        """Put these rows in the place of what the table holds."""
        schema, _, name = table.partition(".")
        columns = _COLUMNS[table][0].split()
        try:
            async with self._connection.transaction():
                await self._connection.execute(f"DELETE FROM {table}")
                for page in pages:
                    await self._connection.copy_records_to_table(
                        name, schema_name=schema, columns=columns, records=page
                    )
        except Exception as error:
            raise _told(table, error) from error

    async def compare(self, table: str, pages: Iterator[Rows]) -> tuple[int, str]:
        """How many rows are the same, in order, and what is wrong with the next; nothing is: empty."""
        text, keys = _COLUMNS[table]
        columns = [f'"{column}"' for column in text.split()]
        chosen = ["translate(id::text, '-', '')", *columns[1:]] if table == "vault.keys" else columns
        query = f"SELECT {', '.join(chosen)} FROM {table} ORDER BY {', '.join(columns[:keys])}"
        same = 0
        async with self._connection.transaction(readonly=True):
            cursor = await self._connection.cursor(query)
            for page in pages:
                theirs = await cursor.fetch(len(page))
                for row, other in zip(page, theirs, strict=False):
                    if row != tuple(other):
                        return same, f"{table}: row {row[:keys]} is {tuple(other)[:keys]} there, or differs"
                    same += 1
                if len(theirs) < len(page):
                    return same, f"{table}: the row {page[len(theirs)][:keys]} is missing there"
            if await cursor.fetch(1):
                return same, f"{table}: there are more rows there"
        return same, ""

    async def complete(self, heads: Sequence[Head], topic_id: str, log_partitions: int) -> None:
        """Count what was counted elsewhere, and take the mark away: from here on it is a ledger."""
        statuses = [status.value for status in NoticeStatus]
        counts = ", ".join(
            f"{each} = (SELECT count(*) FROM notification.notices WHERE status = '{each}')"
            for each in statuses
        )
        rows = [
            (
                *(head.partition, 0, 0, _OWNER, head.next_offset, head.log_time_ms, head.rules_version),
                *(head.next_seq, head.relayed_seq, head.last_hash, topic_id, log_partitions, ""),
            )
            for head in heads
        ]
        async with self._connection.transaction():
            zeros = ", ".join(f"{each} = 0" for each in statuses)
            await self._connection.execute(f"UPDATE notification.tallies SET {zeros}")
            await self._connection.execute(f"UPDATE notification.tallies SET {counts} WHERE slot = 0")
            for table in ("notices", "jobs"):
                await self._connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('notification.{table}', 'place'), "
                    f"(SELECT coalesce(max(place), 0) + 1 FROM notification.{table}), false)"
                )
            await self._connection.execute(
                "UPDATE outreach.revisions SET revision = revision + 1, "
                "orders = (SELECT coalesce(max(seq), 0) FROM outreach.orders)"
            )
            await self._connection.execute("DELETE FROM ledger.partitions")
            await self._connection.copy_records_to_table("partitions", schema_name="ledger", records=rows)
        await self._connection.execute("ANALYZE")

    def close(self) -> None:
        """Close the connection."""
        self._link.drop()


def _told(table: str, error: Exception) -> Exception:
    known = port_error(error, writing=True)
    return type(known)(f"{table}: {known}") if isinstance(known, PortError) else error
