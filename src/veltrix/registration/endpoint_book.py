"""An organizer's endpoints and their secrets: what the API and the command line do with them.

Ids derive from the request that made a thing, so that a repeated request finds what the first one made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

from msgspec import UNSET

from veltrix.domain import limits
from veltrix.domain.identifiers import ENDPOINT, SIGNING, is_id
from veltrix.ports.destinations import Unfit
from veltrix.ports.errors import Rejected
from veltrix.ports.outreach import Endpoint, Scheme, SigningSecret
from veltrix.ports.system import Clock, Entropy
from veltrix.registration.endpoint_bodies import (
    EndpointChange,
    EndpointIn,
    EndpointOut,
    RotateBody,
    check_description,
    check_kinds,
    endpoint_out,
)
from veltrix.registration.problems import FaultAt, Problem, invalid_body
from veltrix.registration.signing_secrets import for_receiver, new_secret
from veltrix.registration.telling import Telling
from veltrix.sealing import NONCE_BYTES, BoxBroken, open_secret, seal_secret

_HEX_CHARS: Final = 32
_FAULTS: Final = {
    Unfit.NO_URL: "no_url",
    Unfit.NOT_HTTPS: "url_not_https",
    Unfit.CREDENTIALS: "url_credentials",
    Unfit.FRAGMENT: "url_fragment",
    Unfit.NOT_PUBLIC: "url_not_public",
}


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint with the secret that was made, as its receiver needs it; None where that is gone since.
    `replayed`: an earlier request under the same key had made it."""

    endpoint: Endpoint
    secret: str | None
    replayed: bool = False


