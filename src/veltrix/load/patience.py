"""People who do not give up: they follow a 202 to its decision, and repeat what was not answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from veltrix.load.answers import location_in
from veltrix.load.client import Target, request_bytes
from veltrix.load.plan import Request

_AGAIN: Final = frozenset({0, 429, 500, 502, 503, 504})  # 0: the connection ended without an answer
_PAUSE_MIN_S: Final = 0.05
_PAUSE_MAX_S: Final = 1.0
_FOLLOW_PAUSE_S: Final = 0.25
_FOLLOW_WAIT_MAX_S: Final = 10


@dataclass(frozen=True, slots=True)
class Patience:
    """What somebody does about an answer that is none yet. `patience_s` 0: nothing, they leave."""

    target: Target
    patience_s: float
    wait_s: int

    def next(self, request: Request, status: int, now_ns: int) -> tuple[float, Request] | None:
        """What to send next, and after which pause; None when this is the end of it."""
        if now_ns - (request.first_ns or request.sent_ns) > self.patience_s * 1e9:
            return None
        asked = request.follows or request
        if status == 202 or (request.follows is not None and status in _AGAIN):
            follow = self._follow(asked)
            if follow is not None:
                return (0.0 if request.follows is None else _FOLLOW_PAUSE_S), follow
        if request.follows is None and status in _AGAIN:
            return self._again(asked)
        return None

    def _follow(self, asked: Request) -> Request | None:
        found = urlsplit(location_in(asked))
        if not found.path.startswith("/"):
            return None
        path = found.path + (f"?{found.query}" if found.query else "")
        wait_s = max(1, min(self.wait_s, _FOLLOW_WAIT_MAX_S))
        payload = request_bytes(self.target, "GET", path, {"Prefer": f"wait={wait_s}"})
        follow = _blank(asked)
        follow.payload, follow.follows = payload, asked
        return follow

    def _again(self, asked: Request) -> tuple[float, Request]:
        """The same bytes under the same key: what happened at first happens once."""
        again = _blank(asked)
        again.tried = asked.tried + 1
        asked.retry = again
        return min(_PAUSE_MAX_S, _PAUSE_MIN_S * 2**asked.tried), again


def _blank(request: Request) -> Request:
    """The same request, with nothing known of what becomes of it; it is late since the first was meant."""
    return Request(
        person=request.person,
        kind=request.kind,
        key=request.key,
        email=request.email,
        name=request.name,
        categories=request.categories,
        payload=request.payload,
        intended_ns=request.sent_ns if request.intended_ns is None else request.intended_ns,
        target=request.target,
        impatient=request.impatient,
        first_ns=request.first_ns or request.sent_ns,
    )
