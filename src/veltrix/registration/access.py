"""Who an API key belongs to, and what it may do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from veltrix.domain.identifiers import KEY
from veltrix.ports.access import Access, ApiKey, Scope
from veltrix.ports.errors import PortError
from veltrix.ports.system import Clock, Entropy
from veltrix.registration.calls import Call
from veltrix.registration.problems import Problem

KEY_PREFIX: Final = "vk_"
_ID_BYTES: Final = 16
_SECRET_BYTES: Final = 32
_KNOWN_MAX: Final = 1_000
_KNOWN_FOR_S: Final = 2.0
_KNOWN_WITHOUT_STORE_S: Final = 60.0
_KEY: Final = re.compile(r"vk_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
_CHALLENGE: Final = (b"www-authenticate", b'Bearer realm="veltrix"')


def new_api_key(
    organizer: str, scopes: Iterable[Scope], entropy: Entropy, clock: Clock, label: str = ""
) -> tuple[ApiKey, str]:
    """A key as it is stored, and as its owner gets to see it once."""
    key_id = entropy.token(_ID_BYTES).hex()
    secret = base64.urlsafe_b64encode(entropy.token(_SECRET_BYTES)).decode().rstrip("=")
    stored = ApiKey(
        id=KEY + key_id,
        organizer=organizer,
        scopes=frozenset(scopes),
        secret_hash=_hash(secret),
        created_ms=clock.now_ms(),
        label=label,
    )
    return stored, f"{KEY_PREFIX}{key_id}_{secret}"


class Doorkeeper:
    """Checks API keys. A key that was found is believed for two seconds: so long a revocation may take.

    While the store cannot be asked it is believed for up to a minute more, so that organizers can go on.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._known: OrderedDict[str, tuple[ApiKey, float, float]] = OrderedDict()

    async def identify(self, call: Call) -> ApiKey | None:
        """The key that the call carries; None when it carries none. Raises `Problem` unauthorized."""
        value = call.headers.get(b"authorization")
        if value is None:
            return None
        kind, _, token = value.decode("latin-1").partition(" ")
        match = _KEY.fullmatch(token.strip())
        if kind.lower() != "bearer" or match is None:
            raise _unauthorized()
        found = await self._find(KEY + match.group(1))
        # Compared even when there is no such key, so that time does not tell which ids exist.
        stored = found.secret_hash if found is not None else _hash("")
        if not hmac.compare_digest(_hash(match.group(2)), stored) or found is None:
            raise _unauthorized()
        return found

    async def _find(self, key_id: str) -> ApiKey | None:
        now_s = self._clock.monotonic_s()
        known = self._known.get(key_id)
        if known is not None and now_s < known[1]:
            return known[0]
        try:
            found = await self._access.find(key_id)
        except PortError:
            if known is None or now_s > known[2] + _KNOWN_WITHOUT_STORE_S:
                raise
            self._known[key_id] = (known[0], now_s + _KNOWN_FOR_S, known[2])
            return known[0]
        self._known.pop(key_id, None)
        if found is not None:
            self._known[key_id] = (found, now_s + _KNOWN_FOR_S, now_s)
            if len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)
        return found


def require(key: ApiKey | None, scope: Scope) -> ApiKey:
    """The key, if it may do this. `write` includes `read`; `check-in` stands alone."""
    if key is None:
        raise _unauthorized()
    if scope in key.scopes or (scope is Scope.READ and Scope.WRITE in key.scopes):
        return key
    challenge = b'Bearer realm="veltrix", error="insufficient_scope", scope="%s"' % scope.value.encode()
    raise Problem("forbidden", params={"scope": scope.value}, headers=[(b"www-authenticate", challenge)])


def _unauthorized() -> Problem:
    return Problem("unauthorized", headers=[_CHALLENGE])


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
