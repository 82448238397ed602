"""The port `Notices`: an inbox that moves by compare-and-swap, and notices that are each one for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.conformance.adapters import Subject
from veltrix.domain.identifiers import notice_id
from veltrix.ports.channel import Sent
from veltrix.ports.errors import Fenced, Unavailable
from veltrix.ports.notices import HELD, Claimed, FanOut, Notice, Notices, NoticeStatus, Planned, Result

LEASE_MS = 60_000
EMPTY = dict.fromkeys(NoticeStatus, 0)
OUTCOMES = {
    NoticeStatus.ACCEPTED: Sent.ACCEPTED,
    NoticeStatus.PENDING: Sent.NOT_SENT,
    NoticeStatus.UNKNOWN: Sent.UNKNOWN,
}


def notice(seq: int, recipient: str = "anna", created_ms: int = 100, event: str = "evt") -> Notice:
    """The notice of a fact to somebody."""
    return Notice(
        notice_id(0, seq, recipient, "email"),
        "org",
        event,
        0,
        seq,
        "registration.confirmed",
        f"reg_{recipient}",
        recipient,
        "email",
        "key",
        created_ms,
        "trace",
    )


def result(claimed: Claimed, status: NoticeStatus, next_ms: int | None = None, detail: str = "") -> Result:
    """How an attempt ended."""
    outcome = OUTCOMES.get(status, Sent.REFUSED)
    return Result(claimed.notice.id, claimed.fence, status, detail, 500, next_ms, outcome)


async def plan(store: Notices, *notices: Notice) -> None:
    """Record these as what the next fact leads to."""
    at = await store.position(0)
    await store.record(0, at, at + 1, Planned(list(notices)))


async def status_of(store: Notices, one: Notice) -> tuple[NoticeStatus, int, str]:
    """Status, attempts and detail of a notice."""
    found = await store.of_registration(one.registration)
    return next((status, tried, detail) for known, status, tried, detail in found if known.id == one.id)


async def test_the_inbox_moves_with_what_is_planned(notices: Subject[Notices]):
    """Position and notices are recorded together, for each partition apart."""
    assert await notices.it.position(0) == 0
    assert await notices.it.record(0, 0, 5, Planned([notice(3), notice(5)])) == []
    assert (await notices.it.position(0), await notices.it.position(1)) == (5, 0)
    assert await notices.it.counts() == EMPTY | {NoticeStatus.PENDING: 2}
    await notices.it.record(1, 0, 2, Planned())
    assert await notices.it.position(1) == 2


async def test_a_stale_planner_records_nothing(notices: Subject[Notices]):
    """Whoever planned from another position than the inbox's is fenced, and nothing of its plan is there."""
    await notices.it.record(0, 0, 5, Planned())
    for after in (0, 4, 6):
        with pytest.raises(Fenced):
            await notices.it.record(0, after, after + 1, Planned([notice(9)], [FanOut(0, 9, "o", "e", "k")]))
    with pytest.raises(Fenced):
        await notices.it.record(7, 1, 2, Planned([notice(9)]))
    assert (await notices.it.position(0), await notices.it.position(7)) == (5, 0)
    assert await notices.it.counts() == EMPTY
    assert await notices.it.jobs(10) == []


async def test_one_of_two_planners_wins(notices: Subject[Notices]):
    """Of planners that move the inbox from the same position, exactly one does."""
    moves = [notices.it.record(0, 0, 1, Planned([notice(1, f"person-{n}")])) for n in range(5)]
    done = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(isinstance(each, Fenced) for each in done) == 4
    assert await notices.it.counts() == EMPTY | {NoticeStatus.PENDING: 1}


