"""Settings that change while requests are served."""

from __future__ import annotations

import asyncio

from tests.registration.house import a_house, quick, until


async def test_a_rate_that_is_lowered_counts_at_once():
    """A rate and a burst hold for the next request, also of an address that has asked before."""
    async with a_house() as house:
        assert (await house.organizer.get("/v1/events")).status_code == 200
        house.service.reconfigure(quick(rate_per_address_per_s=0.001, rate_burst_per_address=1))
        statuses = [(await house.organizer.get("/v1/events")).status_code for _ in range(3)]
        assert statuses == [200, 429, 429]
        house.service.reconfigure(quick())
        await until(lambda: house.service.settings.rate_burst_per_address > 1)


async def test_how_long_and_how_many_wait_changes_at_once():
    """A request that says nothing waits as long as is set by now; what waits already keeps its time."""
    async with a_house() as house:
        event = await house.open_event()
        await house.pause()
        waiting = asyncio.create_task(house.register(event))
        await until(lambda: house.service.core.desk.held == 1)
        house.service.reconfigure(quick(held_requests_max=1, wait_default_s=5.0))
        assert (await house.register(event)).status_code == 202
        house.service.reconfigure(quick(wait_default_s=0.0))
        assert (await house.register(event)).status_code == 202
        assert not waiting.done()
        await house.decide()
        assert (await waiting).status_code == 201


async def test_the_bound_of_what_is_undecided_changes_at_once():
    """A bound that is lowered below what is undecided turns newcomers away."""
    async with a_house() as house:
        event = await house.open_event()
        await house.pause()
        house.service.reconfigure(quick(wait_default_s=0.0))
        assert (await house.register(event)).status_code == 202
        house.service.reconfigure(quick(wait_default_s=0.0, undecided_max=1))
        assert (await house.register(event)).status_code in (429, 503)
