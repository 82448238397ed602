"""From recorded notices to mails: every outcome, and what follows from it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notification.letterbox import opened
from tests.notification.stage import Dice, Stage, event_spec
from veltrix.adapters.memory import MemoryMailbox, MemoryNotices
from veltrix.domain import limits
from veltrix.domain.commands import Cancel, CancelEvent, ChangeEvent, Move
from veltrix.domain.event import Holds, PoolSpec
from veltrix.domain.notices import NoticeKind
from veltrix.notification.attempts import delay_ms
from veltrix.observability.logging import captured
from veltrix.ports.channel import Attempt, Mail, Sent
from veltrix.ports.errors import Unavailable
from veltrix.ports.notices import NoticeStatus, Planned


class Meters:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.delays_s: list[float] = []
        self.counts: list[tuple[dict[str, int], float]] = []

    def planned(self, kind: str, notices: int) -> None:
        """Not looked at."""

    def attempted(self, channel: str, outcome: str, seconds: float) -> None:
        """An attempt."""
        self.outcomes.append(str(outcome))

    def delivered(self, seconds: float) -> None:
        """A delivery."""
        self.delays_s.append(seconds)

    def notices(self, by_status, oldest_pending_s) -> None:
        """A look at the store."""
        self.counts.append((dict(by_status), oldest_pending_s))


@pytest.fixture
async def stage():
    """A stage on which nothing was said yet."""
    return await Stage().begin()


async def test_a_mail_goes_to_its_person(stage):
    """What is planned is written in the person's language and accepted, with the metrics to show it."""
    meters = Meters()
    event = await stage.event()
    jo = await stage.register(event, "Jo", locale="de")
    await stage.publish()
    stage.clock.ms += 1_500
    await stage.parts(metrics=meters).run()
    [mail] = stage.mails()
    assert mail.recipient == "jo@example.org"
    assert mail.sender == "no-reply@tickets.example"
    letter = opened(mail.content)
    assert letter.message["subject"] == "Sie sind angemeldet: Herbsttagung & Messe"
    notice, status, attempts, _ = await stage.only(jo)
    assert (notice.id, status, attempts) == (mail.notice, NoticeStatus.ACCEPTED, 1)
    assert meters.outcomes == ["accepted"]
    assert meters.delays_s == [1.5]


async def test_many_go_out_in_bounded_batches(stage):
    """Every notice is sent once, claimed at most so many at a time, with courtesy in between."""
    asked = 0

    async def courtesy() -> None:
        nonlocal asked
        asked += 1

    event = await stage.event(event_spec(pools=(PoolSpec("main", 500),)))
    for number in range(200):
        await stage.register(event, f"P{number}")
    await stage.publish()
    await stage.parts(courtesy=courtesy).run()
    assert isinstance(stage.mailbox, MemoryMailbox)
    assert len(stage.mailbox.tries) == len(stage.mailbox.sent) == 200
    assert asked >= 200 / limits.NOTICE_CHUNK
    assert (await stage.notices.counts())[NoticeStatus.ACCEPTED] == 200


@pytest.mark.parametrize("sent", [Sent.NOT_SENT, Sent.UNKNOWN])
async def test_what_did_not_arrive_is_tried_again(stage, sent):
    """After the schedule's delay and no sooner, with the same mail; an unknown outcome is counted as such."""
    meters = Meters()
    stage.mailbox.script(sent)
    event = await stage.event()
    ada = await stage.register(event)
    await stage.publish()
    parts = stage.parts(metrics=meters)
    await parts.run()
    _, status, attempts, _ = await stage.only(ada)
    waits = NoticeStatus.UNKNOWN if sent is Sent.UNKNOWN else NoticeStatus.PENDING
    assert (status, attempts) == (waits, 1)
    stage.clock.ms += round(limits.MAIL_RETRY_S[1] * (1 - limits.MAIL_RETRY_JITTER) * 1000) - 1
    await parts.dispatch()
    assert len(stage.mailbox.tries) == 1
    stage.clock.ms += round(limits.MAIL_RETRY_S[1] * 2 * limits.MAIL_RETRY_JITTER * 1000) + 1
    await parts.dispatch()
    first, second = stage.mailbox.tries
    assert first == second
    assert (await stage.only(ada))[1] is NoticeStatus.ACCEPTED
    assert meters.outcomes == [str(sent), "accepted"]