async def test_a_notice_is_recorded_once(notices: Subject[Notices]):
    """The same fact, recipient and channel again is kept as it is: neither doubled nor tried anew."""
    await plan(notices.it, notice(1))
    (claimed,) = await notices.it.claim(100, 10, LEASE_MS)
    await notices.it.finish([result(claimed, NoticeStatus.ACCEPTED)])
    await plan(notices.it, notice(1), replace(notice(1), id="ntc_other"), notice(2))
    assert await notices.it.counts() == EMPTY | {NoticeStatus.ACCEPTED: 1, NoticeStatus.PENDING: 1}
    assert [one.notice.seq for one in await notices.it.claim(100, 10, LEASE_MS)] == [2]


async def test_claims_take_what_is_due_longest(notices: Subject[Notices]):
    """In the order in which they were due, at most so many, none before its time and none twice."""
    await plan(notices.it, notice(1, created_ms=300), notice(2, created_ms=100), notice(3, created_ms=200))
    await plan(notices.it, notice(4, created_ms=100))
    assert await notices.it.claim(99, 10, LEASE_MS) == []
    first = await notices.it.claim(250, 2, LEASE_MS)
    second = await notices.it.claim(250, 2, LEASE_MS)
    assert [one.notice for one in (*first, *second)] == [
        notice(2, created_ms=100),
        notice(4, created_ms=100),
        notice(3, created_ms=200),
    ]
    assert {one.attempt for one in (*first, *second)} == {1}
    assert await notices.it.counts() == EMPTY | {NoticeStatus.PENDING: 1, NoticeStatus.ATTEMPTING: 3}


async def test_claimers_never_share_a_notice(notices: Subject[Notices]):
    """Claims at the same time take different notices."""
    await plan(notices.it, *(notice(1, f"person-{number}") for number in range(30)))
    claims = await asyncio.gather(*(notices.it.claim(100, 7, LEASE_MS) for _ in range(6)))
    ids = [one.notice.id for claim in claims for one in claim]
    assert len(ids) == len(set(ids)) == 30


async def test_results_end_or_postpone_a_notice(notices: Subject[Notices]):
    """What is over is never claimed again; what has a next time is, then, as the next attempt."""
    one, two, three = (notice(seq) for seq in (1, 2, 3))
    await plan(notices.it, one, two, three)
    claimed = {each.notice.seq: each for each in await notices.it.claim(100, 10, LEASE_MS)}
    recorded = await notices.it.finish(
        [
            result(claimed[1], NoticeStatus.ACCEPTED, detail="250 ok"),
            result(claimed[2], NoticeStatus.PENDING, 900, "421 busy"),
            result(claimed[3], NoticeStatus.UNKNOWN, 800, "no answer"),
        ]
    )
    assert recorded == 3
    assert await status_of(notices.it, one) == (NoticeStatus.ACCEPTED, 1, "250 ok")
    assert await status_of(notices.it, two) == (NoticeStatus.PENDING, 1, "421 busy")
    assert await status_of(notices.it, three) == (NoticeStatus.UNKNOWN, 1, "no answer")
    assert await notices.it.claim(799, 10, LEASE_MS) == []
    again = await notices.it.claim(900, 10, LEASE_MS)
    assert [(each.notice.seq, each.attempt) for each in again] == [(3, 2), (2, 2)]
    ended = [result(again[0], NoticeStatus.DEAD), result(again[1], NoticeStatus.REFUSED)]
    assert await notices.it.finish(ended) == 2
    assert await notices.it.claim(10**12, 10, LEASE_MS) == []
    assert await notices.it.counts() == EMPTY | {
        NoticeStatus.ACCEPTED: 1,
        NoticeStatus.DEAD: 1,
        NoticeStatus.REFUSED: 1,
    }


