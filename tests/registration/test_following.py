"""What registration learns from facts: waitlists and events, also when facts go missing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.registration.house import a_house, person, until
from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.identifiers import EVENT, REGISTRATION, entity_id
from veltrix.domain.registration import Box, Registration, RegistrationStatus
from veltrix.registration.waitlines import WaitLines

EVENT_ID = entity_id(EVENT, 0, 0, "x")
WAITING, CONFIRMED = RegistrationStatus.WAITLISTED, RegistrationStatus.CONFIRMED


def waiting(arrival, status=WAITING):
    """A registration with that arrival number."""
    identity = entity_id(REGISTRATION, arrival, 0, str(arrival))
    return Registration(identity, EVENT_ID, arrival, status, "p", Box("k", "c", 1, b""), (), 0, 0)


def told(registration):
    """A fact about it."""
    fact = Fact(FactKind.REGISTRATION_WAITLISTED, EVENT_ID, "acme", registration=registration)
    return NumberedFact(0, 1, registration.arrival, "c", 0, "", fact)


class Slow:
    """Queries that are asked and answer when told."""

    def __init__(self, known):
        self.known = known
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def registrations(self, wanted, after, limit):
        """Those who wait."""
        self.asked.set()
        await self.answer.wait()
        return [each for each in self.known if each.arrival > after][:limit]

    async def waiting_ahead(self, registration):
        """The ledger's own count."""
        return -1


async def test_changes_while_a_waitlist_is_read_are_not_lost():
    """Who came or went during the first reading is counted right afterwards; others wait for one reading."""
    queries = Slow([waiting(1), waiting(2), waiting(3)])
    lines = WaitLines(queries)  # type: ignore[arg-type]  # the two methods that it asks
    asking = [asyncio.create_task(lines.ahead(waiting(9), 0)) for _ in range(3)]
    await queries.asked.wait()
    lines.apply(told(waiting(2, CONFIRMED)))
    lines.apply(told(waiting(4)))
    lines.apply(told(waiting(4)))
    queries.answer.set()
    assert [await task for task in asking] == [3, 3, 3]
    lines.apply(told(waiting(0)))
    lines.apply(told(waiting(3, CONFIRMED)))
    assert await lines.ahead(waiting(9), 0) == 3
    assert await lines.ahead(waiting(1), 0) == 1


async def test_a_waitlist_that_cannot_be_read_is_asked_for_again():
    """A failed reading leaves nothing behind: who waited for it asks the ledger, the next reads anew."""
    queries = Slow([waiting(1)])
    lines = WaitLines(queries)  # type: ignore[arg-type]  # the two methods that it asks
    first = asyncio.create_task(lines.ahead(waiting(9), 0))
    await queries.asked.wait()
    second = asyncio.create_task(lines.ahead(waiting(9), 0))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == -1
    queries.answer.set()
    assert await lines.ahead(waiting(9), 0) == 1


async def test_places_on_the_waitlist_stay_right():
    """After cancellations and promotions, a newcomer's place is what the ledger counts."""
    async with a_house() as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 1}], waitlist={"size": 100})
        made = [(await house.register(event, person(f"P{n}"))).json() for n in range(8)]
        for number in (0, 3, 5):
            await house.public.post(f"/v1/registrations/{made[number]['link']}/cancel")
        last = (await house.register(event, person("Last"))).json()
        assert last["registration"]["waitlist_ahead"] == 4
        read = (await house.public.get(f"/v1/registrations/{last['link']}")).json()
        assert read["registration"]["waitlist_ahead"] == 4


async def test_a_gap_in_the_facts_empties_what_was_built_from_them():
    """When published facts go missing, events and waitlists are read anew instead of being believed."""
    async with a_house() as house:
        event = await house.open_event()
        await house.register(event)
        core = house.service.core
        await until(lambda: house.service._following)
        assert len(core.directory) == 1
        lost = house.service._following[0] + 7
        await house.feed.publish(0, [replace(told(waiting(99)), seq=lost)], 1)
        await until(lambda: core.directory._entries[event].stale)
        assert (await house.register(event, person("Eve"))).status_code == 201


async def test_an_event_that_changes_while_it_is_read():
    """A change published during the first reading of an event wins over what was read."""
    async with a_house() as house:
        event = await house.open_event()
        core = house.service.core
        core.directory._entries.clear()
        gate, read = asyncio.Event(), house.ledger.event

        async def slow(*arguments):
            view = await read(*arguments)
            await gate.wait()
            return view

        house.ledger.event = slow
        finding = asyncio.create_task(core.directory.find(event))
        await until(lambda: core.directory._loading)
        view = await read(event)
        after = replace(view.event, version=view.event.version + 1)
        fact = Fact(FactKind.EVENT_CHANGED, event, "acme", event_after=after)
        core.directory.apply(NumberedFact(0, 1, 1, "c", 0, "", fact))
        gate.set()
        assert (await finding).event.version == after.version
