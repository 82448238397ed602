"""The service as bootstrap makes it: started, left alone, stopped."""

from __future__ import annotations

import asyncio

import pytest

from tests.notification.stage import Dice, Stage, event_spec, settings
from veltrix.adapters.memory import MemoryMailbox
from veltrix.adapters.sqlite import SqliteNotices
from veltrix.domain.commands import CancelEvent
from veltrix.domain.event import PoolSpec
from veltrix.notification.service import NotificationService
from veltrix.ports.channel import Attempt, Mail


class Watched(MemoryMailbox):
    """A mailbox that says when so many mails are there."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.expected = expected
        self.full = asyncio.Event()

    async def send(self, mail: Mail) -> Attempt:
        """Send, and look whether that was the last one."""
        attempt = await super().send(mail)
        if len(self.sent) >= self.expected:
            self.full.set()
        return attempt


def service(stage: Stage, **changes) -> NotificationService:
    """A service on this stage."""
    return NotificationService(
        notices=stage.notices,
        queries=stage.ledger,
        feed=stage.feed,
        vault=stage.vault,
        channels=[stage.mailbox],
        clock=stage.clock,
        entropy=Dice(),
        settings=settings(**changes),
    )


def _ready(running: NotificationService) -> bool:
    return running.ready


async def test_from_published_facts_to_mails(tmp_path):
    """What is published reaches everybody's mailbox, and after a stop the next start goes on where it was."""
    mailbox = Watched(30)
    store = await SqliteNotices.open(tmp_path / "notices.db")
    stage = await Stage(notices=store, mailbox=mailbox).begin()
    event = await stage.event(event_spec(pools=(PoolSpec("main", 100),)))
    first = service(stage)
    await first.start()
    assert _ready(first)
    for number in range(30):
        await stage.register(event, f"P{number}")
    await stage.publish()
    await asyncio.wait_for(mailbox.full.wait(), 10)
    await first.stop()
    await first.stop()
    assert not _ready(first)
    mailbox.full.clear()
    mailbox.expected = 60
    await stage.ask(CancelEvent(), event)
    await stage.publish()
    second = service(stage)
    await second.start()
    await asyncio.wait_for(mailbox.full.wait(), 10)
    await second.stop()
    assert await second.settled()
    assert len(mailbox.tries) == 60
    await store.close()


async def test_two_services_on_one_store_tell_everybody_once(tmp_path):
    """Two processes share the work: nobody gets a mail twice."""
    mailbox = Watched(100)
    store = await SqliteNotices.open(tmp_path / "notices.db")
    stage = await Stage(notices=store, mailbox=mailbox).begin()
    event = await stage.event(event_spec(pools=(PoolSpec("main", 200),)))
    services = [service(stage), service(stage)]
    for each in services:
        await each.start()
    for number in range(100):
        await stage.register(event, f"P{number}")
        await stage.publish(stage.facts[-1:])
    await asyncio.wait_for(mailbox.full.wait(), 10)
    for each in services:
        await each.stop()
    assert len(mailbox.tries) == 100
    await store.close()


async def test_it_is_not_settled_while_something_is_owed():
    """A fact that is not planned, a job that is not done and a notice that is not sent each count."""
    stage = await Stage().begin()
    event = await stage.event()
    quiet = service(stage)
    assert not await quiet.settled()
    await stage.register(event)
    await stage.publish()
    mailbox = stage.mailbox = Watched(1)
    running = service(stage)
    await running.start()
    await asyncio.wait_for(mailbox.full.wait(), 10)
    await running.stop()
    assert await running.settled()
    await stage.ask(CancelEvent(), event)
    assert not await running.settled()


@pytest.mark.parametrize(
    "wrong", [{"sender": "nobody"}, {"sender": "A <a@b\r\nBcc: c@d>"}, {"reply_to": "not an address"}]
)
async def test_wrong_addresses_are_told_at_once(wrong):
    """A sender that no mail could have is an error when the service is made, not when mail is due."""
    stage = await Stage().begin()
    with pytest.raises(ValueError, match=r"no (sender|address)"):
        service(stage, **wrong)
