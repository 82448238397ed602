"""The ASGI application: from a path to its endpoint, the hot one first."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from veltrix.observability.tracing import ENTROPY_BYTES
from veltrix.registration.calls import Call
from veltrix.registration.endpoints import Endpoint, Gate, problem_answer, trace_of
from veltrix.registration.operations import Operation
from veltrix.registration.problems import Problem

_HOT_PATH: Final = "/v1/events/{event}/registrations"
_HOT_HEAD: Final = "/v1/events/"
_HOT_TAIL: Final = "/registrations"


class App:
    """Answers HTTP; anything else is refused. It has no middleware: what all requests need, `Gate` does."""

    def __init__(self, operations: list[Operation], gate: Gate) -> None:
        self._gate = gate
        by_path: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            by_path[operation.path].append(operation)
        endpoints = {path: Endpoint(path, each, gate) for path, each in by_path.items()}
        self._hot = endpoints[_HOT_PATH]
        self._router: ASGIApp = Router(
            [Route(path, endpoint) for path, endpoint in endpoints.items()],
            redirect_slashes=False,
            default=self._not_found,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _refuse(scope, receive, send)
            return
        path: str = scope["path"]
        # The router tries one pattern after the other; where 10,000 people ask at once, we know the way.
        if path.endswith(_HOT_TAIL) and path.startswith(_HOT_HEAD):
            event = path[len(_HOT_HEAD) : -len(_HOT_TAIL)]
            if event and "/" not in event:
                await self._hot.serve(scope, receive, send, {"event": event})
                return
        await self._router(scope, receive, send)

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        random = self._gate.core.chance.token(ENTROPY_BYTES)
        call = Call(scope, receive, {}, trace_of(scope, random, self._gate.core.tracer))
        await problem_answer(Problem("not_found"), call).send(call, send)
        self._gate.core.meters.answered("other", "other", 404, 0.0)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":  # whoever runs this starts and stops the service itself
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
