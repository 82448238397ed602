"""One notice a change and endpoint, whatever the receiver does, and duplicates only where it is unknown."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import pytest

from tests.conformance.on_postgres import postgres_notices, postgres_outreach
from tests.webhook import receiver as acts
from tests.webhook.delivering import delivering
from tests.webhook.receiver import a_receiver as receiver_in_real_time
from veltrix.adapters.sqlite import SqliteNotices, SqliteOutreach
from veltrix.domain.targets import TargetState
from veltrix.ports.deliveries import Wanted
from veltrix.ports.notices import NoticeStatus
from veltrix.ports.outreach import OnUnknown, OrderKind

PEOPLE = ("Ada", "Grace", "Edith")
CLEAN = [
    acts.answer(500), acts.answer(404), acts.answer(307, location="/"), acts.answer(429, retry_after="7"),
    acts.answer(503, retry_after="Wed, 21 Oct 2099 07:28:00 GMT"),
]  # fmt: skip
LOST = [acts.reset, acts.close_after_body, acts.hang, acts.drip(status_line=True)]
ACCEPTING = [acts.half_an_answer, acts.drip(status_line=False)]


a_receiver = partial(receiver_in_real_time, made_up_time=True)


@pytest.fixture(params=["sqlite", "postgres"])
async def stores(request, tmp_path):
    """Notification's own store and what organizers chose, on both engines."""
    notices: Any
    outreach: Any
    if request.param == "sqlite":
        notices = await SqliteNotices.open(tmp_path / "notices.db")
        outreach = await SqliteOutreach.open(tmp_path / "outreach.db")
    else:
        server = request.getfixturevalue("postgres_server")
        notices, outreach = (
            await postgres_notices(tmp_path, server),
            await postgres_outreach(tmp_path, server),
        )
    yield notices, outreach
    await notices.close()
    await outreach.close()


@pytest.fixture
async def plain(tmp_path):
    """The same on SQLite alone, for what does not depend on the store."""
    notices = await SqliteNotices.open(tmp_path / "notices.db")
    outreach = await SqliteOutreach.open(tmp_path / "outreach.db")
    yield notices, outreach
    await notices.close()
    await outreach.close()


class Moody:
    """Misbehaves twice with each post, then accepts; counts what it may have taken."""

    def __init__(self, mood, takes: bool) -> None:
        self.mood = mood
        self.takes = takes
        self.seen: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()

    async def __call__(self, request):
        """Behave."""
        name = request.headers["webhook-id"]
        self.seen[name] += 1
        if self.seen[name] > 2:
            self.taken[name] += 1
            return await acts.accept(request)
        self.taken[name] += self.takes
        return await self.mood(request)


async def three_people(show):
    """An event and three registrations, published: five facts."""
    event = await show.stage.event()
    for name in PEOPLE:
        await show.stage.register(event, name)
    await show.stage.publish()
    return event


async def checked(show, receiver, moody, facts):
    """What must hold afterwards: one accepted notice a fact, and no more duplicates than unknowns."""
    found = await show.until_over(facts)
    assert [each.status for each in found] == [NoticeStatus.ACCEPTED] * facts
    assert [(each.notice.partition, each.notice.seq) for each in found] == [(0, n + 1) for n in range(facts)]
    assert receiver.forged == 0
    assert set(moody.taken) == {each.notice.id for each in found}
    duplicates = sum(count - 1 for count in moody.taken.values())
    assert duplicates <= await show.unknown()
    told = {fact["id"]: fact["type"] for fact in receiver.facts()}
    assert sorted(told) == [f"0-{n + 1}" for n in range(facts)]


@pytest.mark.parametrize("mood", CLEAN)
async def test_a_no_is_tried_again_and_nothing_doubles(stores, mood):
    """A receiver that says no twice gets each fact once: definite answers make no duplicates."""
    moody = Moody(mood, takes=False)
    async with a_receiver(moody) as receiver, delivering(*stores) as show:
        await show.endpoint(receiver.url)
        await three_people(show)
        await checked(show, receiver, moody, 5)
        assert await show.unknown() == 0
        assert set(moody.seen.values()) == {3}
        first = (await show.webhooks())[0]
        assert [row.outcome for row in await show.attempts(first)] == ["not_sent", "not_sent", "accepted"]


