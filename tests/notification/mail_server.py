"""A real SMTP server on the test's own loop, that fails as a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class MailServer:
    """Keeps what it accepted. `answers` maps a step (MAIL, RCPT, DATA) to what to say instead of yes.

    `drop` names the step whose answer never comes: the connection ends. `hang` names one that waits for
    `release`. `closes` ends the connection after each mail, as servers do with idle clients. `pipelining` is
    offered, and what is `withheld` (`8BITMIME`, say) is not; `options` are those of the last MAIL.
    """

    accepted: list[tuple[str, list[str], bytes, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    drop: str = ""
    hang: str = ""
    closes: bool = False
    pipelining: bool = True
    withheld: frozenset[str] = frozenset()
    options: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    port: int = 0
    transports: list[asyncio.BaseTransport] = field(default_factory=list)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """EHLO: what is offered."""
        session.host_name = hostname
        kept = [each for each in responses if each[4:].split()[0] not in self.withheld]
        return [*kept[:-1], "250-PIPELINING", kept[-1]] if self.pipelining else kept

    async def handle_MAIL(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """MAIL FROM."""
        self.options = options
        said = await self._say("MAIL", server)
        if said.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return said

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """RCPT TO."""
        said = await self._say("RCPT", server)
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """The whole message has arrived."""
        said = await self._say("DATA", server)
        if said.startswith("250"):
            content = envelope.original_content
            assert content is not None
            login = {"tls": session.ssl is not None, "login": session.authenticated}
            self.accepted.append((envelope.mail_from or "", list(envelope.rcpt_tos), content, login))
        if self.closes:
            asyncio.get_running_loop().call_soon(transport_of(server).close)
        return said

    async def _say(self, step: str, server: SMTP) -> str:
        if self.hang == step:
            self.reached.set()
            await self.release.wait()
        if self.drop == step:
            transport_of(server).abort()
        return self.answers.get(step, "250 2.0.0 fine")


def transport_of(server: SMTP) -> asyncio.Transport:
    """The connection of one session."""
    assert isinstance(server.transport, asyncio.Transport)
    return server.transport


def authenticator(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    """Lets in `tickets` with the password `secret`."""
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"tickets", b"secret")
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def serving(
    server: MailServer, *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: bool = False
) -> AsyncIterator[MailServer]:
    """Let the server listen on a free port, with STARTTLS or (`implicit`) TLS from the first byte."""

    def protocol() -> SMTP:
        server.connections += 1
        made = SMTP(
            server,
            hostname="mail.test",
            enable_SMTPUTF8=True,
            tls_context=None if implicit else tls,
            require_starttls=tls is not None and not implicit,
            auth_required=login,
            auth_require_tls=not implicit,
            authenticator=authenticator if login else None,
            loop=asyncio.get_running_loop(),
        )
        protocols.append(made)
        return made

    protocols: list[SMTP] = []
    listening = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=tls if implicit else None
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.release.set()
        listening.close()
        tasks = []
        for each in protocols:
            if each.transport is not None:
                transport_of(each).abort()
            if each._handler_coroutine is not None:
                each._handler_coroutine.cancel()  # one whose handshake failed would wait for minutes
                tasks.append(each._handler_coroutine)
            if each._timeout_handle is not None:
                each._timeout_handle.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


def certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's, client's) context for 127.0.0.1, by a certificate made for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "mail.pem"
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + secret)
    for_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for_server.load_cert_chain(path)
    return for_server, ssl.create_default_context(cadata=pem.decode())
