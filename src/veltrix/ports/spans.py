"""Spans: what took how long, as a part of whose request. Who takes them in sends them on, or drops them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol


class SpanKind(StrEnum):
    """OpenTelemetry's kinds of spans."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(NamedTuple):
    """A span that has ended; ids are hexadecimal, times ns since the epoch. `parent_id` "" begins a trace.

    `links` are (trace id, span id) of what belongs to it in other traces. `failed` says why it failed.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int | float | bool]
    links: tuple[tuple[str, str], ...] = ()
    failed: str = ""


class SpanSink(Protocol):
    """Takes spans in."""

    def __call__(self, span: Span) -> None:
        """Keep a span, to be sent on later. Never blocks and never raises: what cannot be kept is dropped."""
        ...
