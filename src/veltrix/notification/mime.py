"""The parts of a mail, fast: what is the same for everyone is encoded once, what is personal is filled in.

A `Form` is a text with named blanks whose literal parts are quoted-printable already (RFC 2045), so that
filling it costs an encoding of the personal values only. Soft line breaks go where lines would get too
long: they are allowed anywhere, and vanish when the mail is read.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import Final

from veltrix.domain import limits

LINE_MAX_CHARS: Final = 76  # RFC 2045, 6.7 (5): an encoded line, without its CRLF
SOFT_BREAK: Final = "=\r\n"
BASE64_LINE_BYTES: Final = 57

# A blank in a template's output: a name between two private-use characters, which no text may hold.
OPEN: Final = "\ue000"
CLOSE: Final = "\ue001"
_BLANK: Final = re.compile(f"{OPEN}([a-z_]+){CLOSE}")

_PLAIN_QP: Final = re.compile(r"[!-<>-~](?:[ -<>-~]{0,70}[!-<>-~])?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


# Quoted-printable text, the length of its first line, and of its last where it has more than one. A plain
# tuple: dozens are made for every mail.
Encoded = tuple[str, int, int | None]
NOTHING: Final[Encoded] = ("", 0, None)


def encoded(text: str) -> Encoded:
    """Text as quoted-printable; line ends of any kind become CRLF."""
    if not text:
        return NOTHING
    if _PLAIN_QP.fullmatch(text):
        return text, len(text), None
    lines = "\r\n".join(text.splitlines())
    if text.endswith(("\n", "\r")):
        lines += "\r\n"
    raw = binascii.b2a_qp(lines.encode(), istext=True).decode("ascii")
    return _breakable(measured(raw.replace("\r\n", "\n").replace("\n", "\r\n")))


def measured(text: str) -> Encoded:
    """Text that is quoted-printable already, with its lengths."""
    end = text.find("\r\n")
    if end < 0:
        return text, len(text), None
    return text, end, len(text) - text.rfind("\r\n") - 2


def _breakable(found: Encoded) -> Encoded:
    """With room for a soft break at the end: what is encoded may fill its last line to the last character."""
    text, first, last = found
    if (first if last is None else last) < LINE_MAX_CHARS:
        return found
    at = -3 if text[-3] == "=" else -1
    return measured(f"{text[:at]}{SOFT_BREAK}{text[at:]}")


def _literal(text: str) -> Encoded:
    """Text that more text follows: a space at its end is not one at the end of a line."""
    return measured(encoded(text + "x")[0][:-1])


def html_encoded(text: str) -> Encoded:
    """Text as it stands in HTML, escaped."""
    return encoded(escape(text)) if text else NOTHING


class Form:
    """A text with blanks, its literal parts encoded."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        pieces = _BLANK.split(text)
        self._parts: list[tuple[str | None, Encoded | None]] = []
        for index, piece in enumerate(pieces):
            if index % 2:
                self._parts.append((piece, None))
            elif piece:
                self._parts.append((None, _literal(piece)))

    @property
    def blanks(self) -> frozenset[str]:
        """The names of its blanks."""
        return frozenset(name for name, _ in self._parts if name is not None)

    def fill(self, values: Mapping[str, Encoded]) -> str:
        """The text with every blank filled; a name without a value is a programmer's error (KeyError)."""
        out: list[str] = []
        column = 0
        for name, literal in self._parts:
            text, first, last = values[name] if name is not None else literal  # type: ignore[misc]  # one of them is set
            if not text:
                continue
            if column and column + first >= LINE_MAX_CHARS:
                out.append(SOFT_BREAK)
                column = 0
            out.append(text)
            column = column + first if last is None else last
        return "".join(out)


def blank(name: str) -> str:
    """What stands for a personal value while a template is rendered for everyone."""
    return f"{OPEN}{name}{CLOSE}"


