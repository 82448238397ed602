"""Cursors of pages: opaque to whoever gets them, and good for the list that gave them only."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from veltrix.domain import limits
from veltrix.registration.problems import Problem, invalid_query

T = TypeVar("T")

_CURSOR_MAX_CHARS = 512


class _Cursor(msgspec.Struct, array_like=True):
    kind: str
    of: str
    after: int | str


_decoder = msgspec.json.Decoder(_Cursor)


def write_cursor(kind: str, of: str, after: int | str) -> str:
    """The cursor behind which the next page begins."""
    return base64.urlsafe_b64encode(msgspec.json.encode(_Cursor(kind, of, after))).decode().rstrip("=")


def read_cursor(query: dict[str, str], kind: str, of: str, expected: type[T]) -> T | None:
    """Where the page begins; None at the start. Raises `Problem` bad_cursor."""
    text = query.get("cursor")
    if text is None:
        return None
    try:
        if len(text) > _CURSOR_MAX_CHARS or not text.isascii():
            raise ValueError(text)
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = _decoder.decode(raw)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise Problem("bad_cursor") from None
    if cursor.kind != kind or cursor.of != of or type(cursor.after) is not expected:
        raise Problem("bad_cursor")
    return cursor.after


def page_size(query: dict[str, str]) -> int:
    """How many items a page has."""
    text = query.get("limit")
    if text is None:
        return limits.PAGE_DEFAULT_ROWS
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= limits.PAGE_MAX_ROWS):
        raise invalid_query("limit", "out_of_range", expected=f"1 to {limits.PAGE_MAX_ROWS}")
    return int(text)
