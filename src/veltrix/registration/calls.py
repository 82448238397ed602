"""One request on its way to a handler, and what the handler gives back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Message, Receive, Scope, Send

from veltrix.ports.access import ApiKey
from veltrix.registration import headers
from veltrix.registration.problems import FaultAt, Problem, invalid_body, invalid_header, invalid_query

Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")

JSON: Final = b"application/json"
BODY_TIMEOUT_S: Final = 30.0
_encoder = msgspec.json.Encoder()


class Trace(NamedTuple):
    """The trace that a request belongs to: its id, and the `traceparent` of our own place in it.

    `parent_id` is the caller's span, if it named one; `sampled` says whether the trace is recorded.
    """

    trace_id: str
    header: str
    parent_id: str = ""
    sampled: bool = False


class ClientGone(Exception):
    """The client went away before it had sent its request; nobody is left to answer."""


class Sendable(Protocol):
    """What a handler gives back: something that writes itself."""

    status: int

    async def send(self, call: Call, send: Send) -> None:
        """Write the whole answer."""
        ...


@dataclass(slots=True)
class Answer:
    """A finished answer."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    content_type: bytes = JSON
    private: bool = True

    async def send(self, call: Call, send: Send) -> None:
        """Write the whole answer."""
        head = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            (b"x-trace-id", call.trace.trace_id.encode()),
            *self.headers,
        ]
        if self.private:
            head.append((b"cache-control", b"no-store"))
        if self.status == 204:
            del head[:2]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        body = b"" if call.method == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


