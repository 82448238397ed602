"""The owner of a partition: reads, decides, commits, answers; and what it does when any of it fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.domain.room import event_spec, with_capacity
from tests.processing.bench import Bench
from tests.processing.replaying import Replay, records_of
from veltrix.domain import commands as ask
from veltrix.domain import decider, limits
from veltrix.domain.decider import RulesUnknown
from veltrix.domain.event import Waitlist
from veltrix.domain.facts import FactKind
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.ports.errors import Fenced, Mismatch, OutcomeUnknown, Rejected, Unavailable
from veltrix.ports.ledger import Changes, Term
from veltrix.ports.log import LogIdentity, LogRecord, Record
from veltrix.wire import decode_command


@pytest.fixture
def bench() -> Bench:
    """Processing on memory."""
    return Bench()


async def opened(bench: Bench, registrations: int = 3) -> tuple[str, int]:
    """An event with registrations, on the log; its id and the last offset."""
    event = bench.room.create(event_spec(waitlist=Waitlist(5)))
    for _ in range(registrations):
        bench.room.register(event)
    return event, await bench.append_asked()


async def rows_of(bench: Bench) -> list[Any]:
    """What the ledger holds."""
    return [row async for row in bench.ledger.rows()]


async def expected_rows(bench: Bench, quarantined: dict[int, str] | None = None) -> list[Any]:
    """What a plain replay of the log makes of it."""
    _, high = await bench.log.bounds(0)
    replay = Replay(quarantined)
    replay.log = bench.log.identity
    await replay.decide(await bench.log.read(0, 0, high, 0))
    return await replay.rows()


async def test_what_is_asked_is_decided_and_answered(bench: Bench):
    """Every record is decided in order, and whoever waits for it gets a reply with the fact that answers."""
    _, last = await opened(bench)
    await bench.run_until_decided(await bench.processor(), last)
    assert await rows_of(bench) == await expected_rows(bench)
    assert [reply.decision.offset for reply in bench.answers] == list(range(last + 1))
    assert all(reply.own is not None for reply in bench.answers)


async def test_takeover_goes_on_where_the_last_owner_stopped(bench: Bench):
    """A successor starts at the ledger's offset, time and sequence; nothing is decided twice."""
    event, last = await opened(bench)
    first = await bench.processor()
    await bench.run_until_decided(first, last)
    await bench.coordinator.release(first.grant)
    bench.room.register(event)
    upto = await bench.append_asked(last + 1)
    second = await bench.processor()
    assert second.grant.term > first.grant.term
    await bench.run_until_decided(second, upto)
    assert await rows_of(bench) == await expected_rows(bench)
    assert bench.signals.of("decided").count(("register", "accepted", "")) == 4


async def test_an_owner_that_is_fenced_steps_down(bench: Bench):
    """Once a newer term has taken the partition, the older owner's commit changes nothing and it ends."""
    event, last = await opened(bench)
    old = await bench.processor()
    running = asyncio.create_task(old.run())
    await bench.decided(last)
    await bench.ledger.take_over(0, Term(9, 9), "successor", bench.log.identity)
    before = await rows_of(bench)
    bench.room.register(event)
    await bench.append_asked(last + 1)
    with pytest.raises(Fenced):
        await asyncio.wait_for(running, 20)
    assert await rows_of(bench) == before
    assert len(bench.answers) == last + 1, "nothing of an uncommitted batch leaves the process"


async def test_an_owner_whose_term_is_old_cannot_begin(bench: Bench):
    """A takeover under a term below the ledger's is refused."""
    await opened(bench)
    await bench.ledger.take_over(0, Term(9, 9), "successor", bench.log.identity)
    with pytest.raises(Fenced):
        await (await bench.processor()).run()


@pytest.mark.parametrize(("when", "starts"), [("before", [0, 0, 3]), ("after", [0, 3])])
async def test_an_unknown_outcome_is_read_back_through_the_fence(bench: Bench, when: str, starts: list[int]):
    """Whether the batch was committed or not, it is in the ledger once: the fence was taken anew."""
    _, last = await opened(bench)
    bench.ledger.script.append((when, OutcomeUnknown("the connection broke")))
    processor = await bench.processor()
    processor.batch_max = 3
    await bench.run_until_decided(processor, last)
    assert await rows_of(bench) == await expected_rows(bench)
    assert [start for start, _ in bench.ledger.tries] == starts


async def test_an_unknown_outcome_after_a_successor_ends_ownership(bench: Bench):
    """If another owner took over meanwhile, reading back through the fence tells: step down."""
    _, _ = await opened(bench)
    processor = await bench.processor()

    def overtaken(_: Changes) -> Exception | None:
        bench.ledger.refuse = lambda _: None
        partition = bench.ledger._tables.partitions[0]
        partition.head = replace(partition.head, term=Term(9, 9), owner="successor")
        return OutcomeUnknown("the connection broke")

    bench.ledger.refuse = overtaken
    with pytest.raises(Fenced):
        await processor.run()
    assert await bench.next_offset() == 0


