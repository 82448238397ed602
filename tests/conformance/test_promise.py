"""What notification promises (docs/notification.md), with workers that are killed at the worst moments.

Each test has a store of its own kind, real SQLite and real PostgreSQL among them. A worker that is killed is
one that never gets to record what it knows; the next one begins from the store alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conformance.adapters import Subject, WholeNotices
from tests.notification.stage import Parts, Stage
from veltrix.adapters.memory import MemoryOutreach
from veltrix.domain import limits
from veltrix.domain.facts import FactKind
from veltrix.notification.reach import Reach
from veltrix.ports.channel import Attempt, Mail, Post, Sent
from veltrix.ports.deliveries import Delivery, Wanted
from veltrix.ports.errors import Unavailable
from veltrix.ports.notices import OPEN, NoticeStatus, Planned
from veltrix.ports.outreach import Endpoint, OnUnknown, Order, OrderKind, Scheme, SigningSecret
from veltrix.sealing import seal_secret

KEY = b"s" * 32
LEASE_MS = 60_000
ENDPOINT = Endpoint("ep_1", "org_1", "https://example.org/hook")
PEOPLE = ("Ada", "Bob", "Cleo")


@dataclass
class Sink:
    """Where mails and webhooks arrive. `dies_after` lets the other side take that many and say nothing more:
    the worker is killed then. `answers` are given before everything is accepted."""

    arrived: list[tuple[str, str]] = field(default_factory=list)
    dies_after: int | None = None
    answers: list[Attempt] = field(default_factory=list)
    silent: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, channel: str, notice: str) -> Attempt:
        """One message arrives as a whole; whether the answer is heard is another matter."""
        answer = self.answers.pop(0) if self.answers else Attempt(Sent.ACCEPTED, code=200)
        if answer.sent is not Sent.NOT_SENT:
            self.arrived.append((channel, notice))
        if self.dies_after is not None and len(self.arrived) >= self.dies_after:
            self.silent.set()
            await asyncio.Event().wait()
        return answer

    @property
    def duplicates(self) -> int:
        """Messages that had arrived before."""
        return len(self.arrived) - len(set(self.arrived))


class SinkMail:
    """The sink as a mail server."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @property
    def name(self) -> str:
        """It carries mail."""
        return "email"

    async def send(self, mail: Mail) -> Attempt:
        """The final dot arrives."""
        return await self._sink.take("email", mail.notice)

    async def forget(self, notices: list[str]) -> None:
        """It cannot."""

    async def close(self) -> None:
        """Nothing is kept."""


class SinkPoster:
    """The sink as an endpoint."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def post(self, post: Post) -> Attempt:
        """The POST's body arrives."""
        assert post.secrets == ("whsec_c2VjcmV0",)
        return await self._sink.take("webhook", post.notice)

    async def close(self) -> None:
        """Nothing is kept."""


