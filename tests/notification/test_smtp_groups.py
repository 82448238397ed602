"""What a mail server may do that a library for servers does not: raw conversations, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from tests.notification.test_smtp import ACCEPTED, plain
from veltrix.adapters.smtp import Security, SmtpChannel
from veltrix.ports.channel import Sent

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BIG = b"Subject: big\r\n\r\n" + b"x" * 76 + b"\r\n" + (b"y" * 76 + b"\r\n") * 400_000


@asynccontextmanager
async def spoken_to(script: Script, **more) -> AsyncIterator[SmtpChannel]:
    """A channel to a server that greets, offers PIPELINING, and then follows the script."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 raw.test\r\n")
        assert (await reader.readline()).startswith(b"EHLO")
        writer.write(b"250-raw.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        channel = SmtpChannel("127.0.0.1", server.sockets[0].getsockname()[1], Security.NONE, **more)
        try:
            yield channel
        finally:
            await channel.close()


async def message(reader: asyncio.StreamReader) -> bytes:
    """What comes up to the final dot."""
    return await reader.readuntil(b"\r\n.\r\n")


async def envelope(reader: asyncio.StreamReader) -> bytes:
    """MAIL, RCPT and DATA in one group: nothing is answered before all of it is here."""
    return await reader.readuntil(b"DATA\r\n")


async def test_the_commands_before_a_message_are_one_group():
    """MAIL, RCPT and DATA come without waiting, and the message only after the server's go-ahead."""
    early: list[bytes] = []

    async def script(reader, writer):
        assert await envelope(reader) == (
            b"MAIL FROM:<no-reply@tickets.example>\r\nRCPT TO:<ada@example.org>\r\nDATA\r\n"
        )
        writer.write(b"250 fine\r\n250 fine\r\n")
        try:
            async with asyncio.timeout(0.1):
                early.append(await reader.read(100))
        except TimeoutError:
            pass
        writer.write(b"354 go on\r\n")
        await message(reader)
        writer.write(b"250 kept\r\n")
        await reader.read()

    async with spoken_to(script) as channel:
        assert await channel.send(plain()) == ACCEPTED
    assert early == []


async def test_answers_may_come_in_any_pieces():
    """Answers that are cut in the middle of a line, or of several lines, are read as what they are."""

    async def script(reader, writer):
        await envelope(reader)
        for piece in (b"25", b"0-two\r", b"\n250 lines\r\n250 fi", b"ne\r\n35", b"4-go\r\n354", b" on\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await message(reader)
        writer.write(b"250\r\n")
        await reader.read()

    async with spoken_to(script) as channel:
        assert await channel.send(plain()) == ACCEPTED


async def test_a_go_ahead_for_nobody_gets_an_empty_message():
    """A server may refuse the recipient and still say 354: it gets a dot, and the next mail is sent."""

    async def script(reader, writer):
        await envelope(reader)
        writer.write(b"250 fine\r\n550 5.1.1 unknown\r\n354 go on\r\n")
        assert await reader.readline() == b".\r\n"
        writer.write(b"554 no valid recipients\r\n")
        assert await reader.readline() == b"RSET\r\n"
        writer.write(b"250 fine\r\n")
        await envelope(reader)
        writer.write(b"250 fine\r\n250 fine\r\n354 go on\r\n")
        assert await message(reader) == b"Subject: x\r\n\r\nbody\r\n.\r\n"
        writer.write(b"250 kept\r\n")
        await reader.read()

    async with spoken_to(script, connections=1) as channel:
        attempt = await channel.send(plain())
        assert (attempt.sent, attempt.detail, attempt.bounced) == (Sent.REFUSED, "RCPT: 550 5.1.1", True)
        assert await channel.send(plain()) == ACCEPTED


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["reset", "hang"])
def test_a_message_whose_end_never_left_did_not_arrive(how, loop):
    """A server that stops reading in the middle cannot have the final dot: surely not sent, not unknown.
    So it is on the loop that services run on, and on the standard library's."""

    async def script(reader, writer):
        await envelope(reader)
        writer.write(b"250 fine\r\n250 fine\r\n354 go on\r\n")
        await reader.readexactly(1000)
        if how == "reset":
            writer.transport.abort()
        else:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=5.0)

    async def check():
        async with spoken_to(script, timeout_s=1.0) as channel:
            attempt = await channel.send(plain(BIG))
            assert attempt.sent is Sent.NOT_SENT
            assert "before the whole message had left" in attempt.detail

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(check())


