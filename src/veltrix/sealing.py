"""Personal data <-> sealed boxes, and the keyed hashes that stand for a person without naming one.

A box is AES-256-GCM under a random key of its own: version byte, nonce, ciphertext with tag. What it
belongs to (event, command, key, form version) is authenticated with it, so a box moved elsewhere does
not open. Keyed hashes are HMAC-SHA256 under a key of the event, one domain each, 128 bits in hex.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from veltrix.domain import limits
from veltrix.domain.registration import Box

BOX_VERSION: Final = 1
NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32
_TAG_BYTES: Final = 16
_HASH_BYTES: Final = 16
_VERSION_BYTE: Final = bytes([BOX_VERSION])

Answer = str | bool


class BoxBroken(ValueError):
    """The box does not open under its own key: it was altered, moved, or is of an unknown version."""


class Attendee(msgspec.Struct, omit_defaults=True):
    """Who sits on a seat, where that is not the contact."""

    name: str
    email: str | None = None


class Consent(msgspec.Struct, omit_defaults=True):
    """What the person agreed to; without a time of its own, when the command was decided."""

    key: str
    version: str
    time: str | None = None


class Person(msgspec.Struct, omit_defaults=True):
    """The personal data of one command. `attendees` and `seat_answers` have an entry for each seat."""

    name: str
    email: str
    locale: str = "en"
    attendees: list[Attendee | None] = []
    answers: dict[str, Answer] = {}
    seat_answers: list[dict[str, Answer] | None] = []
    metadata: dict[str, str] = {}
    consents: list[Consent] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Person)


def seal(person: Person, key: bytes, nonce: bytes, event: str, command: str, key_id: str, form: int) -> Box:
    """Seal personal data for one command. A key seals one box only; the nonce is random all the same."""
    plaintext = _encoder.encode(person)
    aad = _aad(event, command, key_id, form)
    return Box(key_id, command, form, _VERSION_BYTE + nonce + AESGCM(key).encrypt(nonce, plaintext, aad))


def open_box(box: Box, event: str, key: bytes | None) -> Person | None:
    """What was sealed, or None when its key is gone (the person was erased). Raises `BoxBroken`."""
    if key is None:
        return None
    sealed = box.sealed
    if len(sealed) < 1 + NONCE_BYTES + _TAG_BYTES or sealed[0] != BOX_VERSION:
        raise BoxBroken(f"box of key {box.key_id} has no known version")
    aad = _aad(event, box.command, box.key_id, box.form_version)
    try:
        plaintext = AESGCM(key).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], aad)
        return _decoder.decode(plaintext)
    except (InvalidTag, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BoxBroken(f"box of key {box.key_id} does not open: {type(error).__name__}") from None


def _aad(event: str, command: str, key_id: str, form: int) -> bytes:
    return f"{event}\0{command}\0{key_id}\0{form}".encode()


# No quoted local parts, no comments, nothing that means something in a header or an SMTP command.
_EMAIL = re.compile(
    r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,\"]{1,64}"
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?"
)


def canonical_email(text: str) -> str | None:
    """The one spelling that stands for all of an address: NFC, trimmed, casefolded, IDNA domain.

    None when it is no address that mail could be sent to.
    """
    text = text.strip()
    if len(text) > limits.EMAIL_MAX_CHARS or not _EMAIL.fullmatch(text):
        return None
    if text.isascii():
        local = text.lower()
        return None if ".." in local or local.startswith(".") or ".@" in local else local
    local, _, domain = _fold(text).rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    canonical = f"{local}@{domain}"
    if ".." in local or local.startswith(".") or local.endswith(".") or not _EMAIL.fullmatch(canonical):
        return None
    return canonical if len(canonical) <= limits.EMAIL_MAX_CHARS else None


def _fold(text: str) -> str:
    """Compatibility casefolding to a fixed point: folding may denormalise, and normalising unfold."""
    while True:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
        if folded == text:
            return folded
        text = folded


class KeyedHashes:
    """The hashes of one event, under its key: for persons, access codes and requests.

    Setting up an HMAC costs four times what using it does, so each domain's is kept and copied.
    """

    __slots__ = ("_code", "_person", "_request")

    def __init__(self, key: bytes) -> None:
        self._person = _keyed(key, b"p\0")
        self._code = _keyed(key, b"a\0")
        self._request = _keyed(key, b"f\0")

    def person(self, email: str) -> str:
        """What stands for the person of a canonical e-mail address."""
        return _finish(self._person.copy(), email.encode())

    def access_code(self, code: str) -> str:
        """What stands for an access code; letter case and surrounding space do not count."""
        return _finish(self._code.copy(), _fold(code.strip()).encode())

    def request(self, canonical: bytes) -> str:
        """What stands for a request in canonical form: its fingerprint."""
        return _finish(self._request.copy(), canonical)


def _keyed(key: bytes, domain: bytes) -> HMAC:
    keyed = HMAC(key, SHA256())
    keyed.update(domain)
    return keyed


def _finish(keyed: HMAC, content: bytes) -> str:
    keyed.update(content)
    return keyed.finalize()[:_HASH_BYTES].hex()


def seal_secret(secret: bytes, key: bytes, nonce: bytes, owner: str, name: str) -> bytes:
    """Seal an endpoint's signing key (or what else an organizer entrusts) under a key of the deployment.

    `owner` and `name` (the endpoint's and the secret's id) are authenticated with it.
    """
    return _VERSION_BYTE + nonce + AESGCM(key).encrypt(nonce, secret, f"{owner}\0{name}".encode())


def open_secret(sealed: bytes, key: bytes, owner: str, name: str) -> bytes:
    """What was sealed by `seal_secret`. Raises `BoxBroken`, also under another deployment's key."""
    if len(sealed) < 1 + NONCE_BYTES + _TAG_BYTES or sealed[0] != BOX_VERSION:
        raise BoxBroken(f"secret {name} has no known version")
    try:
        return AESGCM(key).decrypt(
            sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], f"{owner}\0{name}".encode()
        )
    except InvalidTag:
        raise BoxBroken(f"secret {name} does not open: was it sealed under another master key?") from None


class AddressHashes:
    """What stands for an e-mail address in lists that outlive an event: a hash for each organizer."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = _keyed(key, b"o\0")

    @classmethod
    def under(cls, secret: bytes) -> AddressHashes:
        """Those of the deployment whose links are made under this secret (`Signer.secret`): registration
        and notification have it both, and so mean the same by a hash."""
        return cls(_keyed(secret, b"addresses").finalize())

    def of(self, organizer: str, canonical: str) -> str:
        """What stands for a canonical address (`canonical_email`) with this organizer."""
        return _finish(self._keyed.copy(), f"{organizer}\0{canonical}".encode())
