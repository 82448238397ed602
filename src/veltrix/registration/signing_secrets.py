"""Secrets that webhooks are signed with, as Standard Webhooks writes them.

`whsec_` is a symmetric key, which both sides keep secret. `whsk_` is an ed25519 key pair that stays here;
the receiver needs its public half alone, `whpk_`.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from veltrix.ports.outreach import Scheme
from veltrix.ports.system import Entropy

_SYMMETRIC: Final = "whsec_"
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
_KEY_BYTES: Final = 32


def new_secret(scheme: Scheme, entropy: Entropy) -> str:
    """A new secret of that scheme."""
    seed = entropy.token(_KEY_BYTES)
    if scheme is Scheme.V1:
        return _SYMMETRIC + base64.b64encode(seed).decode()
    return _PRIVATE + base64.b64encode(seed + _public_of(seed)).decode()


def for_receiver(secret: str) -> str:
    """What the receiver verifies with: the secret itself, or the public half of a key pair."""
    if not secret.startswith(_PRIVATE):
        return secret
    seed = base64.b64decode(secret.removeprefix(_PRIVATE))[:_KEY_BYTES]
    return _PUBLIC + base64.b64encode(_public_of(seed)).decode()


def _public_of(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