@dataclass(slots=True)
class EndpointBook:
    """Every method raises `Problem` for what cannot be, and the ports' errors."""

    telling: Telling
    clock: Clock
    entropy: Entropy

    async def owned(self, organizer: str, endpoint: str) -> Endpoint:
        """The endpoint, if it is the organizer's own."""
        found = await self.telling.outreach.endpoint(endpoint) if is_id(ENDPOINT, endpoint) else None
        if found is None or found.organizer != organizer:
            raise Problem("unknown_endpoint")
        return found

    async def create(self, organizer: str, request: str, printed: str, wish: EndpointIn) -> Made:
        """Make an endpoint with its first secret. `printed` tells this request from another under its key."""
        name = ENDPOINT + request[-_HEX_CHARS:]
        first = _secret_id(request, printed)
        known = await self.telling.outreach.endpoint(name)
        if known is not None:
            return await self._again(known, first, wish.scheme)
        faults = await self._faults(wish.url, wish.kinds, wish.description)
        if faults:
            raise invalid_body(*faults)
        now_ms = self.clock.now_ms()
        endpoint = Endpoint(
            name,
            organizer,
            wish.url,
            frozenset(wish.kinds),
            wish.ordered,
            wish.on_unknown,
            wish.description,
            enabled=False,  # until it has a secret: nothing is posted unsigned
            created_ms=now_ms,
            changed_ms=now_ms,
            rate_per_s=wish.rate_per_s,
        )
        try:
            await self.telling.outreach.put_endpoint(endpoint)
        except Rejected:
            raise Problem("too_many_endpoints", params={"most": limits.ENDPOINTS_PER_ORGANIZER_MAX}) from None
        return await self._complete(endpoint, first, wish.scheme)

    async def _complete(self, endpoint: Endpoint, first: str, scheme: Scheme) -> Made:
        secret = await self._add(endpoint, first, scheme, None)
        enabled = replace(endpoint, enabled=True)
        await self.telling.outreach.put_endpoint(enabled)
        return Made(enabled, secret)

    async def _again(self, endpoint: Endpoint, first: str, scheme: Scheme) -> Made:
        """The same request once more: what it made, or what a crash kept it from making."""
        secrets = await self.telling.outreach.secrets([endpoint.id])
        if not secrets:
            return await self._complete(endpoint, first, scheme)
        for secret in secrets:
            if secret.id == first:
                return Made(endpoint, self._told(secret), replayed=True)
        if any(secret.created_ms == endpoint.created_ms for secret in secrets):
            raise Problem("key_reused")
        return Made(endpoint, None, replayed=True)  # its first secret ended since

    async def change(self, endpoint: Endpoint, wish: EndpointChange) -> Endpoint:
        """Change what the wish names."""
        faults = await self._faults(
            None if wish.url is UNSET else wish.url,
            () if wish.kinds is UNSET else wish.kinds,
            "" if wish.description is UNSET else wish.description,
        )
        if faults:
            raise invalid_body(*faults)
        changes: dict[str, Any] = {
            name: value for name in wish.__struct_fields__ if (value := getattr(wish, name)) is not UNSET
        }
        if "kinds" in changes:
            changes["kinds"] = frozenset(changes["kinds"])
        changed = replace(endpoint, **changes)
        if changed != endpoint:
            changed = replace(changed, changed_ms=self.clock.now_ms())
            await self.telling.outreach.put_endpoint(changed)
        return changed

    async def rotate(self, endpoint: Endpoint, request: str, wish: RotateBody) -> Made:
        """Add a secret; the others end after the overlap."""
        name = _secret_id(request, "")
        secrets = await self.standing(endpoint.id)
        for secret in secrets:
            if secret.id == name:
                return Made(endpoint, self._told(secret), replayed=True)
        scheme = wish.scheme or (secrets[0].scheme if secrets else Scheme.V1)
        ends_ms = self.clock.now_ms() + wish.overlap_s * 1000
        made = await self._add(endpoint, name, scheme, ends_ms)
        for secret in secrets:  # those of the other scheme
            if secret.scheme is not scheme and (secret.ends_ms is None or secret.ends_ms > ends_ms):
                await self.telling.outreach.end_secret(secret.id, ends_ms)
        return Made(endpoint, made)

    async def end_secret(self, endpoint: Endpoint, secret: str) -> None:
        """End a secret at once; an endpoint keeps one that lasts."""
        secrets = await self.standing(endpoint.id)
        if all(each.id != secret for each in secrets):
            raise Problem("unknown_secret")
        if all(each.id == secret or each.ends_ms is not None for each in secrets):
            raise Problem("last_secret")
        await self.telling.outreach.end_secret(secret, self.clock.now_ms())

    async def standing(self, endpoint: str) -> list[SigningSecret]:
        """The secrets that sign now, the newest first."""
        now_ms = self.clock.now_ms()
        return [
            secret
            for secret in await self.telling.outreach.secrets([endpoint])
            if secret.ends_ms is None or secret.ends_ms > now_ms
        ]

    async def shown(self, endpoints: list[Endpoint]) -> list[EndpointOut]:
        """Endpoints as they are answered."""
        names = [endpoint.id for endpoint in endpoints]
        targets = {target.name: target for target in await self.telling.deliveries.targets(names)}
        now_ms = self.clock.now_ms()
        secrets: dict[str, list[SigningSecret]] = {name: [] for name in names}
        for secret in await self.telling.outreach.secrets(names):
            if secret.ends_ms is None or secret.ends_ms > now_ms:
                secrets[secret.endpoint].append(secret)
        public = {
            secret.id: told
            for each in secrets.values()
            for secret in each
            if secret.scheme is Scheme.V1A and (told := self._told(secret)) is not None
        }
        return [
            endpoint_out(endpoint, secrets[endpoint.id], public, targets.get(endpoint.id))
            for endpoint in endpoints
        ]

    async def _faults(self, url: str | None, kinds: Any, description: str) -> list[FaultAt]:
        faults = [*check_kinds(kinds), *check_description(description)]
        finding = None if url is None else await self.telling.destinations.judge(url)
        if finding is not None:
            faults.insert(0, FaultAt("/url", _FAULTS[finding.unfit], {"shown": finding.shown}))
        return faults

    async def _add(
        self, endpoint: Endpoint, name: str, scheme: Scheme, others_end_ms: int | None
    ) -> str | None:
        text = new_secret(scheme, self.entropy)
        nonce = self.entropy.token(NONCE_BYTES)
        sealed = seal_secret(text.encode(), self.telling.secret_key, nonce, endpoint.id, name)
        now_ms = endpoint.created_ms if others_end_ms is None else self.clock.now_ms()
        try:
            await self.telling.outreach.add_secret(
                SigningSecret(name, endpoint.id, scheme, sealed, now_ms), others_end_ms=others_end_ms
            )
        except Rejected:
            for secret in await self.telling.outreach.secrets([endpoint.id]):
                if secret.id == name:  # the same request came twice at once, and the other one was first
                    return self._told(secret)
            raise Problem("too_many_secrets", params={"most": limits.WEBHOOK_SECRETS_MAX}) from None
        return for_receiver(text)

    def _told(self, secret: SigningSecret) -> str | None:
        """What the receiver verifies with; None when it was sealed under a master key that is gone."""
        try:
            text = open_secret(secret.sealed, self.telling.secret_key, secret.endpoint, secret.id).decode()
        except BoxBroken:
            return None
        return for_receiver(text)


def _secret_id(request: str, printed: str) -> str:
    return SIGNING + hashlib.blake2b(f"{request}\0{printed}".encode(), digest_size=16).hexdigest()