async def test_what_is_refused_is_over(stage):
    """A refusal for good is recorded with its reason and never tried again."""
    stage.mailbox.script(Attempt(Sent.REFUSED, "RCPT: 550 5.1.1"))
    ada = await stage.register(await stage.event())
    await stage.publish()
    parts = stage.parts()
    await parts.run()
    stage.clock.ms += 10**9
    await parts.dispatch()
    _, status, attempts, detail = await stage.only(ada)
    assert (status, attempts, detail) == (NoticeStatus.REFUSED, 1, "RCPT: 550 5.1.1")


async def test_after_the_last_attempt_it_is_dead(stage):
    """A mail server that never answers is given up at last, for an operator to see."""
    stage.mailbox.script(*[Sent.NOT_SENT] * 100)
    ada = await stage.register(await stage.event())
    await stage.publish()
    parts = stage.parts()
    with captured() as lines:
        await parts.run()
        for _ in range(2 * limits.MAIL_ATTEMPTS_MAX):
            stage.clock.ms += 2 * round(max(limits.MAIL_RETRY_S) * 1000)
            await parts.dispatch()
    _, status, attempts, detail = await stage.only(ada)
    assert (status, attempts) == (NoticeStatus.DEAD, limits.MAIL_ATTEMPTS_MAX)
    assert detail.startswith(f"gave up after {limits.MAIL_ATTEMPTS_MAX} attempts")
    assert [line["level"] for line in lines if line.get("status") == "dead"] == ["warning"]


def test_the_schedule_is_spread_and_capped():
    """Delays follow the schedule within the jitter; what a server asks for counts if longer, up to a cap."""
    dice = Dice()
    for attempt in range(1, limits.MAIL_ATTEMPTS_MAX):
        planned_ms = limits.MAIL_RETRY_S[attempt] * 1000
        drawn = {delay_ms(attempt, dice) for _ in range(50)}
        assert min(drawn) >= planned_ms * (1 - limits.MAIL_RETRY_JITTER) - 1
        assert max(drawn) <= planned_ms * (1 + limits.MAIL_RETRY_JITTER) + 1
        assert len(drawn) > 25
    assert delay_ms(1, dice, retry_after_s=60.0) == 60_000
    assert delay_ms(1, dice, retry_after_s=10**9) == limits.MAIL_RETRY_AFTER_MAX_S * 1000
    assert delay_ms(7, dice, retry_after_s=1.0) > 10**7


async def test_a_lost_claim_is_taken_again(stage):
    """A process that dies with notices in hand leaves them to the next one, when the lease has passed."""
    ada = await stage.register(await stage.event())
    await stage.publish()
    await stage.parts().plan()
    await stage.notices.claim(stage.clock.ms, 10, 60_000)
    parts = stage.parts()
    await parts.dispatch()
    assert stage.mails() == []
    stage.clock.ms += 60_000
    await parts.dispatch()
    assert len(stage.mails()) == 1
    assert (await stage.only(ada))[1:3] == (NoticeStatus.ACCEPTED, 2)


async def test_what_kills_every_process_ends(stage):
    """A notice that was claimed again and again without a result is given up, not claimed for ever."""
    ada = await stage.register(await stage.event())
    await stage.publish()
    await stage.parts().plan()
    for _ in range(2 * limits.MAIL_ATTEMPTS_MAX):
        await stage.notices.claim(stage.clock.ms, 10, 1)
        stage.clock.ms += 1
    await stage.parts().dispatch()
    assert (await stage.only(ada))[1] is NoticeStatus.DEAD
    assert stage.mails() == []