async def test_a_lost_lease_is_unknown_and_claimed_again(notices: Subject[Notices]):
    """Past its lease an attempt is unknown and claimed under a new fence; the old result counts no more."""
    await plan(notices.it, notice(1))
    (first,) = await notices.it.claim(100, 10, LEASE_MS)
    assert await notices.it.claim(100 + LEASE_MS - 1, 10, LEASE_MS) == []
    assert await notices.it.claim(100 + LEASE_MS, 0, LEASE_MS) == []
    assert await status_of(notices.it, notice(1)) == (NoticeStatus.UNKNOWN, 1, "")
    assert await notices.it.counts() == EMPTY | {NoticeStatus.UNKNOWN: 1}
    (second,) = await notices.it.claim(100 + LEASE_MS, 10, LEASE_MS)
    assert second.attempt == 2
    assert second.fence > first.fence
    assert await notices.it.finish([result(first, NoticeStatus.REFUSED)]) == 0
    assert await notices.it.finish([result(second, NoticeStatus.ACCEPTED)]) == 1
    assert await status_of(notices.it, notice(1)) == (NoticeStatus.ACCEPTED, 2, "")


async def test_a_late_result_counts_while_nobody_else_tries(notices: Subject[Notices]):
    """Its fence holds until the next claim, past the lease too; but it counts once."""
    await plan(notices.it, notice(1))
    (first,) = await notices.it.claim(100, 10, LEASE_MS)
    await notices.it.claim(100 + LEASE_MS, 0, LEASE_MS)
    assert await notices.it.finish([result(first, NoticeStatus.ACCEPTED)]) == 1
    assert await notices.it.finish([result(first, NoticeStatus.DEAD)]) == 0
    assert await notices.it.finish([Result("ntc_none", 1, NoticeStatus.DEAD, "", 1)]) == 0
    assert await notices.it.finish([]) == 0
    assert await notices.it.counts() == EMPTY | {NoticeStatus.ACCEPTED: 1}


async def test_a_result_given_twice_in_one_call_counts_once(notices: Subject[Notices]):
    """Of two results under one fence the first is recorded."""
    await plan(notices.it, notice(1))
    (claimed,) = await notices.it.claim(100, 10, LEASE_MS)
    both = [result(claimed, NoticeStatus.ACCEPTED), result(claimed, NoticeStatus.DEAD)]
    assert await notices.it.finish(both) == 1
    assert await notices.it.counts() == EMPTY | {NoticeStatus.ACCEPTED: 1}


async def test_the_erased_are_told_nothing_more(notices: Subject[Notices]):
    """An erased person's open notices are suppressed, also while one is tried; the ids of all come back."""
    theirs = [notice(seq) for seq in (1, 2, 3)]
    others = [notice(1, "berta"), replace(notice(4, event="evt_2"), registration="reg_other")]
    await plan(notices.it, theirs[0])
    (sent,) = await notices.it.claim(100, 10, LEASE_MS)
    await notices.it.finish([result(sent, NoticeStatus.ACCEPTED)])
    await plan(notices.it, theirs[1])
    (under_way,) = await notices.it.claim(100, 10, LEASE_MS)
    await plan(notices.it, theirs[2], *others)
    forgotten = await notices.it.record(0, 3, 4, Planned(erased=[("evt", "anna"), ("evt", "nobody")]))
    assert forgotten == [one.id for one in theirs]
    assert [(await status_of(notices.it, one))[0] for one in theirs] == [
        NoticeStatus.ACCEPTED,
        NoticeStatus.SUPPRESSED,
        NoticeStatus.SUPPRESSED,
    ]
    assert await notices.it.finish([result(under_way, NoticeStatus.ACCEPTED)]) == 0
    assert [one.notice.id for one in await notices.it.claim(10**12, 10, LEASE_MS)] == [
        one.id for one in others
    ]


async def test_an_erasure_is_repeatable_where_the_inbox_stands(notices: Subject[Notices]):
    """Recorded without moving the inbox, from its very start too, it gives all their ids each time."""
    assert await notices.it.record(0, 0, 0, Planned(erased=[("evt", "anna")])) == []
    await plan(notices.it, notice(1))
    for _ in range(2):
        assert await notices.it.record(0, 1, 1, Planned(erased=[("evt", "anna")])) == [notice(1).id]
        assert await notices.it.position(0) == 1
    with pytest.raises(Fenced):
        await notices.it.record(0, 0, 0, Planned(erased=[("evt", "anna")]))


