"""Links, ticket codes, receipts and the like: unguessable strings that are computed, never stored.

Each is `prefix + base32(payload | tag)`, with an 80-bit tag of HMAC-SHA256 over the payload, what it is
for, and the holder version that only the ledger knows: a transfer raises that version, and every older
string stops verifying at once. Base32 (RFC 4648) in one letter case, so that people can read it aloud.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from veltrix.domain.identifiers import COMMAND, NOTICE, REGISTRATION, raw_of

if TYPE_CHECKING:
    from hashlib import _Hash

_TAG_BYTES: Final = 10
_ID_BYTES: Final = 16
LINK_PREFIX: Final = "r1"
_BLOCK_BYTES: Final = 64
TICKET_PREFIX: Final = "T1"
RECEIPT_PREFIX: Final = "d1"
CHOICE_PREFIX: Final = "u1"
BOUNCE_PREFIX: Final = "b1"


class Link(NamedTuple):
    """What a registration's link says: which registration, and a tag still to be checked."""

    registration: str
    tag: bytes


class Ticket(NamedTuple):
    """What a ticket code says: which seat of an event, and a tag still to be checked."""

    seat: int
    tag: bytes


class Receipt(NamedTuple):
    """What a receipt says, verified: the command and where it stands in the log."""

    command: str
    partition: int
    offset: int


