"""What registration does while the ledger is away, and when hints of other processes are lost."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.registration.house import a_house, person
from veltrix.observability.logging import captured
from veltrix.ports.errors import Unavailable
from veltrix.ports.feed import Published
from veltrix.registration.settings import Settings


class Away:
    """A ledger that can be taken away, with a count of who asked it meanwhile."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.away = False
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)

        async def call(*arguments: Any) -> Any:
            self.asked.append(name)
            if self.away:
                raise Unavailable("the ledger is away")
            return await method(*arguments)

        return call


def take_away(house: Any) -> Away:
    """Put the switch between registration and the ledger."""
    away = Away(house.ledger)
    core = house.service.core
    core.directory._queries = away
    core.desk._queries = away
    house.service._heads._queries = away
    object.__setattr__(core.ports, "queries", away)
    return away


async def test_a_known_event_takes_registrations_while_the_ledger_is_away():
    """After a gap in the facts, with no ledger to ask, what is cached serves; what is not gets 503."""
    async with a_house() as house:
        event, other = await house.open_event(), await house.open_event()
        assert (await house.register(event)).status_code == 201
        away = take_away(house)
        away.away = True
        core = house.service.core
        core.directory._entries.pop(other, None)
        core.directory.forget(0)
        assert (await house.register(event, person("Eve"))).status_code == 201
        refused = await house.register(other, person("Eve"))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1


async def test_a_stale_event_is_read_anew_beside_the_request():
    """Once the ledger answers, one read makes a stale entry fresh again, however many asked."""
    async with a_house() as house:
        event = await house.open_event()
        assert (await house.register(event)).status_code == 201
        away = take_away(house)
        directory = house.service.core.directory
        directory.forget(0)
        answers = await asyncio.gather(*(house.register(event, person(f"P{n}")) for n in range(20)))
        assert {answer.status_code for answer in answers} <= {201, 202, 409}
        await asyncio.gather(*directory._refreshing)
        assert away.asked.count("event") == 1
        assert not directory.known(event).stale


async def test_facts_that_are_published_twice_do_no_harm():
    """A new owner publishes the last facts again: that is no gap, and nothing is read anew."""
    async with a_house() as house:
        event = await house.open_event()
        facts = await house.ledger.facts(0, 0, 100)
        house.service._take(Published(0, facts, 2))
        house.service._take(Published(0, facts[-1:], 2))
        assert not house.service.core.directory.known(event).stale
        later = [fact for fact in facts if fact.seq == facts[-1].seq]
        later[0].seq += 5
        house.service._take(Published(0, later, 3))
        assert house.service.core.directory._entries[event].stale


async def test_the_ledger_is_asked_once_for_all_who_wait():
    """With every hint lost, who waits is answered from the ledger: one question a partition finds out."""
    settings = Settings(wait_default_s=10.0)
    async with a_house(settings) as house:
        event = await house.open_event()
        assert (await house.register(event)).status_code == 201
        away = take_away(house)
        house.service.core.desk._receive = lambda replies: None
        house.replies.listen(lambda replies: None)
        house.service._tasks[0].cancel()  # the feed's
        waiting = [asyncio.create_task(house.register(event, person(f"P{n}"))) for n in range(30)]
        answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert 1 <= away.asked.count("head") <= 5


class Stale:
    """A ledger whose reads come from a primary that was cut off, until somebody passes the barrier."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.passed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def registration(self, registration: str) -> Any:
        """Nothing new is known here."""
        return await self._ledger.registration(registration) if self.passed else None

    async def barrier(self) -> None:
        """The way to the primary."""
        self.passed += 1
        await asyncio.sleep(0)


async def test_nobody_is_unknown_because_a_read_was_stale():
    """Who has just been registered is found, though the first read knew nothing yet; many misses at once
    cost two barriers."""
    async with a_house() as house:
        made = (await house.register(await house.open_event())).json()
        stale = Stale(house.ledger)
        object.__setattr__(house.service.core.ports, "queries", stale)
        async with house.client() as client:
            asked = [client.get(f"/v1/registrations/{made['link']}") for _ in range(20)]
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
            assert 1 <= stale.passed <= 2
            assert (await client.get(f"/v1/registrations/{made['link'][:-4]}aaaa")).status_code == 404


async def test_what_is_said_of_a_request_has_its_trace():
    """A line about a request names the trace that the answer names, so that a complaint leads to it."""
    async with a_house() as house:
        event = await house.open_event()
        away = take_away(house)
        away.away = True
        with captured() as lines:
            answers = [await house.public.get(f"/v1/events/{event}?consistency=strong") for _ in range(2)]
        said = [line["trace_id"] for line in lines if line["message"] == "port_failed"]
        assert said == [answer.headers["x-trace-id"] for answer in answers]
        assert len(set(said)) == 2
