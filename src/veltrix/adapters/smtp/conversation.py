"""One connection to a mail server after its greeting: groups of commands, answered in order (RFC 2920).

It also knows whether all that was written has left this process. A connection that is lost while the end of
a message is still here did not deliver it: only what the system took over can have arrived.
"""

from __future__ import annotations

import asyncio
from typing import Final

from veltrix.adapters.smtp.answers import CLOSING, Answer

ANSWER_MAX_BYTES: Final = 32 * 1024


class Lost(Exception):
    """The connection is gone, or its answers make no sense; `flushed`: all that was written had left."""

    def __init__(self, why: str, *, flushed: bool) -> None:
        super().__init__(why)
        self.flushed = flushed


class Late(Lost):
    """No answer came in time."""


class Conversation(asyncio.Protocol):
    """Takes over a connection that was greeted, secured and logged in."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._partial = b""
        self._lines: list[bytes] = []
        self._answers: list[Answer] = []
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._flushed = True
        self._why = ""
        # So that the transport tells about every byte that the system did not take at once.
        transport.set_write_buffer_limits(high=0)
        transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether another command can be said: it is open, and said nothing that it was not asked."""
        return not self._why and not self._transport.is_closing()

    async def ask(self, commands: bytes, answers: int, deadline_s: float) -> list[Answer]:
        """Write commands and wait for that many answers; fewer come when the last says that it closes.

        Raises `Lost`, or `Late` after the deadline (of the loop's clock); the connection is closed then.
        """
        if not self.usable:
            raise Lost(self._why or "the server closed the connection", flushed=False)
        self._wanted = answers
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(deadline_s, self._expire)
        self._transport.write(commands)
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._waiter = None
            self._wanted = 0
        found, self._answers = self._answers, []
        return found

    def abort(self) -> None:
        """Drop the connection with whatever was not sent yet."""
        self._why = self._why or "the connection was dropped"
        self._transport.abort()

    def say(self, commands: bytes) -> None:
        """Write without waiting for an answer, and close when it is written."""
        if self.usable:
            self._transport.write(commands)
        self._why = self._why or "the connection was closed"
        self._transport.close()

    def pause_writing(self) -> None:
        """The system did not take all at once."""
        self._flushed = False

    def resume_writing(self) -> None:
        """The system took the rest."""
        self._flushed = True

    def data_received(self, data: bytes) -> None:
        """Answers, or parts of one."""
        if self._partial:
            data = self._partial + data
        lines = data.split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            self._take(line)
        if len(self._partial) + sum(map(len, self._lines)) > ANSWER_MAX_BYTES:
            self._fail("an answer is endless")

    def eof_received(self) -> None:
        """The server is done."""
        self._fail("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._fail("the server closed the connection" if exc is None else "the connection was lost")

    def _take(self, line: bytes) -> None:
        code, mark = line[:3], line[3:4]
        if not code.isdigit() or mark not in (b" ", b"-", b"", b"\r"):
            self._fail("the server speaks something else")
            return
        if mark == b"-":
            self._lines.append(line[4:])
            return
        said = line[4:]
        if self._lines:
            said = b"\n".join([*self._lines, said])
            self._lines = []
        answer = Answer(int(code), said)
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._fail("the server spoke unasked")  # mostly that it closes what lay idle
            return
        self._answers.append(answer)
        if len(self._answers) >= self._wanted or answer.code == CLOSING:
            waiter.set_result(None)

    def _expire(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(Late("the server did not answer in time", flushed=self._flushed))
        self.abort()

    def _fail(self, why: str) -> None:
        self._why = self._why or why
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(Lost(why, flushed=self._flushed))
        if not self._transport.is_closing():
            self._transport.abort()