@dataclass
class House:
    """A stage with an endpoint, a sink for everything, and workers that come and go."""

    stage: Stage
    store: WholeNotices
    outreach: MemoryOutreach
    sink: Sink

    @classmethod
    async def build(cls, store: WholeNotices, endpoint: Endpoint = ENDPOINT) -> House:
        """With an event and one endpoint, and nothing told yet."""
        outreach, sink = MemoryOutreach(), Sink()
        stage = Stage(notices=store, mailbox=SinkMail(sink))
        await stage.begin()
        event = await stage.event()
        organizer = stage.facts[0].fact.organizer
        stage.facts.clear()
        await outreach.put_endpoint(Endpoint(**{**_fields(endpoint), "organizer": organizer}))
        sealed = seal_secret(b"whsec_c2VjcmV0", KEY, b"n" * 12, endpoint.id, "sec_1")
        await outreach.add_secret(SigningSecret("sec_1", endpoint.id, Scheme.V1, sealed, 1))
        house = cls(stage, store, outreach, sink)
        at = stage.state.next_seq - 1
        await store.record(0, 0, at, Planned())
        for name in PEOPLE:
            await stage.register(event, name)
        await stage.publish()
        return house

    def worker(self, **changes: Any) -> Parts:
        """A process that knows nothing but what is stored."""
        poster = SinkPoster(self.sink)
        reach = Reach(self.outreach, self.store, self.store, poster, KEY)
        return self.stage.parts(reach=reach, **changes)

    async def notices(self) -> list[Delivery]:
        """All notices."""
        return await self.store.search(Wanted(), None, 1_000)

    async def unknown(self) -> int:
        """Attempts whose outcome is unknown, of all notices."""
        rows = [await self.store.attempts(each.notice.id) for each in await self.notices()]
        return sum(row.outcome == Sent.UNKNOWN for attempts in rows for row in attempts)

    async def until_over(self) -> None:
        """Let workers go on, each for a while, until nothing is left to be done."""
        for _ in range(60):
            self.stage.clock.ms += LEASE_MS + 1
            await self.worker().run()
            counts = await self.store.counts()
            if not any(counts[each] for each in OPEN):
                return
        raise AssertionError(f"still to be done: {await self.store.counts()}")

    async def check(self) -> None:
        """One notice for each change, recipient and channel; each is over; each arrived, always under its own
        id; and twice no more often than an outcome was unknown."""
        found = await self.notices()
        expected = {
            (fact.seq, channel)
            for fact in self.stage.facts
            if fact.fact.kind is FactKind.REGISTRATION_CONFIRMED
            for channel in ("email", "webhook")
        }
        keys = Counter((each.notice.seq, each.notice.channel) for each in found)
        assert keys == Counter(dict.fromkeys(expected, 1))
        assert {each.status for each in found} == {NoticeStatus.ACCEPTED}
        assert set(self.sink.arrived) == {(each.notice.channel, each.notice.id) for each in found}
        assert self.sink.duplicates <= await self.unknown()


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {name: getattr(endpoint, name) for name in endpoint.__dataclass_fields__}


async def survivor(subject: Subject[WholeNotices]) -> WholeNotices:
    """The store as the next process finds it; what is in memory alone outlives nothing but the worker."""
    return await subject.reopen() if subject.entry.lasting else subject.it


