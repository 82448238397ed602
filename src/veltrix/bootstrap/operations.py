"""What a process without an API tells its operators; and what one with an API tells while it starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from veltrix.domain import limits
from veltrix.observability.metrics import Metrics

Headers = list[tuple[bytes, bytes]]
PROBES: Final = ("/livez", "/readyz", "/metrics", "/hot-events")


@dataclass(slots=True)
class Status:
    """Whether a process can do its work. `checks` are asked anew each time."""

    started: bool = False
    stopping: bool = False
    checks: dict[str, Callable[[], bool]] = field(default_factory=dict)

    def read(self) -> dict[str, bool]:
        """Each check with its answer."""
        return {"started": self.started, "not_stopping": not self.stopping} | read(self.checks)


def read(checks: Mapping[str, Callable[[], bool]]) -> dict[str, bool]:
    """Each check with its answer."""
    return {name: check() for name, check in checks.items()}


class OperationsApp:
    """`/livez`, `/readyz`, `/metrics` and `/hot-events`. `app`, once it is set, answers instead."""

    def __init__(self, status: Status, metrics: Metrics) -> None:
        self._status = status
        self._metrics = metrics
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        status, body, headers = self._answer(scope)
        headers += [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, scope: Scope) -> tuple[int, bytes, Headers]:
        path = scope["path"]
        if path not in PROBES and not self._status.started:  # whoever registers comes back in a moment
            return _problem(503, "This process is starting.", [(b"retry-after", b"1")])
        if scope["method"] not in ("GET", "HEAD"):
            return _problem(405, "This is only read.", [(b"allow", b"GET, HEAD")])
        if path == "/livez":
            return 200, _json({"status": "live", "checks": {}}), [_JSON]
        if path == "/readyz":
            checks = self._status.read()
            ready = all(checks.values())
            document = {"status": "ready" if ready else "not_ready", "checks": checks}
            return 200 if ready else 503, _json(document), [_JSON]
        if path == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            body, content_type = self._metrics.page(accept)
            return 200, body, [(b"content-type", content_type.encode())]
        if path == "/hot-events":
            return 200, _json(self._metrics.hot.document(limits.HOT_EVENTS_SHOWN)), [_JSON]
        return _problem(404, "Here are /livez, /readyz, /metrics and /hot-events.", [])


_JSON = (b"content-type", b"application/json")
_TITLES = {404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _problem(status: int, detail: str, headers: Headers) -> tuple[int, bytes, Headers]:
    body = _json({"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail})
    return status, body, [*headers, (b"content-type", b"application/problem+json")]
