"""From facts to recorded notices: once each, whatever is lost, repeated or restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notification.stage import HOLDS, TERM, Stage, event_spec, person_of
from veltrix.adapters.memory import MemoryLedger, MemoryNotices
from veltrix.adapters.sqlite import SqliteNotices
from veltrix.domain.commands import (
    Cancel,
    CancelEvent,
    ChangeAnswers,
    ChangeEvent,
    CheckIn,
    ConfirmHold,
    ErasePerson,
    ExpireHold,
    ExtendHold,
    Move,
    ReleaseHold,
)
from veltrix.domain.event import PoolSpec
from veltrix.domain.facts import NumberedFact
from veltrix.domain.notices import addressees
from veltrix.ports.errors import Unavailable
from veltrix.ports.notices import NoticeStatus
from veltrix.sealing import Person

ADA, BOB, EVE = (person_of(name) for name in ("Ada", "Bob", "Eve"))


@pytest.fixture(params=["memory", "sqlite"])
async def stage(request, tmp_path):
    """A stage over each store of notices."""
    store = (
        MemoryNotices() if request.param == "memory" else await SqliteNotices.open(tmp_path / "notices.db")
    )
    yield await Stage(notices=store).begin()
    await store.close()


async def test_the_life_of_a_registration(stage):
    """Each fact of a registration's life is told to its holder once, in order; check-ins are not."""
    event = await stage.event()
    ada = await stage.register(event, "Ada", "std", "std")
    await stage.ask(Move(ada.id, 1, "stu"), event)
    box = await stage.box(event, Person("A", "ada@example.org"))
    await stage.ask(ChangeAnswers(ada.id, ADA, box, 1), event)
    await stage.ask(Cancel(ada.id, 2), event)
    await stage.ask(CheckIn(1, 1, "scan-1"), event)
    await stage.ask(CheckIn(1, 1, "scan-2", undo=True), event)
    await stage.transfer(ada, "Bob")
    await stage.ask(Cancel(ada.id), event)
    await stage.publish()
    await stage.parts().plan()
    assert await stage.told(ada) == [
        ("confirmed", ADA),
        ("moved", ADA),
        ("changed", ADA),
        ("seat_cancelled", ADA),
        ("received", BOB),
        ("handed_over", ADA),
        ("cancelled", BOB),
    ]


async def test_holds_and_waitlist(stage):
    """A hold is told until it ends, and a promotion to the one who waited."""
    event = await stage.event(event_spec(pools=(PoolSpec("main", 1),), holds=HOLDS))
    ada = await stage.register(event, "Ada")
    bob = await stage.register(event, "Bob")
    eve = await stage.register(event, "Eve")
    await stage.ask(ExtendHold(ada.id, 1800), event)
    await stage.ask(ReleaseHold(ada.id), event)
    stage.clock.ms += 900_000
    await stage.ask(ExpireHold(bob.id, 1), event)
    await stage.ask(ConfirmHold(eve.id), event)
    await stage.publish()
    await stage.parts().plan()
    assert await stage.told(ada) == [("held", ADA), ("hold_extended", ADA), ("released", ADA)]
    assert await stage.told(bob) == [("waitlisted", BOB), ("promoted_held", BOB), ("expired", BOB)]
    assert await stage.told(eve) == [("waitlisted", EVE), ("promoted_held", EVE), ("confirmed", EVE)]


async def test_the_holder_of_a_single_seat_is_found_again(stage):
    """Later facts about a seat that was passed on reach its holder, whom the transfer's notice named."""
    event = await stage.event(event_spec(holds=HOLDS))
    ada = await stage.register(event, "Ada", "std", "std")
    await stage.transfer(ada, "Bob", 2)
    await stage.ask(ConfirmHold(ada.id), event)
    await stage.publish()
    await stage.parts().plan()
    await stage.ask(Cancel(ada.id, 2), event)
    await stage.publish()
    await stage.parts().plan()
    assert await stage.told(ada) == [
        ("held", ADA),
        ("ticket", BOB),
        ("seat_handed_over", ADA),
        ("confirmed", ADA),
        ("ticket", BOB),
        ("seat_cancelled", ADA),
        ("ticket_withdrawn", BOB),
    ]


async def test_a_seat_that_is_passed_on_twice(stage):
    """Whoever had the seat in between is told that it is gone, though no fact names them."""
    event = await stage.event()
    ada = await stage.register(event, "Ada", "std", "std")
    await stage.transfer(ada, "Bob", 2)
    await stage.transfer(ada, "Eve", 2)
    await stage.publish()
    await stage.parts().plan()
    assert (await stage.told(ada))[3:] == [
        ("ticket", EVE),
        ("seat_handed_over", ADA),
        ("ticket_withdrawn", BOB),
    ]


