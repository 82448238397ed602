"""A collector of traces, as far as OTLP over HTTP goes: what was sent can be looked at, and waited for."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Received:
    """A span as the collector sees it; ids in hexadecimal, times in ns."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    failed: bool


class Collector:
    """Everything that came. `status` is what the next requests are answered with."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.status = 200
        self.url = ""
        self._came = threading.Condition()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of one request."""
        found = []
        for resource in request.resource_spans:
            of = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                found += [_received(of["service.name"], span) for span in scope.spans]
        with self._came:
            self.spans += found
            self._came.notify_all()

    def until(self, condition: Callable[[Sequence[Received]], bool]) -> list[Received]:
        """The spans, once the condition holds for them."""
        deadline_s = time.monotonic() + PATIENCE_S
        with self._came:
            while not condition(self.spans):
                left_s = deadline_s - time.monotonic()
                names = sorted(f"{span.service} {span.name}" for span in self.spans)
                assert left_s > 0, f"waited in vain; there are {names}"
                self._came.wait(left_s)
            return list(self.spans)


def _received(service: str, span: Any) -> Received:
    return Received(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes},
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        span.status.code == 2,
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of the loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        """POST /v1/traces."""

        def do_POST(self) -> None:
            """Takes one request in."""
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            status = collector.status if self.path == "/v1/traces" else 404
            if status == 200:
                request = ExportTraceServiceRequest()
                request.ParseFromString(body)
                collector.take(request)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
