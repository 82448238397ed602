"""The service as a whole: owns what it can get, hands it over, and survives what fails under it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.domain.room import event_spec
from tests.processing.bench import Bench
from veltrix.adapters.memory import MemoryCoordinator
from veltrix.domain import limits
from veltrix.domain.facts import NumberedFact
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.ports.ledger import Term
from veltrix.processing.service import ProcessingService

SOON_S = 10.0
"""Well below `limits.DRAIN_MAX_S`: what stops by itself is not waited for until then."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little waiting between tries."""
    monkeypatch.setattr(limits, "BACKOFF_MIN_S", 0.001)
    monkeypatch.setattr(limits, "BACKOFF_MAX_S", 0.01)


async def stopped(service: ProcessingService) -> None:
    """Stop a service; it must not need the whole drain time."""
    assert SOON_S < limits.DRAIN_MAX_S
    async with asyncio.timeout(SOON_S):
        await service.stop()


async def asked(bench: Bench, registrations: int = 3) -> int:
    """An event with registrations, on the log."""
    start = len(bench.room.log)
    if not start:
        bench.room.create(event_spec(1_000))
    [event] = bench.room.state.events
    for _ in range(registrations):
        bench.room.register(event)
    return await bench.append_asked(start)


async def test_it_decides_publishes_and_answers_every_partition():
    """All partitions are owned; what is asked on each is decided, published and answered."""
    bench = Bench(partitions=3)
    service = bench.service()
    await service.start()
    for partition in range(3):
        await bench.append(b"garbage", partition=partition)
        await bench.decided(0, partition)
    assert service.ready, "every partition is owned here"
    last = await asked(bench)
    await bench.decided(last)
    await bench.signals.until(lambda: len(bench.feed.out) == 5)
    await stopped(service)
    assert len(bench.answers) == 3 + 5
    assert bench.cluster.owners == {}


async def test_stopping_publishes_what_was_decided():
    """Stop drains: the batch at hand is committed and its facts are out before it returns."""
    bench = Bench()
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench, 50))
    await stopped(service)
    assert bench.feed.out == list(range(1, 53))
    head = await bench.ledger.head(0)
    assert head is not None
    assert head.relayed_seq == 52


async def test_it_stops_before_it_started():
    """Stopping what never ran is nothing."""
    await stopped(Bench().service())


async def test_it_stops_twice_at_once():
    """Two calls at the same time both return once it has stopped."""
    bench = Bench()
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench))
    await asyncio.gather(stopped(service), stopped(service))
    assert bench.cluster.owners == {}


async def test_it_stops_while_it_takes_a_partition_over(monkeypatch: pytest.MonkeyPatch):
    """A stop that comes while the ledger is asked is heeded when it has answered: nothing is decided."""
    bench = Bench()
    await asked(bench)
    entered, go_on, honest = asyncio.Event(), asyncio.Event(), bench.ledger.take_over

    async def slow(*arguments: Any) -> Any:
        entered.set()
        await go_on.wait()
        return await honest(*arguments)

    monkeypatch.setattr(bench.ledger, "take_over", slow)
    service = bench.service()
    await service.start()
    await entered.wait()
    stopping = asyncio.create_task(stopped(service))
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert await bench.next_offset() == 0
    assert bench.cluster.owners == {}


class Slow(MemoryCoordinator):
    """A coordinator whose grant comes only after `go_on`, though nobody else has it."""

    entered = asyncio.Event()

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.cluster)
        self.entered, self.go_on = asyncio.Event(), asyncio.Event()

    async def acquire(self, resource: str) -> Grant:
        """Wait, then grant; a cancelled wait still ends in a grant, as an answer on its way does."""
        self.entered.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            if resource == "ticker":
                raise
        return await super().acquire(resource)


async def test_a_grant_that_comes_with_the_stop_is_given_back():
    """A partition that is granted in the instant of the stop is not worked on, and not kept."""
    bench = Bench()
    await asked(bench)
    coordinator = Slow(bench)
    service = bench.service(coordinator)
    await service.start()
    await coordinator.entered.wait()
    await stopped(service)
    assert bench.cluster.owners == {}
    assert await bench.next_offset() == 0


