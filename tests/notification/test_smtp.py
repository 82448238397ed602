"""Mail to a real SMTP server, in good days and bad ones."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.notification.letterbox import material, opened
from tests.notification.mail_server import MailServer, certificate, serving
from tests.notification.stage import SENDER, SIGNER, TEXTS
from veltrix.adapters.smtp import Security, SmtpChannel
from veltrix.domain.notices import NoticeKind
from veltrix.notification.renderer import Renderer
from veltrix.ports.channel import Attempt, Mail, Sent
from veltrix.sealing import Person

MAIL = Renderer(SENDER, SIGNER, TEXTS).mail(material(NoticeKind.CONFIRMED))


ACCEPTED = Attempt(Sent.ACCEPTED, code=250)


def plain(content: bytes = b"Subject: x\r\n\r\nbody\r\n", recipient: str = "ada@example.org") -> Mail:
    """A small mail."""
    return Mail("ntc_" + "a" * 32, "no-reply@tickets.example", recipient, content)


@asynccontextmanager
async def channel_to(server: MailServer, security: Security = Security.NONE, **more):
    """A channel to the server, closed at the end."""
    channel = SmtpChannel("127.0.0.1", server.port, security, **more)
    try:
        yield channel
    finally:
        await channel.close()


async def test_a_mail_arrives_as_it_was_written():
    """Byte for byte, from and to whom the envelope says."""
    async with serving(MailServer()) as server, channel_to(server) as channel:
        assert await channel.send(MAIL) == ACCEPTED
        [(sender, recipients, content, _)] = server.accepted
        assert (sender, recipients) == ("no-reply@tickets.example", ["ada@example.org"])
        assert content == MAIL.content
        assert opened(content).message["to"] == "Ada Lovelace <ada@example.org>"


async def test_lines_that_begin_with_a_dot_arrive():
    """A dot at the beginning of a line is no end of the message."""
    content = b".first\r\n\r\n.\r\n..\r\n.last"
    async with serving(MailServer()) as server, channel_to(server) as channel:
        assert (await channel.send(plain(content))).sent is Sent.ACCEPTED
        assert server.accepted[0][2] == content + b"\r\n"


async def test_connections_are_kept_and_bounded():
    """Many mails at once share few connections, one after the other on each."""
    async with serving(MailServer()) as server, channel_to(server, connections=3) as channel:
        attempts = await asyncio.gather(*(channel.send(plain()) for _ in range(50)))
        assert {attempt.sent for attempt in attempts} == {Sent.ACCEPTED}
        assert len(server.accepted) == 50
        assert server.connections <= 3


async def test_starttls_and_login(tmp_path):
    """The connection is encrypted and the login made before any mail."""
    for_server, for_client = certificate(tmp_path)
    async with (
        serving(MailServer(), tls=for_server, login=True) as server,
        channel_to(
            server, Security.STARTTLS, username="tickets", password="secret", tls_context=for_client
        ) as channel,
    ):
        assert await channel.send(plain()) == ACCEPTED
        assert server.accepted[0][3] == {"tls": True, "login": True}


async def test_tls_from_the_first_byte(tmp_path):
    """A server that speaks TLS only is spoken to in TLS."""
    for_server, for_client = certificate(tmp_path)
    async with (
        serving(MailServer(), tls=for_server, implicit=True) as server,
        channel_to(server, Security.TLS, tls_context=for_client) as channel,
    ):
        assert await channel.send(plain()) == ACCEPTED


async def test_no_mail_to_a_server_that_nobody_vouches_for(tmp_path):
    """A certificate that does not verify ends the attempt before anything is said."""
    for_server, _ = certificate(tmp_path)
    async with (
        serving(MailServer(), tls=for_server) as server,
        channel_to(server, Security.STARTTLS) as channel,
    ):
        attempt = await channel.send(plain())
        assert attempt.sent is Sent.NOT_SENT
        assert server.accepted == []


async def test_no_mail_in_clear_where_starttls_is_asked_for():
    """A server without STARTTLS gets nothing, also when somebody in between took it away."""
    async with serving(MailServer()) as server, channel_to(server, Security.STARTTLS) as channel:
        assert (await channel.send(plain())).sent is Sent.NOT_SENT
        assert server.accepted == []


async def test_a_wrong_password_is_not_the_mails_fault(tmp_path):
    """A refused login is for the operator to mend; the mail waits."""
    for_server, for_client = certificate(tmp_path)
    async with (
        serving(MailServer(), tls=for_server, login=True) as server,
        channel_to(
            server, Security.STARTTLS, username="tickets", password="wrong", tls_context=for_client
        ) as channel,
    ):
        attempt = await channel.send(plain())
        assert attempt.sent is Sent.NOT_SENT
        assert attempt.detail.startswith("connect: 535")
    async with (
        serving(MailServer(), tls=for_server, login=True) as server,
        channel_to(server, Security.STARTTLS, tls_context=for_client) as channel,
    ):
        attempt = await channel.send(plain())
        assert (attempt.sent, attempt.detail) == (Sent.NOT_SENT, "MAIL: 530 5.7.0")
        assert not attempt.own_fault


both_ways = pytest.mark.parametrize("pipelining", [True, False], ids=["in a group", "one by one"])


@both_ways
@pytest.mark.parametrize(
    ("step", "answer", "expected"),
    [
        ("MAIL", "552 5.3.4 too big", Attempt(Sent.REFUSED, "MAIL: 552 5.3.4", code=552, own_fault=True)),
        ("MAIL", "451 4.3.0 not now", Attempt(Sent.NOT_SENT, "MAIL: 451 4.3.0", code=451)),
        ("MAIL", "550 5.7.1 not your sender", Attempt(Sent.NOT_SENT, "MAIL: 550 5.7.1", code=550)),
        ("MAIL", "421 4.7.0 slow down", Attempt(Sent.NOT_SENT, "MAIL: 421 4.7.0", code=421)),
        (
            "RCPT",
            "550 5.1.1 <ada@example.org> is unknown",
            Attempt(Sent.REFUSED, "RCPT: 550 5.1.1", code=550, bounced=True, own_fault=True),
        ),
        (
            "RCPT",
            "550 5.7.1 ada@example.org: not from you",
            Attempt(Sent.REFUSED, "RCPT: 550 5.7.1", code=550, own_fault=True),
        ),
        (
            "RCPT",
            "552 5.2.2 ada@example.org: full",
            Attempt(Sent.REFUSED, "RCPT: 552 5.2.2", code=552, own_fault=True),
        ),
        (
            "RCPT",
            "450 4.7.1 ada@example.org: greylisted, come back in 5 minutes",
            Attempt(Sent.NOT_SENT, "RCPT: 450 4.7.1", 300.0, code=450, own_fault=True),
        ),
        (
            "RCPT",
            "451 4.7.1 too many messages, try again in 60s",
            Attempt(Sent.NOT_SENT, "RCPT: 451 4.7.1", 60.0, code=451, own_fault=True),
        ),
        ("RCPT", "452 4.3.1 no space", Attempt(Sent.NOT_SENT, "RCPT: 452 4.3.1", code=452)),
        ("RCPT", "421 4.3.2 going down", Attempt(Sent.NOT_SENT, "RCPT: 421 4.3.2", code=421)),
        (
            "DATA",
            "554 5.7.1 spam",
            Attempt(Sent.REFUSED, "content: 554 5.7.1", code=554, own_fault=True),
        ),
        (
            "DATA",
            "550 5.1.1 ada@example.org: found out late",
            Attempt(Sent.REFUSED, "content: 550 5.1.1", code=550, bounced=True, own_fault=True),
        ),
        (
            "DATA",
            "452 4.2.2 full",
            Attempt(Sent.NOT_SENT, "content: 452 4.2.2", code=452, own_fault=True),
        ),
        ("DATA", "421 4.3.2 going down", Attempt(Sent.NOT_SENT, "content: 421 4.3.2", code=421)),
    ],
)
async def test_what_a_server_says(step, answer, expected, pipelining):
    """5xx is for good and 4xx for now, at each step; only an address that does not exist bounced, and only
    what is about the server itself counts against it. The detail has codes only. The next mail goes out."""
    mails = MailServer(answers={step: answer}, pipelining=pipelining)
    async with serving(mails) as server, channel_to(server) as channel:
        assert await channel.send(plain()) == expected
        assert server.accepted == []
        server.answers.clear()
        assert await channel.send(plain()) == ACCEPTED
        assert len(server.accepted) == 1


@both_ways
@pytest.mark.parametrize(
    ("step", "sent"), [("MAIL", Sent.NOT_SENT), ("RCPT", Sent.NOT_SENT), ("DATA", Sent.UNKNOWN)]
)
async def test_a_connection_that_is_lost(step, sent, pipelining):
    """Only between the final dot and its answer is it unknown whether the mail arrived."""
    mails = MailServer(drop=step, pipelining=pipelining)
    async with serving(mails) as server, channel_to(server) as channel:
        assert (await channel.send(plain())).sent is sent
        server.drop = ""
        assert (await channel.send(plain())).sent is Sent.ACCEPTED


@both_ways
@pytest.mark.parametrize(
    ("step", "sent"), [("MAIL", Sent.NOT_SENT), ("RCPT", Sent.NOT_SENT), ("DATA", Sent.UNKNOWN)]
)
async def test_a_server_that_hangs(step, sent, pipelining):
    """The attempt ends within its time-out, as what it then is."""
    mails = MailServer(hang=step, pipelining=pipelining)
    async with serving(mails) as server, channel_to(server, timeout_s=0.2) as channel:
        assert (await channel.send(plain())).sent is sent


@both_ways
@pytest.mark.parametrize(("step", "sent"), [("RCPT", Sent.NOT_SENT), ("DATA", Sent.UNKNOWN)])
async def test_a_sender_that_is_stopped(step, sent, pipelining):
    """Cancelling an attempt leaves no connection that is out of step: the next mail arrives, and alone."""
    mails = MailServer(hang=step, pipelining=pipelining)
    async with serving(mails) as server, channel_to(server, connections=1) as channel:
        sending = asyncio.create_task(channel.send(plain()))
        await server.reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        server.hang = ""
        assert await channel.send(plain(b"Subject: second\r\n\r\n")) == ACCEPTED
        assert server.accepted[-1][2] == b"Subject: second\r\n\r\n"


async def test_waiting_for_a_connection_counts():
    """Who finds every connection busy until the time-out was not sent, and says so."""
    async with (
        serving(MailServer(hang="MAIL")) as server,
        channel_to(server, timeout_s=0.5, connections=1) as channel,
    ):
        first = asyncio.create_task(channel.send(plain()))
        await server.reached.wait()
        channel._timeout_s = 0.05
        assert await channel.send(plain()) == Attempt(Sent.NOT_SENT, "every connection stayed busy")
        server.release.set()
        assert (await first).sent is Sent.ACCEPTED


async def test_a_connection_that_was_closed_while_idle():
    """Servers close what lies idle: the next mail takes a new connection and is sent once."""
    async with serving(MailServer(closes=True)) as server, channel_to(server) as channel:
        for _ in range(5):
            assert (await channel.send(plain())).sent is Sent.ACCEPTED
        assert len(server.accepted) == 5


async def test_nobody_listens():
    """A server that is down is a reason to try again."""
    async with serving(MailServer()) as server:
        port = server.port
    channel = SmtpChannel("127.0.0.1", port, Security.NONE)
    attempt = await channel.send(plain())
    assert attempt.sent is Sent.NOT_SENT
    assert attempt.detail.startswith("cannot connect")


async def test_a_server_that_speaks_something_else():
    """What answers with anything but SMTP is no mail server."""

    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(http, "127.0.0.1", 0)
    async with listening:
        channel = SmtpChannel("127.0.0.1", listening.sockets[0].getsockname()[1], Security.NONE)
        assert (await channel.send(plain())).sent is Sent.NOT_SENT


async def test_addresses_beyond_ascii():
    """A local part beyond ASCII goes out with SMTPUTF8, in the envelope and in the header."""
    mail = Renderer(SENDER, SIGNER, TEXTS).mail(
        material(NoticeKind.CONFIRMED, Person("Zoë", "zoë@bücher.example"))
    )
    async with serving(MailServer()) as server, channel_to(server) as channel:
        assert await channel.send(mail) == ACCEPTED
        assert server.accepted[0][1] == ["zoë@xn--bcher-kva.example"]
        assert "zoë@xn--bcher-kva.example" in server.accepted[0][2].decode()


async def test_no_address_beyond_ascii_where_it_cannot_go():
    """A server without SMTPUTF8 is not asked; the mail alone is at fault, and the connection goes on."""
    recipient = "zoë@example.org"
    mails = MailServer(withheld=frozenset({"SMTPUTF8"}))
    async with serving(mails) as server, channel_to(server) as channel:
        attempt = await channel.send(plain(recipient=recipient))
        assert (attempt.sent, attempt.own_fault, attempt.bounced) == (Sent.REFUSED, True, False)
        assert "SMTPUTF8" in attempt.detail
        assert await channel.send(plain()) == ACCEPTED


async def test_text_beyond_ascii_is_announced():
    """A mail with 8-bit text goes out as such (8BITMIME), and not at all to a server that takes none."""
    content = "Subject: x\r\n\r\nGrüße\r\n".encode()
    async with serving(MailServer()) as server, channel_to(server) as channel:
        assert await channel.send(plain(content)) == ACCEPTED
        assert server.accepted[0][2] == content
        assert "BODY=8BITMIME" in server.options
    mails = MailServer(withheld=frozenset({"8BITMIME"}))
    async with serving(mails) as server, channel_to(server) as channel:
        attempt = await channel.send(plain(content))
        assert (attempt.sent, attempt.own_fault) == (Sent.REFUSED, True)
        assert "8BITMIME" in attempt.detail
        assert await channel.send(plain()) == ACCEPTED
        assert "BODY=8BITMIME" not in server.options


async def test_the_size_is_announced_where_it_is_asked_for():
    """SIZE goes with MAIL, so that a mail that is too big is refused before it is sent."""
    async with serving(MailServer()) as server, channel_to(server) as channel:
        assert await channel.send(plain((b"x" * 48 + b"\r\n") * 20)) == ACCEPTED
        assert "SIZE=1000" in server.options
    mails = MailServer(withheld=frozenset({"SIZE"}))
    async with serving(mails) as server, channel_to(server) as channel:
        assert await channel.send(plain()) == ACCEPTED
        assert server.options == []


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        ("a@b\r\nDATA", "holds a space, a bracket or a control character"),
        ("a@b\x00", "holds a space, a bracket or a control character"),
        ("a@b> SIZE=1", "holds a space, a bracket or a control character"),
        ("a" * 388 + "@example.org", "has more than 254 bytes"),
        ("a" * 65 + "@example.org", "has more than 64 bytes before the @"),
        ("ada\ud800@example.org", "is no text"),
    ],
)
async def test_no_address_that_cannot_be_one(recipient, reason):
    """What could be a command, or is longer than any mailbox, is refused with the reason, and not said."""
    async with serving(MailServer()) as server, channel_to(server) as channel:
        attempt = await channel.send(plain(recipient=recipient))
        assert (attempt.sent, attempt.own_fault) == (Sent.REFUSED, True)
        assert attempt.detail == f"the recipient's address {reason}"
        assert server.accepted == []
        assert server.connections == 0


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r"])
async def test_no_message_ends_within(end):
    """An end of line that servers read differently could end a message early and begin another one."""
    smuggled = b"Subject: x\r\n\r\na" + end + b"MAIL FROM:<evil@example.org>\r\n"
    async with serving(MailServer()) as server, channel_to(server) as channel:
        attempt = await channel.send(plain(smuggled))
        assert (attempt.sent, attempt.own_fault) == (Sent.REFUSED, True)
        assert "CR LF" in attempt.detail
        assert server.connections == 0


async def test_a_closed_channel_sends_nothing():
    """After closing, which may be said twice, a mail was surely not sent."""
    async with serving(MailServer()) as server, channel_to(server) as channel:
        assert (await channel.send(plain())).sent is Sent.ACCEPTED
        await channel.close()
        await channel.close()
        assert (await channel.send(plain())).sent is Sent.NOT_SENT
