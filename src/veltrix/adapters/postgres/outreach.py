"""What organizers and people chose, in PostgreSQL: registration writes, notification only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from veltrix.adapters.postgres.rows import columns
from veltrix.adapters.postgres.server import Postgres
from veltrix.domain import limits
from veltrix.ports.deliveries import Wanted
from veltrix.ports.errors import Unavailable
from veltrix.ports.outreach import (
    Endpoint,
    NoticeTemplate,
    OnUnknown,
    Order,
    OrderKind,
    Reason,
    Scheme,
    SigningSecret,
    Suppression,
)

_ENDPOINT: Final = (
    "id, organizer, url, kinds, ordered, on_unknown, description, enabled, created_ms, changed_ms, rate_per_s"
)
_TEMPLATE: Final = "organizer, kind, locale, version, subject, text, html, created_ms"
_SUPPRESS: Final = """
WITH added AS (
    INSERT INTO outreach.suppressions
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
    ON CONFLICT DO NOTHING RETURNING 1
) SELECT count(*) FROM added
"""
_SUPPRESSED: Final = """
SELECT s.organizer, s.address, s.category FROM unnest($1::text[], $2::text[]) AS a(organizer, address)
JOIN outreach.suppressions s ON s.organizer = a.organizer AND s.address = a.address
"""
_SUPPRESSIONS: Final = """
SELECT organizer, address, category, reason, created_ms, detail FROM outreach.suppressions
WHERE organizer = $1 AND (address, category) > ($2, $3) ORDER BY address, category LIMIT $4
"""
_TEMPLATES: Final = f"""
SELECT DISTINCT ON (organizer, kind, locale) {_TEMPLATE} FROM outreach.templates
WHERE $1::text IS NULL OR organizer = $1 ORDER BY organizer, kind, locale, version DESC
"""
_ONE_TEMPLATE: Final = f"""
SELECT {_TEMPLATE} FROM outreach.templates
WHERE organizer = $1 AND kind = $2 AND locale = $3 AND ($4::integer IS NULL OR version = $4)
ORDER BY version DESC LIMIT 1
"""
_ORDERS: Final = """
SELECT kind, organizer, created_ms, wanted, target, addresses, payload, given_by, seq, request
FROM outreach.orders
WHERE seq > $1 ORDER BY seq LIMIT $2
"""
_COUNTS: Final = """
SELECT (SELECT count(*) FROM outreach.endpoints) AS endpoints,
    (SELECT count(*) FROM outreach.secrets) AS secrets,
    (SELECT count(*) FROM outreach.suppressions) AS suppressions,
    (SELECT count(*) FROM outreach.templates) AS templates, (SELECT count(*) FROM outreach.orders) AS orders