async def test_a_standby_stops_at_once_and_takes_over_when_it_may():
    """Two processes: the second waits. It stops without a drain, or owns when the first one leaves."""
    bench = Bench()
    first, standby = bench.service(), bench.service(MemoryCoordinator(bench.cluster))
    other = bench.service(MemoryCoordinator(bench.cluster))
    for service in (first, standby, other):
        await service.start()
        await bench.signals.until(lambda: ("owned", 0, True) in bench.signals.seen)
    await stopped(other)
    await bench.decided(await asked(bench))
    await stopped(first)
    await bench.decided(await asked(bench))
    assert standby.ready
    await stopped(standby)
    assert bench.feed.out == list(range(1, 9))


async def test_it_comes_back_after_being_fenced():
    """An owner that a newer term overtook steps down, campaigns again and goes on under a newer one."""
    bench = Bench()
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench))
    bench.cluster.revision += 5
    await bench.ledger.take_over(0, Term(1, bench.cluster.revision), "successor", bench.log.identity)
    last = await asked(bench)
    await bench.decided(last)
    await stopped(service)
    assert bench.signals.of("fenced") == [(0,)]
    assert list(dict.fromkeys(bench.feed.out)) == list(range(1, 9))


@pytest.mark.parametrize(
    "error", [Unavailable("no primary"), OutcomeUnknown("broken"), ZeroDivisionError("?")]
)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_it_goes_on_after_whatever_a_commit_raises(error: Exception, when: str):
    """Errors of the ledger, foreseen or not, cost a moment: everything is decided once in the end."""
    bench = Bench()
    service = bench.service()
    bench.ledger.script.extend([(when, error), None, (when, error)])
    await service.start()
    last = await asked(bench)
    await bench.signals.until(lambda: len(bench.ledger.tries) >= 1)
    last = await asked(bench)
    await bench.decided_at_all(last)
    await stopped(service)
    decisions = bench.ledger._tables.partitions[0].decisions
    assert [each.offset for each in decisions] == list(range(last + 1))
    assert list(dict.fromkeys(bench.feed.out)) == list(range(1, 9))
    assert service.failed == {}


async def test_it_stops_deciding_where_an_operator_is_needed():
    """A log that does not belong to the ledger stops the partition with the remedy; the others go on."""
    bench = Bench(partitions=2)
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench))
    await bench.append(b"garbage", partition=1)
    await bench.decided(0, 1)
    await stopped(service)
    bench.log._records[0].pop()
    again = bench.service()
    await again.start()
    await bench.signals.until(lambda: bool(again.failed))
    await bench.append(b"garbage", partition=1)
    await bench.decided(1, 1)
    assert "Restore both from the same time" in again.failed[0]
    assert not again.ready
    await stopped(again)


async def test_a_log_that_seems_shorter_for_a_moment_does_not_stop_the_partition(
    monkeypatch: pytest.MonkeyPatch,
):
    """A leader that was cut off may tell of an older end of the log; when the others are heard it goes on."""
    bench = Bench()
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench))
    await stopped(service)
    bounds = bench.log.bounds

    async def stale(partition: int) -> tuple[int, int]:
        return 0, 1

    monkeypatch.setattr(bench.log, "bounds", stale)
    again = bench.service()
    await again.start()
    await bench.signals.until(lambda: bool(again.failed))
    assert again.campaigning
    monkeypatch.setattr(bench.log, "bounds", bounds)
    await bench.decided(await asked(bench))
    assert again.failed == {}
    await stopped(again)


async def test_a_coordinator_that_went_back_in_time_is_refused_until_the_epoch_is_raised():
    """Terms that the ledger would fence for ever are told with the remedy, and nothing is decided; once the
    epoch is raised deciding goes on, without a restart."""
    bench = Bench()
    bench.cluster.revision = 1_000_000
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench))
    await stopped(service)
    bench.cluster.revision = 0
    again = bench.service()
    await again.start()
    await bench.signals.until(lambda: bool(again.failed))
    last = await asked(bench)
    assert "only come to" in again.failed[0]
    assert not again.ready
    assert await bench.next_offset() < last
    bench.cluster.epoch += 1
    await bench.decided(last)
    assert (again.failed, again.ready) == ({}, True)
    await stopped(again)


