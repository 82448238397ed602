"""The ledger in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from veltrix.adapters.postgres.commit import COMMIT, parameters_of
from veltrix.adapters.postgres.links import Connection
from veltrix.adapters.postgres.load import load_batch
from veltrix.adapters.postgres.queries import PostgresQueries
from veltrix.adapters.postgres.rows import HEAD_COLUMNS, UNUSED, head_of
from veltrix.adapters.postgres.server import Postgres
from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.domain.identifiers import first_offset
from veltrix.domain.state import Needs
from veltrix.ports.ledger import Changes, Due, Head, Loaded, Term
from veltrix.ports.log import LogIdentity
from veltrix.ports.system import Clock

_TAKE_OVER: Final = f"SELECT {HEAD_COLUMNS} FROM ledger.take_over($1, $2, $3, $4, $5, $6, $7)"
_END_PREVIOUS: Final = "SELECT ledger.end_previous($1, $2, $3, $4, $5)"
_REBIND: Final = f"SELECT {HEAD_COLUMNS} FROM ledger.rebind($1, $2, $3, $4, $5, $6, $7, $8)"
_ERASURES: Final = """
SELECT "offset", event, person FROM ledger.decisions
WHERE kind = 'erase_person' AND outcome = 'accepted' AND partition = $1 AND "offset" > $2
    AND person IS NOT NULL
ORDER BY "offset" LIMIT $3
"""
_RELAYED: Final = "SELECT ledger.relayed($1, $2, $3, $4)"
_NOW_MS: Final = "coalesce($3::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"
_DUE: Final = f"""
SELECT e.organizer, r.event, r.id, r.hold_number, r.hold_deadline_ms AS due_ms, false
FROM ledger.registrations r JOIN ledger.events e ON e.id = r.event
WHERE r.status = 'held' AND r.partition = $1 AND r.hold_deadline_ms < $2 AND r.hold_ends_ms <= {_NOW_MS}
UNION ALL
SELECT organizer, id, '', 0, ends_ms, false FROM ledger.events
WHERE status IN ('open', 'closed') AND partition = $1 AND ends_ms < $2
UNION ALL
SELECT organizer, id, '', 0, remind_ms, true FROM ledger.events
WHERE $5 AND remind_ms IS NOT NULL AND partition = $1 AND remind_ms < $2 AND starts_ms > $2
ORDER BY due_ms, 2, 3 LIMIT $4
"""
_KEYS_OF: Final = """
SELECT key_id FROM ledger.decisions
WHERE person = $1 AND event = $2 AND "offset" < $3 AND key_id IS NOT NULL ORDER BY partition, "offset"
"""
_UNUSED: Final = f"""
SELECT "offset", key_id FROM ledger.decisions
WHERE {UNUSED} AND partition = $1 AND "offset" > $2 AND log_time_ms < $3 ORDER BY "offset" LIMIT $4
"""


class PostgresLedger(PostgresQueries):
    """Ledger, Queries and LedgerRows. Its tables are made by `migrate`.

    After `OutcomeUnknown` the way forward is `take_over`, whose own commit is acknowledged only once all
    before it is replicated: what the head says then, stays. `clock` is for tests: time is the server's.
    """

    def __init__(self, postgres: Postgres, *, clock: Clock | None = None) -> None:
        super().__init__(postgres)
        self._clock = clock
        self._written: dict[str, Event] = {}

    async def take_over(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Take a partition under a term; whoever holds its row and is its previous owner is ended."""
        self._check_open()
        self._written.clear()
        session = self._postgres.session
        waiting: list[int] = []

        async def take(connection: Connection) -> Sequence[Any]:
            waiting.append(connection.get_server_pid())
            values = (partition, term.epoch, term.revision, owner, log.topic_id, log.partitions, session)
            row = await connection.fetchrow(_TAKE_OVER, *values)
            assert row is not None
            return tuple(row)

        async def end_previous() -> None:
            await asyncio.sleep(self._postgres.settings.lock_timeout_s / 2)
            if waiting:
                values = (partition, term.epoch, term.revision, session, waiting[-1])
                await self._postgres.read(lambda connection: connection.fetchval(_END_PREVIOUS, *values))

        ending = asyncio.create_task(end_previous())
        try:
            return head_of(await self._postgres.write(take))
        finally:
            ending.cancel()
            # An attempt: when it fails, the take-over has run into its lock time-out.
            await asyncio.gather(ending, return_exceptions=True)

    async def rebind(self, partition: int, term: Term, owner: str, log: LogIdentity) -> Head:
        """Bind a partition to another log."""
        self._check_open()
        self._written.clear()
        first = first_offset(log.generation)
        values = (partition, term.epoch, term.revision, owner, log.topic_id, log.partitions, first)
        session = self._postgres.session
        row = await self._postgres.write(lambda connection: connection.fetchrow(_REBIND, *values, session))
        assert row is not None
        return head_of(tuple(row))

    async def load(self, partition: int, needs: Needs) -> Loaded:
        """What a batch touches."""
        self._check_open()
        return await self._postgres.read(lambda connection: load_batch(connection, needs))

    async def commit(self, changes: Changes) -> None:
        """Commit a batch: all of it, or nothing."""
        self._check_open()
        parameters = parameters_of(changes, self._written, self._now_ms())
        for row in changes.events:
            self._written.pop(row.event.id, None)  # until it is known what the table holds
        await self._postgres.write(lambda connection: connection.fetchval(COMMIT, *parameters))
        self._remember(changes)

    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Move the relay's position on."""
        self._check_open()
        values = (partition, term.epoch, term.revision, seq)
        await self._postgres.write(lambda connection: connection.fetchval(_RELAYED, *values))

    async def due(self, partition: int, before_ms: int, limit: int, *, reminders: bool = True) -> list[Due]:
        """Holds and events whose time has come, by time."""
        values = (partition, before_ms, self._now_ms(), limit, reminders)
        return [Due(*row) for row in await self._rows(_DUE, *values)]

    async def keys_of(self, event: str, person: str, before_offset: int) -> list[str]:
        """The keys of all boxes that ever were a person's."""
        rows = await self._rows(_KEYS_OF, person, event, before_offset)
        return list(dict.fromkeys(key_id for (key_id,) in rows))

    async def erasures(self, partition: int, after_offset: int, limit: int) -> list[tuple[int, str, str]]:
        """Accepted erasures, in order."""
        rows = await self._rows(_ERASURES, partition, after_offset, limit)
        return [(offset, event, person) for offset, event, person in rows]

    async def unused_keys(
        self, partition: int, after_offset: int, before_ms: int, limit: int
    ) -> list[tuple[int, str]]:
        """The keys of boxes that came to nothing."""
        rows = await self._rows(_UNUSED, partition, after_offset, before_ms, limit)
        return [(offset, key_id) for offset, key_id in rows]

    async def close(self) -> None:
        """Take no more work; what is under way ends by itself. The connections are the `Postgres`'."""
        self._closed = True

    def _now_ms(self) -> int | None:
        return None if self._clock is None else self._clock.now_ms()

    def _remember(self, changes: Changes) -> None:
        for row in changes.events:
            self._written[row.event.id] = row.event
        while len(self._written) > limits.EVENTS_CACHED:
            del self._written[next(iter(self._written))]
