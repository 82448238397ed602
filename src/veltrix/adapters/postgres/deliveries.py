"""What operators see and order, in PostgreSQL. Registration may read all of it, and write nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from veltrix.adapters.postgres.rows import columns
from veltrix.adapters.postgres.server import Postgres
from veltrix.domain import limits
from veltrix.domain.targets import Target, TargetState
from veltrix.ports.deliveries import AttemptRow, Backlog, Bounce, Delivery, Wanted
from veltrix.ports.errors import Unavailable
from veltrix.ports.fulfilment import REPLAYED, Progress
from veltrix.ports.notices import Notice, NoticeStatus
from veltrix.ports.outreach import Order, OrderKind

NOTICE_COLUMNS: Final = (
    "id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id, created_ms, "
    "trace, expires_ms, ordered"
)
NOTICE_PARAMETERS: Final = 14
_TARGET: Final = "(CASE channel WHEN 'webhook' THEN recipient ELSE channel END)"
_WAITING: Final = "status IN ('pending', 'unknown')"
_IS_HELD: Final = "status = 'unknown' AND due_ms IS NULL"
_DELIVERY: Final = f"place, status, attempts, detail, due_ms, tried_ms, {NOTICE_COLUMNS}"
_ATTEMPTS: Final = """
SELECT a.number, a.started_ms, a.ended_ms, a.outcome, a.code, a.detail, a.excerpt
FROM notification.attempts a JOIN notification.notices n ON n.place = a.place
WHERE n.id = $1 ORDER BY a.number
"""
_TARGET_COLUMNS: Final = "name, state, since_ms, why, failures, opened, blocked_until_ms, version"
_TARGETS: Final = f"""
SELECT {_TARGET_COLUMNS} FROM notification.targets WHERE $1::text[] IS NULL OR name = ANY ($1) ORDER BY name
"""
_BOUNCED: Final = """
SELECT b.organizer, b.address FROM unnest($1::text[], $2::text[]) AS a(organizer, address)
JOIN notification.bounces b ON b.organizer = a.organizer AND b.address = a.address
"""
_BOUNCES: Final = """
SELECT organizer, address, created_ms, detail FROM notification.bounces
WHERE organizer = $1 AND address > $2 ORDER BY address LIMIT $3
"""
_BACKLOG: Final = f"""
SELECT {_TARGET}, min(channel), count(*), min(created_ms) FILTER (WHERE NOT ({_IS_HELD})), min(due_ms)
FROM notification.notices WHERE {_WAITING} GROUP BY 1 ORDER BY 1
"""


def _call(function: str, parameters: int) -> str:
    return f"SELECT * FROM notification.{function}({', '.join(f'${n + 1}' for n in range(parameters))})"


class PostgresDeliveries:
    """The ports `Deliveries` and `Fulfilment`. Their tables are made by `migrate`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._closed = False

    async def search(self, wanted: Wanted, before: int | None, limit: int) -> list[Delivery]:
        """Matching notices, the newest first."""
        condition, values = _condition(wanted)
        query = (
            f"SELECT {_DELIVERY} FROM notification.notices WHERE ($1::bigint IS NULL OR place < $1) "
            f"AND {condition} ORDER BY place DESC LIMIT $2"
        )
        return [_delivery(row) for row in await self._read(query, before, limit, *values)]

    async def attempts(self, notice: str) -> list[AttemptRow]:
        """The attempts at a notice."""
        return [AttemptRow(*row) for row in await self._read(_ATTEMPTS, notice)]

    async def targets(self, names: Sequence[str] | None = None) -> list[Target]:
        """How targets stand."""
        rows = await self._read(_TARGETS, None if names is None else list(names))
        return [Target(name, TargetState(state), *rest) for name, state, *rest in rows]

    async def bounced(self, asked: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these bounced."""
        rows = await self._read(_BOUNCED, *columns(list(asked), 2))
        return {(organizer, address) for organizer, address in rows}

    async def bounces(self, organizer: str, after: str, limit: int) -> list[Bounce]:
        """An organizer's bounced addresses."""
        return [Bounce(*row) for row in await self._read(_BOUNCES, organizer, after, limit)]

    async def backlog(self) -> list[Backlog]:
        """What waits, by target."""
        return [Backlog(*row) for row in await self._read(_BACKLOG)]

    async def progress(self) -> Progress:
        """How far orders are carried out."""
        (row,) = await self._read("SELECT seq, place FROM notification.progress")
        return Progress(*row)

    async def carry_out(
        self, order: Order, at: Progress, now_ms: int, notices: Sequence[Notice] = ()
    ) -> Progress:
        """Carry out an order, or a page of it."""
        wanted = _ordered(order)
        values = (
            *(order.seq, at.seq, at.place, order.kind.value, now_ms, order.created_ms, limits.ORDER_PAGE),
            *(order.target, list(order.addresses), order.organizer, list(wanted.ids), wanted.event),
            *(wanted.registration, sorted(wanted.statuses), wanted.channel, wanted.target, wanted.kind),
            *(wanted.since_ms, wanted.until_ms, wanted.held),
            *columns([notice_row(notice) for notice in notices], NOTICE_PARAMETERS),
        )
        (row,) = await self._write(_call("carry_out", 20 + NOTICE_PARAMETERS), values)
        return Progress(*row)

    async def rewind(self, at: Progress, seq: int) -> bool:
        """Let orders after this one be the next."""
        query = (
            "UPDATE notification.progress SET seq = $1, place = 0 WHERE seq = $2 AND place = $3 RETURNING 1"
        )
        return bool(await self._write(query, (seq, at.seq, at.place)))

    async def change_target(self, target: Target) -> bool:
        """Record how a target stands."""
        state = (target.name, target.state.value, target.since_ms, target.why)
        counts = (target.failures, target.opened, target.blocked_until_ms, target.version)
        (row,) = await self._write(_call("change_target", 8), (*state, *counts))
        return bool(row[0])

    async def _read(self, query: str, *values: object) -> list[Any]:
        self._check_open()
        return await self._postgres.read(lambda connection: connection.fetch(query, *values))

    async def _write(self, query: str, values: Iterable[Any]) -> list[Any]:
        self._check_open()
        return await self._postgres.write(lambda connection: connection.fetch(query, *values))

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of notices is closed")


def notice_row(notice: Notice) -> tuple[Any, ...]:
    """A notice as `NOTICE_COLUMNS` has it."""
    return (
        notice.id,
        notice.organizer,
        notice.event,
        notice.partition,
        notice.seq,
        notice.kind,
        notice.registration,
        notice.recipient,
        notice.channel,
        notice.key_id,
        notice.created_ms,
        notice.trace,
        notice.expires_ms,
        notice.ordered,
    )


def _ordered(order: Order) -> Wanted:
    """Which notices an order is about, as they may be touched."""
    wanted = replace(order.wanted or Wanted(), organizer=order.organizer)
    if order.kind is not OrderKind.REPLAY:
        return replace(wanted, held=True)
    untouchable = {NoticeStatus.SUPPRESSED, NoticeStatus.ATTEMPTING}
    statuses = (wanted.statuses or REPLAYED) - untouchable
    # An empty set would stand for every status; there is no notice without an id.
    return replace(wanted, statuses=statuses) if statuses else replace(wanted, ids=("",))


def _condition(wanted: Wanted) -> tuple[str, list[Any]]:
    """What is wanted, as a condition whose values are $3 and so on."""
    parts: list[str] = []
    values: list[Any] = []

    def add(text: str, value: Any) -> None:
        values.append(value)
        parts.append(text.replace("?", f"${len(values) + 2}"))

    for column in ("organizer", "event", "registration", "channel", "kind"):
        value = getattr(wanted, column)
        if value is not None:
            add(f"{column} = ?", value)
    if wanted.ids:
        add("id = ANY (?::text[])", list(wanted.ids))
    if wanted.statuses:
        add("status = ANY (?::text[])", sorted(wanted.statuses))
    if wanted.target is not None:
        add(f"{_TARGET} = ?", wanted.target)
    if wanted.since_ms is not None:
        add("created_ms >= ?", wanted.since_ms)
    if wanted.until_ms is not None:
        add("created_ms < ?", wanted.until_ms)
    if wanted.held:
        parts.append(_IS_HELD)
    return " AND ".join(parts) or "true", values


def _delivery(row: Any) -> Delivery:
    place, status, attempts, detail, due_ms, tried_ms, *fields = row
    return Delivery(place, Notice(*fields), NoticeStatus(status), attempts, detail, due_ms, tried_ms)
