"""Mail over SMTP, on a small pool of connections.

Every step is taken by itself, so that what certainly did not arrive is told apart from what may have:
only between the final dot of a message and its answer can a lost connection mean either. What a server
says in words may name the person, so a result keeps its codes alone.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.response import SMTPResponse

from veltrix.domain import limits
from veltrix.ports.channel import Attempt, Mail, Sent

_MAILS_PER_CONNECTION: Final = 100
_OK: Final = range(200, 300)
_GO_ON: Final = 354
_CLOSING: Final = 421
# Not about this mail but about us: a login that is missing or wrong, commands out of order.
_OURS: Final = frozenset({503, 530, 534, 535, 538})
_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


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


@dataclass(slots=True)
class _Connection:
    client: SMTP
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
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._slots.acquire()
        except TimeoutError:
            return Attempt(Sent.NOT_SENT, "every connection stayed busy")
        try:
            if self._closed:
                return Attempt(Sent.NOT_SENT, "the channel is closed")
            return await self._send(mail, deadline_s)
        finally:
            self._slots.release()

    async def forget(self, notices: list[str]) -> None:
        """Nothing is kept here; what a server was given is the server's."""

    async def close(self) -> None:
        """Say goodbye on idle connections; those in use close when their mail is done."""
        self._closed = True
        while self._idle:
            await self._quit(self._idle.pop())

    async def _send(self, mail: Mail, deadline_s: float) -> Attempt:
        while True:
            kept = self._take_idle()
            connection = kept
            try:
                if connection is None:
                    connection = await self._connect(deadline_s)
                await self._transmit(connection, mail, deadline_s)
            except _Failed as failed:
                if connection is not None:
                    await self._done(connection, keep=failed.reusable)
                return failed.attempt
            except SMTPServerDisconnected:
                if connection is not None:
                    connection.client.close()
                if kept is None:
                    return Attempt(Sent.NOT_SENT, "the server closed the connection")
                continue  # it was closed while it lay idle, before anything of this mail was taken
            except BaseException:
                if connection is not None:
                    connection.client.close()
                raise
            await self._done(connection, keep=True)
            return Attempt(Sent.ACCEPTED)

    def _take_idle(self) -> _Connection | None:
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if (
                connection.client.is_connected
                and now_s - connection.idle_since_s < limits.MAIL_CONNECTION_IDLE_S
            ):
                return connection
            connection.client.close()
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
            raise _Failed(_said(Sent.NOT_SENT, "connect", error.code, error.message)) from error
        except (SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise _Failed(Attempt(Sent.NOT_SENT, f"cannot connect: {type(error).__name__}")) from error
        return _Connection(client)

    async def _transmit(self, connection: _Connection, mail: Mail, deadline_s: float) -> None:
        """MAIL, RCPT, DATA. Returns when the server has accepted the mail, raises `_Failed` otherwise."""
        client = connection.client
        international = not (mail.sender.isascii() and mail.recipient.isascii())
        if international and not client.supports_extension("smtputf8"):
            raise _Failed(Attempt(Sent.REFUSED, "the server takes no such address (SMTPUTF8)"), reusable=True)
        options = [b"SMTPUTF8"] if international else []
        if client.supports_extension("size"):
            options.append(b"SIZE=%d" % len(mail.content))
        sender, recipient = mail.sender.encode(), mail.recipient.encode()
        try:
            async with asyncio.timeout_at(deadline_s):
                await _command(client, "MAIL", b"FROM:<" + sender + b">", *options)
                await _command(client, "RCPT", b"TO:<" + recipient + b">")
                answer = await client.execute_command(b"DATA", timeout=None)
                if answer.code != _GO_ON:
                    raise _refusal("DATA", answer)
        except TimeoutError as error:
            raise _Failed(Attempt(Sent.NOT_SENT, "the server did not answer in time")) from error
        except SMTPResponseException as error:  # no SMTP at all
            raise _Failed(_said(Sent.NOT_SENT, "answer", error.code, error.message)) from error
        except ValueError as error:  # the client sends no control characters
            raise _Failed(Attempt(Sent.REFUSED, "the address cannot be sent")) from error
        answer = await _content(client, mail.content, deadline_s)
        connection.mails += 1
        if answer.code not in _OK:
            raise _refusal("content", answer)

    async def _done(self, connection: _Connection, *, keep: bool) -> None:
        client = connection.client
        if not keep or self._closed or connection.mails >= _MAILS_PER_CONNECTION:
            if keep:
                await self._quit(connection)
            client.close()
            return
        connection.idle_since_s = asyncio.get_running_loop().time()
        self._idle.append(connection)

    async def _quit(self, connection: _Connection) -> None:
        with suppress(SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await connection.client.quit()
        connection.client.close()


async def _command(client: SMTP, verb: str, argument: bytes, *options: bytes) -> None:
    answer = await client.execute_command(verb.encode() + b" " + argument, *options, timeout=None)
    if answer.code in _OK:
        return
    failed = _refusal(verb, answer)
    if failed.reusable:
        try:
            reset = await client.execute_command(b"RSET", timeout=None)
            failed.reusable = reset.code in _OK
        except SMTPException:
            failed.reusable = False
    raise failed


async def _content(client: SMTP, content: bytes, deadline_s: float) -> SMTPResponse:
    """Send the message with its final dot and wait for the answer; from here on, silence is unknown."""
    protocol = client.protocol
    if protocol is None:
        raise _Failed(Attempt(Sent.NOT_SENT, "the server closed the connection"))
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
    try:
        protocol.write(stuffed + end)
    except SMTPServerDisconnected as error:
        raise _Failed(Attempt(Sent.NOT_SENT, "the server closed the connection")) from error
    try:
        async with asyncio.timeout_at(deadline_s):
            return await protocol.read_response()
    except (SMTPException, OSError, TimeoutError) as error:
        client.close()
        reason = f"transmitted, but the answer was lost: {type(error).__name__}"
        raise _Failed(Attempt(Sent.UNKNOWN, reason)) from error


def _refusal(step: str, answer: SMTPResponse) -> _Failed:
    """5xx is for good, unless it is about us; all else may pass another time."""
    for_good = 500 <= answer.code < 600 and answer.code not in _OURS
    sent = Sent.REFUSED if for_good else Sent.NOT_SENT
    return _Failed(_said(sent, step, answer.code, answer.message), reusable=answer.code != _CLOSING)


def _said(sent: Sent, step: str, code: int, message: str) -> Attempt:
    enhanced = _ENHANCED.match(message)
    return Attempt(sent, f"{step}: {code} {enhanced.group()}" if enhanced else f"{step}: {code}")


def _left_s(deadline_s: float) -> float:
    return max(0.1, deadline_s - asyncio.get_running_loop().time())
