"""The port `Queries`, and `LedgerRows`: consistent reads, ordered pages, canonical rows."""

from __future__ import annotations

import pytest

from tests.conformance.adapters import Subject, WholeLedger
from tests.conformance.batches import desk, rows
from tests.domain.room import category, event_spec, sealed, with_capacity
from veltrix.domain.commands import Cancel, ChangeEvent, CreateEvent, ErasePerson, OpenEvent, Transfer
from veltrix.domain.event import AccessCode, EventStatus, PoolSpec, Waitlist
from veltrix.domain.facts import FactKind
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.domain.registration import RegistrationStatus
from veltrix.ports.errors import Unavailable
from veltrix.ports.queries import Filter, PoolView


async def test_an_event_is_shown_with_its_numbers(ledger: Subject[WholeLedger]):
    """Pools in the order of the specification, who waits, access codes' uses, and as of which offset."""
    at = await desk(ledger.it)
    spec = event_spec(
        pools=(PoolSpec("main", 2), PoolSpec("extra", 5)),
        categories=(category("std"), category("more", "main", "extra")),
        waitlist=Waitlist(5),
        access_codes=(AccessCode("h", "press"),),
    )
    event = await at.create(spec)
    coded = at.register(event, "anna", "more")
    coded.body.access_code = "h"  # type: ignore[union-attr]  # a Register has one
    await at.decide(coded, at.register(event), at.register(event))
    view = await ledger.it.event(event)
    assert view is not None
    assert view.event.spec == spec
    assert view.event.status is EventStatus.OPEN
    assert view.pools == (PoolView("main", 2, 2, 0), PoolView("extra", 5, 1, 4))
    assert (view.waiting, view.partition, view.next_offset) == (1, 0, 5)
    assert view.code_uses == {"h": 1}
    assert await ledger.it.event("evt_none") is None


async def test_an_event_is_shown_as_it_is_now(ledger: Subject[WholeLedger]):
    """A change is seen as soon as it is committed; free is never below zero."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(5))
    for _ in range(3):
        await at.registered(event)
    before = await ledger.it.event(event)
    await at.decide(at.ask(ChangeEvent(with_capacity(event_spec(5), main=1), 2), event))
    after = await ledger.it.event(event)
    assert before is not None and after is not None
    assert (before.event.version, after.event.version) == (2, 3)
    assert after.pools == (PoolView("main", 1, 3, 0),)


async def test_an_event_is_found_by_its_slug(ledger: Subject[WholeLedger]):
    """By organizer and slug; another organizer's slug is another event's."""
    at = await desk(ledger.it)
    event = await at.create()
    found = await ledger.it.event_by_slug("org_1", "conf")
    assert found is not None and found.event.id == event
    assert await ledger.it.event_by_slug("org_2", "conf") is None
    assert await ledger.it.event_by_slug("org_1", "none") is None


async def test_an_organizers_events_come_in_pages(ledger: Subject[WholeLedger]):
    """By id, each once, at most so many; nobody else's."""
    at = await desk(ledger.it)
    ids = sorted([await at.create(event_spec(slug=f"conf-{number}")) for number in range(5)])
    foreign = at.ask(CreateEvent(event_spec(), "key_hash"))
    foreign.organizer = "org_2"
    await at.decide(foreign)
    first = await ledger.it.events("org_1", "", 2)
    rest = await ledger.it.events("org_1", first[-1].event.id, 10)
    assert [view.event.id for view in (*first, *rest)] == ids
    assert len(await ledger.it.events("org_2", "", 10)) == 1