async def test_an_erasure_covers_what_is_planned_with_it(notices: Subject[Notices]):
    """A notice that the same run of facts leads to is suppressed too, and its id is among those returned."""
    planned = Planned([notice(1), notice(2, "berta")], erased=[("evt", "anna")])
    assert await notices.it.record(0, 0, 2, planned) == [notice(1).id]
    assert await notices.it.counts() == EMPTY | {NoticeStatus.PENDING: 1, NoticeStatus.SUPPRESSED: 1}


async def test_jobs_fan_out_page_by_page(notices: Subject[Notices]):
    """A page's notices and the job's new place are recorded together; the end removes it."""
    job = FanOut(0, 7, "org", "evt", "event.cancelled", trace="t")
    await notices.it.record(0, 0, 7, Planned(jobs=[job, FanOut(0, 8, "org", "evt", "event.changed")]))
    assert [each.seq for each in await notices.it.jobs(10)] == [7, 8]
    assert await notices.it.jobs(1) == [job]
    await notices.it.advance(job, 20, [notice(7, "anna"), notice(7, "berta")])
    (moved,) = await notices.it.jobs(1)
    assert moved == replace(job, after_arrival=20)
    await notices.it.advance(moved, None, [notice(7, "carla"), notice(7, "anna")])
    assert [each.seq for each in await notices.it.jobs(10)] == [8]
    assert await notices.it.counts() == EMPTY | {NoticeStatus.PENDING: 3}


async def test_a_job_is_advanced_by_one(notices: Subject[Notices]):
    """Whoever advances a job from a place where it no longer is, or one that has ended, is fenced."""
    job = FanOut(0, 7, "org", "evt", "event.cancelled")
    await notices.it.record(0, 0, 7, Planned(jobs=[job]))
    await notices.it.advance(replace(job), 20, [])
    for upto in (10, 30, None):
        with pytest.raises(Fenced):
            await notices.it.advance(replace(job), upto, [notice(7)])
    moved = replace(job, after_arrival=20)
    await notices.it.advance(moved, None, [])
    with pytest.raises(Fenced):
        await notices.it.advance(moved, None, [notice(7)])
    assert await notices.it.counts() == EMPTY


async def test_a_registrations_notices_are_listed(notices: Subject[Notices]):
    """All of them, oldest first, whole; of nobody else."""
    await plan(notices.it, notice(2), notice(1, "berta"))
    await plan(notices.it, notice(3))
    assert await notices.it.of_registration("reg_anna") == [
        (notice(2), NoticeStatus.PENDING, 0, ""),
        (notice(3), NoticeStatus.PENDING, 0, ""),
    ]
    assert await notices.it.of_registration("reg_none") == []


async def test_counts_add_up_under_concurrency(notices: Subject[Notices]):
    """Recording, claiming and finishing at once: every notice is counted in one status."""

    async def planner() -> None:
        for seq in range(1, 21):
            await notices.it.record(0, seq - 1, seq, Planned([notice(seq, f"p{n}") for n in range(5)]))

    async def dispatcher() -> None:
        for _ in range(30):
            claimed = await notices.it.claim(100, 4, LEASE_MS)
            await notices.it.finish([result(each, NoticeStatus.ACCEPTED) for each in claimed[:3]])

    async def watcher() -> None:
        for _ in range(50):
            assert sum((await notices.it.counts()).values()) % 5 == 0
            await asyncio.sleep(0)

    await asyncio.gather(planner(), dispatcher(), dispatcher(), watcher())
    counts = await notices.it.counts()
    assert sum(counts.values()) == 100
    assert counts[NoticeStatus.ACCEPTED] > 0
    assert counts[NoticeStatus.ATTEMPTING] > 0


