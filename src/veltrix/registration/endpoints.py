"""From an ASGI request to a handler and back: who asks, how much, and what becomes of every error."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from veltrix.observability.logging import bind, get_logger
from veltrix.observability.tracing import ENTROPY_BYTES, Tracer, parse
from veltrix.ports.errors import PortError
from veltrix.ports.spans import SpanKind
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
            _log.debug("turned_away", reason="too_many_requests")
            raise Problem("too_many_requests").retry_after(wait_s)

    async def identify(self, call: Call, operation: Operation) -> None:
        """Look at the API key of a call that carries one, or must. Raises `Problem`."""
        call.key = await self.doorkeeper.identify(call)
        if operation.scope is not None:
            require(call.key, operation.scope)


def trace_of(scope: Scope, random: bytes, tracer: Tracer) -> Trace:
    """The caller's trace, or a new one; whether it is recorded is for us to say."""
    caller = None
    for name, value in scope["headers"]:
        if name == b"traceparent":
            caller = parse(value.decode("latin-1"))
            break
    text = random.hex()
    trace_id = text[:32] if caller is None else caller.trace_id
    # The span's own random bytes decide: a caller chooses the trace's.
    sampled = tracer.samples(random[16:20], caller is not None and caller.sampled)
    header = f"00-{trace_id}-{text[32:48]}-{'01' if sampled else '00'}"
    return Trace(trace_id, header, "" if caller is None else caller.span_id, sampled)


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
            trace = trace_of(scope, core.chance.token(ENTROPY_BYTES), core.tracer)
            bind(trace_id=trace.trace_id)
            call = Call(scope, receive, params, trace)
            answer = await self._answer(call)
            method = call.method if call.method in self._operations else "other"
            if isinstance(answer, Stream):  # counted as it begins: it lasts as long as somebody listens
                core.meters.answered(self.path, method, answer.status, now() - began_s)
                await answer.send(call, send)
                return
            await answer.send(call, send)
            ended_s = now()
            core.meters.answered(self.path, method, answer.status, ended_s - began_s)
            if trace.sampled:
                self._record(trace, method, answer.status, began_s, ended_s)
        except ClientGone:
            pass
        finally:
            gate.leave()

    def _record(self, trace: Trace, method: str, status: int, began_s: float, ended_s: float) -> None:
        """The request as the first span of its trace, or below its caller's."""
        place = parse(trace.header)
        assert place is not None, "the header was made here"
        self._gate.core.tracer.own(
            place,
            trace.parent_id,
            f"{method} {self.path}",
            SpanKind.SERVER,
            began_s,
            ended_s,
            {"http.request.method": method, "http.route": self.path, "http.response.status_code": status},
            failed=f"answered {status}" if status >= 500 else "",
        )

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
            _log.warning("port_failed", route=self.path, error=str(error))
            return explain(Problem("unavailable").retry_after(1), call)
        except ClientGone:
            raise
        except Exception:
            _log.exception("request_failed", route=self.path)
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
