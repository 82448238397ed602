"""Looks into the ledger for what must hold: a statement each, which is a snapshot."""

from __future__ import annotations

import json
from typing import Any, Final

from veltrix.adapters.postgres.server import Postgres
from veltrix.ports.samples import Balance, PoolNumbers, Run
from veltrix.wire import decode_spec

_EVENTS: Final = "SELECT id FROM ledger.events WHERE id > $1 ORDER BY id LIMIT $2"
_BALANCE: Final = """
SELECT e.spec,
    (SELECT json_object_agg(pool, json_build_array(capacity, taken, ceiling))
     FROM ledger.pools WHERE event = e.id),
    (SELECT json_object_agg(category, seats) FROM (
        SELECT category, count(*) AS seats FROM ledger.seats
        WHERE event = e.id AND status IN ('held', 'confirmed') GROUP BY category) AS taken)
FROM ledger.events e WHERE e.id = $1
"""
_RUN: Final = """
SELECT count(t.{number}), coalesce(min(t.{number}), 0), coalesce(max(t.{number}), 0), p.{following}
FROM ledger.partitions p
LEFT JOIN ledger.{table} t ON t.partition = p.partition AND t.{number} >= p.{following} - $2
WHERE p.partition = $1 GROUP BY p.{following}
"""
_DECISIONS: Final = _RUN.format(table="decisions", number='"offset"', following="next_offset")
_FACTS: Final = _RUN.format(table="facts", number="seq", following="next_seq")


class PostgresSamples:
    """Samples, in any role that may read the ledger."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def events(self, after: str, limit: int) -> list[str]:
        """Ids of events, in order."""
        rows = await self._postgres.read(lambda connection: connection.fetch(_EVENTS, after, limit))
        return [row[0] for row in rows]

    async def balance(self, event: str) -> Balance | None:
        """An event's numbers."""
        row = await self._postgres.read(lambda connection: connection.fetchrow(_BALANCE, event))
        if row is None:
            return None
        pools = {pool: PoolNumbers(*numbers) for pool, numbers in json.loads(row[1] or "{}").items()}
        categories = {each.key: each.pools for each in decode_spec(row[0]).categories}
        return Balance(event, pools, json.loads(row[2] or "{}"), categories)

    async def decisions(self, partition: int, most: int) -> Run | None:
        """The last decisions."""
        return await self._run(_DECISIONS, partition, most)

    async def facts(self, partition: int, most: int) -> Run | None:
        """The last facts."""
        return await self._run(_FACTS, partition, most)

    async def _run(self, query: str, partition: int, most: int) -> Run | None:
        row: Any = await self._postgres.read(lambda connection: connection.fetchrow(query, partition, most))
        return None if row is None else Run(*row)
