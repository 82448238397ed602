"""HTTP as far as a webhook needs it: answers in every form, and what comes unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registration.house import until
from veltrix.adapters.webhook.exchange import Answered, Exchange, Unanswered
from veltrix.domain import limits

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(*answers: bytes, then_close: bool = False):
    """A connection to a server that gives these answers, one a request."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                await reader.readuntil(b"{}")
                writer.write(answer)
                await writer.drain()
            if not then_close:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, exchange = await asyncio.get_running_loop().create_connection(Exchange, "127.0.0.1", port)
        try:
            yield exchange
        finally:
            exchange.close()


@pytest.mark.parametrize(
    ("answer", "status", "beginning", "reusable"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine", 200, b"fine", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
         200, b"fine", True),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfine", 200, b"fine", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nfine", 200, b"fine", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n", 201, b"", True),
        (b"HTTP/1.1 103 Early Hints\r\nretry-after: 1\r\n\r\nHTTP/1.1 204 Done\r\n\r\n", 204, b"", True),
    ],
)  # fmt: skip
async def test_an_answer_is_read_in_each_of_its_forms(answer, status, beginning, reusable):
    """With a length, in chunks, after one that merely informs: status, body, and whether one may go on."""
    async with connected(answer) as exchange:
        assert await exchange.send(REQUEST, 15.0) == Answered(status, None, beginning)
        assert exchange.reusable is reusable


async def test_a_body_without_a_length_ends_with_its_connection():
    """Of a body that only the end of the connection ends, the beginning is kept."""
    async with connected(b"HTTP/1.1 500 Oops\r\n\r\nbecause", then_close=True) as exchange:
        assert await exchange.send(REQUEST, 15.0) == Answered(500, None, b"because")
        assert not exchange.reusable


async def test_requests_follow_each_other():
    """One connection carries many, and each answer is its own request's."""
    answers = [b"HTTP/1.1 %d X\r\ncontent-length: 1\r\n\r\n%d" % (200 + n, n) for n in range(4)]
    async with connected(*answers) as exchange:
        for number in range(4):
            got = await exchange.send(REQUEST, 15.0)
            assert (got.status, got.beginning) == (200 + number, b"%d" % number)


async def test_an_answer_that_nobody_asked_for_is_never_taken_for_another_s():
    """Two answers to one request: the second ends the connection instead of answering the next request."""
    twice = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with connected(twice) as exchange:
        assert (await exchange.send(REQUEST, 15.0)).status == 500
        assert not exchange.reusable


async def test_what_comes_while_idle_ends_the_connection():
    """Bytes between two requests are nobody's answer."""
    async with connected(b"HTTP/1.1 204 OK\r\n\r\n") as exchange:
        await exchange.send(REQUEST, 15.0)
        exchange.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        assert not exchange.reusable


async def test_a_connection_that_closed_while_idle_is_not_used_again():
    """What the server closed between two requests is seen before anything is sent on it."""
    async with connected(b"HTTP/1.1 204 OK\r\n\r\n", then_close=True) as exchange:
        await exchange.send(REQUEST, 15.0)
        await until(lambda: not exchange.reusable)


async def test_who_stops_waiting_leaves_no_answer_behind():
    """A cancelled request takes its connection with it."""
    async with connected() as exchange:
        waiting = asyncio.create_task(exchange.send(REQUEST, 15.0))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not exchange.reusable


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x00" * 64,
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (limits.WEBHOOK_HEAD_MAX_BYTES + 1),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_unanswered(answer):
    """Switched protocols, two lengths, garbage, an endless head: nothing that one could rely on."""
    async with connected(answer) as exchange:
        with pytest.raises(Unanswered):
            await exchange.send(REQUEST, 15.0)
        assert not exchange.reusable


class Wire:
    """A transport that only says whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        """Take it."""

    def abort(self) -> None:
        """Close."""
        self.closed = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed


PARTS = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 No\r\n", b"retry-after: 7\r\n", b"content-length: 3\r\n",
         b"transfer-encoding: chunked\r\n", b"\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc",
         b"HTTP/1.1 100 C\r\n\r\n"]
    ),
)  # fmt: skip


@given(st.lists(PARTS, max_size=12), st.booleans())
def test_whatever_comes_there_is_one_end(parts, breaks):
    """For any bytes in any pieces a request ends answered or unanswered, with a status that is one."""

    async def play() -> None:
        exchange = Exchange()
        wire = Wire()
        exchange.connection_made(wire)  # type: ignore[arg-type] # as much of one as is needed
        sending = asyncio.create_task(exchange.send(REQUEST, 15.0))
        await asyncio.sleep(0)
        for part in parts:
            if not wire.closed:
                exchange.data_received(part)
        exchange.connection_lost(OSError() if breaks else None)
        try:
            answered = await sending
        except Unanswered:
            assert wire.closed
        else:
            assert 200 <= answered.status <= 999
            assert len(answered.beginning) <= limits.WEBHOOK_EXCERPT_BYTES
        assert not exchange.reusable

    asyncio.run(play())
