"""Facts go out in sequence, each at least once, whatever fails; and erased persons are forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.room import event_spec
from tests.processing.bench import Bench
from veltrix.domain import commands as ask
from veltrix.domain import limits
from veltrix.domain.registration import Box
from veltrix.ports.errors import Fenced, OutcomeUnknown, Unavailable
from veltrix.ports.ledger import Term
from veltrix.processing.processor import Processor
from veltrix.processing.relay import Relay

AWAY = Unavailable("no broker")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries."""
    monkeypatch.setattr(limits, "BACKOFF_MIN_S", 0.0)
    monkeypatch.setattr(limits, "BACKOFF_MAX_S", 0.0)


async def decided(bench: Bench, registrations: int = 5) -> Processor:
    """A processor that has decided some registrations; its relay has not run yet."""
    start = len(bench.room.log)
    if not start:
        bench.room.create(event_spec(1_000))
    [event] = bench.room.state.events
    for _ in range(registrations):
        bench.room.register(event)
    last = await bench.append_asked(start)
    processor = await bench.processor(f"partition/{start}")
    await bench.run_until_decided(processor, last)
    return processor


async def drained(relay: Relay) -> None:
    """Let a relay publish everything, and end."""
    relay.stop()
    await asyncio.wait_for(relay.run(), 20)


async def relayed_seq(bench: Bench) -> int:
    """The relay's position in the ledger."""
    head = await bench.ledger.head(0)
    assert head is not None
    return head.relayed_seq


async def test_facts_go_out_in_sequence():
    """All committed facts, once, in order; then the ledger knows that they are out."""
    bench = Bench()
    processor = await decided(bench)
    await drained(processor.relay)
    assert bench.feed.out == list(range(1, 8))
    assert bench.feed.offsets[-1] == 7
    assert await relayed_seq(bench) == 7


@given(script=st.lists(st.sampled_from([None, "before", "after"]), max_size=12), marks=st.integers(0, 3))
async def test_nothing_is_skipped_whatever_fails(script: list[str | None], marks: int):
    """With the feed failing before or after it published, and marks failing: every fact is out, in order."""
    bench = Bench()
    processor = await decided(bench)
    bench.feed.script.extend((when, AWAY) if when else None for when in script)
    bench.ledger.mark_errors.extend([OutcomeUnknown("broken")] * marks)
    await drained(processor.relay)
    firsts = list(dict.fromkeys(bench.feed.out))
    assert firsts == list(range(1, 8))
    assert await relayed_seq(bench) == 7


async def test_the_position_moves_only_past_what_was_acknowledged():
    """While the feed refuses, the ledger's position stands still."""
    bench = Bench()
    processor = await decided(bench)
    bench.feed.script.extend([("before", AWAY)] * 5)
    positions: list[int] = []
    honest = bench.feed.publish

    async def watched(*arguments: Any) -> None:
        positions.append(await relayed_seq(bench))
        await honest(*arguments)

    bench.feed.publish = watched  # type: ignore[assignment, method-assign] # a witness around the method
    await drained(processor.relay)
    assert positions == [0] * 6
    assert await relayed_seq(bench) == 7


async def test_a_successor_publishes_what_was_left():
    """Facts that were committed and not yet relayed go out under the next owner, from the ledger."""
    bench = Bench()
    first = await decided(bench)
    await bench.coordinator.release(first.grant)
    second = await decided(bench, 2)
    await drained(second.relay)
    assert bench.feed.out == list(range(1, 10))


async def test_a_relay_whose_term_is_over_ends():
    """The ledger refuses its mark: it must not go on."""
    bench = Bench()
    processor = await decided(bench)
    await bench.ledger.take_over(0, Term(9, 9), "successor", bench.log.identity)
    processor.relay.stop()
    with pytest.raises(Fenced):
        await processor.relay.run()
    assert await relayed_seq(bench) == 0


async def test_more_facts_than_fit_in_memory_are_read_from_the_ledger(monkeypatch: pytest.MonkeyPatch):
    """A relay that lags keeps a bounded buffer; what did not fit comes from the ledger, in pages."""
    monkeypatch.setattr(limits, "RELAY_BUFFER_MAX", 3)
    monkeypatch.setattr(limits, "RELAY_PAGE", 4)
    bench = Bench()
    processor = await decided(bench, 20)
    await drained(processor.relay)
    assert bench.feed.out == list(range(1, 23))


async def test_taking_over_again_publishes_from_the_ledgers_position():
    """After an unknown outcome the relay starts again from the ledger: twice is allowed, a gap is not."""
    bench = Bench()
    processor = await decided(bench)
    head = await bench.ledger.head(0)
    assert head is not None
    await drained(processor.relay)
    processor.relay.resume(replace(head, relayed_seq=3))
    await drained(processor.relay)
    assert bench.feed.out == [*range(1, 8), *range(4, 8)]


async def test_decisions_without_facts_move_the_offset_too():
    """Whoever watches the place in line learns of a batch of duplicates, also after an error."""
    bench = Bench()
    processor = await decided(bench)
    bench.feed.script.append(("before", AWAY))
    relaying = asyncio.create_task(processor.relay.run())
    await bench.signals.until(lambda: bool(bench.signals.of("published")))
    bench.feed.script.append(("before", AWAY))
    again = await bench.append(bench.room.log[2][0])
    processor.stopping = False
    await bench.run_until_decided(processor, again)
    processor.relay.stop()
    await relaying
    assert bench.feed.offsets[-1] == again + 1


async def erased(bench: Bench, break_in: Callable[[Bench, Relay], None]) -> dict[str, bytes]:
    """Ann registers twice and is refused once, bob registers; then ann is erased. The keys that are left."""
    made = await bench.vault.reserve(5)
    keys = iter([key_id for key_id, _ in made])
    event = bench.room.create(event_spec(one_per_email=True))
    for person in ("ann", "bob", "ann", "ann"):
        if person == "ann" and len(bench.room.log) == 5:
            bench.room.ask(ask.ErasePerson("ann"), event)
        bench.room.register(event, person=person)
        envelope, append_ms = bench.room.log[-1]
        assert isinstance(envelope.body, ask.Register)
        box = Box(next(keys), envelope.id, 1, b"sealed")
        bench.room.log[-1] = (replace(envelope, body=replace(envelope.body, box=box)), append_ms)
    last = await bench.append_asked()
    processor = await bench.processor()
    await bench.run_until_decided(processor, last)
    break_in(bench, processor.relay)
    await drained(processor.relay)
    left = await bench.vault.keys([key_id for key_id, _ in made])
    return {f"key {number}": left[key_id] for number, (key_id, _) in enumerate(made) if key_id in left}


async def test_erasing_a_person_destroys_all_their_keys():
    """Also those of refusals; not those of others, nor of what the person asks for after it."""
    assert set(await erased(Bench(), lambda *_: None)) == {"key 1", "key 3", "key 4"}


async def test_an_erasure_is_carried_out_though_the_vault_was_away():
    """The fact goes out only once the keys are gone."""
    bench = Bench()

    def shaky(bench: Bench, _: Relay) -> None:
        honest, left = bench.vault.destroy, [3]

        async def destroy(key_ids: Any) -> None:
            if left[0]:
                left[0] -= 1
                assert all(seq < 6 for seq in bench.feed.out), "published before the keys were destroyed"
                raise Unavailable("the vault is away")
            await honest(key_ids)

        bench.vault.destroy = destroy  # type: ignore[method-assign] # errors around the method

    assert set(await erased(bench, shaky)) == {"key 1", "key 3", "key 4"}
    assert list(dict.fromkeys(bench.feed.out)) == list(range(1, 8))