async def test_who_is_forgotten_is_not_written_to(stage):
    """Without the key there is no address: the notice ends as suppressed, not as an error."""
    ada = await stage.register(await stage.event())
    await stage.publish()
    parts = stage.parts()
    await parts.plan()
    await stage.vault.destroy([ada.box.key_id])
    await parts.dispatch()
    assert (await stage.only(ada))[1] is NoticeStatus.SUPPRESSED
    assert stage.mails() == []


async def test_one_bad_box_does_not_stop_the_others(stage):
    """What cannot be opened or written is dead with its reason, which names nobody; the rest goes out."""
    event = await stage.event()
    ada = await stage.register(event, "Ada")
    bad = await stage.register(event, "Bad")
    bob = await stage.register(event, "Bob")
    await stage.publish()
    parts = stage.parts()
    await parts.plan()
    bad.box.sealed = b"\x01" + b"garbage" * 9
    await parts.dispatch()
    assert (await stage.only(ada))[1] is (await stage.only(bob))[1] is NoticeStatus.ACCEPTED
    _, status, _, detail = await stage.only(bad)
    assert status is NoticeStatus.DEAD
    assert "does not open" in detail


async def test_one_failing_text_does_not_stop_the_others(stage, monkeypatch):
    """A defect in rendering one mail is that mail's end, written to the log, and nobody else's."""
    event = await stage.event()
    ada = await stage.register(event, "Ada")
    bob = await stage.register(event, "Bob")
    await stage.publish()
    parts = stage.parts()
    write = parts.dispatcher.ways["email"].renderer.mail

    class Failing:
        def mail(self, material) -> Mail:
            """Fail for one person."""
            if material.person.name == "Ada":
                raise ZeroDivisionError("Ada Lovelace")
            mail: Mail = write(material)
            return mail

    parts.dispatcher.ways["email"].renderer = Failing()
    with captured() as lines:
        await parts.run()
    assert (await stage.only(ada))[1:] == (NoticeStatus.DEAD, 0, "no mail can be written: ZeroDivisionError")
    assert (await stage.only(bob))[1] is NoticeStatus.ACCEPTED
    assert "rendering_failed" in [line["message"] for line in lines]


async def test_without_facts_at_hand_they_are_read(stage):
    """Another process than the one that planned writes the same mails, from the ledger."""
    event = await stage.event(event_spec(pools=(PoolSpec("main", 200),)))
    for number in range(70):
        registration = await stage.register(event, f"P{number}")
        if number % 3 == 0:
            await stage.ask(Move(registration.id, registration.seats[0].number, "stu"), event)
    await stage.publish()
    planner = stage.parts()
    await planner.plan()
    await stage.parts().dispatch()
    from_ledger = {mail.notice: mail.content for mail in stage.mails()}
    assert len(from_ledger) == 94
    again = await Stage(ledger=stage.ledger, vault=stage.vault, clock=stage.clock).begin()
    await again.parts().run()
    assert {mail.notice: mail.content for mail in again.mails()} == from_ledger


async def test_a_mail_describes_the_event_as_it_is(stage):
    """A confirmation that goes out after the venue changed names the new venue."""
    event = await stage.event()
    await stage.register(event)
    await stage.ask(ChangeEvent(event_spec(venue=event_spec().title), 2), event)
    await stage.publish()
    await stage.parts().run()
    assert "Where: Autumn Conference & Fair" in opened(stage.mails()[0].content).text


async def test_everyone_gets_the_word_of_a_cancelled_event(stage):
    """The mails of a fan-out are written from the registrations as they are, each with its own data."""
    event = await stage.event()
    await stage.register(event, "Ada", "std", "stu")
    await stage.register(event, "Bob")
    parts = stage.parts()
    await stage.publish()
    await parts.run()
    await stage.ask(CancelEvent(), event)
    await stage.publish()
    await parts.plan()
    await stage.parts().dispatch()
    told = {mail.recipient: opened(mail.content) for mail in stage.mails()[2:]}
    assert set(told) == {"ada@example.org", "bob@example.org"}
    for letter in told.values():
        assert letter.message["subject"] == "Cancelled: Autumn Conference & Fair"
        assert letter.method == "CANCEL"


