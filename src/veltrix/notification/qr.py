"""Ticket codes as pictures: QR codes as PNG, in a few microseconds each.

A mail program shows no SVG, and a library takes milliseconds for a code. But QR codes of one length, version
and mask differ by a linear map of their bits, error correction included (it is computed over GF(2)). So
`ticket_codes.bin` holds what a library (segno) draws for a code without any bit of a text, and for each bit
alone; every ticket is an exclusive or of some of these. A test makes the file anew and compares it.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from importlib.resources import files
from typing import Final

LENGTH: Final = 25  # of a ticket code: domain/credentials.py
SIDE: Final = 25  # modules of a code of version 2
ERROR: Final = "q"  # a quarter of it may be damaged: phones have scratches, paper has folds
MASK: Final = 4
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"  # ISO/IEC 18004, table 5: two are 11 bits
PICTURE_BYTES: Final = -(-SIDE * SIDE // 8)
QUIET_MODULES: Final = 4  # what surrounds a code, on each side
MODULE_PIXELS: Final = 4  # so that a module is one hexadecimal digit of a picture of one bit a pixel
PIXELS: Final = (SIDE + 2 * QUIET_MODULES) * MODULE_PIXELS

_WIDTH: Final = SIDE + 2 * QUIET_MODULES
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LEVEL: Final = 1
_WINDOW_BITS: Final = 12  # with a small state to set up, zlib takes half the time
_MEMORY_LEVEL: Final = 4
# Rows in hexadecimal, each a filter's byte and the pixels, filled up to a whole byte.
_PADDING: Final = "f" * (_WIDTH % 2)
_MODULE: Final = str.maketrans("01", "f0")
_SAME: Final = "02" + "0" * (_WIDTH + len(_PADDING))  # "as the row above" (PNG, 9.2: the filter Up)
_BEFORE: Final = "00" + "f" * QUIET_MODULES
_AFTER: Final = "f" * QUIET_MODULES + _PADDING + _SAME * (MODULE_PIXELS - 1)
_QUIET: Final = "00" + "f" * _WIDTH + _PADDING + _SAME * (QUIET_MODULES * MODULE_PIXELS - 1)


class TicketCodes:
    """Draws ticket codes, from the pictures in the file."""

    def __init__(self, pictures: bytes) -> None:
        every = [
            int.from_bytes(pictures[at : at + PICTURE_BYTES], "big")
            for at in range(0, len(pictures), PICTURE_BYTES)
        ]
        self._empty = every[0]
        self._pairs: list[dict[str, int]] = []
        at = 1
        for start in range(0, LENGTH, 2):
            bits = bits_of(LENGTH - start)
            self._pairs.append(_pairs(every[at : at + bits], single=start == LENGTH - 1))
            at += bits
        header = PIXELS.to_bytes(4, "big") * 2 + bytes((1, 0, 0, 0, 0))  # one bit a pixel, grey
        self._head = _SIGNATURE + _chunk(b"IHDR", header)
        self._end = _chunk(b"IEND", b"")

    def png(self, ticket: str) -> bytes:
        """The picture of a ticket code with its quiet zone. Raises `KeyError` for what is none."""
        modules = format(self.modules(ticket), f"0{SIDE * SIDE}b").translate(_MODULE)
        rows = f"{_AFTER}{_BEFORE}".join([modules[at : at + SIDE] for at in range(0, SIDE * SIDE, SIDE)])
        packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
        packed = packing.compress(bytes.fromhex(f"{_QUIET}{_BEFORE}{rows}{_AFTER}{_QUIET}")) + packing.flush()
        return self._head + _chunk(b"IDAT", packed) + self._end

    def modules(self, ticket: str) -> int:
        """The modules of a code as one number, row by row, the first in its highest bit; 1 is dark."""
        assert len(ticket) == LENGTH, "a ticket code has one length"
        drawn, at = self._empty, 0
        for pairs in self._pairs:
            drawn ^= pairs[ticket[at : at + 2]]
            at += 2
        return drawn


def bits_of(characters: int) -> int:
    """How many bits the next pair of characters has, where so many are left: a last one alone has 6."""
    return 11 if characters > 1 else 6


@lru_cache(maxsize=1)
def ticket_codes() -> TicketCodes:
    """The pictures of all tickets, prepared in a few milliseconds when they are first asked for."""
    return TicketCodes((files("veltrix.notification") / "ticket_codes.bin").read_bytes())


_IN_TICKETS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _pairs(bits: list[int], *, single: bool) -> dict[str, int]:
    """The picture of every pair that a ticket may have at one place, from those of its bits."""
    pictures: dict[str, int] = {}
    low, high = _sums(bits[-6:]), _sums(bits[:-6])
    firsts = _IN_TICKETS + "1"  # the prefix of all of them is T1
    for first in firsts:
        for second in ("",) if single else firsts:
            value = ALPHABET.index(first)
            if second:
                value = value * len(ALPHABET) + ALPHABET.index(second)
            pictures[first + second] = low[value % len(low)] ^ high[value // len(low)]
    return pictures


def _sums(bits: list[int]) -> list[int]:
    """The exclusive or of every choice of pictures, by the number that the choice is in binary."""
    sums = [0]
    for picture in reversed(bits):
        sums += [each ^ picture for each in sums]
    return sums


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