async def test_a_ledger_that_is_away_ends_ownership(bench: Bench):
    """Unavailable: nothing was written; the service backs off and comes again."""
    await opened(bench)
    bench.ledger.script.append(("before", Unavailable("no primary")))
    with pytest.raises(Unavailable):
        await (await bench.processor()).run()
    assert await bench.next_offset() == 0


def poison(monkeypatch: pytest.MonkeyPatch, *persons: str) -> None:
    """Let decisions about these people raise."""
    honest = decider.RULES[1][ask.Register]

    def step(context: Any, body: Any) -> Any:
        if body.person in persons:
            raise ZeroDivisionError("a defect")
        return honest(context, body)

    monkeypatch.setitem(decider.RULES[1], ask.Register, step)


async def test_a_decision_that_raises_is_tried_alone_and_quarantined(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """The culprits are set aside with their reason, all others decided; replay with the list agrees."""
    event = bench.room.create(event_spec())
    people = ["ann", "bob", "cyd", "dan", "eva"]
    for person in people:
        bench.room.register(event, person=person)
    last = await bench.append_asked()
    poison(monkeypatch, "bob", "eva")
    await bench.run_until_decided(await bench.processor(), last)
    quarantined = await bench.ledger.quarantined(0)
    assert quarantined == {3: "ZeroDivisionError: a defect", 6: "ZeroDivisionError: a defect"}
    assert await rows_of(bench) == await expected_rows(bench, quarantined)
    assert [size for (size,) in bench.signals.of("batch")] == [3, 1, 2, 1], (
        "what stands before goes first, whole"
    )
    outcomes = {reply.decision.offset: reply.decision.outcome for reply in bench.answers}
    assert outcomes[3] is outcomes[6] is Outcome.QUARANTINED
    assert outcomes[4] is Outcome.ACCEPTED
    monkeypatch.undo()
    assert await rows_of(bench) == await expected_rows(bench, quarantined)


async def test_a_decision_that_raises_once_is_not_quarantined(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Alone on freshly loaded state it may succeed: then nothing is set aside."""
    _, last = await opened(bench)
    honest = decider.RULES[1][ask.Register]
    raised: list[int] = []

    def step(context: Any, body: Any) -> Any:
        if not raised:
            raised.append(context.arrival)
            raise ZeroDivisionError("a passing defect")
        return honest(context, body)

    monkeypatch.setitem(decider.RULES[1], ask.Register, step)
    await bench.run_until_decided(await bench.processor(), last)
    assert raised == [2]
    assert await bench.ledger.quarantined(0) == {}
    assert await rows_of(bench) == await expected_rows(bench)


@pytest.mark.parametrize("culprit", [0, 3, 6])
async def test_a_batch_that_the_ledger_rejects_is_halved_down_to_the_culprit(bench: Bench, culprit: int):
    """A constraint that one decision violates costs that record alone, wherever it stands in its batch."""
    _, last = await opened(bench, 5)

    def constraint(changes: Changes) -> Exception | None:
        broken = [
            d for d in changes.decisions if d.offset == culprit and d.outcome is not Outcome.QUARANTINED
        ]
        return Rejected("CHECK taken <= ceiling") if broken else None

    bench.ledger.refuse = constraint
    await bench.run_until_decided(await bench.processor(), last)
    quarantined = await bench.ledger.quarantined(0)
    assert quarantined == {culprit: "CHECK taken <= ceiling"}
    assert await rows_of(bench) == await expected_rows(bench, quarantined)
    assert len(bench.ledger.tries) <= 12, "halving, not one by one"


async def test_garbage_does_not_stop_the_partition(bench: Bench):
    """Each record that is no command is refused with its reason, and the next is decided."""
    event, _ = await opened(bench)
    await bench.append(b"garbage", b'{"v":99}')
    bench.room.register(event)
    last = await bench.append(bench.room.log[-1][0])
    await bench.run_until_decided(await bench.processor(), last)
    refusals = [reply.decision.refusal for reply in bench.answers]
    assert refusals[-3:] == [Refusal.MALFORMED, Refusal.UNKNOWN_VERSION, None]


async def test_a_shorter_log_is_refused_with_the_remedy(bench: Bench):
    """A ledger that decided more than the log holds stops, and says what to do."""
    _, last = await opened(bench)
    await bench.run_until_decided(await bench.processor(), last)
    bench.log._records[0].pop()
    with pytest.raises(Mismatch, match="Restore both from the same time"):
        await (await bench.processor("partition/0b")).run()


async def test_another_record_in_the_last_place_is_refused_with_the_remedy(bench: Bench):
    """A log whose last decided record is another one belongs to another ledger."""
    _, last = await opened(bench)
    await bench.run_until_decided(await bench.processor(), last)
    records = bench.log._records[0]
    records[last] = replace(records[last], value=records[last].value + b" ")
    with pytest.raises(Mismatch, match="Restore both from the same time"):
        await (await bench.processor("partition/0b")).run()


async def test_a_log_that_cannot_be_read_back_is_not_trusted(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """If the last decided record does not come in time, the owner does not go on as if it had matched."""
    _, last = await opened(bench)
    await bench.run_until_decided(await bench.processor(), last)

    async def nothing(*_: object) -> list[LogRecord]:
        return []

    monkeypatch.setattr(bench.log, "read", nothing)
    with pytest.raises(Unavailable):
        await (await bench.processor("partition/0b")).run()


async def test_a_log_of_another_topic_is_refused(bench: Bench):
    """The ledger knows the log it was made from."""
    _, last = await opened(bench)
    await bench.run_until_decided(await bench.processor(), last)
    bench.log._identity = LogIdentity("another", 1, 0)
    with pytest.raises(Mismatch):
        await (await bench.processor("partition/0b")).run()


async def test_rules_that_this_code_lacks_are_not_taken(bench: Bench):
    """A partition under a rules version that is unknown here stays with whoever has it: no new term."""
    _, last = await opened(bench)
    first = await bench.processor()
    await bench.run_until_decided(first, last)
    partition = bench.ledger._tables.partitions[0]
    partition.head = replace(partition.head, rules_version=99)
    with pytest.raises(RulesUnknown):
        await (await bench.processor("partition/0b")).run()
    assert partition.head.term == first.grant.term


async def test_continuations_drain_a_long_waitlist(bench: Bench):
    """Capacity raised for 300 who wait: the processor appends what is needed to seat them all."""
    event = bench.room.create(event_spec(0, waitlist=Waitlist(1_000)))
    spec = bench.room.event(event).spec
    bench.room.ask(ask.ChangeEvent(with_capacity(spec, main=1), 2), event)
    for _ in range(301):
        bench.room.register(event)
    bench.room.ask(ask.ChangeEvent(with_capacity(spec, main=500), 3), event)
    asked = await bench.append_asked()
    processor = await bench.processor()
    running = asyncio.create_task(processor.run())
    more = -(-300 // limits.PROMOTIONS_PER_DECISION) - 1
    await bench.decided(asked + more)
    processor.stopping = True
    await running
    view = await bench.ledger.event(event)
    assert view is not None
    assert (view.waiting, view.pools[0].taken) == (0, 301)
    added = await bench.log.read(0, asked + 1, 100, 0)
    assert len(added) == more
    assert {decode_command(each.value).kind for each in added} == {"continue_promotions"}
    facts = await bench.ledger.facts(0, 0, 10_000)
    arrivals = [
        fact.fact.registration.arrival
        for fact in facts
        if fact.fact.kind is FactKind.REGISTRATION_PROMOTED and fact.fact.registration is not None
    ]
    assert arrivals == sorted(arrivals)


async def test_it_stops_after_the_batch_at_hand(bench: Bench):
    """Asked to stop, it commits what it has begun and reads no more."""
    _, last = await opened(bench)
    processor = await bench.processor()
    processor.batch_max = 2

    def told_to_stop(_: Changes) -> None:
        processor.stopping = True

    bench.ledger.refuse = told_to_stop
    await processor.run()
    assert await bench.next_offset() == 2
    assert len(bench.answers) == 2
    assert last > 2


async def test_it_ends_when_its_grant_is_lost(bench: Bench):
    """A grant that is known to be lost is not worked on."""
    _, last = await opened(bench)
    processor = await bench.processor()
    running = asyncio.create_task(processor.run())
    await bench.decided(last)
    processor.grant.lost.set()
    await asyncio.wait_for(running, 20)


async def test_a_batch_is_bounded(bench: Bench):
    """However long the log, a batch holds at most so many records."""
    event, _ = await opened(bench, 20)
    last = await bench.append(*records_values(bench, event))
    processor = await bench.processor()
    processor.batch_max = 7
    await bench.run_until_decided(processor, last)
    assert max(size for (size,) in bench.signals.of("batch")) == 7
    assert await rows_of(bench) == await expected_rows(bench)


def records_values(bench: Bench, event: str) -> list[bytes]:
    """Some more records for an event."""
    start = len(bench.room.log)
    for _ in range(5):
        bench.room.register(event)
    return [record.value for record in records_of(bench.room.log[start:])]


async def test_a_record_without_an_address_gets_no_reply(bench: Bench):
    """Whoever does not wait is not told."""
    bench.room.create(event_spec())
    for record in records_of(bench.room.log):
        await bench.log.append(0, Record(record.value))
    await bench.run_until_decided(await bench.processor(), 1)
    assert bench.answers == []
