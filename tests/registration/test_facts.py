"""Facts by cursor: gapless, one's own alone, and the same as webhooks carry."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registration.house import a_house, person
from tests.wire.examples import FACTS
from veltrix.domain.facts import FactKind
from veltrix.domain.limits import FACTS_CURSOR_MAX_CHARS, PARTITIONS_MAX
from veltrix.public import PUBLIC_KINDS, CloudEvent, encode_public_fact
from veltrix.registration.facts import Place, read_place, write_place
from veltrix.registration.problems import Problem
from veltrix.wire import encode_fact

PRIVATE = ("person", "box", "hash_key", "sealed", "key_id", "access_code", "fingerprint")


async def published(house):
    """Wait until the relay has marked every fact as published."""
    for partition in range(house.log.identity.partitions):
        head = await house.ledger.head(partition)
        while head is not None and head.relayed_seq < head.next_seq - 1:
            await house.pause()
            await house.decide()
            head = await house.ledger.head(partition)


async def everything(house, client, limit="2"):
    """All facts, page by page."""
    found, after = [], ""  # as a consumer keeps it that has none yet
    while True:
        query = {"limit": limit, "after": after}
        answer = await client.get("/v1/facts", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= int(limit)
        found += page["items"]
        after = page["after"]
        if not page["more"]:
            return found, after


@pytest.mark.parametrize("partitions", [1, 3])
async def test_every_fact_comes_once_and_in_order(partitions):
    """Page by page one gets every fact of one's own events once, in the order of each partition."""
    async with a_house(partitions=partitions) as house:
        events = [await house.open_event() for _ in range(3)]
        for event in events:
            for name in ("Ada", "Grace", "Edith"):
                await house.register(event, person(name))
        await published(house)
        found, after = await everything(house, house.organizer)
        by_partition: dict[str, list[int]] = {}
        for fact in found:
            partition, _, seq = fact["id"].partition("-")
            by_partition.setdefault(partition, []).append(int(seq))
        assert all(seqs == sorted(set(seqs)) for seqs in by_partition.values())
        assert sum(len(seqs) for seqs in by_partition.values()) == 3 * (2 + 3)
        assert (await everything(house, house.organizer, "500"))[0] == sorted(
            found, key=lambda fact: [int(part) for part in fact["id"].split("-")]
        )
        again = (await house.organizer.get("/v1/facts", params={"after": after})).json()
        assert (again["items"], again["more"]) == ([], False)
        await house.register(events[0], person("Mary"))
        await published(house)
        page = (await house.organizer.get("/v1/facts", params={"after": after})).json()
        assert [fact["type"] for fact in page["items"]] == ["veltrix.registration.waitlisted.v1"]


async def test_another_s_facts_are_not_shown():
    """Whoever has no events gets no facts, though the cursor moves on."""
    async with a_house() as house:
        await house.register(await house.open_event())
        await published(house)
        stranger = house.client(await house.new_key("read", organizer="other"))
        found, after = await everything(house, stranger)
        assert found == []
        assert read_place(after).of(0) == 3


async def test_nothing_personal_is_told():
    """Neither name nor address nor answer of a registrant, nor a hash of them, is in any fact."""
    async with a_house() as house:
        event = await house.open_event()
        await house.register(event, person("Zaphod"))
        await house.organizer.post(f"/v1/events/{event}/erasures", json={"email": "zaphod@example.org"})
        await published(house)
        text = json.dumps((await everything(house, house.organizer))[0]).lower()
        assert "veltrix.registration.confirmed.v1" in text
        assert "veltrix.person.erased.v1" in text
        entry = await house.service.core.directory.find(event)
        for secret in ("zaphod", "example.org", entry.hashes.person("zaphod@example.org"), "sealed", "box"):
            assert secret not in text


@pytest.mark.parametrize("kind", sorted(PUBLIC_KINDS))
def test_each_kind_is_a_sound_cloud_event_without_what_is_private(kind):
    """Of every kind, the public form keeps the rules of CloudEvents and has no member that is private."""
    raw = encode_public_fact(FACTS[kind], "https://tickets.example")
    fact = msgspec.json.decode(raw, type=CloudEvent)
    assert fact.specversion == "1.0"
    assert fact.type == f"veltrix.{kind}.v1"
    assert fact.source == "https://tickets.example"
    assert raw == encode_public_fact(FACTS[kind], "https://tickets.example")
    internal = encode_fact(FACTS[kind]).decode()
    assert any(name in internal for name in PRIVATE) or kind == "person.erased"
    for name in PRIVATE:
        assert f'"{name}"' not in raw.decode()


def test_rules_are_nobody_s_fact():
    """The one kind that no organizer gets is the platform's own."""
    assert set(FactKind) - PUBLIC_KINDS == {FactKind.RULES_ADOPTED}


@given(st.integers(0, PARTITIONS_MAX - 1), st.lists(st.integers(0, 2**63 - 1), max_size=64))
def test_a_place_is_read_as_it_was_written(turn, seqs):
    """A cursor gives back the place that it was made of."""
    place = read_place(write_place(Place(turn, seqs)))
    assert (place.turn, place.seqs) == (turn, seqs)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=100).map(lambda raw: raw.hex())))
def test_a_forged_cursor_is_refused_or_a_place(text):
    """Whatever is sent as a cursor is a place or the problem that says it is none, and never an error."""
    try:
        place = read_place(text)
    except Problem as problem:
        assert problem.code == "bad_cursor"
    else:
        assert all(0 <= seq < 2**63 for seq in place.seqs)


async def test_cursors_of_no_use_are_refused():
    """A cursor that is too long, of more partitions than there are, or garbage is a problem."""
    async with a_house(deciding=False) as house:
        for after in ("A" * (FACTS_CURSOR_MAX_CHARS + 1), write_place(Place(0, [1] * 9)), "!", "_w"):
            answer = await house.organizer.get("/v1/facts", params={"after": after})
            assert answer.status_code == 400
            assert answer.json()["type"].endswith("bad_cursor")
