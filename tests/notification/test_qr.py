"""Ticket codes as pictures: the same as a library draws, and readable."""

from __future__ import annotations

import base64
import struct
import zlib
from importlib.resources import files
from pathlib import Path

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from veltrix.domain.credentials import Signer
from veltrix.notification.qr import (
    ALPHABET,
    ERROR,
    LENGTH,
    MASK,
    MODULE_PIXELS,
    PICTURE_BYTES,
    PIXELS,
    QUIET_MODULES,
    SIDE,
    bits_of,
    ticket_codes,
)

FILE = Path(str(files("veltrix.notification") / "ticket_codes.bin"))


def by_library(text: str) -> int:
    """The modules of a code as segno draws it."""
    code = segno.make(text, error=ERROR, version=2, mode="alphanumeric", mask=MASK, boost_error=False)
    drawn = 0
    for row in code.matrix:
        for module in row:
            drawn = drawn << 1 | module
    return drawn


def learned() -> bytes:
    """What the file should hold: an empty picture, then one for each bit of each pair, less the empty one."""
    nothing = by_library("0" * LENGTH)
    pictures = [nothing]
    for at in range(0, LENGTH, 2):
        for bit in reversed(range(bits_of(LENGTH - at))):
            value = 1 << bit
            pair = ALPHABET[value % len(ALPHABET)]
            if LENGTH - at > 1:
                pair = ALPHABET[value // len(ALPHABET)] + pair
            text = "0" * at + pair + "0" * (LENGTH - at - len(pair))
            pictures.append(by_library(text) ^ nothing)
    return b"".join(picture.to_bytes(PICTURE_BYTES, "big") for picture in pictures)


def test_the_pictures_are_those_of_the_library(request):
    """The file holds what segno draws, to the last bit."""
    made = learned()
    if request.config.getoption("--regenerate"):
        FILE.write_bytes(made)
    assert FILE.read_bytes() == made


@settings(max_examples=25)
@given(
    seat=st.integers(0, 2**32 - 1), holder=st.integers(1, 2**31), secret=st.binary(min_size=32, max_size=32)
)
def test_every_ticket_is_drawn_as_the_library_would(seat, holder, secret):
    """An exclusive or of pictures is the very code that segno draws of the ticket."""
    ticket = Signer(secret).ticket("evt_" + "0" * 32, seat, holder)
    assert ticket_codes().modules(ticket) == by_library(ticket)


def test_a_picture_shows_the_modules():
    """The PNG, taken apart by hand, has each module as a square, and a quiet zone around all of them."""
    ticket = Signer(b"s" * 32).ticket("evt_" + "0" * 32, 17, 1)
    drawn = format(ticket_codes().modules(ticket), f"0{SIDE * SIDE}b")
    pixels = unpacked(ticket_codes().png(ticket))
    assert (len(pixels), len(pixels[0])) == (PIXELS, PIXELS)
    for y, row in enumerate(pixels):
        for x, pixel in enumerate(row):
            at_x, at_y = x // MODULE_PIXELS - QUIET_MODULES, y // MODULE_PIXELS - QUIET_MODULES
            inside = 0 <= at_x < SIDE and 0 <= at_y < SIDE
            assert pixel == (drawn[at_y * SIDE + at_x] == "0" if inside else True)


def test_what_is_no_ticket_is_no_picture():
    """Another alphabet or length is a programmer's error."""
    with pytest.raises(KeyError):
        ticket_codes().png("t1" + "a" * 23)
    with pytest.raises(AssertionError):
        ticket_codes().png("T1")


def test_a_picture_is_small():
    """A picture adds well under a KiB to a mail, base64 included."""
    ticket = Signer(b"s" * 32).ticket("evt_" + "0" * 32, 4_000_000_000, 9)
    assert len(base64.b64encode(ticket_codes().png(ticket))) < 700


def unpacked(png: bytes) -> list[list[bool]]:
    """The pixels of a grey PNG of one bit; true is white. Checks what a decoder would check."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data, size = 8, b"", 0
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + body),)
        if kind == b"IHDR":
            size, height, depth, colour, *rest = struct.unpack(">IIBBBBB", body)
            assert (height, depth, colour, rest) == (size, 1, 0, [0, 0, 0])
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    raw, width = zlib.decompress(data), -(-size // 8)
    rows: list[bytes] = []
    for start in range(0, len(raw), width + 1):
        line = raw[start + 1 : start + 1 + width]
        assert raw[start] in (0, 2)
        rows.append(
            bytes(
                a ^ 0 if raw[start] == 0 else (a + b) & 255
                for a, b in zip(line, rows[-1] if rows else line, strict=True)
            )
        )
    return [[bool(byte >> (7 - bit) & 1) for byte in row for bit in range(8)][:size] for row in rows]
