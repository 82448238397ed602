"""The ports `Deliveries` and `Fulfilment`, and what they make of claims: attempts, targets, lines, orders."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.conformance.adapters import Subject, WholeNotices
from veltrix.domain import limits
from veltrix.domain.identifiers import notice_id
from veltrix.domain.targets import Target, TargetState
from veltrix.ports.channel import Sent
from veltrix.ports.deliveries import AttemptRow, Backlog, Bounce, Wanted
from veltrix.ports.errors import Fenced
from veltrix.ports.fulfilment import ORDERED, Progress
from veltrix.ports.notices import (
    HELD_UNKNOWN,
    LEASE_LOST,
    Claimed,
    Notice,
    NoticeStatus,
    Planned,
    Result,
    Share,
    Shares,
)
from veltrix.ports.outreach import Order, OrderKind

LEASE_MS = 60_000
FREE = Shares(Share(100))


def mail(seq: int, created_ms: int = 100, expires_ms: int | None = None) -> Notice:
    """The notice of a fact by mail."""
    head = (notice_id(0, seq, "anna", "email"), "org", "evt", 0, seq, "confirmed", "reg_anna", "anna")
    return Notice(*head, "email", "key", created_ms, "", expires_ms)


def hook(seq: int, endpoint: str = "ep_1", event: str = "evt", *, ordered: bool = False) -> Notice:
    """The notice of a fact to an endpoint."""
    head = (notice_id(0, seq, endpoint, "webhook"), "org", event, 0, seq, "registration.confirmed")
    return Notice(*head, "reg_anna", endpoint, "webhook", "", 100 + seq, "", None, ordered)


def result(
    claimed: Claimed, status: NoticeStatus, at_ms: int = 500, next_ms: int | None = None, outcome: str = ""
) -> Result:
    """How a claim ended."""
    return Result(
        claimed.notice.id, claimed.fence, status, "said so", at_ms, next_ms, outcome, at_ms - 20, 200, "hello"
    )


async def plan(store: WholeNotices, *notices: Notice) -> None:
    """Record these as what the next facts lead to."""
    at = await store.position(0)
    await store.record(0, at, at + 1, Planned(list(notices)))


async def claim(store: WholeNotices, now_ms: int = 1_000, shares: Shares = FREE) -> list[Claimed]:
    """Everything that may go."""
    return await store.claim(now_ms, 100, LEASE_MS, shares)


async def ended(
    store: WholeNotices, status: NoticeStatus = NoticeStatus.ACCEPTED, now_ms: int = 1_000
) -> list[int]:
    """Claim what may go and let it end like this; returns the sequence numbers."""
    claimed = await claim(store, now_ms)
    await store.finish([result(each, status, now_ms, None, Sent.ACCEPTED) for each in claimed])
    return [each.notice.seq for each in claimed]


async def test_every_attempt_is_a_row(deliveries: Subject[WholeNotices]):
    """With its number, times, outcome, code and answer; what was put back without a try is none."""
    await plan(deliveries.it, mail(1))
    (first,) = await claim(deliveries.it)
    await deliveries.it.finish([result(first, NoticeStatus.PENDING, 1_030, 2_000, Sent.NOT_SENT)])
    (second,) = await claim(deliveries.it, 2_000)
    await deliveries.it.finish([result(second, NoticeStatus.PENDING, 2_010, 3_000)])
    (third,) = await claim(deliveries.it, 3_000)
    await deliveries.it.finish([result(third, NoticeStatus.ACCEPTED, 3_040, None, Sent.ACCEPTED)])
    assert [each.attempt for each in (first, second, third)] == [1, 2, 2]
    rows = await deliveries.it.attempts(mail(1).id)
    assert rows == [
        AttemptRow(1, 1_010, 1_030, "not_sent", 200, "said so", "hello"),
        AttemptRow(2, 3_020, 3_040, "accepted", 200, "said so", "hello"),
    ]
    assert rows[0].latency_ms == 20
    (found,) = await deliveries.it.search(Wanted(ids=(mail(1).id,)), None, 5)
    assert (found.attempts, found.status, found.tried_ms) == (2, NoticeStatus.ACCEPTED, 3_040)


async def test_a_lost_lease_is_an_unknown_attempt(deliveries: Subject[WholeNotices]):
    """It counts as one, and is tried again, or held where that is chosen; a late result takes its place."""
    await plan(deliveries.it, mail(1), hook(2))
    first, other = await claim(deliveries.it)
    hold = Shares(Share(100), {"ep_1": Share(100, hold=True)})
    (again,) = await claim(deliveries.it, 1_000 + LEASE_MS, hold)
    assert (again.notice.id, again.attempt) == (mail(1).id, 2)
    assert await deliveries.it.finish([result(first, NoticeStatus.ACCEPTED, 1, None, Sent.ACCEPTED)]) == 0
    (row,) = await deliveries.it.attempts(mail(1).id)
    assert (row.number, row.started_ms, row.outcome, row.detail) == (1, 1_000, "unknown", LEASE_LOST)
    (held,) = await deliveries.it.search(Wanted(held=True), None, 5)
    assert (held.notice.id, held.detail, held.held) == (hook(2).id, HELD_UNKNOWN, True)
    assert await deliveries.it.finish([result(other, NoticeStatus.ACCEPTED, 1, None, Sent.ACCEPTED)]) == 0


async def test_attempts_are_bounded(deliveries: Subject[WholeNotices]):
    """Of very many, the last ones are kept."""
    await plan(deliveries.it, hook(1))
    for number in range(limits.ATTEMPTS_KEPT_MAX + 3):
        (claimed,) = await claim(deliveries.it, 1_000 + number)
        await deliveries.it.finish(
            [result(claimed, NoticeStatus.PENDING, 1_000 + number, 1_001 + number, Sent.NOT_SENT)]
        )
    numbers = [row.number for row in await deliveries.it.attempts(hook(1).id)]
    assert numbers == list(range(4, limits.ATTEMPTS_KEPT_MAX + 4))


async def test_what_expires_is_over(deliveries: Subject[WholeNotices]):
    """Waiting past its time it ends as expired, untried; one that is in hand is left to its attempt."""
    await plan(deliveries.it, mail(1, expires_ms=900), mail(2, expires_ms=1_001), mail(3))
    assert [each.notice.seq for each in await claim(deliveries.it)] == [2, 3]
    counts = await deliveries.it.counts()
    assert (counts[NoticeStatus.EXPIRED], counts[NoticeStatus.ATTEMPTING]) == (1, 2)
    (found,) = await deliveries.it.search(Wanted(statuses=frozenset({NoticeStatus.EXPIRED})), None, 5)
    assert (found.notice, found.attempts, found.due_ms) == (mail(1, expires_ms=900), 0, None)


async def test_a_share_bounds_what_is_taken_of_a_target(deliveries: Subject[WholeNotices]):
    """Of each target its share, the oldest first, whatever waits for others."""
    await plan(deliveries.it, *(hook(seq, "ep_1") for seq in range(1, 9)), *(hook(9, "ep_2"), mail(10, 300)))
    shares = Shares(Share(3), {"ep_2": Share(0)})
    taken = await claim(deliveries.it, 1_000, shares)
    assert [(each.notice.target, each.notice.seq) for each in taken] == [
        *(("ep_1", seq) for seq in (1, 2, 3)),
        ("email", 10),
    ]
    assert [each.notice.seq for each in await claim(deliveries.it)] == [4, 5, 6, 7, 8, 9]


async def test_a_rate_is_kept_by_all_claims_together(lasting_deliveries: Subject[WholeNotices]):
    """A burst at once, then as fast as the rate says, also after a restart."""
    await plan(lasting_deliveries.it, *(hook(seq) for seq in range(1, 12)))
    shares = Shares(Share(100, 2.0, 3))
    assert len(await claim(lasting_deliveries.it, 10_000, shares)) == 3
    assert await claim(lasting_deliveries.it, 10_000, shares) == []
    again = await lasting_deliveries.reopen()
    assert await claim(again, 10_499, shares) == []
    assert len(await claim(again, 10_500, shares)) == 1
    assert len(await claim(again, 12_000, shares)) == 3
    assert len(await claim(again, 99_000, shares)) == 3


async def test_an_open_target_gets_one_probe_at_a_time(lasting_deliveries: Subject[WholeNotices]):
    """Nothing before its pause is over, then one; the next one only after that lease, and attempts of those
    that are passed over are not spent. All of that outlives a restart."""
    await plan(lasting_deliveries.it, hook(1), hook(2), hook(3, "ep_2"))
    down = Target("ep_1", TargetState.OPEN, 900, "connection refused", 5, 1, 5_000)
    assert await lasting_deliveries.it.change_target(down)
    again = await lasting_deliveries.reopen()
    assert [each.notice.seq for each in await claim(again)] == [3]
    (probe,) = await claim(again, 5_000)
    assert (probe.notice.seq, probe.attempt) == (1, 1)
    assert await claim(again, 5_001) == []
    (standing,) = await again.targets(["ep_1"])
    assert (standing.state, standing.blocked_until_ms) == (TargetState.HALF_OPEN, 5_000 + LEASE_MS)
    assert not await again.change_target(down), "it changed since"
    assert await again.change_target(replace(standing, state=TargetState.CLOSED, blocked_until_ms=0))
    assert [each.notice.seq for each in await claim(again, 5_002)] == [2]
    assert [each.name for each in await again.targets()] == ["ep_1"]


async def test_of_two_who_change_a_target_one_does(deliveries: Subject[WholeNotices]):
    """From the same state; the other one is told, and reads it again."""
    changes = [deliveries.it.change_target(Target("ep_1", failures=n)) for n in range(1, 6)]
    assert sum(await asyncio.gather(*changes)) == 1
    (standing,) = await deliveries.it.targets()
    assert standing.version == 1


async def test_nothing_waits_for_a_disabled_target(deliveries: Subject[WholeNotices]):
    """What was and what comes for it is dead, with the reason, until an order enables and replays it."""
    await plan(deliveries.it, hook(1), hook(2), mail(3))
    gone = Target("ep_1", TargetState.DISABLED, 900, "410 Gone")
    await deliveries.it.change_target(gone)
    assert [each.notice.seq for each in await claim(deliveries.it)] == [3]
    dead = await deliveries.it.search(Wanted(statuses=frozenset({NoticeStatus.DEAD})), None, 5)
    assert [(each.notice.seq, each.detail, each.attempts) for each in dead] == [
        (2, "the endpoint is disabled: 410 Gone", 0),
        (1, "the endpoint is disabled: 410 Gone", 0),
    ]
    enable = Order(OrderKind.ENABLE, "org", 2_000, target="ep_1", seq=1)
    replay = Order(OrderKind.REPLAY, "org", 2_000, Wanted(target="ep_1"), seq=2)
    await deliveries.it.carry_out(enable, Progress(), 2_000)
    await deliveries.it.carry_out(replay, Progress(1), 2_000)
    assert await ended(deliveries.it, now_ms=2_000) == [1, 2]


async def test_a_line_goes_one_by_one(deliveries: Subject[WholeNotices]):
    """To an ordered endpoint a notice goes when the one before it of the same event is over, however that
    ended; other events and endpoints do not wait for it."""
    await plan(deliveries.it, *(hook(seq, ordered=True) for seq in (1, 2, 3)))
    await plan(deliveries.it, hook(4, event="other", ordered=True), hook(2, "ep_2"))
    assert await ended(deliveries.it, NoticeStatus.REFUSED) == [1, 2, 4]  # of ep_1, ep_2 and the other event
    (second,) = await claim(deliveries.it)
    assert (second.notice.target, second.notice.seq) == ("ep_1", 2)
    await deliveries.it.finish([result(second, NoticeStatus.PENDING, 1_000, 9_000, Sent.NOT_SENT)])
    await plan(deliveries.it, hook(5, ordered=True))
    assert await claim(deliveries.it, 8_999) == []
    assert await ended(deliveries.it, now_ms=9_000) == [2]
    assert await ended(deliveries.it, now_ms=9_000) == [3]
    assert await ended(deliveries.it, now_ms=9_000) == [5]
    assert await ended(deliveries.it, now_ms=9_000) == []


async def test_a_held_notice_holds_its_line(deliveries: Subject[WholeNotices]):
    """Until an operator drops it."""
    await plan(deliveries.it, hook(1, ordered=True), hook(2, ordered=True))
    (first,) = await claim(deliveries.it)
    await deliveries.it.finish([result(first, NoticeStatus.UNKNOWN, 1_000, None, Sent.UNKNOWN)])
    assert await claim(deliveries.it, 2_000) == []
    drop = Order(OrderKind.DROP, "org", 3_000, Wanted(ids=(hook(1).id,)), seq=1)
    await deliveries.it.carry_out(drop, Progress(), 3_000)
    assert await ended(deliveries.it, now_ms=3_000) == [2]


async def test_claimers_of_lines_do_not_pass_each_other(deliveries: Subject[WholeNotices]):
    """With many who claim and end notices at once, each event's come in order and none is left behind."""
    events, each_has = 4, 6
    for seq in range(1, events * each_has + 1):
        await plan(deliveries.it, hook(seq, event=f"evt{seq % events}", ordered=True))
    told: list[tuple[str, int]] = []

    async def work() -> None:
        for _ in range(events * each_has * 3):
            claimed = await deliveries.it.claim(1_000, 2, LEASE_MS, FREE)
            told.extend((each.notice.event, each.notice.seq) for each in claimed)
            await deliveries.it.finish(
                [result(each, NoticeStatus.ACCEPTED, 1_000, None, Sent.ACCEPTED) for each in claimed]
            )
            if len(told) == events * each_has:
                return

    await asyncio.gather(*(work() for _ in range(4)))
    by_event = [[seq for event, seq in told if event == f"evt{number}"] for number in range(events)]
    assert by_event == [sorted(seqs) for seqs in by_event]
    assert sum(map(len, by_event)) == events * each_has