async def test_an_event_that_is_called_off_is_told_to_all_who_had_a_part(stage):
    """One fact becomes one notice for everyone with an active registration, and for nobody else."""
    event = await stage.event(event_spec(pools=(PoolSpec("main", 2),)))
    ada = await stage.register(event, "Ada", "std")
    gone = await stage.register(event, "Gone", "std")
    waiting = await stage.register(event, "Eve", "std")
    await stage.transfer(ada, "Bob", 1)
    await stage.ask(Cancel(gone.id), event)
    await stage.ask(CancelEvent(), event)
    await stage.publish()
    parts = stage.parts()
    await parts.plan()
    assert (await stage.told(ada))[-2:] == [("event_cancelled", ADA), ("event_cancelled", BOB)]
    assert (await stage.told(waiting))[-1] == ("event_cancelled", EVE)
    assert (await stage.told(gone))[-1][0] == "cancelled"
    assert await stage.notices.jobs(10) == []


async def test_only_changes_of_time_and_place_are_told(stage):
    """Everyone hears of another venue; those who come later read it in their own confirmation."""
    event = await stage.event()
    ada = await stage.register(event, "Ada")
    await stage.ask(ChangeEvent(event_spec(seats_per_registration=3), 2), event)
    stage.clock.ms += 1
    await stage.ask(
        ChangeEvent(event_spec(seats_per_registration=3, starts_local="2027-10-01T09:00"), 3), event
    )
    stage.clock.ms += 1
    bob = await stage.register(event, "Bob")
    await stage.publish()
    await stage.parts().plan()
    assert await stage.told(ada) == [("confirmed", ADA), ("event_changed", ADA)]
    assert await stage.told(bob) == [("confirmed", BOB)]


async def test_a_fan_out_goes_on_where_it_stopped(stage, monkeypatch):
    """Pages are recorded with the job's place, so another process ends what one began and repeats nothing."""
    monkeypatch.setattr("veltrix.domain.limits.FAN_OUT_PAGE", 2)
    event = await stage.event(event_spec(pools=(PoolSpec("main", 50),)))
    all_of_them = [await stage.register(event, f"P{number}") for number in range(7)]
    await stage.ask(CancelEvent(), event)
    await stage.publish()
    first = stage.parts()
    first.planner.sweep()
    while await first.planner.step():
        pass
    await first.fan_outs.step()
    [job] = await stage.notices.jobs(10)
    assert job.after_arrival == all_of_them[1].arrival
    await stage.parts().plan()
    for registration in all_of_them:
        assert [kind for kind, _ in await stage.told(registration)] == ["confirmed", "event_cancelled"]


async def test_a_person_who_is_erased_gets_nothing_more(stage):
    """Open notices end and mails that lie around are forgotten; what the person does later is told again."""
    event = await stage.event()
    parts = stage.parts()
    ada = await stage.register(event, "Ada")
    bob = await stage.register(event, "Bob")
    await stage.publish()
    await parts.run()
    assert len(stage.mails()) == 2
    await stage.ask(Move(ada.id, 1, "stu"), event)
    await stage.ask(ErasePerson(ADA), event)
    again = await stage.register(event, "Ada")
    await stage.publish()
    await parts.run()
    assert await stage.of(ada) == [
        ("confirmed", ADA, NoticeStatus.ACCEPTED),
        ("moved", ADA, NoticeStatus.SUPPRESSED),
    ]
    assert await stage.of(bob) == [("confirmed", BOB, NoticeStatus.ACCEPTED)]
    assert await stage.of(again) == [("confirmed", ADA, NoticeStatus.ACCEPTED)]
    assert sorted(mail.recipient for mail in stage.mails()) == ["ada@example.org", "bob@example.org"]


class ForgetsOnce:
    """A mailbox whose first `forget` fails, as a disk may."""

    def __init__(self, mailbox) -> None:
        self.mailbox = mailbox
        self.fails = True
        self.name = mailbox.name
        self.send = mailbox.send

    async def forget(self, notices: list[str]) -> None:
        """Fail once."""
        if self.fails:
            self.fails = False
            raise Unavailable("the disk says no")
        await self.mailbox.forget(notices)


async def test_an_erasure_is_not_passed_before_all_is_forgotten(stage):
    """The inbox stands at the erasure until the mails are gone, so that a crash in between repeats it."""
    event = await stage.event()
    await stage.register(event, "Ada")
    await stage.publish()
    await stage.parts().run()
    [mail] = stage.mails()
    mailbox = stage.mailbox
    stage.mailbox = ForgetsOnce(mailbox)
    facts = await stage.ask(ErasePerson(ADA), event)
    await stage.publish()
    parts = stage.parts()
    with pytest.raises(Unavailable):
        await parts.plan()
    assert await stage.notices.position(0) == facts[0].seq - 1
    assert mail.notice in mailbox.sent
    await stage.parts().plan()
    assert await stage.notices.position(0) == facts[0].seq
    assert mailbox.sent == {}


async def test_what_is_not_published_is_not_planned(stage):
    """Facts are planned once they are published: before that, an erased person's keys may still exist."""
    event = await stage.event()
    ada = await stage.register(event, "Ada")
    parts = stage.parts()
    await parts.plan()
    assert await stage.told(ada) == []
    await stage.publish()
    await parts.plan()
    assert await stage.told(ada) == [("confirmed", ADA)]