async def test_a_closed_store_says_so(notices: Subject[Notices]):
    """Closing twice is harmless; whoever asks gets `Unavailable`."""
    await notices.it.close()
    await notices.it.close()
    for asking in (
        notices.it.position(0),
        notices.it.record(0, 0, 1, Planned()),
        notices.it.claim(1, 1, 1),
        notices.it.finish([Result("ntc", 1, NoticeStatus.DEAD, "", 1)]),
        notices.it.jobs(1),
        notices.it.counts(),
    ):
        with pytest.raises(Unavailable):
            await asking


async def test_everything_survives_a_reopening(lasting_notices: Subject[Notices]):
    """Position, notices, jobs and counts are there again; an older claim is still leased, then unknown."""
    job = FanOut(0, 7, "org", "evt", "event.cancelled")
    await lasting_notices.it.record(0, 0, 7, Planned([notice(1), notice(2), notice(3)], [job]))
    (first, *_) = await lasting_notices.it.claim(100, 2, LEASE_MS)
    await lasting_notices.it.finish([result(first, NoticeStatus.ACCEPTED)])
    store = await lasting_notices.reopen()
    assert await store.position(0) == 7
    assert await store.jobs(10) == [job]
    assert await store.counts() == EMPTY | {
        NoticeStatus.ACCEPTED: 1,
        NoticeStatus.ATTEMPTING: 1,
        NoticeStatus.PENDING: 1,
    }
    assert [each.notice.seq for each in await store.claim(100, 10, LEASE_MS)] == [3]
    assert [each.attempt for each in await store.claim(100 + LEASE_MS, 10, LEASE_MS)] == [2, 2]


async def test_notices_of_a_restore_are_held(notices: Subject[Notices]):
    """What may have been sent before a restore is unknown and not claimed, whenever it is recorded; what
    comes after it is; and an operator lets the held ones go out, or be dropped."""
    await plan(notices.it, notice(1, "anna"), notice(1, "berta"))
    (sent, _) = await notices.it.claim(1_000, 2, LEASE_MS)
    assert await notices.it.hold(0, 3) == 2
    assert await notices.it.finish([result(sent, NoticeStatus.ACCEPTED)]) == 0
    at = await notices.it.position(0)
    await notices.it.record(0, at, at + 4, Planned([notice(3, "carla"), notice(4, "dora")]))
    assert [each.notice.seq for each in await notices.it.claim(10**6, 10, LEASE_MS)] == [4]
    assert await status_of(notices.it, notice(3, "carla")) == (NoticeStatus.UNKNOWN, 0, HELD)
    assert await notices.it.held() == 3
    assert (await notices.it.counts())[NoticeStatus.UNKNOWN] == 3
    assert await notices.it.hold(0, 2) == 0
    assert await notices.it.release(send=True) == 3
    assert {each.notice.recipient for each in await notices.it.claim(10**6, 10, LEASE_MS)} == {
        "anna", "berta", "carla",
    }  # fmt: skip
    assert await notices.it.held() == 0


async def test_held_notices_can_be_dropped(notices: Subject[Notices]):
    """Dropped, they are suppressed for good, and what another partition owes is not touched."""
    await plan(notices.it, notice(1, "anna"))
    await notices.it.record(1, 0, 1, Planned([replace(notice(1, "berta"), partition=1, id="ntc_other")]))
    assert await notices.it.hold(0, 1) == 1
    assert await notices.it.release(send=False) == 1
    assert await notices.it.counts() == EMPTY | {NoticeStatus.PENDING: 1, NoticeStatus.SUPPRESSED: 1}
    assert await notices.it.release(send=True) == 0


async def test_a_hold_outlives_a_restart(lasting_notices: Subject[Notices]):
    """What is recorded after the store was opened again is held all the same."""
    await lasting_notices.it.hold(0, 2)
    store = await lasting_notices.reopen()
    await plan(store, notice(1, "anna"))
    assert await store.claim(10**6, 10, LEASE_MS) == []
