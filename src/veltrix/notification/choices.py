"""What organizers chose about webhooks, at hand: read anew when, and only when, it changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from veltrix.domain.facts import NumberedFact
from veltrix.ports.outreach import Endpoint, Outreach, SigningSecret
from veltrix.public import PUBLIC_KINDS
from veltrix.sealing import open_secret


@dataclass(slots=True)
class Choices:
    """Endpoints and their secrets. `secret_key` opens what registration sealed.

    `refresh` asks for the revision each time, which is cheap; so what was acknowledged to an organizer before
    a fact was decided is known when that fact is planned.
    """

    outreach: Outreach
    secret_key: bytes
    _revision: int = -1
    _endpoints: dict[str, Endpoint] = field(default_factory=dict)
    _of_organizer: dict[str, list[Endpoint]] = field(default_factory=dict)
    _secrets: dict[str, list[SigningSecret]] = field(default_factory=dict)

    async def refresh(self) -> None:
        """Take over what changed. Raises the ports' errors, and then keeps what it has."""
        revision = await self.outreach.revision()  # before the rest: that may be newer, and is never older
        if revision == self._revision:
            return
        endpoints = await self.outreach.endpoints()
        secrets = await self.outreach.secrets([endpoint.id for endpoint in endpoints])
        self._endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self._of_organizer, self._secrets = {}, {}
        for endpoint in endpoints:
            self._of_organizer.setdefault(endpoint.organizer, []).append(endpoint)
        for secret in secrets:
            self._secrets.setdefault(secret.endpoint, []).append(secret)
        self._revision = revision

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """All endpoints by id."""
        return self._endpoints

    def of(self, numbered: NumberedFact) -> list[Endpoint]:
        """The endpoints that a fact is to be posted to."""
        theirs = self._of_organizer.get(numbered.fact.organizer)
        if not theirs or numbered.fact.kind not in PUBLIC_KINDS:
            return []
        return [
            each for each in theirs if each.enabled and (not each.kinds or numbered.fact.kind in each.kinds)
        ]

    def secrets(self, endpoint: str, now_ms: int) -> tuple[str, ...]:
        """The texts of an endpoint's secrets that are in force, the newest first. Raises `BoxBroken`."""
        return tuple(
            open_secret(each.sealed, self.secret_key, endpoint, each.id).decode()
            for each in self._secrets.get(endpoint, ())
            if each.ends_ms is None or now_ms < each.ends_ms
        )