@dataclass(slots=True)
class Flow:
    """An answer whose body is made while it is sent."""

    chunks: Callable[[], AsyncGenerator[bytes, None]]
    content_type: bytes
    headers: Headers = field(default_factory=list)
    status: int = 200
    closed: Callable[[], None] = lambda: None

    async def send(self, call: Call, send: Send) -> None:
        """Write the answer chunk by chunk, at the pace at which the client reads."""
        try:
            await self._send(call, send)
        finally:
            self.closed()

    async def _send(self, call: Call, send: Send) -> None:
        head = [
            (b"content-type", self.content_type),
            (b"x-trace-id", call.trace.trace_id.encode()),
            (b"cache-control", b"no-store"),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        if call.method != "HEAD":
            async with aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


Handler = Callable[["Call"], Awaitable[Sendable]]


class Call:
    """A request as a handler sees it. `key` is the organizer's API key, when one came and is valid."""

    __slots__ = ("address", "headers", "key", "method", "params", "receive", "scope", "trace")

    def __init__(self, scope: Scope, receive: Receive, params: dict[str, str], trace: Trace) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.params = params
        self.trace = trace
        self.key: ApiKey | None = None
        self.address = ""
        self.headers = one_each(scope["headers"])

    @property
    def language(self) -> str:
        """The catalogue's language for this reader."""
        accepted = self.headers.get(b"accept-language")
        return headers.LANGUAGES[0] if accepted is None else headers.language(accepted)

    @property
    def organizer_key(self) -> ApiKey:
        """The key of an operation that needs one."""
        assert self.key is not None, "an operation with a scope is only called with a key"
        return self.key

    def idempotency_key(self) -> str | None:
        """The key of this request, from either of the two headers."""
        plain = self.headers.get(b"idempotency-key")
        prefixed = self.headers.get(b"x-idempotency-key")
        if plain is None and prefixed is None:
            return None
        try:
            one = headers.idempotency_key(plain or prefixed or b"")
            if plain is not None and prefixed is not None and headers.idempotency_key(prefixed) != one:
                raise headers.HeaderFault("Idempotency-Key", "keys_differ")
        except headers.HeaderFault as fault:
            raise invalid_header(fault) from None
        return one

    def preference(self) -> headers.Preference:
        """What the Prefer header asks for."""
        value = self.headers.get(b"prefer")
        return headers.NO_PREFERENCE if value is None else headers.preference(value)

    def if_match(self) -> frozenset[int] | None:
        """The versions that If-Match accepts, None for any."""
        try:
            return headers.if_match(self.headers.get(b"if-match"))
        except headers.HeaderFault as fault:
            raise invalid_header(fault) from None

    def query(self, *known: str) -> dict[str, str]:
        """The query parameters; each at most once, and none that the operation does not know."""
        raw: bytes = self.scope["query_string"]
        if not raw:
            return {}
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
        except ValueError:
            raise invalid_query("", "wrong_type", expected="percent-encoded UTF-8") from None
        found: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                raise invalid_query(name[:64], "unknown_field")
            if name in found:
                raise invalid_query(name, "too_many", most=1)
            found[name] = value
        return found

    async def body(self, most_bytes: int, timeout_s: float | None = None) -> bytes:
        """The whole body, bounded in size (also where no Content-Length announces it) and in time."""
        announced = self.headers.get(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > most_bytes:
            raise too_large(most_bytes)
        message = at_once(self.receive)
        if message is not None and not message.get("more_body", False) and message["type"] == "http.request":
            body: bytes = message.get("body", b"")
            if len(body) > most_bytes:
                raise too_large(most_bytes)
            return body
        try:
            async with asyncio.timeout(timeout_s or BODY_TIMEOUT_S):
                return await self._gather(message or await self.receive(), most_bytes)
        except TimeoutError:
            raise Problem("request_timeout", headers=[(b"connection", b"close")]) from None

    async def _gather(self, message: Message, most_bytes: int) -> bytes:
        parts, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most_bytes:
                raise too_large(most_bytes)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await self.receive()

    async def json(self, decoder: msgspec.json.Decoder[T], most_bytes: int, empty: bytes = b"") -> T:
        """The body as a value; `empty` stands in for no body where none is needed."""
        content_type = self.headers.get(b"content-type")
        if content_type is not None and content_type != JSON:
            require_type(content_type, _JSON_TYPES)
        return decode(decoder, await self.body(most_bytes) or empty)


_JSON_TYPES = ("application/json", "application/merge-patch+json")


def at_once(receive: Receive) -> Message | None:
    """The next message from a client, if it is here already; asked without waiting and without a trace."""
    waiting = cast("Generator[object, None, Message]", receive().__await__())
    try:
        next(waiting)
    except StopIteration as done:
        return cast("Message", done.value)
    waiting.close()
    return None


def one_each(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; several of one name are one list (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def media_type(content_type: bytes | None) -> str:
    """The media type without its parameters, in lower case."""
    return (content_type or b"").decode("latin-1").partition(";")[0].strip().lower()


def require_type(content_type: bytes | None, types: tuple[str, ...]) -> str:
    """The media type, which must be one of these."""
    found = media_type(content_type)
    if found not in types:
        raise Problem("unsupported_media_type", params={"types": ", ".join(types)})
    return found


def too_large(most_bytes: int) -> Problem:
    """The body is too large; the rest of it is not read, so the connection ends."""
    return Problem("body_too_large", params={"most_bytes": most_bytes}, headers=[(b"connection", b"close")])


def decode(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    """A value from JSON; what is wrong with it becomes a fault that names the field and the remedy."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid_body(fault_of(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem("malformed_json") from None


_AT = re.compile(r"(?s)(.*?)(?: - at `(?:key in )?\$(.*)`)?")


def fault_of(message: str) -> FaultAt:
    """A fault from what msgspec says, such as "Expected `str`, got `int` - at `$.seats[0].category`"."""
    match = _AT.fullmatch(message)
    assert match is not None
    text, path = match.group(1), match.group(2) or ""
    # A fault inside of a dictionary has no name there: it is laid at the dictionary's own door.
    pointer = re.sub(r"\[(\d+)\]", r"/\1", path.partition("[...]")[0]).replace(".", "/")
    named = re.search(r"field `(.*)`", text)
    if text.startswith("Object missing required field") and named:
        return FaultAt(f"{pointer}/{named.group(1)}", "missing")
    if text.startswith("Object contains unknown field") and named:
        return FaultAt(f"{pointer}/{named.group(1)}", "unknown_field")
    if text.startswith("Invalid enum value"):
        return FaultAt(pointer, "no_choice")
    expected = re.sub(r"^Expected ", "", text.partition(", got ")[0]).replace("`", "")
    code = "out_of_range" if re.search(r" of length | [<>]=? |out of range", text) else "wrong_type"
    return FaultAt(pointer, code, {"expected": expected})


def json_answer(value: Any, status: int = 200, headers: Headers | None = None) -> Answer:
    """A value as an answer."""
    return Answer(status, _encoder.encode(value), headers if headers is not None else [])