async def kill(worker: Parts) -> None:
    """Nothing that it knows, and nothing that it still does, is recorded."""
    tasks = [task for task in worker.dispatcher._in_hand.values() if task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def answered(worker: Parts) -> None:
    """Let what is being sent be answered; nothing of it is recorded yet."""
    await asyncio.gather(*(task for task in worker.dispatcher._in_hand.values() if task is not None))


async def test_killed_between_claim_and_send(deliveries: Subject[WholeNotices]):
    """What was claimed is ATTEMPTING before anything is sent; the next worker finds it there."""
    house = await House.build(deliveries.it)
    worker = house.worker()
    await worker.plan()
    claimed = await house.store.claim(house.stage.clock.ms, 100, LEASE_MS)
    assert len(claimed) == 6
    house.store = house.stage.notices = await survivor(deliveries)
    assert (await house.store.counts())[NoticeStatus.ATTEMPTING] == 6
    await house.until_over()
    await house.check()
    assert (house.sink.duplicates, await house.unknown()) == (0, 6)


@pytest.mark.parametrize("dies_after", [1, 2, 4, 6])
async def test_killed_after_transmitting(deliveries: Subject[WholeNotices], dies_after: int):
    """After the final dot of a mail, or the last byte of a POST: what was not answered counts as unknown."""
    house = await House.build(deliveries.it)
    house.sink.dies_after = dies_after
    worker = house.worker()
    await worker.plan()
    await worker.dispatcher.step()
    await house.sink.silent.wait()
    await kill(worker)
    house.store = house.stage.notices = await survivor(deliveries)
    house.sink.dies_after = None
    await house.until_over()
    await house.check()
    assert house.sink.duplicates >= 1, "what arrived was not recorded"


async def test_killed_before_the_answer_is_recorded(deliveries: Subject[WholeNotices]):
    """Everything was accepted and nobody wrote it down: everything comes twice, and every one is counted."""
    house = await House.build(deliveries.it)
    worker = house.worker()
    await worker.plan()
    await worker.dispatcher.step()
    await answered(worker)
    assert len(house.sink.arrived) == 6
    house.store = house.stage.notices = await survivor(deliveries)
    await house.until_over()
    await house.check()
    assert (house.sink.duplicates, await house.unknown()) == (6, 6)


async def test_killed_while_planning(deliveries: Subject[WholeNotices], monkeypatch):
    """Before the inbox moved, or after it did and nobody heard: never none, and never two."""
    house = await House.build(deliveries.it)
    worker = house.worker()
    record = house.store.record

    async def lost(*arguments: Any) -> Any:
        await record(*arguments)
        raise Unavailable("the answer was lost")

    monkeypatch.setattr(house.store, "record", lost)
    worker.planner.sweep()
    with suppress(Unavailable):
        while await worker.planner.step():
            pass
    monkeypatch.undo()
    again = [house.worker(), house.worker()]
    for each in again:
        await each.plan()
    await house.until_over()
    await house.check()
    assert house.sink.duplicates == 0


async def test_a_worker_that_was_taken_for_dead_records_nothing(deliveries: Subject[WholeNotices]):
    """Its lease ran out and another one went on: what it was answered is fenced, and counts as unknown."""
    house = await House.build(deliveries.it)
    slow = house.worker()
    await slow.plan()
    await slow.dispatcher.step()
    await answered(slow)
    house.stage.clock.ms += LEASE_MS + 1
    house.sink.answers = [Attempt(Sent.NOT_SENT, "answered 503", code=503)] * 6
    await house.worker().run()
    waiting = await house.store.search(Wanted(statuses=frozenset({NoticeStatus.PENDING})), None, 10)
    assert len(waiting) == 6
    await slow.dispatcher.flush()
    assert await house.store.search(Wanted(), None, 10) == waiting, "its results are of claims that are over"
    await house.until_over()
    await house.check()
    assert (house.sink.duplicates, await house.unknown()) == (6, 6)


async def test_unknown_is_held_where_that_is_chosen(deliveries: Subject[WholeNotices]):
    """With `hold` nothing comes twice: what may have arrived waits for an operator, who sends or drops it."""
    house = await House.build(deliveries.it, Endpoint("ep_1", "org", "https://x", on_unknown=OnUnknown.HOLD))
    house.sink.dies_after = 6
    worker = house.worker(hold=True)
    await worker.plan()
    await worker.dispatcher.step()
    await house.sink.silent.wait()
    await kill(worker)
    house.sink.dies_after = None
    house.stage.clock.ms += LEASE_MS + 1
    await house.worker(hold=True).run()
    held = await house.store.search(Wanted(held=True), None, 10)
    assert len(held) == 6
    assert house.sink.duplicates == 0
    organizer = held[0].notice.organizer
    webhooks = Wanted(channel="webhook")
    await house.outreach.give(Order(OrderKind.RELEASE, organizer, house.stage.clock.ms, webhooks))
    await house.outreach.give(Order(OrderKind.DROP, organizer, house.stage.clock.ms, Wanted(channel="email")))
    at = await house.store.progress()
    for order in await house.outreach.orders(0, 5):
        at = await house.store.carry_out(order, at, house.stage.clock.ms)
    await house.worker(hold=True).run()
    counts = await house.store.counts()
    assert (counts[NoticeStatus.ACCEPTED], counts[NoticeStatus.SUPPRESSED]) == (3, 3)


async def test_attempts_end_in_a_dead_letter_that_can_be_replayed(deliveries: Subject[WholeNotices]):
    """Refused for now, as often as the schedule says: dead, listed, and once ordered sent under its id."""
    house = await House.build(deliveries.it)
    house.sink.answers = [Attempt(Sent.NOT_SENT, "answered 500", code=500)] * 1_000
    worker = house.worker()
    await worker.plan()
    for _ in range(300):
        house.stage.clock.ms += 3_600_000
        await worker.dispatch()
        counts = await house.store.counts()
        if counts[NoticeStatus.DEAD] == 6:
            break
    dead = await house.store.search(Wanted(statuses=frozenset({NoticeStatus.DEAD})), None, 10)
    most = {"email": limits.MAIL_ATTEMPTS_MAX, "webhook": limits.WEBHOOK_ATTEMPTS_MAX}
    assert {(each.notice.channel, each.attempts) for each in dead} == set(most.items())
    house.sink.answers = []
    house.sink.arrived.clear()
    order = Order(OrderKind.REPLAY, dead[0].notice.organizer, house.stage.clock.ms, Wanted(), seq=1)
    await house.store.carry_out(order, await house.store.progress(), house.stage.clock.ms)
    house.stage.clock.ms += 3_600_000
    await house.worker().run()
    await house.check()