def _halves(groups: int) -> Iterator[tuple[int, int, int]]:
    """For `groups` (a power of two) of five bits: what stays, what moves, and by how much, in each step."""
    size = groups
    while size > 1:
        stays = sum(((1 << size // 2 * 5) - 1) << lane * size * 8 for lane in range(groups // size))
        yield stays, stays << size // 2 * 5, size // 2 * 3
        size //= 2


_HALVES: Final = tuple(_halves(64))
_ALPHABET: Final = bytes.maketrans(bytes(range(32)), b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes and verifies them under one secret of at least 32 bytes."""

    secret: bytes

    def link(self, registration: str, holder: int) -> str:
        """The link of a registration for its present holder."""
        raw = raw_of(registration)
        return LINK_PREFIX + _encode(raw + self._tag(b"link", raw, holder)).lower()

    def read_link(self, text: str) -> Link | None:
        """What the text names, or None when it has not the shape of a link."""
        raw = _decode(text, LINK_PREFIX, _ID_BYTES + _TAG_BYTES)
        if raw is None:
            return None
        return Link(REGISTRATION + raw[:_ID_BYTES].hex(), raw[_ID_BYTES:])

    def link_holds(self, link: Link, holder: int) -> bool:
        """Whether the link is the present holder's."""
        return hmac.compare_digest(link.tag, self._tag(b"link", raw_of(link.registration), holder))

    def ticket(self, event: str, seat: int, holder: int) -> str:
        """The ticket code of a seat for its present holder."""
        number = seat.to_bytes(4, "big")
        return TICKET_PREFIX + _encode(number + self._tag(b"ticket", raw_of(event) + number, holder))

    def read_ticket(self, text: str) -> Ticket | None:
        """What the text names, or None when it has not the shape of a ticket code."""
        raw = _decode(text, TICKET_PREFIX, 4 + _TAG_BYTES)
        if raw is None:
            return None
        return Ticket(int.from_bytes(raw[:4], "big"), raw[4:])

    def ticket_holds(self, ticket: Ticket, event: str, holder: int) -> bool:
        """Whether the code is that of the present holder of a seat of this event."""
        payload = raw_of(event) + ticket.seat.to_bytes(4, "big")
        return hmac.compare_digest(ticket.tag, self._tag(b"ticket", payload, holder))

    def receipt(self, command: str, partition: int, offset: int) -> str:
        """The receipt of a command that was appended; whoever has it may see the decision."""
        raw = raw_of(command) + partition.to_bytes(2, "big") + offset.to_bytes(8, "big")
        return RECEIPT_PREFIX + _encode(raw + self._tag(b"receipt", raw, 0)).lower()

    def read_receipt(self, text: str) -> Receipt | None:
        """The receipt behind the text, or None when it is not one of ours."""
        raw = _decode(text, RECEIPT_PREFIX, _ID_BYTES + 10 + _TAG_BYTES)
        if raw is None:
            return None
        payload, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(b"receipt", payload, 0)):
            return None
        command = COMMAND + payload[:_ID_BYTES].hex()
        return Receipt(command, int.from_bytes(payload[16:18], "big"), int.from_bytes(payload[18:], "big"))

    def choice(self, organizer: str, address: str, category: str) -> str:
        """What lets a person choose not to get mail of a category from an organizer. `address` is the hash
        of their address (`sealing.AddressHashes`); it does not expire, and opens nothing else."""
        raw = bytes.fromhex(address)
        return (
            CHOICE_PREFIX + _encode(raw + self._tag(b"choice", raw + _choice(organizer, category), 0)).lower()
        )

    def read_choice(self, text: str, organizer: str, category: str) -> str | None:
        """Whose choice it is (the hash of an address); None when it is not one of ours for these."""
        raw = _decode(text, CHOICE_PREFIX, _ID_BYTES + _TAG_BYTES)
        if raw is None:
            return None
        address, tag = raw[:_ID_BYTES], raw[_ID_BYTES:]
        wanted = self._tag(b"choice", address + _choice(organizer, category), 0)
        return address.hex() if hmac.compare_digest(tag, wanted) else None

    def bounce(self, notice: str) -> str:
        """What an envelope sender carries, so that a report that comes back to it names the notice."""
        raw = raw_of(notice)
        return BOUNCE_PREFIX + _encode(raw + self._tag(b"bounce", raw, 0)).lower()

    def read_bounce(self, text: str) -> str | None:
        """The notice's id; None when it is not one of ours."""
        raw = _decode(text, BOUNCE_PREFIX, _ID_BYTES + _TAG_BYTES)
        if raw is None:
            return None
        payload, tag = raw[:_ID_BYTES], raw[_ID_BYTES:]
        if not hmac.compare_digest(tag, self._tag(b"bounce", payload, 0)):
            return None
        return NOTICE + payload.hex()

    def _tag(self, purpose: bytes, payload: bytes, holder: int) -> bytes:
        inner, outer = _keyed(self.secret, purpose)
        inner.update(payload + holder.to_bytes(4, "big"))
        outer.update(inner.digest())
        return outer.digest()[:_TAG_BYTES]


def _choice(organizer: str, category: str) -> bytes:
    return f"{organizer}\0{category}".encode()


def _keyed(secret: bytes, purpose: bytes) -> tuple[_Hash, _Hash]:
    """HMAC-SHA256 (RFC 2104) with key and purpose absorbed: three times as fast as from the start."""
    inner, outer = _prepared(secret, purpose)
    return inner.copy(), outer.copy()


@lru_cache(maxsize=64)
def _prepared(secret: bytes, purpose: bytes) -> tuple[_Hash, _Hash]:
    key = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK_BYTES else secret).ljust(
        _BLOCK_BYTES, b"\0"
    )
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
    inner.update(purpose + b"\x00")
    return inner, hashlib.sha256(bytes(byte ^ 0x5C for byte in key))


def _encode(raw: bytes) -> str:
    """Base32 (RFC 4648) without padding, of up to 40 bytes; the standard library takes five times as long.

    All groups of five bits are spread to eight bits each at once, by halves, then translated.
    """
    bits = len(raw) * 8
    spread = int.from_bytes(raw, "big") << (-bits % 5)
    for low, high, shift in _HALVES:
        spread = spread & low | (spread & high) << shift
    return spread.to_bytes(-(-bits // 5), "big").translate(_ALPHABET).decode()


def _decode(text: str, prefix: str, size: int) -> bytes | None:
    """The payload; only the one spelling that `_encode` gives is accepted, in either letter case."""
    if len(text) != len(prefix) + -(-size * 8 // 5) or not text.isascii():
        return None  # before the case mapping: Unicode's makes an S of a long s, and an I of a dotless i
    head, body = text[: len(prefix)], text[len(prefix) :].upper()
    if head.lower() != prefix.lower():
        return None
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        return None
    return raw if _encode(raw) == body else None