async def test_who_passed_a_registration_on_hears_no_more_of_it(stage):
    """Between fan-out and sending the registration changed hands: its former holder has no part in it now."""
    event = await stage.event()
    ada = await stage.register(event, "Ada")
    await stage.ask(ChangeEvent(event_spec(starts_local="2027-10-01T09:00"), 2), event)
    await stage.publish()
    await stage.parts().plan()
    await stage.transfer(ada, "Bob")
    await stage.parts().dispatch()
    rows = await stage.notices.of_registration(ada.id)
    assert [(notice.kind, status) for notice, status, _, _ in rows] == [
        ("confirmed", NoticeStatus.ACCEPTED),
        ("event_changed", NoticeStatus.SUPPRESSED),
    ]


async def test_no_reminder_of_a_hold_of_a_cancelled_event(stage):
    """One who was told that the event is off is not told that a hold of it expired, too."""
    event = await stage.event(event_spec(holds=Holds(60)))
    ada = await stage.register(event)
    await stage.ask(CancelEvent(), event)
    view = await stage.ledger.registration(ada.id)
    assert view is not None
    await stage.publish()
    await stage.parts().plan()
    notice, *_ = (await stage.notices.of_registration(ada.id))[0]
    expired = replace(notice, id="ntc_" + "f" * 32, kind=NoticeKind.EXPIRED.value, recipient="other")
    await stage.notices.record(0, stage.facts[-1].seq, stage.facts[-1].seq, Planned([expired]))
    await stage.parts().dispatch()
    statuses = {notice.kind: status for notice, status, _, _ in await stage.notices.of_registration(ada.id)}
    assert statuses["expired"] is NoticeStatus.SUPPRESSED


class Slow(MemoryMailbox):
    """A mailbox that waits for a word before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.word = asyncio.Event()

    async def send(self, mail: Mail) -> Attempt:
        """Wait, then accept."""
        self.begun.set()
        await self.word.wait()
        return await super().send(mail)


async def test_forgetting_waits_for_what_is_under_way(stage):
    """A mail that is just being written is there before it is forgotten, so that it does not stay behind."""
    stage.mailbox = Slow()
    ada = await stage.register(await stage.event())
    await stage.publish()
    parts = stage.parts()
    await parts.plan()
    await parts.dispatcher.step()
    await stage.mailbox.begun.wait()
    notice, *_ = await stage.only(ada)
    forgetting = asyncio.create_task(parts.dispatcher.forget([notice.id]))
    await asyncio.sleep(0)
    assert not forgetting.done()
    stage.mailbox.word.set()
    await forgetting
    assert stage.mailbox.sent == {}


async def test_stopping_finishes_what_is_under_way(stage):
    """A stop waits for the mail that is being sent, and records that it was accepted."""
    stage.mailbox = Slow()
    ada = await stage.register(await stage.event())
    await stage.publish()
    parts = stage.parts()
    await parts.plan()
    running = asyncio.create_task(parts.dispatcher.run())
    await stage.mailbox.begun.wait()
    parts.dispatcher.stop()
    await asyncio.sleep(0)
    stage.mailbox.word.set()
    await asyncio.wait_for(running, 5)
    assert (await stage.only(ada))[1] is NoticeStatus.ACCEPTED


async def test_stopping_does_not_wait_for_ever(stage, monkeypatch):
    """Past the bound a mail under way is left: its outcome is unknown, and it is tried again."""
    monkeypatch.setattr("veltrix.domain.limits.DRAIN_MAX_S", 0.01)
    stage.mailbox = Slow()
    ada = await stage.register(await stage.event())
    await stage.publish()
    parts = stage.parts()
    await parts.plan()
    running = asyncio.create_task(parts.dispatcher.run())
    await stage.mailbox.begun.wait()
    parts.dispatcher.stop()
    await asyncio.wait_for(running, 5)
    _, status, _, detail = await stage.only(ada)
    assert (status, detail) == (NoticeStatus.UNKNOWN, "stopped while it was being sent")


class Raising(MemoryMailbox):
    """A channel with a defect."""

    async def send(self, mail: Mail) -> Attempt:
        """Break the channel's promise not to raise."""
        raise RuntimeError("defect")


