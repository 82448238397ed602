"""Webhooks through the dispatcher: what becomes of endpoints that fail, throttle, are gone or slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from tests.notification.stage import SIGNER, Parts, Stage, StillClock, event_spec
from veltrix.adapters.memory import MemoryMailbox, MemoryNotices, MemoryOutreach
from veltrix.domain import limits
from veltrix.domain.event import PoolSpec
from veltrix.domain.facts import FactKind
from veltrix.domain.targets import TargetState
from veltrix.notification.ordering import Ordering
from veltrix.notification.reach import Reach
from veltrix.notification.standing import Standing
from veltrix.ports.channel import Attempt, Post, Sent
from veltrix.ports.deliveries import Delivery, Wanted
from veltrix.ports.notices import NoticeStatus
from veltrix.ports.outreach import (
    Endpoint,
    Order,
    OrderKind,
    Reason,
    Scheme,
    SigningSecret,
    Suppression,
)
from veltrix.sealing import AddressHashes, seal_secret

KEY = b"s" * 32
DOWN = Attempt(Sent.NOT_SENT, "connection refused")
OK = Attempt(Sent.ACCEPTED, code=200)


@dataclass
class Poster:
    """Answers as it is told, by endpoint."""

    answer: Callable[[Post], Any]
    posts: list[Post] = field(default_factory=list)

    async def post(self, post: Post) -> Attempt:
        """Keep it and answer."""
        self.posts.append(post)
        answer = self.answer(post)
        return answer if isinstance(answer, Attempt) else await answer

    async def close(self) -> None:
        """Nothing is kept."""


@dataclass
class Town:
    """A stage, endpoints, and a dispatcher that posts."""

    stage: Stage
    store: MemoryNotices
    outreach: MemoryOutreach
    poster: Poster
    parts: Parts
    event: str
    organizer: str

    @classmethod
    async def build(cls, answer: Callable[[Post], Any], *endpoints: Endpoint, **changes: Any) -> Town:
        """With an event, and endpoints that get registrations from now on."""
        store, outreach = MemoryNotices(), MemoryOutreach()
        stage = await Stage(notices=store).begin()
        event = await stage.event(event_spec(pools=(PoolSpec("main", 1_000),)))
        organizer = stage.facts[0].fact.organizer
        for endpoint in endpoints:
            await outreach.put_endpoint(replace(endpoint, organizer=organizer))
            sealed = seal_secret(b"whsec_c2VjcmV0", KEY, b"n" * 12, endpoint.id, f"sec_{endpoint.id}")
            await outreach.add_secret(SigningSecret(f"sec_{endpoint.id}", endpoint.id, Scheme.V1, sealed, 1))
        poster = Poster(answer)
        parts = stage.parts(reach=Reach(outreach, store, store, poster, KEY), **changes)
        return cls(stage, store, outreach, poster, parts, event, organizer)

    async def register(self, count: int) -> None:
        """So many people register, and that is planned."""
        for number in range(count):
            await self.stage.register(self.event, f"P{number}-{self.stage.state.next_seq}")
        await self.stage.publish()
        await self.parts.plan()

    async def dispatch(self, later_s: float = 0.0) -> None:
        """Send what is due then."""
        self.stage.clock.ms += round(later_s * 1000)
        await self.parts.dispatch()

    async def hooks(self, **wanted: Any) -> list[Delivery]:
        """The webhooks, oldest first."""
        return (await self.store.search(Wanted(channel="webhook", **wanted), None, 1_000))[::-1]

    async def state(self, endpoint: str = "ep_1") -> TargetState:
        """How an endpoint stands."""
        found = await self.store.targets([endpoint])
        return found[0].state if found else TargetState.CLOSED


def endpoint(name: str = "ep_1", *kinds: str, ordered: bool = False) -> Endpoint:
    """An endpoint for registrations."""
    wanted = frozenset(kinds or (FactKind.REGISTRATION_CONFIRMED.value,))
    return Endpoint(name, "", f"https://example.org/{name}", wanted, ordered)


async def test_a_fact_is_posted_without_personal_data():
    """To each endpoint that asked for its kind, under the notice's id, signed with its secrets; no name, no
    address, no key and no hash of anybody is in it."""
    town = await Town.build(
        lambda post: OK, endpoint(), endpoint("ep_2", "event.cancelled"), endpoint("ep_3")
    )
    await town.register(1)
    await town.dispatch()
    [first, second] = town.poster.posts
    assert {first.url, second.url} == {"https://example.org/ep_1", "https://example.org/ep_3"}
    assert first.secrets == ("whsec_c2VjcmV0",)
    body = msgspec.json.decode(first.body)
    assert body["type"] == "veltrix.registration.confirmed.v1"
    registration = town.stage.facts[-1].fact.registration
    assert registration is not None
    assert body["data"]["registration"]["id"] == registration.id
    for secret in (registration.person, registration.box.key_id, "example.org", "P0"):
        assert secret not in first.body.decode()
    assert [each.notice.id for each in await town.hooks()] == [first.notice, second.notice]


async def test_an_endpoint_that_fails_is_left_alone():
    """After some failures in a row its breaker opens: the others of its notices wait and spend no attempt,
    one at a time probes, and when that is answered all go out."""
    up = False
    town = await Town.build(lambda post: OK if up else DOWN, endpoint(), endpoint("ep_2"))
    await town.register(12)
    await town.dispatch()
    tried = {each.notice.id: each.attempts for each in await town.hooks(target="ep_1")}
    assert await town.state() is TargetState.OPEN
    assert sum(tried.values()) == limits.WEBHOOKS_PER_ENDPOINT, "what was under way when it opened"
    before = len(town.poster.posts)
    await town.dispatch(limits.BREAKER_PAUSE_S)
    assert len(town.poster.posts) == before + 2, "one probe for each of the two endpoints"
    up = True
    await town.dispatch(2 * limits.BREAKER_PAUSE_S)
    assert await town.state() is TargetState.CLOSED
    await town.dispatch(300 * 1.2)
    assert {each.status for each in await town.hooks()} == {NoticeStatus.ACCEPTED}
    assert max(each.attempts for each in await town.hooks()) <= 4


async def test_an_endpoint_that_throttles_is_waited_for():
    """`Retry-After` blocks the endpoint, not only the notice, and opens no breaker; up to a cap."""
    busy = Attempt(Sent.NOT_SENT, "answered 429", retry_after_s=90.0, code=429)
    town = await Town.build(lambda post: busy if len(town.poster.posts) == 1 else OK, endpoint())
    await town.register(1)
    await town.dispatch()
    await town.register(3)
    await town.dispatch(89)
    assert len(town.poster.posts) == 1
    await town.dispatch(1)
    assert len(town.poster.posts) == 5
    assert await town.state() is TargetState.CLOSED
    busy = replace(busy, retry_after_s=10.0**9)
    town.poster.posts.clear()
    await town.register(1)
    await town.dispatch()
    [target] = await town.store.targets()
    assert target.blocked_until_ms - town.stage.clock.ms == limits.THROTTLED_MAX_S * 1000


async def test_an_endpoint_that_is_gone_is_disabled():
    """410 ends its notices as dead, with the reason; an order enables it again, another replays them."""
    gone = Attempt(Sent.REFUSED, "answered 410", code=410, gone=True)
    town = await Town.build(lambda post: gone, endpoint())
    await town.register(1)
    await town.dispatch()
    assert await town.state() is TargetState.DISABLED
    await town.register(2)
    await town.dispatch()
    assert [each.status for each in await town.hooks()] == ["refused", "dead", "dead"]
    assert {each.detail for each in (await town.hooks())[1:]} == {"the endpoint is disabled: answered 410"}
    town.poster.answer = lambda post: OK
    for kind in (OrderKind.ENABLE, OrderKind.REPLAY):
        wanted = Wanted(target="ep_1")
        await town.outreach.give(Order(kind, town.organizer, town.stage.clock.ms, wanted, "ep_1"))
    ordering = Ordering(town.outreach, town.store, town.stage.clock, town.parts.dispatcher.wake)
    while await ordering.step():
        pass
    await town.dispatch()
    assert {each.status for each in await town.hooks()} == {NoticeStatus.ACCEPTED}
    assert len({post.notice for post in town.poster.posts}) == 3, "replayed under their own ids"


async def test_a_ping_goes_to_its_endpoint_alone():
    """It is a notice like others, about nothing, and asked for by an order."""
    town = await Town.build(lambda post: OK, endpoint(), endpoint("ep_2"))
    await town.outreach.give(Order(OrderKind.PING, town.organizer, town.stage.clock.ms, target="ep_2"))
    ordering = Ordering(town.outreach, town.store, town.stage.clock, town.parts.dispatcher.wake)
    assert await ordering.step()
    assert not await ordering.step()
    await town.dispatch()
    [post] = town.poster.posts
    assert (post.endpoint, msgspec.json.decode(post.body)["type"]) == ("ep_2", "veltrix.endpoint.ping.v1")


async def test_orders_are_carried_out_after_a_restore_of_theirs():
    """Their numbers come again; what is given then is not mistaken for what was done under them."""
    town = await Town.build(lambda post: OK, endpoint())
    restored = MemoryOutreach()
    orderings = []
    for outreach, pings in ((town.outreach, 2), (restored, 1)):
        for _ in range(pings):
            await outreach.give(Order(OrderKind.PING, town.organizer, town.stage.clock.ms, target="ep_1"))
        orderings.append(Ordering(outreach, town.store, town.stage.clock, town.parts.dispatcher.wake))
        while await orderings[-1].step():
            pass
    assert (await town.store.progress()).seq == 1
    await restored.give(Order(OrderKind.UNBOUNCE, town.organizer, town.stage.clock.ms))
    assert await orderings[-1].step()
    assert (await town.store.progress()).seq == 2


async def test_what_an_organizer_took_back_is_not_posted():
    """An endpoint that was removed or disabled since a notice was planned gets nothing."""
    town = await Town.build(lambda post: OK, endpoint(), endpoint("ep_2"))
    await town.register(1)
    await town.outreach.remove_endpoint("ep_1")
    standing = await town.outreach.endpoint("ep_2")
    assert standing is not None
    await town.outreach.put_endpoint(replace(standing, enabled=False))
    await town.dispatch()
    assert town.poster.posts == []
    assert {each.status for each in await town.hooks()} == {NoticeStatus.SUPPRESSED}
    assert {each.attempts for each in await town.hooks()} == {0}


async def test_an_ordered_endpoint_gets_one_after_the_other():
    """Of one event, and the next only when the one before it is over."""
    under_way, most = 0, 0

    async def slowly(post: Post) -> Attempt:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return OK if len(town.poster.posts) != 2 else DOWN

    town = await Town.build(slowly, endpoint(ordered=True))
    await town.register(4)
    await town.dispatch()
    await town.dispatch(10)
    assert most == 1
    ids = [each.notice.id for each in await town.hooks()]
    assert [post.notice for post in town.poster.posts] == [ids[0], ids[1], ids[1], ids[2], ids[3]]


async def test_a_slow_endpoint_does_not_slow_the_others():
    """While each of its posts hangs, an endpoint that answers gets all of its own."""
    released = asyncio.Event()

    async def hang(post: Post) -> Attempt:
        await released.wait()
        return OK

    town = await Town.build(
        lambda post: hang(post) if post.endpoint == "ep_slow" else OK,
        endpoint("ep_slow"),
        endpoint("ep_fast"),
    )
    await town.register(300)
    while len([post for post in town.poster.posts if post.endpoint == "ep_fast"]) < 300:
        await town.parts.dispatcher.step()
        await town.parts.dispatcher.flush()
        await asyncio.sleep(0)
    assert len(town.poster.posts) - 300 <= limits.WEBHOOKS_PER_ENDPOINT
    released.set()
    await town.dispatch()
    assert {each.status for each in await town.hooks()} == {NoticeStatus.ACCEPTED}


@pytest.mark.parametrize(
    ("latency_s", "most"),
    [
        (0.001, limits.WEBHOOKS_PER_ENDPOINT_MAX),
        (0.1, limits.WEBHOOKS_PER_ENDPOINT_MAX // 2),
        (10.0, limits.WEBHOOKS_PER_SLOW_ENDPOINT),
    ],
)
async def test_who_answers_quickly_gets_more_at_once(latency_s: float, most: int):
    """The share of an endpoint is what it takes in a moment, less what it has in hand."""
    store = MemoryNotices()
    standing = Standing(store, store, StillClock())
    town = await Town.build(lambda post: OK, endpoint())
    await town.register(1)
    [hook] = await town.hooks()
    for _ in range(30):
        standing.saw(hook.notice, OK, latency_s)
    shares = standing.shares({"email": 3}, 10_000, {"ep_1": 1}, {})
    assert shares.of("ep_1").most == most - 1
    assert shares.of("email").most == 3
    assert shares.of("ep_new").most == limits.WEBHOOKS_PER_ENDPOINT


async def test_of_two_workers_who_saw_failures_both_count():
    """Who changes a target second reads it again, and adds what it saw."""
    store, clock = MemoryNotices(), StillClock()
    town = await Town.build(lambda post: OK, endpoint())
    await town.register(1)
    [hook] = await town.hooks()
    workers = [Standing(store, store, clock), Standing(store, store, clock)]
    for standing in workers:
        for _ in range(2):
            standing.saw(hook.notice, DOWN, 0.1)
    for standing in workers:
        await standing.flush()
    [target] = await store.targets()
    assert target.failures == 4
    workers[0].saw(hook.notice, DOWN, 0.1)
    await workers[0].flush()
    [target] = await store.targets()
    assert (target.state, target.failures) == (TargetState.OPEN, limits.BREAKER_FAILURES)


async def test_suppressions_are_heeded_when_a_mail_is_sent():
    """Also those that came after it was planned: an address, in every category or in the notice's own."""
    town = await Town.build(lambda post: OK)
    for name in ("Ada", "Bob", "Cleo"):
        await town.stage.register(town.event, name)
    await town.stage.publish()
    await town.parts.plan()
    hashes = AddressHashes.under(SIGNER.secret)
    ada, bob = (hashes.of(town.organizer, f"{name}@example.org") for name in ("ada", "bob"))
    await town.outreach.suppress(
        [
            Suppression(town.organizer, ada, "*", Reason.COMPLAINT, 1),
            Suppression(town.organizer, bob, "reminder", Reason.UNSUBSCRIBE, 1),
        ]
    )
    await town.dispatch()
    assert sorted(mail.recipient for mail in town.stage.mails()) == ["bob@example.org", "cleo@example.org"]
    [gone] = await town.store.search(Wanted(statuses=frozenset({NoticeStatus.SUPPRESSED})), None, 5)
    assert (gone.detail, gone.attempts) == ("the address is suppressed", 0)


async def test_a_bounced_address_gets_nothing_more():
    """Once a mail server said that a mailbox does not exist, the next notice to it is suppressed."""
    town = await Town.build(lambda post: OK)
    bounced = Attempt(Sent.REFUSED, "RCPT: 550 5.1.1", code=550, bounced=True)
    assert isinstance(town.stage.mailbox, MemoryMailbox)
    town.stage.mailbox.script(bounced)
    registration = await town.stage.register(town.event, "Ada")
    await town.stage.publish()
    await town.parts.run()
    await town.stage.transfer(registration, "Bob")
    await town.stage.publish()
    await town.parts.run()
    assert [status for *_, status in await town.stage.of(registration)] == [
        "refused",
        "accepted",
        "suppressed",
    ]
    assert [each.detail for each in await town.store.bounces(town.organizer, "", 5)] == ["RCPT: 550 5.1.1"]
