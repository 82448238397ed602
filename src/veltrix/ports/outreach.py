"""What organizers and people chose about being told, and what operators ordered.

Registration writes all of this, through its API; notification reads it. Who an address belongs to stands
nowhere here: an address is a hash under a key of the deployment (`sealing.AddressHashes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from veltrix.ports.deliveries import Wanted

EVERY_CATEGORY: Final = "*"
"""The category that stands for all of them."""


class OnUnknown(StrEnum):
    """What follows an attempt whose outcome is unknown: another one (which may double), or an operator."""

    RETRY = "retry"
    HOLD = "hold"


class Scheme(StrEnum):
    """How a webhook is signed, in the words of Standard Webhooks: HMAC-SHA256 (v1) or ed25519 (v1a)."""

    V1 = "v1"
    V1A = "v1a"


class Reason(StrEnum):
    """Why an address is suppressed."""

    MANUAL = "manual"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


class OrderKind(StrEnum):
    """What an operator asks notification to do.

    `replay` opens notices again that are over (each keeps its id); `release` lets go what is held, `drop`
    suppresses it; `ping` tells an endpoint that it is reached; `enable` ends what notification itself has
    against a target (disabled, breaker open); `unbounce` forgets that addresses bounced; `test_mail` sends
    what `payload` holds.
    """

    REPLAY = "replay"
    RELEASE = "release"
    DROP = "drop"
    PING = "ping"
    ENABLE = "enable"
    UNBOUNCE = "unbounce"
    TEST_MAIL = "test_mail"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an organizer wants facts to be posted. `kinds` are kinds of facts, all of them when empty.

    `ordered`: of one event, a fact is posted only when the one before it is over. `rate_per_s` 0: as the
    deployment has it. `enabled` is the organizer's will; whether notification gave up on an endpoint (410)
    stands in `deliveries.Target`.
    """

    id: str
    organizer: str
    url: str
    kinds: frozenset[str] = frozenset()
    ordered: bool = False
    on_unknown: OnUnknown = OnUnknown.RETRY
    description: str = ""
    enabled: bool = True
    created_ms: int = 0
    changed_ms: int = 0
    rate_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A key that posts to an endpoint are signed with until `ends_ms` (None: until further notice).

    `sealed` is the secret's text (`whsec_…`, `whsk_…`) under a key of the deployment: `sealing.seal_secret`
    with the endpoint's and this id.
    """

    id: str
    endpoint: str
    scheme: Scheme
    sealed: bytes
    created_ms: int
    ends_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that an organizer does not write to, in a category or in every one (`*`)."""

    organizer: str
    address: str
    category: str
    reason: Reason
    created_ms: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NoticeTemplate:
    """An organizer's text for a kind of notice in a locale. Versions count from 1; the last one is used."""

    organizer: str
    kind: str
    locale: str
    version: int
    subject: str
    text: str
    html: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator asks for; `seq` is given by `give`, gapless from 1.

    `wanted` says which notices. Of a replay that names neither ids nor statuses: those accepted, refused,
    dead or unknown. `target`: an endpoint's id or a relay's name; `addresses`: hashes; `by`: the key's id.
    `request`: the id of the request that asks for it, so that repeating the request gives no second order.
    """

    kind: OrderKind
    organizer: str
    created_ms: int
    wanted: Wanted | None = None
    target: str = ""
    addresses: tuple[str, ...] = ()
    payload: bytes = b""
    by: str = ""
    seq: int = 0
    request: str = ""


class Endpoints(Protocol):
    """Endpoints and their secrets. Writes are durable when they return and raise `Unavailable`."""

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add an endpoint, or replace the one of that id. Raises `Rejected` when it is another organizer's,
        or when the organizer would have more than `limits.ENDPOINTS_PER_ORGANIZER_MAX`."""
        ...

    async def endpoint(self, endpoint: str) -> Endpoint | None:
        """The endpoint of that id."""
        ...

    async def endpoints(self, organizer: str | None = None) -> list[Endpoint]:
        """An organizer's endpoints, or everybody's, by id."""
        ...

    async def remove_endpoint(self, endpoint: str) -> bool:
        """Remove an endpoint with its secrets; False when there is none."""
        ...

    async def add_secret(self, secret: SigningSecret, *, others_end_ms: int | None = None) -> None:
        """Add a secret. With `others_end_ms` the endpoint's others of its scheme end then, unless they end
        before; those that have ended are removed. Raises `Rejected` for an unknown endpoint or a known id, or
        beyond `limits.WEBHOOK_SECRETS_MAX`."""
        ...

    async def secrets(self, endpoints: Sequence[str]) -> list[SigningSecret]:
        """The secrets of these endpoints, the newest first; those that have ended may be missing."""
        ...

    async def end_secret(self, secret: str, ends_ms: int) -> bool:
        """Let a secret end; False when there is none of that id."""
        ...


class Suppressions(Protocol):
    """Who must not be written to, and about what. Preferences are suppressions that the person asked for."""

    async def suppress(self, suppressions: Sequence[Suppression]) -> int:
        """Add them; those that exist are kept as they are. Returns how many are new."""
        ...

    async def unsuppress(self, organizer: str, address: str, category: str) -> bool:
        """Remove one; False when there is none."""
        ...

    async def suppressed(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
        """For each (organizer, address) the suppressed categories; those without any are missing."""
        ...

    async def suppressions(
        self, organizer: str, after: tuple[str, str] | None, limit: int
    ) -> list[Suppression]:
        """An organizer's, by (address, category), greater than `after`."""
        ...


class Templates(Protocol):
    """Organizers' own texts."""

    async def save_template(self, template: NoticeTemplate) -> None:
        """Add the next version. Raises `Rejected` when `template.version` is not the last one plus 1."""
        ...

    async def template(
        self, organizer: str, kind: str, locale: str, version: int | None = None
    ) -> NoticeTemplate | None:
        """That version, or the last one."""
        ...

    async def templates(self, organizer: str | None = None) -> list[NoticeTemplate]:
        """The last version of each of an organizer's, or everybody's, by (organizer, kind, locale)."""
        ...

    async def drop_template(self, organizer: str, kind: str, locale: str) -> bool:
        """Remove all versions; False when there is none."""
        ...


class Orders(Protocol):
    """What operators ordered; append-only."""

    async def give(self, order: Order) -> int:
        """Append an order; returns its sequence number once it is durable.

        Where an order of this `request` (not "") was given before, nothing is appended and the number of that
        one is returned.
        """
        ...

    async def orders(self, after_seq: int, limit: int) -> list[Order]:
        """Orders with a greater number, in order; an order is never seen before those with lesser numbers."""
        ...


class Outreach(Endpoints, Suppressions, Templates, Orders, Protocol):
    """All of it."""

    async def revision(self) -> int:
        """A number that rises with every change of endpoints, secrets and templates. What was read under it
        need not be read again; a change that was acknowledged is seen in it."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """How many there are of each: `endpoints`, `secrets`, `suppressions`, `templates`, `orders`."""
        ...

    async def close(self) -> None:
        """Close; safe to call twice."""
        ...
