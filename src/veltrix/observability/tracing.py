"""Traces: the `traceparent` header, read strictly and passed on, and the spans of what is sampled.

https://www.w3.org/TR/trace-context/ (level 1, version 00). Pure: time and randomness come in.

One trace goes from a request to the last mail of it. Its context stands in the record, in the facts that
follow and in their notices, byte for byte the same (a replay gives the same facts), so every span after the
request is a child of the request's. Whether a trace is sampled is decided once, where the request comes in,
and stands in the context's flag: whoever finds it not set does nothing, and that costs a comparison.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from veltrix.domain import limits
from veltrix.ports.spans import Span, SpanKind, SpanSink
from veltrix.ports.system import Clock, Entropy

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


def trace_id_of(header: str) -> str:
    """The trace's id in a context that stands in a record, a fact or a notice; "" where there is none."""
    found = parse(header)
    return "" if found is None else found.trace_id


def _nonzero(random: bytes) -> bytes:
    """The standard forbids ids of zeros only, which chance may bring."""
    return random if any(random) else b"\x01" * len(random)


Attributes = Mapping[str, str | int | float | bool]


class Tracer:
    """Records spans into a sink; without one it is off. `sample_ratio` of all requests are traced.

    A caller's wish to be traced (the flag of its `traceparent`) counts with `trust_callers` alone: what
    everybody may ask for, somebody asks for always.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        sink: SpanSink | None = None,
        sample_ratio: float = 0.0,
        trust_callers: bool = False,
    ) -> None:
        self.enabled = sink is not None
        """Whether anything is recorded at all."""
        self._sink = sink
        self._entropy = entropy
        self._trust = trust_callers and self.enabled
        self._below = round(sample_ratio * 2**32) if self.enabled else 0
        self._epoch_ns = 0
        if clock is not None:
            self._epoch_ns = clock.now_ms() * 1_000_000 - round(clock.monotonic_s() * 1e9)

    def samples(self, random: bytes, wished: bool) -> bool:
        """Whether a request is traced, by 4 random bytes; `wished` says that its caller traces it."""
        if not self._below:
            return wished and self._trust
        return int.from_bytes(random, "big") < self._below or (wished and self._trust)

    def place(self, header: str) -> Traceparent | None:
        """Where a span goes that belongs to this context; None when it is not traced, or is nonsense."""
        if not self.enabled or not header.endswith("1"):
            return None
        found = parse(header)
        return found if found is not None and found.sampled else None

    def begin(self) -> Traceparent:
        """The place of a first span of a new trace, whose own it then is (`own`)."""
        assert self._entropy is not None, "only a tracer that is on begins traces"
        return make(self._entropy.token(ENTROPY_BYTES))

    def span(
        self,
        name: str,
        kind: SpanKind,
        parent: Traceparent,
        began_s: float,
        ended_s: float,
        attributes: Attributes,
        links: Sequence[Traceparent] = (),
        failed: str = "",
    ) -> Traceparent:
        """Record a span below `parent`; times are the clock's monotonic seconds. Returns its own place."""
        assert self._entropy is not None, "only a tracer that is on records"
        own = parent.child(self._entropy.token(SPAN_ENTROPY_BYTES))
        self.own(own, parent.span_id, name, kind, began_s, ended_s, attributes, links, failed)
        return own

    def own(
        self,
        place: Traceparent,
        parent_id: str,
        name: str,
        kind: SpanKind,
        began_s: float,
        ended_s: float,
        attributes: Attributes,
        links: Sequence[Traceparent] = (),
        failed: str = "",
    ) -> None:
        """Record the span that has this place, such as a request's; `parent_id` "" begins a trace."""
        assert self._sink is not None, "only a tracer that is on records"
        self._sink(
            Span(
                name,
                place.trace_id,
                place.span_id,
                parent_id,
                kind,
                self._epoch_ns + round(began_s * 1e9),
                self._epoch_ns + round(ended_s * 1e9),
                attributes,
                tuple((link.trace_id, link.span_id) for link in links[: limits.SPAN_LINKS_MAX]),
                failed,
            )
        )


OFF: Final = Tracer()
"""Records nothing, ever."""