"""
_wanted: Final = msgspec.json.Decoder(Wanted)


def _call(function: str, parameters: int) -> str:
    return f"SELECT outreach.{function}({', '.join(f'${number + 1}' for number in range(parameters))})"


class PostgresOutreach:
    """Endpoints, secrets, suppressions, templates and orders. Their tables are made by `migrate`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._closed = False

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add or replace an endpoint."""
        values = (endpoint.id, endpoint.organizer, endpoint.url, " ".join(sorted(endpoint.kinds)))
        how = (endpoint.ordered, endpoint.on_unknown.value, endpoint.description, endpoint.enabled)
        times = (endpoint.created_ms, endpoint.changed_ms, endpoint.rate_per_s)
        await self._write(
            _call("put_endpoint", 12), *values, *how, *times, limits.ENDPOINTS_PER_ORGANIZER_MAX
        )

    async def endpoint(self, endpoint: str) -> Endpoint | None:
        """The endpoint of that id."""
        rows = await self._read(f"SELECT {_ENDPOINT} FROM outreach.endpoints WHERE id = $1", endpoint)
        return _endpoint(rows[0]) if rows else None

    async def endpoints(self, organizer: str | None = None) -> list[Endpoint]:
        """An organizer's endpoints, or everybody's."""
        query = (
            f"SELECT {_ENDPOINT} FROM outreach.endpoints WHERE $1::text IS NULL OR organizer = $1 ORDER BY id"
        )
        return [_endpoint(row) for row in await self._read(query, organizer)]

    async def remove_endpoint(self, endpoint: str) -> bool:
        """Remove an endpoint with its secrets."""
        return bool(await self._write(_call("remove_endpoint", 1), endpoint))

    async def add_secret(self, secret: SigningSecret, *, others_end_ms: int | None = None) -> None:
        """Add a secret, and let the others of its scheme end."""
        values = (secret.id, secret.endpoint, secret.scheme.value, secret.sealed)
        times = (secret.created_ms, secret.ends_ms, others_end_ms)
        await self._write(_call("add_secret", 8), *values, *times, limits.WEBHOOK_SECRETS_MAX)

    async def secrets(self, endpoints: Sequence[str]) -> list[SigningSecret]:
        """Their secrets, the newest first."""
        query = (
            "SELECT id, endpoint, scheme, sealed, created_ms, ends_ms FROM outreach.secrets "
            "WHERE endpoint = ANY ($1::text[]) ORDER BY created_ms DESC, id"
        )
        return [
            SigningSecret(id_, endpoint, Scheme(scheme), sealed, created_ms, ends_ms)
            for id_, endpoint, scheme, sealed, created_ms, ends_ms in await self._read(query, list(endpoints))
        ]

    async def end_secret(self, secret: str, ends_ms: int) -> bool:
        """Let a secret end."""
        return bool(await self._write(_call("end_secret", 2), secret, ends_ms))

    async def suppress(self, suppressions: Sequence[Suppression]) -> int:
        """Add them."""
        rows = [
            (each.organizer, each.address, each.category, each.reason.value, each.created_ms, each.detail)
            for each in suppressions
        ]
        return int(await self._write(_SUPPRESS, *columns(rows, 6)))

    async def unsuppress(self, organizer: str, address: str, category: str) -> bool:
        """Remove one."""
        query = (
            "DELETE FROM outreach.suppressions WHERE organizer = $1 AND address = $2 AND category = $3 "
            "RETURNING true"
        )
        return bool(await self._write(query, organizer, address, category))

    async def suppressed(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
        """Their suppressed categories."""
        found: dict[tuple[str, str], set[str]] = {}
        for organizer, address, category in await self._read(_SUPPRESSED, *columns(list(asked), 2)):
            found.setdefault((organizer, address), set()).add(category)
        return {each: frozenset(categories) for each, categories in found.items()}

    async def suppressions(
        self, organizer: str, after: tuple[str, str] | None, limit: int
    ) -> list[Suppression]:
        """An organizer's, by (address, category)."""
        rows = await self._read(_SUPPRESSIONS, organizer, *(after or ("", "")), limit)
        return [Suppression(row[0], row[1], row[2], Reason(row[3]), row[4], row[5]) for row in rows]

    async def save_template(self, template: NoticeTemplate) -> None:
        """Add the next version."""
        key = (template.organizer, template.kind, template.locale, template.version)
        texts = (template.subject, template.text, template.html)
        await self._write(_call("save_template", 8), *key, *texts, template.created_ms)

    async def template(
        self, organizer: str, kind: str, locale: str, version: int | None = None
    ) -> NoticeTemplate | None:
        """That version, or the last one."""
        rows = await self._read(_ONE_TEMPLATE, organizer, kind, locale, version)
        return NoticeTemplate(*rows[0]) if rows else None

    async def templates(self, organizer: str | None = None) -> list[NoticeTemplate]:
        """The last version of each."""
        return [NoticeTemplate(*row) for row in await self._read(_TEMPLATES, organizer)]

    async def drop_template(self, organizer: str, kind: str, locale: str) -> bool:
        """Remove all versions."""
        return bool(await self._write(_call("drop_template", 3), organizer, kind, locale))

    async def give(self, order: Order) -> int:
        """Append an order."""
        wanted = None if order.wanted is None else msgspec.json.encode(order.wanted).decode()
        head = (order.kind.value, order.organizer, order.created_ms, wanted, order.target)
        rest = (" ".join(order.addresses), order.payload, order.by, order.request)
        return int(await self._write(_call("give", 9), *head, *rest))

    async def orders(self, after_seq: int, limit: int) -> list[Order]:
        """Orders with a greater number."""
        return [_order(row) for row in await self._read(_ORDERS, after_seq, limit)]

    async def revision(self) -> int:
        """Rises with every change of endpoints, secrets and templates."""
        return int((await self._read("SELECT revision FROM outreach.revisions"))[0][0])

    async def counts(self) -> Mapping[str, int]:
        """How many there are of each."""
        return dict((await self._read(_COUNTS))[0])

    async def close(self) -> None:
        """Take no more work. The connections are the `Postgres`'."""
        self._closed = True

    async def _read(self, query: str, *values: object) -> list[Any]:
        self._check_open()
        return await self._postgres.read(lambda connection: connection.fetch(query, *values))

    async def _write(self, query: str, *values: object) -> Any:
        self._check_open()
        return await self._postgres.write(lambda connection: connection.fetchval(query, *values))

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of what organizers chose is closed")


def _endpoint(row: Any) -> Endpoint:
    id_, organizer, url, kinds, ordered, on_unknown, description, enabled, created_ms, changed_ms, rate = row
    how = (frozenset(kinds.split()), ordered, OnUnknown(on_unknown))
    return Endpoint(id_, organizer, url, *how, description, enabled, created_ms, changed_ms, rate)


def _order(row: Any) -> Order:
    kind, organizer, created_ms, wanted, target, addresses, payload, by, seq, request = row
    about = None if wanted is None else _wanted.decode(wanted)
    hashes = tuple(addresses.split())
    return Order(OrderKind(kind), organizer, created_ms, about, target, hashes, payload, by, seq, request)
