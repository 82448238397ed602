"""Signatures of webhooks after Standard Webhooks 1.0: `v1` (HMAC-SHA256) and `v1a` (ed25519).

What is signed is `id.timestamp.body`. A request carries one signature for each secret that is in force,
separated by spaces, so that a receiver can change over from one secret to the next at any time between.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SYMMETRIC: Final = "whsec_"
PRIVATE: Final = "whsk_"
_SEED_BYTES: Final = 32
_KEY_BYTES: Final = (_SEED_BYTES, 2 * _SEED_BYTES)  # the seed alone, or followed by the public key
_KEYS_READY_MAX: Final = 1_024


class BadSecret(ValueError):
    """A text that is no secret to sign with. It does not say which, for that may be a secret nearly."""


def signatures(secrets: Sequence[str], notice: str, at_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature a secret, in their order. Raises `BadSecret`."""
    signed = b"%s.%d.%s" % (notice.encode(), at_s, body)
    return " ".join([_signature(secret, signed) for secret in secrets])


def _signature(secret: str, signed: bytes) -> str:
    key = _key(secret)
    if isinstance(key, Ed25519PrivateKey):
        return "v1a," + base64.b64encode(key.sign(signed)).decode()
    keyed = key.copy()
    keyed.update(signed)
    return "v1," + base64.b64encode(keyed.digest()).decode()


@lru_cache(maxsize=_KEYS_READY_MAX)
def _key(secret: str) -> hmac.HMAC | Ed25519PrivateKey:
    """Ready to sign with: setting up an HMAC costs more than the signature of a short body does."""
    prefix = next((each for each in (SYMMETRIC, PRIVATE) if secret.startswith(each)), None)
    if prefix is None:
        raise BadSecret(f"a secret begins with {SYMMETRIC} or {PRIVATE}")
    try:
        raw = base64.b64decode(secret[len(prefix) :], validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(f"what follows {prefix} is no base64") from None
    if prefix == SYMMETRIC:
        if not raw:
            raise BadSecret("the secret is empty")
        return hmac.new(raw, digestmod=hashlib.sha256)
    if len(raw) not in _KEY_BYTES:
        raise BadSecret(f"an ed25519 key has {_SEED_BYTES} or {2 * _SEED_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(raw[:_SEED_BYTES])