@pytest.mark.parametrize("mood", LOST)
async def test_lost_contact_is_counted_and_tried_again(stores, mood):
    """A receiver that breaks off after the body: as many may double as attempts are recorded unknown."""
    moody = Moody(mood, takes=True)
    async with a_receiver(moody) as receiver, delivering(stores[0], stores[1], 2.0) as show:
        await show.endpoint(receiver.url)
        await three_people(show)
        await checked(show, receiver, moody, 5)
        assert await show.unknown() == 10


@pytest.mark.parametrize("mood", [*ACCEPTING, "endless"])
async def test_an_odd_body_is_accepted_once(plain, mood):
    """Once 200 is read, it is accepted, whatever follows: nothing is sent twice."""
    async with a_receiver() as receiver, delivering(*plain) as show:
        receiver.behaviour = receiver.endless if mood == "endless" else mood
        await show.endpoint(receiver.url)
        await three_people(show)
        found = await show.until_over(5)
        assert {each.status for each in found} == {NoticeStatus.ACCEPTED}
        assert len(receiver.ids) == len(set(receiver.ids)) == 5


async def test_a_post_is_the_fact_and_nothing_personal(plain):
    """What arrives is the CloudEvent of the fact, with the notice's id, and without the person."""
    async with a_receiver() as receiver, delivering(*plain) as show:
        await show.endpoint(receiver.url, kinds=frozenset({"registration.confirmed"}))
        await three_people(show)
        found = await show.until_over(3)
        assert {fact["type"] for fact in receiver.facts()} == {"veltrix.registration.confirmed.v1"}
        assert sorted(receiver.ids) == sorted(each.notice.id for each in found)
        text = " ".join(body.decode().lower() for _, body in receiver.requests)
        for word in ("ada", "grace", "example.org", "box", "sealed"):
            assert word not in text
        registration = receiver.facts()[0]["data"]["registration"]
        assert registration["status"] == "confirmed"
        assert registration["url"].endswith(f"/v1/registrations/{registration['id']}")


async def test_gone_refuses_for_good_and_disables_until_enabled(stores):
    """410: that notice is refused, the others are dead unsent; enabled and replayed, they go out."""
    async with a_receiver(acts.answer(410)) as receiver, delivering(*stores) as show:
        endpoint = await show.endpoint(receiver.url, ordered=True)
        await three_people(show)
        statuses = Counter(each.status for each in await show.until_over(5))
        assert statuses == {NoticeStatus.REFUSED: 1, NoticeStatus.DEAD: 4}
        assert len(receiver.ids) == 1
        (target,) = await show.notices.targets([endpoint.id])
        assert (target.state, target.why) == (TargetState.DISABLED, "answered 410")
        receiver.behaviour = acts.accept
        await show.order(OrderKind.ENABLE, target=endpoint.id)
        await show.order(OrderKind.REPLAY, wanted=Wanted(statuses=frozenset({NoticeStatus.DEAD})))

        async def delivered():
            found = await show.webhooks()
            return [each.status for each in found].count(NoticeStatus.ACCEPTED) == 4

        await show.until(delivered)
        assert len(receiver.ids) == len(set(receiver.ids)) == 5


async def test_what_is_unknown_waits_where_hold_was_chosen(stores):
    """With `hold`, an unknown attempt is not repeated until an operator releases it, under the same id."""
    async with a_receiver(acts.reset) as receiver, delivering(*stores) as show:
        await show.endpoint(receiver.url, on_unknown=OnUnknown.HOLD, kinds=frozenset({"event.created"}))
        await show.stage.event()
        await show.stage.publish()

        async def held():
            found = await show.webhooks()
            return bool(found) and found[0].held

        await show.until(held)
        show.stage.clock.ms += 10 * 24 * 3_600_000
        assert len(receiver.ids) == 1
        receiver.behaviour = acts.accept
        await show.order(OrderKind.RELEASE, wanted=Wanted())
        (found,) = await show.until_over(1)
        assert found.status is NoticeStatus.ACCEPTED
        assert receiver.ids == [found.notice.id] * 2


