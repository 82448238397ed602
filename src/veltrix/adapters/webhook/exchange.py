"""One connection, and one request on it at a time: HTTP/1.1 as far as a webhook needs it.

aiohttp spends some 0.2 ms of a core on a POST, most of it on what is not needed here (cookies, redirects,
encodings, a stack of timers); this and httptools' parser take a tenth. What is read is bounded: a head of
`WEBHOOK_HEAD_MAX_BYTES`, the first KiB of a body. The rest of an answer ends with its connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, cast

import httptools

from veltrix.domain import limits

_INFORMATIONAL: Final = range(100, 200)
_SWITCHING: Final = 101


class Unanswered(Exception):
    """The request left, wholly or in part, and no answer came that one could read."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The status of an answer, its `Retry-After`, and the beginning of its body."""

    status: int
    retry_after: str | None
    beginning: bytes


class Exchange(asyncio.Protocol):
    """A connection. `reusable` says whether another request may go out on it."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: asyncio.Future[Answered] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reusable = True
        self._begin()

    def _begin(self) -> None:
        self._status = 0
        self._retry_after: str | None = None
        self._beginning = b""
        self._head_bytes = 0
        self._hurried = False

    @property
    def reusable(self) -> bool:
        """Whether another request may go out."""
        return self._reusable and self._transport is not None and not self._transport.is_closing()

    async def send(self, request: bytes, timeout_s: float) -> Answered:
        """Send a request and wait for its answer. Raises `Unanswered`."""
        assert self.reusable and self._answer is None, "one request at a time"
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._begin()
        self._parser = httptools.HttpResponseParser(self)
        self._answer = loop.create_future()
        self._timer = loop.call_later(timeout_s, self._late, f"no answer within {timeout_s:.0f} s")
        try:
            self._transport.write(request)
            return await self._answer
        except BaseException:
            self._reusable = False  # an answer may still come, and must not be taken for another's
            raise
        finally:
            self._timer.cancel()
            self._answer = None
            if not self._reusable:
                self.close()

    def close(self) -> None:
        """End the connection, whatever is under way on it."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A part of an answer; or more than was asked for, which nobody can trust."""
        if self._answer is None or self._answer.done() or self._parser is None:
            self.close()
            return
        if not self._status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, UnicodeError):
            self._fail("no answer: what came is no HTTP")
            return
        if not self._status:
            if self._head_bytes > limits.WEBHOOK_HEAD_MAX_BYTES:
                self._fail("no answer: its head does not end")
        elif not self._answer.done() and not self._hurried:
            self._hurried = True  # the outcome is known: the body may take a moment, and no longer
            assert self._timer is not None
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(limits.WEBHOOK_EXCERPT_S, self._late, "")

    def eof_received(self) -> bool:
        """Nothing more comes: for a body without a length that is its end."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._reusable = False
        if self._answer is None or self._answer.done():
            return
        if self._status:
            self._finish()  # the status was read: how the body ends changes nothing
        else:
            self._fail("no answer: the connection broke" if exc else "no answer: the connection was closed")

    # -- httptools -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins. One that nobody asked for ends the use of the connection."""
        if self._answer is None or self._answer.done():
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; of all of them one matters."""
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is read, and with it the outcome."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status == _SWITCHING:
            raise httptools.HttpParserError("nobody asked to switch protocols")
        if status in _INFORMATIONAL:
            self._retry_after = None
            return
        self._status = status

    def on_body(self, body: bytes) -> None:
        """A part of the body: its first KiB is kept, and one that is longer is cut off."""
        room = limits.WEBHOOK_EXCERPT_BYTES - len(self._beginning)
        self._beginning += body[:room]
        if len(body) > room:
            self._reusable = False
            self._finish()

    def on_message_complete(self) -> None:
        """The answer is whole; one that merely informs is followed by another."""
        assert self._parser is not None
        if not self._status:
            return
        if not self._parser.should_keep_alive():
            self._reusable = False
        self._finish()

    # -- ends ----------------------------------------------------------------------------------------

    def _late(self, why: str) -> None:
        self._reusable = False
        if self._status:
            self._finish()
        else:
            self._fail(why)

    def _finish(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answered(self._status, self._retry_after, self._beginning))

    def _fail(self, why: str) -> None:
        self._reusable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unanswered(why))
        self.close()
