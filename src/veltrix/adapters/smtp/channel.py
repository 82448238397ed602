"""Mail over SMTP, on a small pool of connections.

What certainly did not arrive is told apart from what may have: only between the end of a message and its
answer can a lost connection mean either, and only if that end had left this process. So the message waits
for the server's word that the recipient is taken (354), also where the commands before it go out as one
group (PIPELINING); BDAT would send it along with them, and with every connection lost there nobody would
know (docs/adr/0026).
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPResponseException

from veltrix.adapters.smtp.answers import CLOSING, GO_ON, Answer, refusal, said
from veltrix.adapters.smtp.conversation import Conversation, Late, Lost
from veltrix.domain import limits
from veltrix.ports.channel import Attempt, Mail, Sent

_MAILS_PER_CONNECTION: Final = 500
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_NO_PATH: Final = re.compile(r"[\x00-\x20\x7f<>]")
_NO_LINE_END: Final = bytes(set(range(256)) - {10, 13})
_LOCAL_PART_MAX_BYTES: Final = 64  # RFC 5321, 4.5.3.1.1
_STEPS: Final = ("MAIL", "RCPT", "DATA")


class Security(StrEnum):
    """How a connection is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class _Failed(Exception):
    """The attempt is over; `reusable` says whether the connection is still in step."""

    def __init__(self, attempt: Attempt, *, reusable: bool = False) -> None:
        super().__init__(attempt.detail)
        self.attempt = attempt
        self.reusable = reusable


class _Stale(Exception):
    """The connection was closed while it lay idle, before anything of this mail was taken."""


@dataclass(slots=True)
class _Connection:
    """A connection and what its server offers."""

    talk: Conversation
    pipelining: bool
    size: bool
    eight_bit: bool
    international: bool
    mails: int = 0
    idle_since_s: float = 0.0


