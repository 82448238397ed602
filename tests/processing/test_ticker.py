"""Due work becomes commands: holds that expire, events that end. Ticking itself decides nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.domain.asking import ENDS_S
from tests.domain.room import Room, event_spec
from tests.processing.bench import Bench
from veltrix.domain import commands as ask
from veltrix.domain import limits
from veltrix.domain.decider import REMINDING_RULES
from veltrix.domain.event import EventStatus, Holds, Waitlist
from veltrix.domain.registration import RegistrationStatus
from veltrix.ports.errors import Unavailable
from veltrix.ports.ledger import Due
from veltrix.wire import decode_command


async def held(bench: Bench, people: int = 2) -> tuple[str, list[str]]:
    """An event of one seat with a hold and a waitlist, decided; the event and its registrations."""
    event = bench.room.create(event_spec(1, holds=Holds(60), waitlist=Waitlist(5)))
    registrations = [bench.room.registered(event) for _ in range(people)]
    await decide(bench, await bench.append_asked())
    return event, registrations


async def decide(bench: Bench, upto: int) -> None:
    """Decide the log up to an offset."""
    processor = await bench.processor(f"partition/{upto}")
    await bench.run_until_decided(processor, upto)


async def status(bench: Bench, registration: str) -> RegistrationStatus:
    """How a registration stands in the ledger."""
    found = await bench.ledger.registration(registration)
    assert found is not None
    return found.status


async def status_of_event(bench: Bench, event: str) -> EventStatus:
    """How an event stands in the ledger."""
    view = await bench.ledger.event(event)
    assert view is not None
    return view.event.status


async def test_a_hold_expires_when_its_time_is_over():
    """Not before; then by a command, and the seat goes to whoever waits."""
    bench = Bench()
    _, [ann, bob] = await held(bench)
    bench.clock.ms += 60_000
    assert await bench.ticker().tick() == 0, "the deadline must have passed"
    bench.clock.ms += 1
    assert await bench.ticker().tick() == 1
    _, high = await bench.log.bounds(0)
    await decide(bench, high - 1)
    assert await status(bench, ann) is RegistrationStatus.EXPIRED
    assert await status(bench, bob) is RegistrationStatus.HELD
    assert await bench.ticker().tick() == 0


async def test_an_event_ends_when_it_is_over():
    """Open or closed ones; once."""
    bench = Bench()
    event = bench.room.create(event_spec())
    await decide(bench, await bench.append_asked())
    bench.clock.ms += ENDS_S * 1000 + 1
    assert await bench.ticker().tick() == 1
    await decide(bench, 2)
    view = await bench.ledger.event(event)
    assert view is not None
    assert view.event.status is EventStatus.ENDED
    assert await bench.ticker().tick() == 0


async def test_people_are_reminded_when_it_is_time():
    """Rules that know reminders are adopted with the first that is due; then it comes once, and the next one
    under the same rules at once."""
    bench = Bench()
    event = bench.room.create(event_spec(reminders=(24, 1)))
    await decide(bench, await bench.append_asked())
    starts_ms = event_spec().starts_ms()
    bench.clock.ms = starts_ms - 24 * 3_600_000
    assert await bench.ticker().tick() == 0, "the time must have passed"
    bench.clock.ms += 1
    for kind, offset in (("adopt_rules", 2), ("remind", 3)):
        assert await bench.ticker().tick() == 1
        [asked] = await bench.log.read(0, offset, 10, 0)
        assert decode_command(asked.value).kind == kind
        await decide(bench, offset)
    assert await bench.ticker().tick() == 0
    bench.clock.ms = starts_ms - 3_600_000 + 1
    assert await bench.ticker().tick() == 1
    await decide(bench, 4)
    reminded = [each for each in await bench.ledger.facts(0, 0, 10) if each.fact.kind == "event.reminded"]
    assert [each.log_time_ms for each in reminded] == [starts_ms - 24 * 3_600_000 + 1, bench.clock.ms]
    bench.clock.ms = starts_ms
    assert await bench.ticker().tick() == 0
    assert await status_of_event(bench, event) is EventStatus.OPEN


async def test_rules_are_not_adopted_before_every_process_knows_them():
    """As long as an operator holds the partitions back nobody is reminded, and all else goes on."""
    bench = Bench()
    bench.room.create(event_spec())
    await decide(bench, await bench.append_asked())
    ticker = bench.ticker()
    ticker.rules_version = REMINDING_RULES - 1
    bench.clock.ms = event_spec().starts_ms() - 1
    assert await ticker.tick() == 0
    bench.clock.ms += ENDS_S * 1000
    assert await ticker.tick() == 1
    ticker.rules_version = REMINDING_RULES
    bench.clock.ms = event_spec().starts_ms() - 1
    assert await ticker.tick() == 1


async def test_it_does_not_tick_while_the_partition_lags(monkeypatch: pytest.MonkeyPatch):
    """While much is undecided, a confirmation may stand in the log before the expiry: wait for it."""
    monkeypatch.setattr(limits, "TICK_LAG_MAX", 3)
    bench = Bench()
    event, _ = await held(bench)
    bench.clock.ms += 60_001
    for _ in range(4):
        bench.room.register(event)
    last = await bench.append_asked(4)
    assert await bench.ticker().tick() == 0
    await decide(bench, last)
    assert await bench.ticker().tick() == 1


async def test_it_does_not_tick_a_partition_that_nobody_owns_yet():
    """Without a head there is nothing due."""
    bench = Bench()
    await bench.append(b"garbage")
    assert await bench.ticker().tick() == 0


async def test_a_round_that_comes_again_asks_again_under_another_key():
    """Within a second the same command comes twice and is a duplicate; later it is asked anew."""
    bench = Bench()
    await held(bench)
    bench.clock.ms += 60_001
    for _ in range(2):
        await bench.ticker().tick()
    bench.clock.ms += 1_000
    await bench.ticker().tick()
    asked = [decode_command(each.value) for each in await bench.log.read(0, 4, 10, 0)]
    assert [each.kind for each in asked] == ["expire_hold"] * 3
    assert asked[0].id == asked[1].id != asked[2].id
    await decide(bench, 6)
    assert bench.signals.of("decided")[-3:] == [
        ("expire_hold", "accepted", ""),
        ("expire_hold", "duplicate", ""),
        ("expire_hold", "accepted", ""),
    ]


async def test_due_work_of_one_round_is_appended_together(monkeypatch: pytest.MonkeyPatch):
    """Appends that wait for each other's disk would make a round of many holds last for seconds."""
    bench = Bench()
    await held(bench)
    dues = [Due("org_1", "evt_1", f"reg_{n}", 1, 1) for n in range(5)]

    async def due(*_: object, **__: object) -> list[Due]:
        return dues

    monkeypatch.setattr(bench.ledger, "due", due)
    waiting, all_there, honest = [0], asyncio.Event(), bench.log.append

    async def append(partition: int, record: object) -> object:
        waiting[0] += 1
        if waiting[0] == len(dues):
            all_there.set()
        await all_there.wait()
        return await honest(partition, record)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(bench.log, "append", append)
    assert await asyncio.wait_for(bench.ticker().tick(), 20) == 5


