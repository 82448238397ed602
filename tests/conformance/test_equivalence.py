"""Every ledger is the same: after the same log all adapters have the same rows and give the same answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.adapters import LEDGERS, HandClock, WholeLedger
from tests.conformance.batches import LOG, TERM, in_batches, rows
from tests.domain.asking import Asker, any_intent, any_spec
from tests.domain.room import Room
from veltrix.domain import limits
from veltrix.domain.commands import Actor, AdoptRules, CreateEvent, Envelope, OpenEvent
from veltrix.domain.decider import NEWEST_RULES
from veltrix.domain.registration import RegistrationStatus
from veltrix.domain.state import Needs, PartitionState, collect_needs
from veltrix.ports.log import LogRecord
from veltrix.ports.queries import Filter
from veltrix.processing.batch import decide_batch, forget_touched, merge, needs_of, read_entries

OTHERS = [name for name in LEDGERS if name not in ("memory", "simulated")]  # which keeps the former's rows
FAST = {"sqlite": {"synchronous": "OFF"}}  # these tests cut no power


def played(random: Random, length: int) -> Room:
    """A room after two events were published and so much was asked."""
    room = Room()
    asker = Asker(room, [])
    room.ask(AdoptRules(NEWEST_RULES), actor=Actor.SYSTEM)
    for slug in ("first", "second"):
        judgement = room.judge(room.envelope(CreateEvent(any_spec(random, slug), "key_hash")))
        assert judgement.decision.refusal is None, judgement.decision.detail
        asker.events.append(judgement.decision.event)
        room.judge(room.envelope(OpenEvent(), judgement.decision.event))
    for _ in range(length):
        envelope = asker.envelope(any_intent(random))
        if envelope is not None:
            room.judge(envelope)
    return room


async def replay(ledger: WholeLedger, batches: list[list[LogRecord]], events_cached: int) -> None:
    """Decide a log into a ledger in these batches, or smaller ones where a change of an event forces it."""
    head = await ledger.take_over(0, TERM, "me", LOG)
    state = PartitionState(0, next_offset=head.next_offset, next_seq=head.next_seq)
    for batch in batches:
        left = batch
        while left:
            entries = read_entries(left)
            merge(state, entries, await ledger.load(0, needs_of(state, entries)))
            outcome = decide_batch(state, entries, TERM, {})
            await ledger.commit(outcome.changes)
            forget_touched(state, events_cached)
            left = left[len(entries) :]


async def answers(ledger: WholeLedger, log: list[tuple[Envelope, int]]) -> list[object]:
    """What the ledger says about everything that the log names."""
    needs = Needs()
    for envelope, _ in log:
        collect_needs(envelope, needs)
    loaded = await ledger.load(0, needs)
    said: list[object] = [
        sorted(loaded.decided.items()),
        sorted(loaded.slugs.items()),
        loaded.registrations,
        sorted(loaded.people.items()),
        sorted(loaded.seat_owners.items()),
        await ledger.quarantined(0),
        await ledger.facts(0, 0, 10_000),
        await ledger.unused_keys(0, -1, 10**15, 1_000),
        await ledger.events("org_1", "", 10),
    ]
    for event in sorted(needs.events):
        view, state = await ledger.event(event), loaded.events[event]
        said += [view, state and (state.pools, state.next_seat, state.code_uses, state.registrations)]
        said += [state and sorted(state.waiting.lines())]
        said += [await ledger.registrations(Filter(event), -1, 1_000)]
        for status in RegistrationStatus:
            said.append(await ledger.registrations(Filter(event, frozenset({status})), -1, 3))
        for number in range(10):
            person = f"person-{number}"
            said.append(await ledger.registrations(Filter(event, person=person), -1, 1_000))
            said.append(await ledger.keys_of(event, person, len(log) // 2))
    for command in sorted(needs.commands):
        said.append(await ledger.decision(command))
    return said


@pytest.fixture(scope="module", params=OTHERS)
def open_other(request) -> Callable[..., Awaitable[WholeLedger]]:
    """How to open one of the other ledgers."""
    entry = LEDGERS[request.param]
    return partial(entry.open, **entry.options(request), **FAST.get(request.param, {}))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    random=st.randoms(use_true_random=False),
    length=st.integers(20, 120),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    events_cached=st.sampled_from([0, 1, limits.EVENTS_CACHED]),
)
def test_all_adapters_hold_the_same(
    open_other: Callable[..., Awaitable[WholeLedger]],
    random: Random,
    length: int,
    sizes: list[int],
    events_cached: int,
):
    """Rows are equal to the byte and answers equal, whatever was asked, however it was cut into batches."""
    room = played(random, length)

    async def compare(directory: Path) -> None:
        memory = await LEDGERS["memory"].open(directory, clock=HandClock())
        other = await open_other(directory, clock=HandClock())
        try:
            await replay(memory, in_batches(room.log, [1_000]), limits.EVENTS_CACHED)
            await replay(other, in_batches(room.log, sizes), events_cached)
            assert await rows(other) == await rows(memory)
            for due_ms in (room.now_ms, 10**15):
                assert await other.due(0, due_ms, 5) == await memory.due(0, due_ms, 5)
            said, expected = await answers(other, room.log), await answers(memory, room.log)
            for theirs, ours in zip(said, expected, strict=True):
                assert theirs == ours
        finally:
            await other.close()
            await memory.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(compare(Path(directory)))
