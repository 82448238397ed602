"""The port `Channel`: carries mail, tries once, and never raises for what the other side does."""

from __future__ import annotations

from tests.conformance.adapters import Subject
from veltrix.adapters.memory import MemoryMailbox
from veltrix.ports.channel import Attempt, Channel, Mail, Sent

CONTENT = (
    b"From: Conference <conf@example.org>\r\nTo: Anna <anna@example.org>\r\nSubject: You are in\r\n"
    b"Message-ID: <ntc_1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nSee you there, J\xc3\xbcrgen.\r\n"
)


def mail(notice: str = "ntc_1", recipient: str = "anna@example.org") -> Mail:
    """A finished message."""
    return Mail(notice, "conf@example.org", recipient, CONTENT)


async def test_it_carries_mail(channel: Subject[Channel]):
    """Its name is that of every channel for mail, and a message is accepted."""
    assert channel.it.name == "email"
    attempt = await channel.it.send(mail())
    assert attempt.sent is Sent.ACCEPTED
    assert attempt.retry_after_s is None


async def test_the_same_notice_may_be_sent_again(channel: Subject[Channel]):
    """After a lost answer the same message is sent once more, and accepted."""
    attempts = [await channel.it.send(mail()) for _ in range(2)]
    assert [attempt.sent for attempt in attempts] == [Sent.ACCEPTED, Sent.ACCEPTED]


async def test_details_hold_no_personal_data(channel: Subject[Channel]):
    """What is told the operator names neither the recipient nor the text."""
    for recipient in ("anna@example.org", "no address at all"):
        attempt = await channel.it.send(mail("ntc_2", recipient))
        assert recipient not in attempt.detail
        assert "Anna" not in attempt.detail


async def test_forgetting_is_harmless(channel: Subject[Channel]):
    """Notices may be forgotten that were sent, that never were, and none; and sent again afterwards."""
    await channel.it.send(mail())
    await channel.it.forget(["ntc_1", "ntc_none"])
    await channel.it.forget([])
    assert (await channel.it.send(mail())).sent is Sent.ACCEPTED


async def test_closing_twice_is_harmless(channel: Subject[Channel]):
    """A channel may be closed again, used or not."""
    await channel.it.send(mail())
    await channel.it.close()
    await channel.it.close()


async def test_the_mailbox_follows_its_script():
    """Scripted outcomes come in turn, then all is accepted; what did not arrive is not in the box."""
    box = MemoryMailbox()
    later = Attempt(Sent.NOT_SENT, "try later", 3.0)
    box.script(Sent.REFUSED, later, Sent.UNKNOWN)
    attempts = [await box.send(mail(f"ntc_{number}")) for number in range(4)]
    assert attempts == [Attempt(Sent.REFUSED), later, Attempt(Sent.UNKNOWN), Attempt(Sent.ACCEPTED)]
    assert list(box.sent) == ["ntc_2", "ntc_3"]
    assert len(box.tries) == 4
    await box.forget(["ntc_3"])
    assert list(box.sent) == ["ntc_2"]