async def test_registrations_come_in_arrival_order(ledger: Subject[WholeLedger]):
    """Pages by arrival, by status and by person, each registration once; a limit of pages and of none."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(4, waitlist=Waitlist(10)))
    other = await at.create(event_spec(slug="other"))
    everyone = [await at.registered(event, f"person-{number % 3}") for number in range(7)]
    await at.registered(other, "person-0")
    await at.decide(at.ask(Cancel(everyone[0].id), event))
    now = [await ledger.it.registration(each.id) for each in everyone]

    async def page(after: int, limit: int, **wanted: object) -> list[str]:
        found = await ledger.it.registrations(Filter(event, **wanted), after, limit)  # type: ignore[arg-type]  # by name
        return [each.id for each in found]

    ids = [each.id for each in everyone]
    assert await ledger.it.registrations(Filter(event), -1, 100) == now
    assert await page(-1, 3) == ids[:3]
    assert await page(everyone[2].arrival, 3) == ids[3:6]
    assert await page(everyone[6].arrival, 3) == []
    cancelled, waiting = RegistrationStatus.CANCELLED, RegistrationStatus.WAITLISTED
    assert await page(-1, 10, statuses=frozenset({cancelled, waiting})) == [ids[0], *ids[5:]]
    assert await page(-1, 1, statuses=frozenset({waiting})) == ids[5:6]
    assert await page(-1, 10, person="person-0") == [ids[0], ids[3], ids[6]]
    assert await page(everyone[0].arrival, 1, person="person-0") == [ids[3]]
    assert await page(-1, 10, person="person-0", statuses=frozenset({waiting})) == [ids[6]]
    assert await page(-1, 10, person="nobody") == []
    assert await ledger.it.registrations(Filter("evt_none"), -1, 10) == []


async def test_a_transferred_registration_is_its_new_holders(ledger: Subject[WholeLedger]):
    """Looking by person finds who has it now, and not who had it."""
    at = await desk(ledger.it)
    event = await at.create()
    first = await at.registered(event, "anna")
    await at.decide(at.ask(Transfer(first.id, "berta", sealed("cmd_b")), event))
    assert await ledger.it.registrations(Filter(event, person="anna"), -1, 10) == []
    (found,) = await ledger.it.registrations(Filter(event, person="berta"), -1, 10)
    assert (found.id, found.person, found.holder) == (first.id, "berta", 2)
    assert await ledger.it.registration(first.id) == found
    assert await ledger.it.registration("reg_none") is None


async def test_a_rare_status_is_found_in_a_long_list(ledger: Subject[WholeLedger]):
    """A page that few of many match is complete and ends."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(3_000))
    for _ in range(6):
        await at.decide(*(at.register(event) for _ in range(400)))
    everyone = await ledger.it.registrations(Filter(event), -1, 10_000)
    assert len(everyone) == 2_400
    gone = [everyone[number] for number in (0, 999, 1_000, 2_399)]
    await at.decide(*(at.ask(Cancel(each.id), event) for each in gone))
    wanted = Filter(event, frozenset({RegistrationStatus.CANCELLED}))
    found = await ledger.it.registrations(wanted, -1, 10)
    assert [each.id for each in found] == [each.id for each in gone]