class SmtpChannel:
    """A channel to one mail server (a relay), by at most `connections` connections at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        security: Security = Security.STARTTLS,
        *,
        username: str | None = None,
        password: str | None = None,
        connections: int = limits.MAIL_CONNECTIONS_MAX,
        timeout_s: float = limits.SEND_TIMEOUT_S,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._username, self._password = username, password
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._closed = False
        if tls_context is None and security is not Security.NONE:
            tls_context = ssl.create_default_context()
        self._tls_context = tls_context
        name = socket.gethostname()
        self._local_name = name if _HOST_NAME.fullmatch(name) else "localhost"

    @property
    def name(self) -> str:
        """`email`."""
        return "email"

    async def send(self, mail: Mail) -> Attempt:
        """Hand the mail to the server; everything, waiting for a free connection too, within the time-out."""
        why_not = unfit(mail)
        if why_not:
            return Attempt(Sent.REFUSED, why_not, own_fault=True)
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        try:
            if self._slots.locked():
                async with asyncio.timeout_at(deadline_s):
                    await self._slots.acquire()
            else:
                await self._slots.acquire()
        except TimeoutError:
            return Attempt(Sent.NOT_SENT, "every connection stayed busy")
        try:
            if self._closed:
                return Attempt(Sent.NOT_SENT, "the channel is closed", own_fault=True)
            return await self._send(mail, deadline_s)
        finally:
            self._slots.release()

    async def forget(self, notices: list[str]) -> None:
        """Nothing is kept here; what a server was given is the server's."""

    async def close(self) -> None:
        """Say goodbye on idle connections; those in use close when their mail is done."""
        self._closed = True
        while self._idle:
            self._idle.pop().talk.say(b"QUIT\r\n")

    async def _send(self, mail: Mail, deadline_s: float) -> Attempt:
        while True:
            kept = self._take_idle()
            try:
                connection = kept or await self._connect(deadline_s)
            except _Failed as failed:
                return failed.attempt
            try:
                attempt = await _transmit(connection, mail, deadline_s)
            except _Failed as failed:
                self._done(connection, keep=failed.reusable)
                return failed.attempt
            except _Stale:
                if kept is None:
                    return Attempt(Sent.NOT_SENT, "the server closed the connection")
                continue
            except BaseException:
                connection.talk.abort()
                raise
            self._done(connection, keep=True)
            return attempt

    def _take_idle(self) -> _Connection | None:
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.talk.usable and now_s - connection.idle_since_s < limits.MAIL_CONNECTION_IDLE_S:
                return connection
            connection.talk.say(b"QUIT\r\n")
        return None

    async def _connect(self, deadline_s: float) -> _Connection:
        client = SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=self._local_name,
            timeout=_left_s(deadline_s),
            use_tls=self._security is Security.TLS,
            start_tls=self._security is Security.STARTTLS,
            tls_context=self._tls_context,
            username=self._username,
            password=self._password,
        )
        try:
            async with asyncio.timeout_at(deadline_s):
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
        except SMTPResponseException as error:
            client.close()
            answer = Answer(error.code, error.message.encode("utf-8", "replace"))
            attempt = Attempt(Sent.NOT_SENT, said("connect", answer), code=_code(answer))
            raise _Failed(attempt) from error
        except (SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise _Failed(Attempt(Sent.NOT_SENT, f"cannot connect: {type(error).__name__}")) from error
        transport = client.transport
        if transport is None or transport.is_closing():
            raise _Failed(Attempt(Sent.NOT_SENT, "the server closed the connection"))
        offers = client.supports_extension
        return _Connection(
            Conversation(cast("asyncio.Transport", transport)),  # uvloop's is one in all but its class
            offers("pipelining"),
            offers("size"),
            offers("8bitmime"),
            offers("smtputf8"),
        )

    def _done(self, connection: _Connection, *, keep: bool) -> None:
        talk = connection.talk
        if not keep:
            talk.abort()
        elif self._closed or connection.mails >= _MAILS_PER_CONNECTION:
            talk.say(b"QUIT\r\n")
        elif talk.usable:
            connection.idle_since_s = asyncio.get_running_loop().time()
            self._idle.append(connection)


def unfit(mail: Mail) -> str:
    """Why no server may be given this mail, or nothing: the last door before the wire.

    A line end inside of an address or a header would be a command or a header of somebody else's. In a
    message, a line feed or carriage return alone is an end of line to some servers and none to others, and
    so could end the message in the middle (SMTP smuggling).
    """
    for whose, path in (("sender's", mail.sender), ("recipient's", mail.recipient)):
        if _NO_PATH.search(path):
            return f"the {whose} address holds a space, a bracket or a control character"
        try:
            size = len(path.encode())
        except UnicodeEncodeError:
            return f"the {whose} address is no text"
        if size > limits.EMAIL_MAX_CHARS:
            return f"the {whose} address has more than {limits.EMAIL_MAX_CHARS} bytes"
        if len(path.rpartition("@")[0].encode()) > _LOCAL_PART_MAX_BYTES:
            return f"the {whose} address has more than {_LOCAL_PART_MAX_BYTES} bytes before the @"
    ends = mail.content.translate(None, _NO_LINE_END)
    if ends != b"\r\n" * (len(ends) // 2):
        return "the message holds a line end that is not CR LF"
    return ""


async def _transmit(connection: _Connection, mail: Mail, deadline_s: float) -> Attempt:
    """MAIL, RCPT, DATA and the message. Raises `_Failed` unless the server has accepted it."""
    talk = connection.talk
    commands = _envelope(connection, mail)
    try:
        if connection.pipelining:
            answers = await talk.ask(b"".join(commands), len(commands), deadline_s)
        else:
            answers = await _one_by_one(talk, commands, deadline_s)
    except Late as late:
        raise _Failed(Attempt(Sent.NOT_SENT, str(late))) from late
    except Lost as lost:
        if str(lost) == "the server speaks something else":
            raise _Failed(Attempt(Sent.NOT_SENT, str(lost))) from lost
        raise _Stale from lost
    if answers[-1].code != GO_ON or not all(answer.ok for answer in answers[:-1]):
        await _refused(talk, answers, deadline_s)
    connection.mails += 1
    answer = await _content(talk, mail.content, deadline_s)
    if answer.ok:
        return Attempt(Sent.ACCEPTED, code=answer.code)
    raise _Failed(refusal("content", answer), reusable=answer.code != CLOSING)


def _envelope(connection: _Connection, mail: Mail) -> list[bytes]:
    """The commands before the message. Raises `_Failed` when the server cannot carry it."""
    options = b""
    if not (mail.sender.isascii() and mail.recipient.isascii()):
        if not connection.international:
            why = "the server takes no such address (SMTPUTF8)"
            raise _Failed(Attempt(Sent.REFUSED, why, own_fault=True), reusable=True)
        options += b" SMTPUTF8"
    if not mail.content.isascii():
        if not connection.eight_bit:
            why = "the server takes no mail beyond ASCII (8BITMIME)"
            raise _Failed(Attempt(Sent.REFUSED, why, own_fault=True), reusable=True)
        options += b" BODY=8BITMIME"
    if connection.size:
        options += b" SIZE=%d" % len(mail.content)
    return [
        b"MAIL FROM:<" + mail.sender.encode() + b">" + options + b"\r\n",
        b"RCPT TO:<" + mail.recipient.encode() + b">\r\n",
        b"DATA\r\n",
    ]


async def _one_by_one(talk: Conversation, commands: list[bytes], deadline_s: float) -> list[Answer]:
    """The same for a server without PIPELINING: each command after the answer to the one before."""
    answers: list[Answer] = []
    for command in commands:
        answers += await talk.ask(command, 1, deadline_s)
        if not answers[-1].ok:
            break
    return answers


async def _refused(talk: Conversation, answers: list[Answer], deadline_s: float) -> None:
    """The envelope was not taken: leave the server ready for the next one, and raise `_Failed`."""
    step, answer = next(
        (step, answer)
        for step, answer in zip(_STEPS, answers, strict=False)
        if not (answer.ok or (step == "DATA" and answer.code == GO_ON))
    )
    failed = _Failed(refusal(step, answer), reusable=answer.code != CLOSING)
    if failed.reusable:
        # One that says 354 to nobody waits for a message (RFC 2920, 3.1): an empty one, which it refuses.
        end = b".\r\n" if len(answers) == len(_STEPS) and answers[-1].code == GO_ON else b""
        try:
            if end:
                await talk.ask(end, 1, deadline_s)
            [reset] = await talk.ask(b"RSET\r\n", 1, deadline_s)
            failed.reusable = reset.ok
        except Lost:
            failed.reusable = False
    raise failed


async def _content(talk: Conversation, content: bytes, deadline_s: float) -> Answer:
    """Send the message with its final dot and wait for the answer; once that has left, silence is unknown."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    try:
        [answer] = await talk.ask(
            stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"), 1, deadline_s
        )
    except Lost as lost:
        if not lost.flushed:
            raise _Failed(Attempt(Sent.NOT_SENT, f"{lost}, before the whole message had left")) from lost
        reason = f"transmitted, but the answer was lost: {lost}"
        raise _Failed(Attempt(Sent.UNKNOWN, reason)) from lost
    return answer


def _code(answer: Answer) -> int | None:
    """The code of a real answer: the client makes -1 of what is no SMTP."""
    return answer.code if answer.code > 0 else None


def _left_s(deadline_s: float) -> float:
    return max(0.1, deadline_s - asyncio.get_running_loop().time())