async def test_what_is_changed_while_it_runs_counts_from_the_next_batch():
    """A new bound of batches and a new interval of ticks need no restart, and hold for who takes over too."""
    bench = Bench()
    service = bench.service(batch_max=1, tick_interval_s=3600.0)
    await service.start()
    await bench.decided(await asked(bench))
    assert {size for (size,) in bench.signals.of("batch")} == {1}
    service.reconfigure(batch_max=100, tick_interval_s=0.0)
    bench.signals.seen.clear()
    await bench.decided(await asked(bench, 50))
    assert max(size for (size,) in bench.signals.of("batch")) > 1
    assert service.batch_max == 100
    await stopped(service)


async def test_a_relay_that_dies_takes_its_owner_along():
    """A defect in publishing must not leave facts behind for ever: the partition is taken anew."""
    bench = Bench()
    service = bench.service()
    bench.feed.script.append(("before", ZeroDivisionError("a defect")))
    await service.start()
    await bench.decided(await asked(bench))
    await bench.signals.until(lambda: len(bench.feed.out) == 5)
    await stopped(service)
    assert bench.feed.out == list(range(1, 6))
    assert bench.signals.of("owned").count((0, True)) == 2


async def test_who_alone_cannot_publish_lets_others_try():
    """An owner that decides but cannot publish for long gives the partition up: somebody else may be able."""
    bench = Bench()
    honest = bench.feed.publish

    async def away(partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        bench.clock.ms += 5_000
        raise Unavailable("no broker")

    bench.feed.publish = away  # type: ignore[method-assign] # errors instead of the method
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench))
    await bench.signals.until(lambda: bench.signals.of("owned").count((0, False)) >= 2)
    bench.feed.publish = honest  # type: ignore[method-assign] # the method again
    await bench.signals.until(lambda: len(bench.feed.out) == 5)
    await stopped(service)


async def test_who_cannot_take_over_for_long_lets_others_try():
    """Also where each try takes longer than the longest pause between two: a ledger that never answers."""
    bench = Bench()
    service = bench.service()

    async def silent(*_: Any) -> None:
        bench.clock.ms += 5_000
        raise Unavailable("the ledger does not answer")

    honest = bench.ledger.take_over
    bench.ledger.take_over = silent  # type: ignore[assignment, method-assign] # errors instead of the method
    await service.start()
    last = await asked(bench)
    await bench.signals.until(lambda: bench.signals.of("owned").count((0, False)) >= 2)
    bench.ledger.take_over = honest  # type: ignore[method-assign] # the method again
    await bench.decided(last)
    await stopped(service)


async def test_a_lost_grant_is_not_clung_to():
    """Whoever has lost the grant does not wait for a feed that is away before letting go."""
    bench = Bench()
    gate = asyncio.Event()

    async def away(partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        if not gate.is_set():
            raise Unavailable("no broker")

    bench.feed.publish = away  # type: ignore[method-assign] # errors instead of the method
    service = bench.service()
    await service.start()
    await bench.decided(await asked(bench))
    bench.cluster.owners["partition/0"].lost.set()
    await bench.signals.until(lambda: bench.signals.of("owned").count((0, True)) == 2)
    gate.set()
    await stopped(service)


async def test_a_ticker_that_died_does_not_keep_it_from_stopping(monkeypatch: pytest.MonkeyPatch):
    """Whatever became of the ticker, stop drains the partitions."""
    bench = Bench()
    dead = asyncio.Event()

    async def acquire(resource: str) -> Grant:
        if resource == "ticker":
            dead.set()
            raise ZeroDivisionError("a defect")
        return await MemoryCoordinator.acquire(bench.coordinator, resource)

    monkeypatch.setattr(bench.coordinator, "acquire", acquire)
    service = bench.service()
    await service.start()
    await dead.wait()
    await bench.decided(await asked(bench))
    await stopped(service)
    assert bench.feed.out == list(range(1, 6))


async def test_drained_waits_for_the_end_of_the_log():
    """Once it returns, everything that was in the log is decided."""
    bench = Bench()
    service = bench.service(batch_max=2)
    await service.start()
    last = await asked(bench, 30)
    await bench.decided(0)
    await service.drained()
    assert await bench.next_offset() == last + 1
    await stopped(service)


async def test_it_ticks():
    """The service's ticker runs at its interval."""
    bench = Bench()
    service = bench.service(tick_interval_s=0.0)
    await service.start()
    await bench.signals.until(lambda: len(bench.signals.of("ticked")) >= 3)
    await stopped(service)
    assert replace(service).tick_interval_s == 0.0