class Counting(MemoryLedger):
    """A ledger that counts reads of facts."""

    reads = 0

    async def facts(self, partition: int, after_seq: int, limit: int) -> list[NumberedFact]:
        """Facts, counted."""
        self.reads += 1
        return await super().facts(partition, after_seq, limit)


async def test_hints_without_a_gap_need_no_ledger():
    """What the feed brings in sequence is planned as it is; a gap is read from the ledger."""
    ledger = Counting()
    stage = await Stage(ledger=ledger).begin()
    parts = stage.parts()
    event = await stage.event()
    first = await stage.register(event, "Ada")
    await stage.publish()
    await parts.plan()
    reads = ledger.reads
    second = await stage.register(event, "Bob")
    parts.planner.take(stage.hint(stage.facts[-1:]))
    while await parts.planner.step():
        pass
    assert ledger.reads == reads
    third, fourth = await stage.register(event, "Eve"), await stage.register(event, "Fay")
    await stage.publish()
    parts.planner.take(stage.hint(stage.facts[-1:]))
    while await parts.planner.step():
        pass
    assert ledger.reads > reads
    for registration in (first, second, third, fourth):
        assert [kind for kind, _ in await stage.told(registration)] == ["confirmed"]


async def test_the_service_follows_the_feed(stage):
    """A published fact is planned and sent by running parts, woken by the feed alone."""
    parts = stage.parts()
    running = asyncio.create_task(parts.planner.run())
    event = await stage.event()
    ada = await stage.register(event, "Ada")
    woken = asyncio.Event()
    parts.planner.wake = woken.set
    await asyncio.sleep(0)
    await stage.publish()
    await asyncio.wait_for(woken.wait(), 5)
    assert await stage.told(ada) == [("confirmed", ADA)]
    parts.planner.stop()
    await asyncio.wait_for(running, 5)


def runs(facts: Sequence[NumberedFact], data: st.DataObject) -> list[Sequence[NumberedFact]]:
    """What a feed may make of facts: runs of them, some lost, some again, some out of order."""
    found = []
    for _ in range(data.draw(st.integers(0, 8))):
        start = data.draw(st.integers(0, len(facts)))
        found.append(facts[start : data.draw(st.integers(start, len(facts)))])
    return found


@given(data=st.data())
def test_exactly_one_notice_a_fact_recipient_and_channel(data):
    """Under lost, repeated and reordered hints, restarts and two planners at once: never zero, never two."""
    asyncio.run(deliver_at_random(data))


async def deliver_at_random(data: st.DataObject) -> None:
    """Decide a few things, and let planners learn of them in every way they may."""
    stage = await Stage().begin()
    event = await stage.event(event_spec(pools=(PoolSpec("main", 2),)))
    planners = [stage.parts(), stage.parts()]
    registrations = []
    for number in range(data.draw(st.integers(1, 6))):
        registration = await stage.register(event, f"P{number}", "std", "std")
        registrations.append(registration)
        after = data.draw(st.sampled_from(["nothing", "cancel", "transfer", "seat"]))
        if after == "cancel":
            await stage.ask(Cancel(registration.id), event)
        elif after == "transfer":
            await stage.transfer(registration, f"Q{number}")
        elif after == "seat" and stage.facts[-1].fact.registration is not None:
            await stage.transfer(
                registration, f"Q{number}", stage.facts[-1].fact.registration.seats[0].number
            )
        await stage.ledger.relayed(0, TERM, data.draw(st.integers(0, stage.facts[-1].seq)))
        for hint in runs(stage.facts, data):
            parts = data.draw(st.sampled_from(planners))
            parts.planner.take(stage.hint(hint))
            if data.draw(st.booleans()):
                await step(parts)
        if data.draw(st.booleans()):
            planners[data.draw(st.integers(0, 1))] = stage.parts()
    await stage.publish()
    await asyncio.gather(*(finish(parts) for parts in planners))
    await check(stage)


async def step(parts) -> None:
    """One step of a planner; another one may have been faster."""
    try:
        await parts.planner.step()
    except Unavailable:
        raise
    except Exception as error:
        assert type(error).__name__ == "Fenced"


async def finish(parts) -> None:
    """Let a planner come to the end of what is published."""
    parts.planner.sweep()
    for _ in range(50):
        await step(parts)


async def check(stage: Stage) -> None:
    """Compare what is recorded with what follows from the facts themselves."""
    expected = set()
    holders: dict[str, str] = {}
    for numbered in stage.facts:
        for each in addressees(numbered.fact):
            if each.recipient is not None:
                holders[each.key_id] = each.recipient
            expected.add((numbered.seq, each.recipient or holders[each.key_id]))
    recorded = []
    for registration in {fact.fact.registration.id for fact in stage.facts if fact.fact.registration}:
        for notice, *_ in await stage.notices.of_registration(registration):
            recorded.append((notice.seq, notice.recipient))
    assert sorted(recorded) == sorted(expected)
    assert await stage.notices.position(0) == stage.facts[-1].seq