async def test_a_replay_sends_the_same_id_again(stores):
    """What was accepted can be asked for again by id; the receiver knows it by its id."""
    async with a_receiver() as receiver, delivering(*stores) as show:
        await show.endpoint(receiver.url)
        await three_people(show)
        found = await show.until_over(5)
        again = found[2].notice.id
        receiver.came.clear()
        await show.order(OrderKind.REPLAY, wanted=Wanted(ids=(again,)))
        async with asyncio.timeout(30):
            await receiver.came.wait()
        await show.until_over(5)
        assert Counter(receiver.ids)[again] == 2
        assert sum(Counter(receiver.ids).values()) == 6
        assert receiver.requests[-1][1] == next(
            body for headers, body in receiver.requests if headers["webhook-id"] == again
        )


async def test_dead_letters_go_out_once_the_receiver_is_back(plain):
    """A receiver that says no to the whole schedule leaves dead letters; a replay delivers each once."""
    async with a_receiver(acts.answer(500)) as receiver, delivering(*plain) as show:
        await show.endpoint(receiver.url, kinds=frozenset({"event.created"}))
        await show.stage.event()
        await show.stage.publish()
        (dead,) = await show.until_over(1)
        assert dead.status is NoticeStatus.DEAD
        assert len(receiver.ids) == 10
        receiver.behaviour = acts.accept
        await show.order(OrderKind.REPLAY, wanted=Wanted(statuses=frozenset({NoticeStatus.DEAD})))

        async def accepted():
            return (await show.webhooks())[0].status is NoticeStatus.ACCEPTED

        await show.until(accepted)
        assert len(receiver.ids) == 11


async def test_a_ping_arrives_and_is_accounted_for(plain):
    """A ping is posted, signed like any other, and its attempt can be looked up."""
    async with a_receiver() as receiver, delivering(*plain) as show:
        endpoint = await show.endpoint(receiver.url)
        await show.order(OrderKind.PING, target=endpoint.id)
        (found,) = await show.until_over(1)
        (fact,) = receiver.facts()
        assert fact["type"] == "veltrix.endpoint.ping.v1"
        assert fact["data"]["endpoint"] == endpoint.id
        assert receiver.ids == [found.notice.id]
        assert receiver.forged == 0
        (row,) = await show.attempts(found)
        assert (row.code, row.outcome) == (204, "accepted")


async def test_each_endpoint_has_a_notice_of_its_own(plain):
    """Two endpoints get each fact once; one that is down does not touch the other."""
    async with (
        a_receiver() as well, a_receiver(acts.answer(503)) as down, delivering(*plain) as show
    ):  # fmt: skip
        await show.endpoint(well.url, "ep_" + "1" * 32)
        await show.endpoint(down.url, "ep_" + "2" * 32)
        await three_people(show)

        async def served():
            found = await show.webhooks(target="ep_" + "1" * 32)
            return len(found) == 5 and {each.status for each in found} == {NoticeStatus.ACCEPTED}

        await show.until(served)
        assert len(well.ids) == len(set(well.ids)) == 5
        assert len({each.notice.id for each in await show.webhooks()}) == 10


async def test_a_restart_sends_nothing_twice(stores):
    """What was accepted before a restart stays accepted: another process goes on behind it."""
    async with a_receiver() as receiver, delivering(*stores) as show:
        await show.endpoint(receiver.url)
        event = await three_people(show)
        await show.until_over(5)
        await show.stop()
        await show.start()
        await show.stage.register(event, "Mary")
        await show.stage.publish()
        await show.until_over(6)
        assert len(receiver.ids) == len(set(receiver.ids)) == 6


async def test_ordered_posts_come_in_the_order_of_the_facts(plain):
    """With `ordered`, a no holds back what comes after it: accepted posts are in the facts' order."""
    accepted = []

    async def every_other(request):
        request_id = request.headers["webhook-id"]
        refusals[request_id] += 1
        if refusals[request_id] == 1:
            return await acts.answer(500)(request)
        accepted.append((await request.json())["id"])
        return await acts.accept(request)

    refusals: Counter[str] = Counter()
    async with a_receiver(every_other) as receiver, delivering(*plain) as show:
        await show.endpoint(receiver.url, ordered=True)
        await three_people(show)
        await show.until_over(5)
    assert accepted == [f"0-{n}" for n in range(1, 6)]