async def test_it_goes_on_after_errors(monkeypatch: pytest.MonkeyPatch):
    """A ledger that is away, or a defect, costs a round; the next one ticks."""
    bench = Bench()
    await held(bench)
    bench.clock.ms += 60_001
    errors: list[Exception] = [Unavailable("no primary"), ZeroDivisionError("a defect")]
    honest = bench.ledger.due

    async def due(partition: int, before_ms: int, limit: int, *, reminders: bool = True) -> list[Due]:
        if errors:
            raise errors.pop(0)
        return await honest(partition, before_ms, limit, reminders=reminders)

    monkeypatch.setattr(bench.ledger, "due", due)
    ticker = bench.ticker()
    ticker.interval_s = 0.0
    running = asyncio.create_task(ticker.run())
    await bench.signals.until(lambda: (1,) in bench.signals.of("ticked"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_one_ticks_at_a_time():
    """A second ticker waits until the first one's grant is lost or given back."""
    bench = Bench()
    first, second = bench.ticker(), bench.ticker()
    first.interval_s = second.interval_s = 0.0
    tasks = [asyncio.create_task(each.run()) for each in (first, second)]
    await bench.signals.until(lambda: len(bench.signals.of("ticked")) >= 3)
    owner = bench.cluster.owners["ticker"]
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    before = len(bench.signals.of("ticked"))
    await bench.signals.until(lambda: len(bench.signals.of("ticked")) > before + 2)
    assert bench.cluster.owners["ticker"].term > owner.term
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)


async def test_who_alone_cannot_tick_lets_others_try(monkeypatch: pytest.MonkeyPatch):
    """A ticker that reaches the coordinator but no ledger gives its grant up: holds must go on expiring."""
    bench = Bench()

    async def away(*_: object, **__: object) -> list[Due]:
        bench.clock.ms += 5_000
        raise Unavailable("no primary")

    honest = bench.ledger.due
    monkeypatch.setattr(bench.ledger, "due", away)
    cut_off, other = bench.ticker(), bench.ticker()
    cut_off.interval_s = other.interval_s = 0.0
    tasks = [asyncio.create_task(cut_off.run())]
    await asyncio.sleep(0)
    first = bench.cluster.owners["ticker"]
    tasks.append(asyncio.create_task(other.run()))
    await first.lost.wait()
    monkeypatch.setattr(bench.ledger, "due", honest)
    await bench.signals.until(lambda: (0,) in bench.signals.of("ticked"))
    assert bench.cluster.owners["ticker"].term > first.term
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_keys_of_what_came_to_nothing_are_destroyed_in_time():
    """A refusal's key goes after so many days; an accepted registration's, and a fresh refusal's, stay."""
    bench = Bench()
    room = Room()
    event = room.create(event_spec(one_per_email=True))
    made = await bench.vault.reserve(3)
    bench.room = room
    for (key_id, _), person in zip(made, ("ann", "ann", "ann"), strict=True):
        if len(room.log) == 4:
            room.later(20 * 24 * 3600)
        room.register(event, person=person)
        envelope, append_ms = room.log[-1]
        assert isinstance(envelope.body, ask.Register)
        box = replace(envelope.body.box, key_id=key_id)
        room.log[-1] = (replace(envelope, body=replace(envelope.body, box=box)), append_ms)
    for envelope, append_ms in room.log:
        bench.clock.ms = append_ms
        await bench.append(envelope)
    await decide(bench, 4)
    bench.clock.ms = room.now_ms + 11 * 24 * 3600 * 1000
    ticker = bench.ticker()
    await ticker.tick()
    left = await bench.vault.keys([key_id for key_id, _ in made])
    assert list(left) == [made[0][0], made[2][0]]
