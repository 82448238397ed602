"""The spans of a batch: one trace of its own, linked with each command's part in the trace of its request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from veltrix.observability.tracing import Tracer
from veltrix.ports.spans import SpanKind
from veltrix.processing.batch import Entry, Outcome


class Times(NamedTuple):
    """When a batch was begun, loaded, decided, and its commit begun and ended; monotonic seconds."""

    started_s: float
    loaded_s: float
    decided_s: float
    committing_s: float
    committed_s: float


def trace_batch(
    tracer: Tracer, partition: int, entries: Sequence[Entry], outcome: Outcome, times: Times
) -> None:
    """Record what a committed batch did, if any command of it is traced."""
    traced = [
        (place, decision)
        for entry, decision in zip(entries, outcome.changes.decisions, strict=True)
        if (place := tracer.place(entry.record.trace)) is not None
    ]
    if not traced:
        return
    batch = tracer.begin()
    commands = []
    for place, decision in traced:
        told: dict[str, str | int] = {
            "veltrix.partition": partition,
            "veltrix.offset": decision.offset,
            "veltrix.kind": decision.kind,
            "veltrix.outcome": decision.outcome.value,
            "veltrix.refusal": decision.refusal.value if decision.refusal is not None else "",
        }
        own = tracer.span(
            "process", SpanKind.CONSUMER, place, times.started_s, times.committed_s, told, [batch]
        )
        tracer.span("decide", SpanKind.INTERNAL, own, times.loaded_s, times.decided_s, {})
        tracer.span("commit", SpanKind.CLIENT, own, times.committing_s, times.committed_s, {})
        commands.append(own)
    size = {"veltrix.partition": partition, "veltrix.commands": len(entries)}
    tracer.own(batch, "", "batch", SpanKind.INTERNAL, times.started_s, times.committed_s, size, commands)
    for name, kind, began_s, ended_s in (
        ("load", SpanKind.CLIENT, times.started_s, times.loaded_s),
        ("decide", SpanKind.INTERNAL, times.loaded_s, times.decided_s),
        ("commit", SpanKind.CLIENT, times.committing_s, times.committed_s),
    ):
        tracer.span(name, kind, batch, began_s, ended_s, {})
