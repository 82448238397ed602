"""Endpoints of webhooks over HTTP: the shapes of what is sent and answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from veltrix.domain import limits
from veltrix.domain.targets import Target, TargetState
from veltrix.ports.outreach import Endpoint, OnUnknown, Scheme, SigningSecret
from veltrix.public import PUBLIC_KINDS
from veltrix.registration.bodies import check_line
from veltrix.registration.outputs import time_of
from veltrix.registration.problems import FaultAt

RATE_MAX_PER_S: Final = 10_000
KNOWN_KINDS: Final = tuple(sorted(kind.value for kind in PUBLIC_KINDS))

Address = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=limits.WEBHOOK_URL_MAX_CHARS,
        description="Where to post: https, and an address of the public internet",
        examples=["https://crm.example.org/hooks/veltrix"],
    ),
]
Kinds = Annotated[
    list[Annotated[str, Meta(max_length=64)]],
    Meta(max_length=64, description="Kinds of facts; none means all", examples=[["registration.confirmed"]]),
]
Description = Annotated[str, Meta(max_length=limits.TEXT_MAX_CHARS)]
Rate = Annotated[
    float, Meta(ge=0, le=RATE_MAX_PER_S, description="Most posts a second; 0: as the deployment has it")
]


class EndpointIn(msgspec.Struct, forbid_unknown_fields=True):
    """Where facts are to be posted.

    `ordered`: of one event, a fact is posted only when the one before it is over. `on_unknown`: what follows
    when contact was lost after a post: another one, which may double, or an operator's decision.
    """

    url: Address
    kinds: Kinds = []
    ordered: bool = False
    on_unknown: OnUnknown = OnUnknown.RETRY
    description: Description = ""
    rate_per_s: Rate = 0.0
    scheme: Scheme = Scheme.V1


class EndpointChange(msgspec.Struct, forbid_unknown_fields=True):
    """What changes of an endpoint; what is not named stays. With `enabled: false` nothing is posted, now or
    later: facts of that time are caught up by cursor."""

    url: Address | UnsetType = UNSET
    kinds: Kinds | UnsetType = UNSET
    ordered: bool | UnsetType = UNSET
    on_unknown: OnUnknown | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    rate_per_s: Rate | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class RotateBody(msgspec.Struct, forbid_unknown_fields=True):
    """How to change over to a new secret: the old ones go on signing beside it for `overlap_s`."""

    overlap_s: Annotated[int, Meta(ge=0, le=limits.WEBHOOK_OVERLAP_MAX_S)] = limits.WEBHOOK_OVERLAP_S
    scheme: Scheme | None = None


class SecretOut(msgspec.Struct):
    """A secret that signs now. `public_key` (of v1a) is what verifies; a symmetric one is shown once."""

    id: str
    scheme: str
    created_at: str
    ends_at: str | None
    public_key: str | UnsetType = UNSET


class ContactState(msgspec.Struct):
    """How it goes: `closed` is well, `open` rests after failures, `half_open` is tried once, `disabled` said
    that it is gone (410). `retry_at`: nothing is sent before."""

    state: str
    since: str | None
    why: str
    failures: int
    retry_at: str | None


class EndpointOut(msgspec.Struct):
    """An endpoint as it stands."""

    id: str
    url: str
    kinds: list[str]
    ordered: bool
    on_unknown: str
    description: str
    rate_per_s: float
    enabled: bool
    contact: ContactState
    secrets: list[SecretOut]
    created_at: str
    changed_at: str


class EndpointPage(msgspec.Struct):
    """All endpoints of an organizer, by id."""

    items: list[EndpointOut]


class EndpointMade(msgspec.Struct):
    """An endpoint that was made, or has a new secret. `secret` verifies what it is sent, and is shown once:
    of v1 the key itself (`whsec_…`), of v1a the public key (`whpk_…`)."""

    endpoint: EndpointOut
    secret: str | None
    idempotency_key: str | UnsetType = UNSET


class Ordered(msgspec.Struct):
    """It was ordered, and is carried out within seconds. `notice` is the one that a ping makes."""

    order: int
    notice: str | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET


def check_kinds(kinds: Iterable[str]) -> Iterable[FaultAt]:
    """What is wrong with a list of kinds."""
    for index, kind in enumerate(kinds):
        if kind not in KNOWN_KINDS:
            yield FaultAt(f"/kinds/{index}", "wrong_value", {"expected": ", ".join(KNOWN_KINDS)})


def check_description(description: str) -> Iterable[FaultAt]:
    """What is wrong with a description."""
    return check_line("/description", description) if description else ()


def endpoint_out(
    endpoint: Endpoint, secrets: Sequence[SigningSecret], public: Mapping[str, str], target: Target | None
) -> EndpointOut:
    """An endpoint as it is answered; `public` has the public keys of its secrets, by their ids."""
    return EndpointOut(
        endpoint.id,
        endpoint.url,
        sorted(endpoint.kinds),
        endpoint.ordered,
        endpoint.on_unknown.value,
        endpoint.description,
        endpoint.rate_per_s,
        endpoint.enabled,
        _contact(target),
        [_secret(secret, public.get(secret.id)) for secret in secrets],
        time_of(endpoint.created_ms),
        time_of(endpoint.changed_ms),
    )


def _contact(target: Target | None) -> ContactState:
    if target is None:
        return ContactState(TargetState.CLOSED.value, None, "", 0, None)
    return ContactState(
        target.state.value,
        time_of(target.since_ms) if target.since_ms else None,
        target.why,
        target.failures,
        time_of(target.blocked_until_ms) if target.blocked_until_ms else None,
    )


def _secret(secret: SigningSecret, public_key: str | None) -> SecretOut:
    return SecretOut(
        secret.id,
        secret.scheme.value,
        time_of(secret.created_ms),
        None if secret.ends_ms is None else time_of(secret.ends_ms),
        UNSET if public_key is None else public_key,
    )