def without_blanks(text: str) -> str:
    """An organizer's text, free of the two characters that mark blanks."""
    return text.replace(OPEN, "").replace(CLOSE, "") if OPEN in text or CLOSE in text else text


# Format characters with a place in names: joiners (emoji, Persian, Indic). All others, above all those that
# turn the direction of what follows, are for deceiving readers.
_JOINERS: Final = "\u200c\u200d"
_NO_TEXT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str) -> str:
    """A person's text as one line that can stand anywhere: no controls, no line ends, no direction marks."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    kept = [
        char if char in _JOINERS or unicodedata.category(char) not in _NO_TEXT else " "
        for char in unicodedata.normalize("NFC", text)
    ]
    return " ".join("".join(kept).split())


_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})


def isolated(text: str) -> str:
    """A person's text for a plain-text line: right-to-left script is kept from reordering the rest of it."""
    if text.isascii() or not any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text):
        return text
    return f"\u2068{text}\u2069"


_PHRASE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]{1,60}")
_QUOTABLE: Final = re.compile(r"[ -~]{1,60}")
_WORD_BYTES: Final = 45  # an encoded word has at most 75 characters (RFC 2047, 2), 12 of them around the data
_FIRST_WORD_BYTES: Final = 36  # the first shares its line with the header's name


def phrase(text: str) -> str:
    """A display name for a header: bare, quoted, or in encoded words (RFC 5322, RFC 2047), folded."""
    text = clean(text)[: limits.NAME_MAX_CHARS]
    if "=?" not in text:
        if _PHRASE.fullmatch(text):
            return text
        if _QUOTABLE.fullmatch(text):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
    return encoded_words(text)


def encoded_words(text: str) -> str:
    """Text as encoded words of UTF-8 in base64, one a line, none cut inside a character."""
    words: list[str] = []
    rest = text.encode("utf-8", "replace")
    while rest:
        end = min(_WORD_BYTES if words else _FIRST_WORD_BYTES, len(rest))
        while end < len(rest) and rest[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{base64.b64encode(rest[:end]).decode('ascii')}?=")
        rest = rest[end:]
    return "\r\n ".join(words)


def unstructured(text: str) -> str:
    """A subject: as it is when it is short ASCII, else in encoded words."""
    text = clean(text)
    if text.isascii() and len(text) <= 60 and "=?" not in text:
        return text
    return encoded_words(text)


_ADDRESS: Final = re.compile(r"[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"]{1,64}@[A-Za-z0-9.-]{1,253}")


def address(text: str) -> str | None:
    """An address fit for a header and for SMTP (domain in ASCII), or None when there is no such thing.

    Addresses are checked when they are sealed; this is the last door before the wire.
    """
    local, at, domain = text.strip().rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    mailbox = f"{local}{at}{domain}"
    if len(mailbox) > limits.EMAIL_MAX_CHARS or not _ADDRESS.fullmatch(mailbox):
        return None
    return mailbox if unicodedata.normalize("NFC", local).isprintable() else None


def mailbox(name: str, addr: str) -> str:
    """`name <address>` for a header, folded where the line would be long."""
    said = phrase(name)
    if not said:
        return addr
    longest = len(said) - said.rfind("\n") - 1
    return f"{said}\r\n <{addr}>" if longest + len(addr) > 66 else f"{said} <{addr}>"


@lru_cache(maxsize=1_024)
def date_header(second: int) -> str:
    """A second since the epoch as a header's date, in UTC."""
    return format_datetime(_EPOCH + timedelta(seconds=second))


def base64_lines(raw: bytes) -> str:
    """Bytes as base64 in lines of 76 characters with CRLF, and one at the end."""
    text = binascii.b2a_base64(raw, newline=False).decode("ascii")
    return (
        "\r\n".join([text[at : at + LINE_MAX_CHARS] for at in range(0, len(text), LINE_MAX_CHARS)]) + "\r\n"
    )
