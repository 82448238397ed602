"""Notices through a real mail server that fails: each has one definite end, and doubles are accounted for."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes

import pytest

from tests.notification.mail_server import MailServer, serving
from tests.notification.stage import SIGNER, Parts, Stage, address_of, event_spec
from veltrix.adapters.memory import MemoryNotices, MemoryOutreach
from veltrix.adapters.smtp import Security, SmtpChannel
from veltrix.domain.commands import Cancel, Move
from veltrix.domain.event import PoolSpec
from veltrix.notification.reach import Reach
from veltrix.ports.channel import Attempt, Post
from veltrix.ports.notices import NoticeStatus
from veltrix.ports.outreach import Reason, Suppression
from veltrix.sealing import AddressHashes

HASHES = AddressHashes.under(SIGNER.secret)
DAY_MS = 86_400_000


class NoPoster:
    """Webhooks are no business of these tests."""

    async def post(self, post: Post) -> Attempt:
        """Nothing goes."""
        raise AssertionError(post.url)

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def mailing(server: MailServer, **more):
    """(stage, parts, outreach): notification with a channel to that server, which is started."""
    async with serving(server):
        channel = SmtpChannel("127.0.0.1", server.port, Security.NONE, **more)
        notices, outreach = MemoryNotices(), MemoryOutreach()
        stage = await Stage(notices=notices, mailbox=channel).begin()
        reach = Reach(outreach, notices, notices, NoPoster(), b"k" * 32)
        try:
            yield stage, stage.parts(reach=reach), outreach
        finally:
            await channel.close()


async def in_time(stage: Stage, parts: Parts, days: int = 4) -> None:
    """Let the retries' time pass, until nothing is due any more."""
    for _ in range(days * 4):
        await parts.dispatch()
        stage.clock.ms += DAY_MS // 4


def arrived(server: MailServer) -> Counter[str]:
    """How often each notice arrived, by Message-ID."""
    return Counter(str(message_from_bytes(mail[2])["Message-ID"]) for mail in server.accepted)


async def ends(stage: Stage) -> list[NoticeStatus]:
    """The status of every notice of the ledger's registrations."""
    ids = {fact.fact.registration.id: None for fact in stage.facts if fact.fact.registration is not None}
    return [status for each in ids for _, status, _, _ in await stage.notices.of_registration(each)]


async def test_who_does_not_exist_gets_nothing_more():
    """550 5.1.1 suppresses the address: the next notice to it is not even tried, and others are."""
    async with mailing(MailServer(answers={"RCPT": "550 5.1.1 unknown"})) as (stage, parts, _):
        event = await stage.event()
        ada = await stage.register(event)
        await stage.publish()
        await parts.run()
        assert (await stage.only(ada))[1] is NoticeStatus.REFUSED
        await stage.ask(Cancel(ada.id), event)
        await stage.publish()
        await parts.run()
        rows = await stage.notices.of_registration(ada.id)
        assert [(status, attempts) for _, status, attempts, _ in rows] == [
            (NoticeStatus.REFUSED, 1),
            (NoticeStatus.SUPPRESSED, 0),
        ]
        assert "bounced" in rows[1][3]


@pytest.mark.parametrize("answer", ["552 5.2.2 full", "550 5.7.1 spam", "554 5.7.1 no"])
async def test_a_refusal_of_another_kind_suppresses_nobody(answer):
    """A full mailbox or a suspicion is that mail's end alone; the next notice goes out."""
    server = MailServer(answers={"RCPT": answer})
    async with mailing(server) as (stage, parts, _):
        event = await stage.event()
        ada = await stage.register(event)
        await stage.publish()
        await parts.run()
        server.answers.clear()
        await stage.ask(Move(ada.id, 1, "stu"), event)
        await stage.publish()
        await parts.plan()
        await in_time(stage, parts)
        rows = await stage.notices.of_registration(ada.id)
        assert [status for _, status, _, _ in rows] == [NoticeStatus.REFUSED, NoticeStatus.ACCEPTED]


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("RCPT", "450 4.7.1 greylisted, try again in 300 seconds"),
        ("RCPT", "451 4.7.1 too fast"),
        ("RCPT", "452 4.5.3 too many"),
        ("MAIL", "421 4.7.0 slow down"),
        ("DATA", "451 4.3.0 later"),
    ],
)
async def test_what_passes_is_waited_for(step, answer):
    """Greylisting, throttling and a server that is busy delay mails; each arrives once."""
    server = MailServer(answers={step: answer})
    async with mailing(server) as (stage, parts, _):
        event = await stage.event()
        for name in ("Ada", "Bob", "Cyd"):
            await stage.register(event, name)
        await stage.publish()
        await parts.run()
        assert set(await ends(stage)) == {NoticeStatus.PENDING}
        server.answers.clear()
        await in_time(stage, parts)
        assert await ends(stage) == [NoticeStatus.ACCEPTED] * 3
        assert list(arrived(server).values()) == [1, 1, 1]


