"""From an ASGI request to a handler and back: who asks, how much, and what becomes of every error."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from veltrix.observability.logging import get_logger
from veltrix.observability.tracing import ENTROPY_BYTES, continued
from veltrix.ports.errors import PortError
from veltrix.registration.access import Doorkeeper, require
from veltrix.registration.calls import Answer, Call, ClientGone, Sendable, Trace
from veltrix.registration.core import Core
from veltrix.registration.operations import Operation
from veltrix.registration.problems import CONTENT_TYPE, Problem
from veltrix.registration.rates import Rates
from veltrix.registration.streams import Stream

_log = get_logger("registration")
_encoder = msgspec.json.Encoder()

_RETRY_AFTER_STOP_S: Final = 2


class Gate:
    """What every request passes: it counts them, limits their rate, and lets none in while stopping."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.doorkeeper = Doorkeeper(core.ports.access, core.ports.clock)
        settings = core.settings
        self.rates = Rates(
            core.ports.clock,
            settings.rate_per_address_per_s,
            settings.rate_burst_per_address,
            settings.trusted_proxies,
        )
        self.stopping = False
        self.active = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def enter(self) -> None:
        """A request has begun."""
        self.active += 1
        if self.active == 1:
            self.idle.clear()

    def leave(self) -> None:
        """A request has ended."""
        self.active -= 1
        if not self.active:
            self.idle.set()

    def admit(self, call: Call) -> None:
        """Let a call in. Raises `Problem`."""
        if self.stopping:
            raise Problem("stopping", headers=[(b"connection", b"close")]).retry_after(_RETRY_AFTER_STOP_S)
        call.address = self.rates.address(call.scope, call.headers)
        wait_s = self.rates.take(call.address)
        if wait_s:
            self.core.meters.turned_away("too_many_requests")
            raise Problem("too_many_requests").retry_after(wait_s)

    async def identify(self, call: Call, operation: Operation) -> None:
        """Look at the API key of a call that carries one, or must. Raises `Problem`."""
        call.key = await self.doorkeeper.identify(call)
        if operation.scope is not None:
            require(call.key, operation.scope)


def trace_of(scope: Scope, random: bytes) -> Trace:
    """The caller's trace, or a new one."""
    for name, value in scope["headers"]:
        if name == b"traceparent":
            place = continued(value.decode("latin-1"), random)
            return Trace(place.trace_id, place.header)
    text = random.hex()
    return Trace(text[:32], f"00-{text[:32]}-{text[32:48]}-01")


class Endpoint:
    """All operations of one path."""

    def __init__(self, path: str, operations: list[Operation], gate: Gate) -> None:
        self.path = path
        self._gate = gate
        self._operations = {operation.method: operation for operation in operations}
        allowed = set(self._operations) | {"OPTIONS"} | ({"HEAD"} if "GET" in self._operations else set())
        self._allow = ", ".join(sorted(allowed)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send, scope["path_params"])

    async def serve(self, scope: Scope, receive: Receive, send: Send, params: dict[str, str]) -> None:
        """Answer one request, whatever happens."""
        gate = self._gate
        core = gate.core
        now = core.ports.clock.monotonic_s
        began_s = now()
        gate.enter()
        answer: Sendable
        try:
            call = Call(scope, receive, params, trace_of(scope, core.chance.token(ENTROPY_BYTES)))
            answer = await self._answer(call)
            method = call.method if call.method in self._operations else "other"
            if isinstance(answer, Stream):  # counted as it begins: it lasts as long as somebody listens
                core.meters.answered(self.path, method, answer.status, now() - began_s)
                await answer.send(call, send)
                return
            await answer.send(call, send)
            core.meters.answered(self.path, method, answer.status, now() - began_s)
        except ClientGone:
            pass
        finally:
            gate.leave()

    async def _answer(self, call: Call) -> Sendable:
        operation = self._operations.get(call.method) or self._operation(call.method)
        explain = problem_answer if operation is None or operation.explain is None else operation.explain
        try:
            if operation is None:
                if call.method == "OPTIONS":
                    return Answer(204, headers=[(b"allow", self._allow)])
                raise Problem("method_not_allowed", headers=[(b"allow", self._allow)])
            if not operation.always:
                self._gate.admit(call)
                if operation.scope is not None or (
                    operation.key_optional and b"authorization" in call.headers
                ):
                    await self._gate.identify(call, operation)
            return await operation.handler(call)
        except Problem as problem:
            return explain(problem, call)
        except PortError as error:
            _log.warning("port_failed", trace_id=call.trace.trace_id, route=self.path, error=str(error))
            return explain(Problem("unavailable").retry_after(1), call)
        except ClientGone:
            raise
        except Exception:
            _log.exception("request_failed", trace_id=call.trace.trace_id, route=self.path)
            return explain(Problem("internal"), call)

    def _operation(self, method: str) -> Operation | None:
        """HEAD is GET without its body."""
        return self._operations.get("GET") if method == "HEAD" else None


def problem_answer(problem: Problem, call: Call) -> Answer:
    """A problem in the reader's language."""
    language = call.language
    body = problem.body(language, call.trace.trace_id)
    headers = [*problem.headers, (b"content-language", language.encode()), (b"vary", b"Accept-Language")]
    return Answer(problem.status, _encoder.encode(body), headers, CONTENT_TYPE)