async def test_a_channel_that_raises_leaves_the_outcome_unknown(stage):
    """Nobody knows how far it came: the attempt is unknown and tried again."""
    stage.mailbox = Raising()
    ada = await stage.register(await stage.event())
    await stage.publish()
    with captured() as lines:
        await stage.parts().run()
    assert (await stage.only(ada))[1] is NoticeStatus.UNKNOWN
    assert "channel_failed" in [line["message"] for line in lines]


class Forgetful(MemoryNotices):
    """A store whose first recording of results fails."""

    fails = 1

    async def finish(self, results) -> int:
        """Fail as often as said."""
        if self.fails:
            self.fails -= 1
            raise Unavailable("no")
        return await super().finish(results)


async def test_results_are_kept_until_they_are_recorded():
    """A store that is away for a moment costs no result: the mail was sent once and is recorded so."""
    stage = await Stage(notices=Forgetful()).begin()
    ada = await stage.register(await stage.event())
    await stage.publish()
    parts = stage.parts()
    await parts.plan()
    await parts.dispatcher.step()
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await parts.dispatcher.flush()
    await parts.dispatch()
    assert (await stage.only(ada))[1] is NoticeStatus.ACCEPTED
    assert isinstance(stage.mailbox, MemoryMailbox)
    assert len(stage.mailbox.tries) == 1


async def test_what_cannot_be_read_keeps_nobody_waiting(stage, monkeypatch):
    """A registration that is missing from the ledger, and a kind that no text is for: the others go out."""
    event = await stage.event()
    ada = await stage.register(event, "Ada")
    bob = await stage.register(event, "Bob")
    await stage.ask(CancelEvent(), event)
    await stage.publish()
    await stage.parts().plan()
    known = (await stage.notices.of_registration(bob.id))[0][0]
    odd = replace(known, id="ntc_" + "f" * 32, kind="birthday", recipient="other")
    at = stage.facts[-1].seq
    await stage.notices.record(0, at, at, Planned([odd]))
    registration = stage.ledger.registration

    async def without_ada(wanted):
        return None if wanted == ada.id else await registration(wanted)

    monkeypatch.setattr(stage.ledger, "registration", without_ada)
    await stage.parts().dispatch()
    statuses = [
        (notice.kind, status, detail)
        for each in (ada, bob)
        for notice, status, _, detail in await stage.notices.of_registration(each.id)
    ]
    assert statuses == [
        ("confirmed", NoticeStatus.ACCEPTED, ""),
        ("event_cancelled", NoticeStatus.PENDING, f"registration {ada.id} cannot be read"),
        ("confirmed", NoticeStatus.ACCEPTED, ""),
        ("event_cancelled", NoticeStatus.ACCEPTED, ""),
        ("birthday", NoticeStatus.DEAD, "there is no text for this kind of notice"),
    ]


async def test_no_more_are_in_flight_than_is_said(stage):
    """Where a channel has few connections, few mails are claimed at once."""
    stage.mailbox = Slow()
    event = await stage.event(event_spec(pools=(PoolSpec("main", 100),)))
    for number in range(50):
        await stage.register(event, f"P{number}")
    await stage.publish()
    parts = stage.parts()
    parts.dispatcher.in_flight = 4
    await parts.plan()
    while await parts.dispatcher.step():
        pass
    assert (await stage.notices.counts())[NoticeStatus.ATTEMPTING] == 4
    stage.mailbox.word.set()
    await parts.dispatch()
    assert len(stage.mails()) == 50


async def test_while_the_ledger_is_away_nothing_is_lost(stage, monkeypatch):
    """Notices that could not be prepared are put back for later, and go out then."""
    event = await stage.event()
    ada = await stage.register(event)
    await stage.publish()
    await stage.parts().plan()
    parts = stage.parts()
    away = True
    facts = stage.ledger.facts

    async def failing(partition, after_seq, limit):
        if away:
            raise Unavailable("the ledger is away")
        return await facts(partition, after_seq, limit)

    monkeypatch.setattr(stage.ledger, "facts", failing)
    with pytest.raises(Unavailable):
        await parts.dispatcher.step()
    await parts.dispatcher.flush()
    _, status, _, detail = await stage.only(ada)
    assert (status, detail) == (NoticeStatus.PENDING, "it could not be prepared")
    away = False
    stage.clock.ms += 60_000
    await parts.dispatch()
    assert (await stage.only(ada))[1] is NoticeStatus.ACCEPTED