async def test_search_goes_from_the_newest(deliveries: Subject[WholeNotices]):
    """By each of its conditions, and on from the last one that was seen."""
    await plan(deliveries.it, mail(1), mail(2, 200), hook(3), hook(4, "ep_2", "other"))
    store = deliveries.it

    async def seqs(wanted: Wanted, before: int | None = None, limit: int = 10) -> list[int]:
        return [each.notice.seq for each in await store.search(wanted, before, limit)]

    assert await seqs(Wanted()) == [4, 3, 2, 1]
    page = await store.search(Wanted("org"), None, 2)
    assert [each.notice.seq for each in page] == [4, 3]
    assert await seqs(Wanted("org"), page[-1].place) == [2, 1]
    assert await seqs(Wanted("nobody")) == []
    assert await seqs(Wanted(event="evt")) == [3, 2, 1]
    assert await seqs(Wanted(registration="reg_anna", channel="email")) == [2, 1]
    assert await seqs(Wanted(target="ep_2")) == [4]
    assert await seqs(Wanted(target="email", kind="confirmed")) == [2, 1]
    assert await seqs(Wanted(since_ms=103, until_ms=200)) == [4, 3]
    assert await seqs(Wanted(ids=(mail(1).id, hook(3).id))) == [3, 1]
    assert await seqs(Wanted(statuses=frozenset({NoticeStatus.DEAD}))) == []
    assert await seqs(Wanted(held=True)) == []


