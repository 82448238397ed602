"""An HTTP/1.1 client that costs little: one request at a time on one kept-alive connection.

A general client spends 0.1 to 2 ms of CPU a request, which would measure the client. This one is a
protocol and the parser: bytes that were made beforehand go out, status and body come back by callback.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
USER_AGENT: Final = "veltrix-load"
_ASK_AGAIN_S: Final = 0.3


class ClientError(Exception):
    """The server could not be asked, or answered what no setup can go on with."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is; `path` is what stood behind host and port, without a trailing slash."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Target:
        """From a URL; raises `ClientError` with the remedy when it is none."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"{url!r} is no URL; use one such as http://127.0.0.1:8080")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise ClientError(f"{url!r} is no URL: {error}") from None
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Host and port, as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def base(self) -> str:
        """The URL without its path."""
        return f"{self.scheme}://{self.authority}"


class Connection(asyncio.Protocol):
    """One connection. `done(connection, status, body, received_ns)` is called once for each request.

    Status 0 says that the connection ended without a whole answer. `lost` is called once it has ended,
    whoever ended it. Header fields are kept as bytes and only parsed when somebody wants them.
    """

    __slots__ = ("_chunks", "_parser", "_parts", "alive", "busy", "call", "done", "lost", "peer", "transport")

    def __init__(
        self,
        done: Callable[[Connection, int, bytes, int], None],
        lost: Callable[[Connection], None] | None = None,
    ) -> None:
        self.done = done
        self.lost = lost
        self.transport: asyncio.Transport | None = None
        self.alive = False
        self.busy = False
        self.peer: Target | None = None
        self.call: Any = None  # what the owner is about; the client does not look at it
        self._parts: list[bytes] = []
        self._chunks: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop's: it is open."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.alive = True

    def send(self, payload: bytes) -> None:
        """Write a whole request; nothing else may be under way."""
        assert self.alive, "asked on a connection that has ended"
        assert not self.busy, "asked while an answer is outstanding"
        assert self.transport is not None
        self.busy = True
        self._chunks.clear()
        self._parts.clear()
        self.transport.write(payload)

    def data_received(self, data: bytes) -> None:
        """The loop's: bytes came."""
        self._chunks.append(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def on_body(self, data: bytes) -> None:
        """The parser's: a part of the body."""
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """The parser's: the answer is whole."""
        received_ns = time.monotonic_ns()
        status = self._parser.get_status_code()
        if status < 200 or not self.busy:
            return
        if not self._parser.should_keep_alive():
            self._close()
        self.busy = False
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self.done(self, status, body, received_ns)

    def headers(self) -> dict[str, str]:
        """The header fields of the last answer, names in lower case; valid until the next request."""
        head = b"".join(self._chunks).partition(b"\r\n\r\n")[0].decode("latin-1")
        fields = (line.partition(":") for line in head.split("\r\n")[1:])
        return {name.strip().lower(): value.strip() for name, _, value in fields}

    def eof_received(self) -> bool:
        """The loop's: the other side has ended; so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop's: it has ended."""
        del exc
        self._leave_unanswered()
        if self.lost is not None:
            lost, self.lost = self.lost, None
            lost(self)

    def abort(self) -> None:
        """End it at once, without leaving a port in TIME_WAIT."""
        self._close()
        self._leave_unanswered()

    def _close(self) -> None:
        self.alive = False
        if self.transport is None or self.transport.is_closing():
            return
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def _leave_unanswered(self) -> None:
        self.alive = False
        if self.busy:
            self.busy = False
            self.done(self, 0, b"", time.monotonic_ns())


async def open_connection(target: Target, connection: Connection) -> Connection:
    """Connect it, with TLS where the target wants it; raises `OSError`."""
    connection.peer = target
    context = ssl.create_default_context() if target.scheme == "https" else None
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: connection, target.host, target.port, ssl=context)
    return connection


def request_bytes(
    target: Target, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> bytes:
    """A whole request, ready to be written."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {target.authority}", f"User-Agent: {USER_AGENT}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Asker:
    """Asks one thing after another, for whatever is not the load itself: setting up, exporting, waiting.

    With `also`, further URLs of the same platform, it asks the next one when the one before does not
    answer, for `patience_s`: what it asks must bear repetition (GET, or under an Idempotency-Key).
    """

    def __init__(
        self,
        target: Target,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        also: tuple[Target, ...] = (),
        patience_s: float = 0.0,
    ) -> None:
        self.target = target
        self.api_key = api_key
        self.timeout_s = timeout_s
        self._patience_s = patience_s
        self._turns = deque((target, *also))
        self._connection: Connection | None = None
        self._answer: asyncio.Future[Response] | None = None

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """One request and its answer; raises `ClientError` when there is none."""
        deadline_s = time.monotonic() + self._patience_s
        while True:
            try:
                answer = await self._ask_once(method, path, body, headers)
                if answer.status != 503 or time.monotonic() > deadline_s:
                    return answer
            except ClientError:
                if time.monotonic() > deadline_s:
                    raise
            await self.close()
            self._turns.rotate(-1)
            self.target = self._turns[0]
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _ask_once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None
    ) -> Response:
        fields = dict(headers or {})
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
        if self.api_key is not None:
            fields["Authorization"] = f"Bearer {self.api_key}"
        connection = await self._open()
        self._answer = asyncio.get_running_loop().create_future()
        connection.send(request_bytes(self.target, method, path, fields, body))
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._answer
        except TimeoutError:
            connection.abort()
            raise ClientError(
                f"{method} {path}: no answer from {self.target.authority} in {self.timeout_s:g} s"
            ) from None

    async def close(self) -> None:
        """End the connection; safe to call twice."""
        if self._connection is not None:
            self._connection.lost = None
            self._connection.abort()
            self._connection = None

    async def _open(self) -> Connection:
        if self._connection is None or not self._connection.alive:
            try:
                async with asyncio.timeout(self.timeout_s):
                    self._connection = await open_connection(self.target, Connection(self._done))
            except OSError as error:  # a time-out is one, too
                raise ClientError(f"no server at {self.target.base}: {error}") from None
        return self._connection

    def _done(self, connection: Connection, status: int, body: bytes, received_ns: int) -> None:
        del received_ns
        if self._answer is None or self._answer.done():
            return
        if status == 0:
            self._answer.set_exception(
                ClientError(f"{self.target.authority} ended the connection instead of answering")
            )
        else:
            self._answer.set_result(Response(status, connection.headers(), body))
