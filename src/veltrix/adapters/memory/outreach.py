"""What organizers and people chose, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from veltrix.domain import limits
from veltrix.ports.errors import Rejected, Unavailable
from veltrix.ports.outreach import Endpoint, NoticeTemplate, Order, SigningSecret, Suppression


class MemoryOutreach:
    """Endpoints, secrets, suppressions, templates and orders as dictionaries."""

    def __init__(self) -> None:
        self._endpoints: dict[str, Endpoint] = {}
        self._secrets: dict[str, SigningSecret] = {}
        self._suppressions: dict[tuple[str, str, str], Suppression] = {}
        self._templates: dict[tuple[str, str, str], list[NoticeTemplate]] = {}
        self._orders: list[Order] = []
        self._revision = 0
        self._closed = False

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add or replace an endpoint."""
        self._check_open()
        known = self._endpoints.get(endpoint.id)
        if known is not None and known.organizer != endpoint.organizer:
            raise Rejected(f"endpoint {endpoint.id} is another organizer's")
        if known is None:
            theirs = sum(each.organizer == endpoint.organizer for each in self._endpoints.values())
            if theirs >= limits.ENDPOINTS_PER_ORGANIZER_MAX:
                raise Rejected(f"an organizer has {limits.ENDPOINTS_PER_ORGANIZER_MAX} endpoints at the most")
        self._endpoints[endpoint.id] = endpoint
        self._revision += 1

    async def endpoint(self, endpoint: str) -> Endpoint | None:
        """The endpoint of that id."""
        self._check_open()
        return self._endpoints.get(endpoint)

    async def endpoints(self, organizer: str | None = None) -> list[Endpoint]:
        """An organizer's endpoints, or everybody's."""
        self._check_open()
        found = (each for each in self._endpoints.values() if organizer in (None, each.organizer))
        return sorted(found, key=lambda each: each.id)

    async def remove_endpoint(self, endpoint: str) -> bool:
        """Remove an endpoint with its secrets."""
        self._check_open()
        if self._endpoints.pop(endpoint, None) is None:
            return False
        self._secrets = {id_: each for id_, each in self._secrets.items() if each.endpoint != endpoint}
        self._revision += 1
        return True

    async def add_secret(self, secret: SigningSecret, *, others_end_ms: int | None = None) -> None:
        """Add a secret, and let the others of its scheme end."""
        self._check_open()
        if secret.endpoint not in self._endpoints:
            raise Rejected(f"there is no endpoint {secret.endpoint}")
        for each in list(self._secrets.values()):
            if (
                each.endpoint == secret.endpoint
                and each.ends_ms is not None
                and each.ends_ms <= secret.created_ms
            ):
                del self._secrets[each.id]
        theirs = [each for each in self._secrets.values() if each.endpoint == secret.endpoint]
        if secret.id in self._secrets or len(theirs) >= limits.WEBHOOK_SECRETS_MAX:
            raise Rejected(f"an endpoint has {limits.WEBHOOK_SECRETS_MAX} secrets at the most, each once")
        for each in theirs if others_end_ms is not None else ():
            assert others_end_ms is not None
            if each.scheme is secret.scheme and (each.ends_ms is None or each.ends_ms > others_end_ms):
                self._secrets[each.id] = replace(each, ends_ms=others_end_ms)
        self._secrets[secret.id] = secret
        self._revision += 1

    async def secrets(self, endpoints: Sequence[str]) -> list[SigningSecret]:
        """Their secrets, the newest first."""
        self._check_open()
        found = [each for each in self._secrets.values() if each.endpoint in endpoints]
        return sorted(found, key=lambda each: (-each.created_ms, each.id))

    async def end_secret(self, secret: str, ends_ms: int) -> bool:
        """Let a secret end."""
        self._check_open()
        known = self._secrets.get(secret)
        if known is None:
            return False
        self._secrets[secret] = replace(known, ends_ms=ends_ms)
        self._revision += 1
        return True

    async def suppress(self, suppressions: Sequence[Suppression]) -> int:
        """Add them."""
        self._check_open()
        before = len(self._suppressions)
        for each in suppressions:
            self._suppressions.setdefault((each.organizer, each.address, each.category), each)
        return len(self._suppressions) - before

    async def unsuppress(self, organizer: str, address: str, category: str) -> bool:
        """Remove one."""
        self._check_open()
        return self._suppressions.pop((organizer, address, category), None) is not None

    async def suppressed(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
        """Their suppressed categories."""
        self._check_open()
        wanted = set(asked)
        found: dict[tuple[str, str], set[str]] = {}
        for organizer, address, category in self._suppressions:
            if (organizer, address) in wanted:
                found.setdefault((organizer, address), set()).add(category)
        return {each: frozenset(categories) for each, categories in found.items()}

    async def suppressions(
        self, organizer: str, after: tuple[str, str] | None, limit: int
    ) -> list[Suppression]:
        """An organizer's, by (address, category)."""
        self._check_open()
        keys = sorted(
            key for key in self._suppressions if key[0] == organizer and (after is None or key[1:] > after)
        )
        return [self._suppressions[key] for key in keys[:limit]]

    async def save_template(self, template: NoticeTemplate) -> None:
        """Add the next version."""
        self._check_open()
        key = (template.organizer, template.kind, template.locale)
        versions = self._templates.get(key, [])
        last = versions[-1].version if versions else 0
        if template.version != last + 1:
            raise Rejected(f"the template is at version {last}; save version {last + 1}")
        self._templates.setdefault(key, []).append(template)
        self._revision += 1

    async def template(
        self, organizer: str, kind: str, locale: str, version: int | None = None
    ) -> NoticeTemplate | None:
        """That version, or the last one."""
        self._check_open()
        versions = self._templates.get((organizer, kind, locale), [])
        found = (each for each in reversed(versions) if version in (None, each.version))
        return next(found, None)

    async def templates(self, organizer: str | None = None) -> list[NoticeTemplate]:
        """The last version of each."""
        self._check_open()
        return [
            versions[-1] for key, versions in sorted(self._templates.items()) if organizer in (None, key[0])
        ]

    async def drop_template(self, organizer: str, kind: str, locale: str) -> bool:
        """Remove all versions."""
        self._check_open()
        if self._templates.pop((organizer, kind, locale), None) is None:
            return False
        self._revision += 1
        return True

    async def give(self, order: Order) -> int:
        """Append an order."""
        self._check_open()
        for given in self._orders if order.request else ():
            if given.request == order.request:
                return given.seq
        self._orders.append(replace(order, seq=len(self._orders) + 1))
        return len(self._orders)

    async def orders(self, after_seq: int, limit: int) -> list[Order]:
        """Orders with a greater number."""
        self._check_open()
        return self._orders[after_seq : after_seq + limit]

    async def revision(self) -> int:
        """Rises with every change of endpoints, secrets and templates."""
        self._check_open()
        return self._revision

    async def counts(self) -> Mapping[str, int]:
        """How many there are of each."""
        self._check_open()
        return {
            "endpoints": len(self._endpoints),
            "secrets": len(self._secrets),
            "suppressions": len(self._suppressions),
            "templates": sum(map(len, self._templates.values())),
            "orders": len(self._orders),
        }

    async def close(self) -> None:
        """Close."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of what organizers chose is closed")