async def test_who_alone_cannot_prepare_keeps_nobody_waiting(stage, monkeypatch):
    """A process that claims but cannot read the ledger, however often, leaves notices to the next soon."""
    event = await stage.event()
    ada = await stage.register(event)
    await stage.publish()
    await stage.parts().plan()
    cut_off = stage.parts()

    async def away(partition, after_seq, limit):
        raise Unavailable("the ledger is away")

    with monkeypatch.context() as patch:
        patch.setattr(stage.ledger, "facts", away)
        for _ in range(20):
            with pytest.raises(Unavailable):
                await cut_off.dispatcher.step()
            await cut_off.dispatcher.flush()
            stage.clock.ms += round(limits.BACKOFF_MAX_S * 1000)
    other = stage.parts()
    await other.dispatch()
    assert (await stage.only(ada))[1] is NoticeStatus.ACCEPTED


async def test_counts_are_told_now_and_then(stage):
    """The store is counted at most every few seconds, with the age of the oldest that is due."""
    meters = Meters()
    event = await stage.event()
    await stage.register(event)
    await stage.publish()
    parts = stage.parts(metrics=meters)
    await parts.run()
    await stage.register(event, "Bob")
    await stage.publish()
    stage.clock.ms += round(limits.NOTICE_GAUGE_S * 1000)
    await parts.run()
    assert len(meters.counts) == 2
    assert meters.counts[-1][0]["accepted"] == 1


@given(data=st.data())
def test_every_notice_comes_to_a_definite_end(data):
    """Under any outcomes and crashes each ends for good, after a bounded number of attempts."""
    asyncio.run(dispatch_at_random(data))


async def dispatch_at_random(data: st.DataObject) -> None:
    """Let the channel answer as it likes, and processes die with notices in hand."""
    stage = await Stage().begin()
    mailbox = stage.mailbox
    assert isinstance(mailbox, MemoryMailbox)
    event = await stage.event(event_spec(pools=(PoolSpec("main", 50),)))
    people = [await stage.register(event, f"P{number}") for number in range(data.draw(st.integers(1, 5)))]
    await stage.publish()
    await stage.parts().plan()
    mailbox.script(*data.draw(st.lists(st.sampled_from(Sent), max_size=25)))
    for dies in [*data.draw(st.lists(st.booleans(), max_size=12)), *[False] * limits.MAIL_ATTEMPTS_MAX]:
        parts = stage.parts()
        await parts.dispatcher.step()
        await asyncio.sleep(0)
        if not dies:  # else it ends before it recorded anything
            await parts.dispatch()
        stage.clock.ms += 60_001 + 2 * round(max(limits.MAIL_RETRY_S) * 1000)
    for registration in people:
        notice, status, _, _ = await stage.only(registration)
        assert status in (NoticeStatus.ACCEPTED, NoticeStatus.REFUSED, NoticeStatus.DEAD)
        tries = sum(mail.notice == notice.id for mail in mailbox.tries)
        assert tries <= 2 * limits.MAIL_ATTEMPTS_MAX
        if status is NoticeStatus.ACCEPTED:
            assert notice.id in mailbox.sent
    assert {mail.notice for mail in mailbox.tries} == {(await stage.only(each))[0].id for each in people}


async def test_mails_go_out_in_order(stage):
    """A cancellation before its confirmation was sent: both go out, in the order in which they happened."""
    ada = await stage.register(await stage.event())
    await stage.ask(Cancel(ada.id), ada.event)
    await stage.publish()
    await stage.parts().run()
    subjects = [opened(mail.content).message["subject"].partition(":")[0] for mail in stage.mails()]
    assert subjects == ["You are registered", "Registration cancelled"]
