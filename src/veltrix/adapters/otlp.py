"""Sends spans to a collector, by OpenTelemetry's SDK and its OTLP exporter over HTTP, from a thread.

What a request pays is a tuple that is put into a queue. The thread makes OpenTelemetry's objects of them and
sends them some at a time; when the collector is away, or cannot follow, spans are dropped and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from veltrix.domain import limits
from veltrix.ports.errors import Unavailable
from veltrix.ports.spans import Span, SpanKind

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

_log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
_TIMEOUT_S: Final = 5
_CLOSE_S: Final = 8.0
SCOPE: Final = "veltrix"


class OtlpSpans:
    """A sink of spans. `attributes` say which process they come from (`service.name` and so on)."""

    def __init__(self, endpoint: str, attributes: Mapping[str, str]) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
        except ImportError as error:
            raise Unavailable(
                f"tracing.endpoint is set, and OpenTelemetry is not installed ({error.name}); install "
                "veltrix[tracing], or leave the endpoint out"
            ) from error
        # Its own retries would keep the thread for a minute while the queue overflows: what fails is dropped.
        logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
        self._exporter: SpanExporter = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=_TIMEOUT_S)
        self._resource: Resource = Resource(dict(attributes))
        self._queue: deque[Span] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._failing = False
        self.recorded = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="otlp-spans", daemon=True)
        self._thread.start()

    def __call__(self, span: Span) -> None:
        """Keep a span until it is sent; dropped when too many wait."""
        if len(self._queue) >= limits.SPANS_QUEUE_MAX or self._closing:
            self.dropped += 1
            return
        self.recorded += 1
        self._queue.append(span)
        if len(self._queue) >= limits.SPANS_EXPORT_MAX:
            self._wake.set()

    def counted(self) -> tuple[int, int]:
        """(recorded, dropped) since the start."""
        return self.recorded, self.dropped

    def close(self) -> None:
        """Send what waits, for a bounded time; safe to call twice."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(_EVERY_S)
            self._wake.clear()
            self._send_all()
        self._send_all()
        self._exporter.shutdown()

    def _send_all(self) -> None:
        queue = self._queue
        while queue:
            spans = [queue.popleft() for _ in range(min(len(queue), limits.SPANS_EXPORT_MAX))]
            if not self._sent(spans):
                self.dropped += len(spans)
                return

    def _sent(self, spans: list[Span]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            sent = self._exporter.export(_readable(spans, self._resource)) is SpanExportResult.SUCCESS
        except Exception as error:  # a collector's oddity must not end the thread
            _log.debug("spans could not be sent: %s", error)
            sent = False
        if sent == self._failing:
            self._failing = not sent
            if sent:
                _log.info("spans reach the collector again")
            else:
                _log.warning("spans do not reach the collector; they are dropped until they do")
        return sent


def _readable(spans: Iterable[Span], resource: Resource) -> list[ReadableSpan]:
    """OpenTelemetry's objects."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, Status, StatusCode
    from opentelemetry.trace import SpanKind as TheirKind

    kinds = {kind: TheirKind[kind.name] for kind in SpanKind}
    scope = InstrumentationScope(SCOPE)
    return [
        ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id, remote=False),
            parent=_context(span.trace_id, span.parent_id, remote=True) if span.parent_id else None,
            resource=resource,
            attributes=span.attributes,
            links=[Link(_context(*link, remote=True)) for link in span.links],
            kind=kinds[span.kind],
            instrumentation_scope=scope,
            status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
        )
        for span in spans
    ]


def _context(trace_id: str, span_id: str, *, remote: bool) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED))