async def test_the_place_in_the_waitlist_counts_who_came_before(ledger: Subject[WholeLedger]):
    """As many as wait and arrived earlier; cancelled ones no more."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(1, waitlist=Waitlist(10)))
    everyone = [await at.registered(event) for _ in range(5)]
    assert [await ledger.it.waiting_ahead(each) for each in everyone[1:]] == [0, 1, 2, 3]
    await at.decide(at.ask(Cancel(everyone[2].id), event))
    assert [await ledger.it.waiting_ahead(each) for each in everyone[3:]] == [1, 2]


async def test_the_history_of_a_person_has_every_decision_that_names_them(ledger: Subject[WholeLedger]):
    """Accepted, refused and repeated ones, in order and by pages, each with its own fact; nobody else's, and
    none of another event."""
    at = await desk(ledger.it)
    event, other = await at.create(), await at.create(event_spec(slug="other"))
    first = at.register(event, "anna")
    refused = at.register(event, "anna", "nowhere")
    handed = at.ask(OpenEvent(), event)
    made = await at.decide(first, refused, at.register(event, "bob"), at.register(other, "anna"), first)
    handed.body = Transfer(made.registrations[1].id, "anna", sealed(handed.id))
    erased = at.ask(ErasePerson("anna"), event)
    more = await at.decide(handed, erased)
    everything = [*made.decisions, *more.decisions]
    mine = [each for each in everything if each.person == "anna" and each.event == event]
    assert [each.kind for each in mine] == ["register", "register", "register", "transfer", "erase_person"]
    found = await ledger.it.history(event, "anna", -1, 10)
    assert [decision for decision, _ in found] == mine
    facts = {each.seq: each for each in [*made.facts, *more.facts]}
    assert [fact for _, fact in found] == [
        None if each.own_seq is None else facts[each.own_seq] for each in mine
    ]
    assert await ledger.it.history(event, "anna", -1, 2) == found[:2]
    assert await ledger.it.history(event, "anna", found[1][0].offset, 2) == found[2:4]
    assert await ledger.it.history(event, "nobody", -1, 10) == []


async def test_a_decision_is_found_by_its_command(ledger: Subject[WholeLedger]):
    """The first decision and the fact that answers it, also after duplicates; refusals with their reason."""
    at = await desk(ledger.it)
    event = await at.create(event_spec(1))
    command, refused, idle = at.register(event), at.register(event), at.ask(OpenEvent(), event)
    changes = await at.decide(command, refused, idle, command)
    found = await ledger.it.decision(command.id)
    assert found == (changes.decisions[0], changes.facts[0])
    refusal = await ledger.it.decision(refused.id)
    assert refusal is not None
    assert (refusal[0].outcome, refusal[0].refusal) == (Outcome.REFUSED, Refusal.FULL)
    assert refusal[1] is not None and refusal[1].fact.kind is FactKind.REGISTRATION_REFUSED
    assert await ledger.it.decision(idle.id) == (changes.decisions[2], None)
    assert await ledger.it.decision("cmd_none") is None
    assert await ledger.it.decision("") is None


async def test_quarantined_records_are_listed(ledger: Subject[WholeLedger]):
    """Offset and reason of each, of the partition asked for alone; other refusals are not among them."""
    at = await desk(ledger.it)
    changes = await at.prepare(b"garbage", b"poison")
    changes.decisions[1].outcome = Outcome.QUARANTINED
    changes.decisions[1].detail = "it raised"
    await ledger.it.commit(changes)
    assert await ledger.it.quarantined(0) == {1: "it raised"}
    assert await ledger.it.quarantined(1) == {}


async def test_rows_are_ordered_and_of_one_moment(ledger: Subject[WholeLedger]):
    """Partitions come first, with topic id and offset; what is committed meanwhile is not among the rows."""
    at = await desk(ledger.it)
    event = await at.create()
    await at.decide(*(at.register(event) for _ in range(4)))
    before = await rows(ledger.it)
    reading = ledger.it.rows()
    first = await anext(reading)
    assert first[0] == "partitions"
    assert first[1][:3] == (0, "log-1", 6)
    await at.decide(*(at.register(event) for _ in range(4)))
    assert [first, *[row async for row in reading]] == before
    tables = [table for table, _ in before]
    assert list(dict.fromkeys(tables)) == [
        *("partitions", "events", "pools", "registrations", "seats", "decisions", "facts")
    ]
    for table in set(tables):
        keys = [row[:2] for name, row in before if name == table and table != "partitions"]
        assert keys == sorted(keys), table


async def test_the_barrier_lets_pass_while_it_is_open(ledger: Subject[WholeLedger]):
    """Reads after a barrier may go on; a closed ledger has none."""
    await ledger.it.barrier()
    await ledger.it.close()
    with pytest.raises(Unavailable):
        await ledger.it.barrier()
    with pytest.raises(Unavailable):
        await ledger.it.event("evt_none")