async def test_a_replay_opens_what_is_over(deliveries: Subject[WholeNotices]):
    """Under the same id, with all attempts of the schedule before it; the attempts go on counting."""
    await plan(deliveries.it, hook(1), hook(2), hook(3))
    claimed = await claim(deliveries.it)
    statuses = (NoticeStatus.DEAD, NoticeStatus.ACCEPTED, NoticeStatus.SUPPRESSED)
    await deliveries.it.finish(
        [
            result(each, status, 1_000, None, Sent.REFUSED)
            for each, status in zip(claimed, statuses, strict=True)
        ]
    )
    dead = Order(OrderKind.REPLAY, "org", 2_000, Wanted(statuses=frozenset({NoticeStatus.DEAD})), seq=1)
    assert await deliveries.it.carry_out(dead, Progress(), 2_000) == Progress(1)
    (again,) = await claim(deliveries.it, 2_000)
    assert (again.notice, again.attempt) == (hook(1), 1)
    await deliveries.it.finish([result(again, NoticeStatus.ACCEPTED, 2_000, None, Sent.ACCEPTED)])
    assert [row.number for row in await deliveries.it.attempts(hook(1).id)] == [1, 2]
    everything = Order(OrderKind.REPLAY, "org", 3_000, Wanted(since_ms=0), seq=2)
    await deliveries.it.carry_out(everything, Progress(1), 3_000)
    assert await ended(deliveries.it, now_ms=3_000) == [1, 2]
    others = Order(OrderKind.REPLAY, "another", 4_000, Wanted(organizer="org"), seq=3)
    await deliveries.it.carry_out(others, Progress(2), 4_000)
    assert await ended(deliveries.it, now_ms=4_000) == []
    nothing = frozenset({NoticeStatus.SUPPRESSED})
    await deliveries.it.carry_out(
        Order(OrderKind.REPLAY, "org", 5_000, Wanted(statuses=nothing), seq=4), Progress(3), 5_000
    )
    assert await ended(deliveries.it, now_ms=5_000) == []
    counts = await deliveries.it.counts()
    assert (counts[NoticeStatus.ACCEPTED], counts[NoticeStatus.SUPPRESSED]) == (2, 1)


