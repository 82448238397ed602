"""W3C trace context: the `traceparent` header, read strictly and passed on.

https://www.w3.org/TR/trace-context/ (level 1, version 00). Pure: randomness comes in as bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ENTROPY_BYTES: Final = 24
SPAN_ENTROPY_BYTES: Final = 8
HEADER: Final = "traceparent"

_VERSION_00 = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED: Final = 0x01
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


@dataclass(frozen=True, slots=True)
class Traceparent:
    """A place in a trace: 32 and 16 hexadecimal digits, and whether the trace is recorded."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def header(self) -> str:
        """The header's value, version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self, entropy: bytes) -> Traceparent:
        """A new place in the same trace, from 8 random bytes."""
        return Traceparent(self.trace_id, _nonzero(entropy[:SPAN_ENTROPY_BYTES]).hex(), self.sampled)


def make(entropy: bytes, sampled: bool = True) -> Traceparent:
    """The beginning of a new trace, from 24 random bytes."""
    assert len(entropy) >= ENTROPY_BYTES, "24 random bytes make a trace id and a span id"
    return Traceparent(_nonzero(entropy[:16]).hex(), _nonzero(entropy[16:ENTROPY_BYTES]).hex(), sampled)


def parse(text: str | None) -> Traceparent | None:
    """What a header says; None when there is none, or when the standard wants it ignored.

    Upper case, zero ids, version ff and anything after version 00's four parts are ignored as a whole;
    a higher version is read as far as version 00 knows it.
    """
    if not text:
        return None
    match = _VERSION_00.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Traceparent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def continued(header: str | None, entropy: bytes) -> Traceparent:
    """A place of our own in the caller's trace, or in a new one when the caller names none."""
    given = parse(header)
    return make(entropy) if given is None else given.child(entropy)


def _nonzero(random: bytes) -> bytes:
    """The standard forbids ids of zeros only, which chance may bring."""
    return random if any(random) else b"\x01" * len(random)