async def test_a_refusal_in_the_middle_of_a_message_is_one():
    """A server may refuse a message while it is still coming, and close: that is an answer."""

    async def script(reader, writer):
        await envelope(reader)
        writer.write(b"250 fine\r\n250 fine\r\n354 go on\r\n")
        await reader.readexactly(1000)
        writer.write(b"552 5.3.4 too much\r\n")
        await writer.drain()
        while await reader.read(65_536):
            pass

    async with spoken_to(script) as channel:
        attempt = await channel.send(plain(BIG))
        assert (attempt.sent, attempt.detail) == (Sent.REFUSED, "content: 552 5.3.4")


async def test_what_is_said_to_nobody_ends_the_connection():
    """A server that says on an idle connection that it closes is left: the next mail takes another."""
    goodbyes = asyncio.Event()

    async def script(reader, writer):
        await envelope(reader)
        writer.write(b"250 fine\r\n250 fine\r\n354 go on\r\n")
        await message(reader)
        writer.write(b"250 kept\r\n")
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(b"421 4.4.2 idle for too long\r\n")
        await reader.read()
        goodbyes.set()

    async with spoken_to(script, connections=1) as channel:
        assert await channel.send(plain()) == ACCEPTED
        await goodbyes.wait()
        assert await channel.send(plain()) == ACCEPTED


@pytest.mark.parametrize("answer", [b"250-more\r\n" * 10_000, b"2" * 100_000, b"HTTP/1.1 400 Bad\r\n"])
async def test_nonsense_ends_the_attempt(answer):
    """An endless answer, or one that is none, is a reason to try again and takes bounded memory."""

    async def script(reader, writer):
        await envelope(reader)
        writer.write(answer)
        await reader.read()

    async with spoken_to(script) as channel:
        attempt = await channel.send(plain())
        assert attempt.sent is Sent.NOT_SENT


async def test_nonsense_after_the_message_leaves_it_unknown():
    """What is no answer to the final dot says nothing of whether the mail was taken."""

    async def script(reader, writer):
        await envelope(reader)
        writer.write(b"250 fine\r\n250 fine\r\n354 go on\r\n")
        await message(reader)
        writer.write(b"thanks!\r\n")
        await reader.read()

    async with spoken_to(script) as channel:
        assert (await channel.send(plain())).sent is Sent.UNKNOWN


async def test_a_relay_that_throttles_gets_everything_in_the_end():
    """Three mails a connection, then 451: whoever tries again brings each to its definite result, once."""
    kept: list[bytes] = []

    async def script(reader, writer):
        for _ in range(3):
            await envelope(reader)
            writer.write(b"250 fine\r\n250 fine\r\n354 go on\r\n")
            kept.append(await message(reader))
            writer.write(b"250 kept\r\n")
        await envelope(reader)
        writer.write(b"421 4.7.0 too many on this connection\r\n")
        await writer.drain()

    async with spoken_to(script, connections=2) as channel:
        waiting = [plain(b"Subject: %d\r\n\r\n" % number) for number in range(20)]
        rounds = 0
        while waiting:
            rounds += 1
            assert rounds < 40
            attempts = await asyncio.gather(*(channel.send(mail) for mail in waiting))
            assert {attempt.sent for attempt in attempts} <= {Sent.ACCEPTED, Sent.NOT_SENT}
            assert not any(attempt.own_fault for attempt in attempts if attempt.sent is Sent.NOT_SENT)
            waiting = [
                mail for mail, attempt in zip(waiting, attempts, strict=True) if attempt.sent is Sent.NOT_SENT
            ]
    assert len(kept) == 20
    assert len(set(kept)) == 20
