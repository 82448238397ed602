"""Request headers -> values. Hostile ones never raise anything but the problem that names them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from veltrix.domain import limits

LANGUAGES: Final = ("en", "de")
"""Languages of the catalogue; the first is the fall-back."""


class HeaderFault(ValueError):
    """A header's value cannot be used: what is wrong with it, and the remedy, both by catalogue code."""

    def __init__(self, header: str, code: str) -> None:
        super().__init__(header)
        self.header = header
        self.code = code


_SF_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"(?:\s*;.*)?')
_BARE = re.compile(r"[!#-~][!-~]*")


def idempotency_key(value: bytes) -> str:
    """The key in an Idempotency-Key header: an sf-string in quotes (RFC 8941), or the same bare."""
    text = value.decode("latin-1").strip()
    if text.startswith('"'):
        match = _SF_STRING.fullmatch(text)
        if match is None:
            raise HeaderFault("Idempotency-Key", "key_shape")
        text = re.sub(r"\\(.)", r"\1", match.group(1))
    elif not _BARE.fullmatch(text):
        raise HeaderFault("Idempotency-Key", "key_shape")
    if not 1 <= len(text) <= limits.HEADER_VALUE_MAX_CHARS or not text.strip():
        raise HeaderFault("Idempotency-Key", "key_length")
    return text


def is_strong(key: str) -> bool:
    """Whether a key can hold 128 random bits: 22 characters of base64 do, and so does a UUID."""
    return len(key) >= limits.PUBLIC_KEY_MIN_BITS // 6 + 1


class Preference(NamedTuple):
    """What Prefer (RFC 7240) asks for: how long to wait (None: as usual), and what was understood."""

    wait_s: float | None
    applied: bytes


NO_PREFERENCE = Preference(None, b"")


@lru_cache(maxsize=256)
def preference(value: bytes) -> Preference:
    """`wait=N` in seconds, `respond-async`, or both; whatever else it says is ignored, as the RFC has it."""
    if len(value) > limits.HEADER_VALUE_MAX_CHARS:
        return NO_PREFERENCE
    wait_s: float | None = None
    asynchronous = False
    for part in value.decode("latin-1").split(","):
        token = part.partition(";")[0].strip()
        name, _, argument = token.partition("=")
        argument = argument.strip().strip('"')
        if name.strip().lower() == "respond-async":
            asynchronous = True
        elif name.strip().lower() == "wait" and re.fullmatch(r"[0-9]{1,6}", argument) and wait_s is None:
            wait_s = float(argument)
    if wait_s is not None:
        wait_s = min(wait_s, limits.WAIT_MAX_S)
        applied = f"wait={wait_s:.0f}"
        return Preference(wait_s, (f"respond-async, {applied}" if asynchronous else applied).encode())
    return Preference(0.0, b"respond-async") if asynchronous else NO_PREFERENCE


@lru_cache(maxsize=512)
def language(value: bytes) -> str:
    """The catalogue's language that Accept-Language (RFC 9110, 12.5.4) likes best."""
    best, best_weight = LANGUAGES[0], 0.0
    for part in value[: limits.HEADER_VALUE_MAX_CHARS].decode("latin-1").split(","):
        tag, _, parameters = part.partition(";")
        weight = 1.0
        match = re.fullmatch(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", parameters)
        if match is not None:
            weight = float(match.group(1))
        primary = tag.strip().lower().partition("-")[0]
        if primary == "*":
            primary = LANGUAGES[0]
        if primary in LANGUAGES and weight > best_weight:
            best, best_weight = primary, weight
    return best


@lru_cache(maxsize=256)
def preferred_locale(value: bytes) -> str:
    """The first language tag that Accept-Language names, as the locale of someone who gave none."""
    text = value[: limits.HEADER_VALUE_MAX_CHARS].decode("latin-1")
    tag = text.partition(",")[0].partition(";")[0].strip()
    return tag if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", tag) else LANGUAGES[0]


_ETAG = re.compile(r'(?:W/)?"v?([0-9]{1,9})"')


def if_match(value: bytes | None) -> frozenset[int] | None:
    """The versions that If-Match accepts; None when it is absent or `*`."""
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if text == "*":
        return None
    versions: set[int] = set()
    for part in text.split(","):
        match = _ETAG.fullmatch(part.strip())
        if match is None or len(text) > limits.HEADER_VALUE_MAX_CHARS:
            raise HeaderFault("If-Match", "etag_shape")
        versions.add(int(match.group(1)))
    return frozenset(versions)


def etag(version: int) -> bytes:
    """The entity tag of a version."""
    return b'"%d"' % version