async def test_an_order_is_carried_out_once(lasting_deliveries: Subject[WholeNotices]):
    """Page by page, each by one of those who try at once; also over a restart."""
    count = limits.ORDER_PAGE + 20
    await plan(lasting_deliveries.it, *(hook(seq) for seq in range(1, count + 1)))
    while claimed := await lasting_deliveries.it.claim(1_000, 500, LEASE_MS, Shares(Share(500))):
        await lasting_deliveries.it.finish(
            [result(each, NoticeStatus.DEAD, 1_000, None, Sent.NOT_SENT) for each in claimed]
        )
    order = Order(OrderKind.REPLAY, "org", 2_000, Wanted(), seq=1)
    tries = [lasting_deliveries.it.carry_out(order, Progress(), 2_000) for _ in range(4)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    (at,) = [each for each in done if isinstance(each, Progress)]
    assert sum(isinstance(each, Fenced) for each in done) == 3
    assert at.seq == 0
    again = await lasting_deliveries.reopen()
    assert await again.progress() == at
    assert (await again.counts())[NoticeStatus.PENDING] == limits.ORDER_PAGE
    with pytest.raises(Fenced):
        await again.carry_out(replace(order, seq=3), at, 2_000)
    assert await again.carry_out(order, at, 2_000) == Progress(1)
    assert (await again.counts())[NoticeStatus.PENDING] == count
    with pytest.raises(Fenced):
        await again.carry_out(order, at, 2_000)


async def test_orders_that_were_restored_go_on(deliveries: Subject[WholeNotices]):
    """From what they have; only who knows where the progress stands may say so."""
    ping = Order(OrderKind.PING, "org", 100, target="ep_1", seq=1)
    await deliveries.it.carry_out(ping, Progress(), 200)
    assert not await deliveries.it.rewind(Progress(), 0)
    assert await deliveries.it.rewind(Progress(1), 0)
    assert await deliveries.it.carry_out(ping, Progress(), 200) == Progress(1)


async def test_an_order_touches_what_was_there(deliveries: Subject[WholeNotices]):
    """Held notices are let go or dropped; those of facts after the order are not looked at."""
    await plan(deliveries.it, mail(1), mail(2), mail(3, 5_000))
    await deliveries.it.hold(0, 3)
    order = Order(OrderKind.RELEASE, "org", 2_000, Wanted(ids=(mail(1).id, mail(3).id)), seq=1)
    await deliveries.it.carry_out(order, Progress(), 2_000)
    assert await deliveries.it.held() == 2
    assert await ended(deliveries.it, now_ms=9_000) == [1]
    drop = Order(OrderKind.DROP, "org", 6_000, Wanted(event="evt"), seq=2)
    await deliveries.it.carry_out(drop, Progress(1), 6_000)
    counts = await deliveries.it.counts()
    assert (counts[NoticeStatus.SUPPRESSED], counts[NoticeStatus.ACCEPTED]) == (2, 1)


async def test_an_order_may_make_a_notice(deliveries: Subject[WholeNotices]):
    """A ping is one, and recorded with the progress."""
    ping = replace(hook(1), id="ntc_ping", partition=ORDERED, kind="ping", event="", registration="")
    order = Order(OrderKind.PING, "org", 100, target="ep_1", seq=1)
    assert await deliveries.it.carry_out(order, Progress(), 200, [ping]) == Progress(1)
    assert [each.notice for each in await claim(deliveries.it)] == [ping]


async def test_bounces_are_known_by_organizer_and_address(deliveries: Subject[WholeNotices]):
    """From a result on, until an order forgets them."""
    await plan(deliveries.it, mail(1), mail(2))
    first, second = await claim(deliveries.it)
    await deliveries.it.finish(
        [
            replace(result(first, NoticeStatus.REFUSED, 700, None, Sent.REFUSED), bounced="a1"),
            replace(result(second, NoticeStatus.REFUSED, 800, None, Sent.REFUSED), bounced="b2"),
        ]
    )
    asked = [("org", "a1"), ("org", "c3"), ("other", "a1")]
    assert await deliveries.it.bounced(asked) == {("org", "a1")}
    assert await deliveries.it.bounces("org", "a1", 5) == [Bounce("org", "b2", 800, "said so")]
    order = Order(OrderKind.UNBOUNCE, "org", 900, addresses=("a1",), seq=1)
    await deliveries.it.carry_out(order, Progress(), 900)
    assert await deliveries.it.bounced(asked) == set()
    assert [each.address for each in await deliveries.it.bounces("org", "", 5)] == ["b2"]


async def test_the_backlog_is_told_by_target(deliveries: Subject[WholeNotices]):
    """How much waits for each, since when, and what of it is due first."""
    await plan(deliveries.it, mail(1), mail(2, 200), hook(3), hook(4))
    first, *_ = await deliveries.it.claim(150, 1, LEASE_MS, FREE)
    await deliveries.it.finish([result(first, NoticeStatus.PENDING, 160, 900, Sent.NOT_SENT)])
    assert await deliveries.it.backlog() == [
        Backlog("email", "email", 2, 100, 200),
        Backlog("ep_1", "webhook", 2, 103, 103),
    ]
    await deliveries.it.hold(0, 9)
    assert [each.oldest_created_ms for each in await deliveries.it.backlog()] == [None, None]


async def test_a_store_that_is_reopened_knows_it_all(lasting_deliveries: Subject[WholeNotices]):
    """Attempts, targets and expiries outlive a close."""
    await plan(lasting_deliveries.it, mail(1, expires_ms=5_000), hook(2, ordered=True))
    claimed = await claim(lasting_deliveries.it)
    await lasting_deliveries.it.finish(
        [result(each, NoticeStatus.PENDING, 1_000, 1_000, Sent.NOT_SENT) for each in claimed]
    )
    again = await lasting_deliveries.reopen()
    assert [len(await again.attempts(each.notice.id)) for each in claimed] == [1, 1]
    assert [each.notice for each in await claim(again, 2_000)] == [
        mail(1, expires_ms=5_000),
        hook(2, ordered=True),
    ]