@pytest.mark.parametrize(("how", "times"), [("drop", 2), ("hang", 1)])
async def test_doubles_are_never_more_than_what_was_unknown(how, times):
    """A server that keeps a mail and dies before it says so, or hangs and keeps none: both are unknown, and
    are tried again under the same id; each mail arrives at most once more than it was unknown."""
    server = MailServer()
    async with mailing(server, timeout_s=0.3) as (stage, parts, _):
        event = await stage.event()
        for name in ("Ada", "Bob"):
            await stage.register(event, name)
        await stage.publish()
        setattr(server, how, "DATA")
        await parts.run()
        assert await ends(stage) == [NoticeStatus.UNKNOWN] * 2
        setattr(server, how, "")
        server.release.set()
        await in_time(stage, parts)
        assert await ends(stage) == [NoticeStatus.ACCEPTED] * 2
        assert list(arrived(server).values()) == [times, times]
        assert len({mail[2] for mail in server.accepted}) == 2


async def test_hold_waits_for_an_operator():
    """With `on_unknown = hold` a mail that may have arrived is not sent again by itself."""
    server = MailServer(drop="DATA")
    async with mailing(server) as (stage, _, outreach):
        notices = stage.notices
        assert isinstance(notices, MemoryNotices)
        parts = stage.parts(reach=Reach(outreach, notices, notices, NoPoster(), b"k" * 32), hold=True)
        ada = await stage.register(await stage.event())
        await stage.publish()
        await parts.run()
        server.drop = ""
        await in_time(stage, parts)
        _, status, attempts, _ = await stage.only(ada)
        assert (status, attempts, len(server.accepted)) == (NoticeStatus.UNKNOWN, 1, 1)


async def test_what_was_chosen_a_moment_ago_counts():
    """A suppression that comes after a notice was planned keeps its mail from being sent."""
    server = MailServer()
    async with mailing(server) as (stage, parts, outreach):
        event = await stage.event()
        ada, bob = await stage.register(event), await stage.register(event, "Bob")
        await stage.publish()
        await parts.plan()
        address = HASHES.of("org_1", address_of("Ada"))
        await outreach.suppress([Suppression("org_1", address, "*", Reason.MANUAL, stage.clock.ms)])
        await parts.dispatch()
        assert (await stage.only(ada))[1] is NoticeStatus.SUPPRESSED
        assert (await stage.only(bob))[1] is NoticeStatus.ACCEPTED
        assert [mail[1] for mail in server.accepted] == [["bob@example.org"]]


async def test_many_mails_through_a_server_that_fails_now_and_then():
    """Every tenth mail is met by another fault: in the end one row a notice, and every one accepted."""
    server = MailServer()
    faults = ["", "", "", "drop", "", "", "421 4.3.2 bye", "", "451 4.7.1 slow", ""]
    turns = iter(range(10_000))
    say = server._say

    async def failing(step, smtp):
        fault = faults[next(turns) % len(faults)] if step == "DATA" and len(server.accepted) < 40 else ""
        server.drop = step if fault == "drop" else ""
        if fault and fault != "drop":
            return fault
        return await say(step, smtp)

    server._say = failing  # type: ignore[method-assign]  # the server's own answers, but for some
    async with mailing(server, connections=3) as (stage, parts, _):
        event = await stage.event(with_room(60))
        for number in range(60):
            await stage.register(event, f"P{number}")
        await stage.publish()
        await parts.run()
        await in_time(stage, parts)
        assert Counter(await ends(stage)) == {NoticeStatus.ACCEPTED: 60}
        assert len(arrived(server)) == 60


def with_room(seats: int):
    """The stage's event with room for so many."""
    return replace(event_spec(), pools=(PoolSpec("main", seats),))
