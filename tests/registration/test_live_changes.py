"""Server-sent events of one event's facts, and of one registration."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.registration.house import House, a_house, person, quick, until
from tests.registration.test_live import Listener
from veltrix.domain import limits
from veltrix.ports.errors import Unavailable
from veltrix.ports.notices import Notice, NoticeStatus, Planned, Result

FAST = quick(stream_coalesce_s=0.01, stream_heartbeat_s=0.02)


class Screen(Listener):
    """An organizer's screen: a listener with a key."""

    def __init__(self, house: House, path: str, last_id: str = "", key: str | None = None) -> None:
        super().__init__(house, path, last_id)
        self.scope["headers"].append((b"authorization", f"Bearer {key or house.key}".encode()))


def kinds(listener: Listener) -> list[str]:
    """The kinds of the facts so far."""
    return [data["type"] for name, _, data in listener.events if name == "fact"]


async def gone(*listeners: Listener) -> None:
    """Let them go, and wait until they are."""
    for each in listeners:
        each.leave()
        await each.task


async def test_a_screen_gets_each_fact_of_its_event_once():
    """From where it begins on, in order, and nothing of other events; without names or addresses."""
    async with a_house(FAST) as house:
        event, other = await house.open_event(), await house.open_event()
        screen = Screen(house, f"/v1/events/{event}/stream")
        await screen.until(lambda: screen.events)
        assert (screen.events[0][0], screen.events[0][2]["missed"]) == ("begin", False)
        await house.register(other)
        await house.register(event, person("Ada"))
        await house.register(event, person("Bob", 9))
        await screen.until(lambda: len(kinds(screen)) == 2)
        assert kinds(screen) == ["veltrix.registration.confirmed.v1", "veltrix.registration.refused.v1"]
        ids = [identity for _, identity, _ in screen.events]
        assert ids == sorted(ids, key=lambda each: int(each.partition("-")[2]))
        assert "ada@" not in screen.text.lower()
        await gone(screen)


async def test_who_comes_back_gets_what_came_in_between():
    """From memory, and from the ledger where memory does not reach so far; each fact once."""
    async with a_house(FAST) as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 50}])
        screen = Screen(house, f"/v1/events/{event}/stream")
        await screen.until(lambda: screen.events)
        await house.register(event)
        await screen.until(lambda: len(kinds(screen)) == 1)
        seen = screen.events[-1][1]
        for number in range(4):
            await house.register(event, person(f"P{number}"))
        await screen.until(lambda: len(kinds(screen)) == 5)
        back = Screen(house, f"/v1/events/{event}/stream", seen)
        await back.until(lambda: len(kinds(back)) == 4)
        assert back.events == screen.events[-4:]
        await gone(screen, back)
        await house.register(event, person("late"))
        late = Screen(house, f"/v1/events/{event}/stream", seen)  # nobody watched: a new board
        await late.until(lambda: len(kinds(late)) == 5)
        assert late.events[:4] == back.events
        await house.register(event, person("later"))
        await late.until(lambda: len(kinds(late)) == 6)
        assert len({identity for _, identity, _ in late.events}) == 6
        await gone(late)


async def test_facts_that_were_lost_on_the_way_are_read_from_the_ledger():
    """The feed is a hint: after a gap every screen goes on where it was."""
    async with a_house(FAST) as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 50}])
        screen = Screen(house, f"/v1/events/{event}/stream")
        await screen.until(lambda: screen.events)
        taken = house.service._take
        house.service._take = lambda _: None  # what is published now never comes
        await house.register(event, person("Ada"))
        house.service._take = taken
        await house.register(event, person("Bob"))
        await screen.until(lambda: len(kinds(screen)) == 2)
        assert [data["data"]["registration"]["version"] for _, _, data in screen.events[1:]] == [1, 1]
        assert len({identity for _, identity, _ in screen.events[1:]}) == 2
        await gone(screen)


async def test_who_was_away_too_long_is_told_to_read_anew(monkeypatch: pytest.MonkeyPatch):
    """And so is who comes with an id of another log, or of the future."""
    monkeypatch.setattr(limits, "STREAM_RESUME_FACTS_MAX", 2)
    async with a_house(FAST) as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 50}])
        for number in range(5):
            await house.register(event, person(f"P{number}"))
        for last_id in ("0-1", "0-999999", "7-1", "nonsense", "0-" + "9" * 90):
            screen = Screen(house, f"/v1/events/{event}/stream", last_id)
            await screen.until(lambda screen=screen: screen.events)
            name, _, said = screen.events[0]
            assert (name, said["missed"]) == ("begin", True)
            await gone(screen)


async def test_a_screen_is_its_organizers():
    """Nobody else may watch an event's facts."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        assert (await house.public.get(f"/v1/events/{event}/stream")).status_code == 401
        other = house.client(await house.new_key("read", organizer="other"))
        assert (await other.get(f"/v1/events/{event}/stream")).status_code == 404


async def test_streams_are_bounded_together():
    """Screens and holders count as all who watch do."""
    async with a_house(quick(stream_clients_max=1)) as house:
        event = await house.open_event()
        link = (await house.register(event)).json()["link"]
        screen = Screen(house, f"/v1/events/{event}/stream")
        await screen.until(lambda: screen.events)
        full = await house.public.get(f"/v1/registrations/{link}/stream")
        assert (full.status_code, full.json()["type"]) == (503, "urn:veltrix:problem:too_many_streams")
        await gone(screen)


async def registered(house: House, event: str, name: str = "Ada") -> dict[str, Any]:
    """A registration's answer."""
    answer = await house.register(event, person(name))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_holder_sees_the_registration_as_it_changes():
    """At once what reading it says, again whenever that is something else, and nothing in between."""
    async with a_house(FAST) as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 1}])
        first = await registered(house, event)
        second = await registered(house, event, "Bob")
        path = f"/v1/registrations/{second['link']}"
        holder = Listener(house, f"{path}/stream")
        await holder.until(lambda: len(holder.events) == 2)
        names = [name for name, _, _ in holder.events]
        assert names == ["registration", "notices"]
        assert holder.events[0][2] == (await house.public.get(path)).json()
        assert holder.events[0][2]["registration"]["status"] == "waitlisted"
        await house.public.post(f"/v1/registrations/{first['link']}/cancel")
        await holder.until(lambda: len(holder.events) == 3)
        assert holder.events[2][2]["registration"]["status"] == "confirmed"
        again = Listener(house, f"{path}/stream", holder.events[2][1])
        await again.until(lambda: ": beat" in again.text)
        assert again.events == []
        await gone(holder, again)
        assert house.service._changes._by_registration == {}
        assert house.service._changes._by_event == {}


async def test_a_holder_sees_how_notices_stand(monkeypatch: pytest.MonkeyPatch):
    """Those about the registration, as they go out; nothing is looked at any more once all are over."""
    monkeypatch.setattr("veltrix.registration.live_changes._LOOK_S", (0.01,) * 500)
    async with a_house(FAST) as house:
        made = await registered(house, await house.open_event())
        registration, event = made["registration"]["id"], made["registration"]["event"]
        notice = Notice(
            "ntc_" + "1" * 32, "acme", event, 0, 1, "confirmed", registration, "p", "spool", "key", 5
        )
        holder = Listener(house, f"/v1/registrations/{made['link']}/stream")
        await holder.until(lambda: len(holder.events) == 2)
        assert holder.events[1][2]["items"] == []
        await house.notices.record(0, 0, 1, Planned([notice]))
        await house.register(event, person("Other"))
        await house.organizer.patch(f"/v1/events/{event}", json={"venue": "Elsewhere"})  # wakes the holder
        await holder.until(lambda: holder.events[-1][2].get("items"))
        assert holder.events[-1][2]["items"][0]["status"] == "pending"
        [claimed] = await house.notices.claim(10**15, 1, 1000)
        done = Result(notice.id, claimed.fence, NoticeStatus.ACCEPTED, "", 10)
        await house.notices.finish([done])
        await holder.until(lambda: holder.events[-1][2]["items"][0]["status"] == "accepted")
        await gone(holder)


async def test_a_link_that_no_longer_counts_shows_nothing():
    """After a transfer the old holder's stream ends, and the next one's begins."""
    async with a_house(FAST) as house:
        made = await registered(house, await house.open_event())
        path = f"/v1/registrations/{made['link']}"
        holder = Listener(house, f"{path}/stream")
        await holder.until(lambda: holder.events)
        handed = await house.public.post(
            f"{path}/transfer", json={"contact": {"name": "Bob", "email": "bob@example.org"}}
        )
        assert handed.status_code == 200, handed.text
        async with asyncio.timeout(5):
            await holder.task
        name, identity, problem = holder.events[-1]
        assert (name, identity, problem["type"]) == ("gone", "gone", "urn:veltrix:problem:link_replaced")
        assert "bob@" not in holder.text
        refused = await house.public.get(f"{path}/stream")
        assert refused.status_code in (403, 410)


async def test_a_ledger_that_is_away_ends_no_stream(monkeypatch: pytest.MonkeyPatch):
    """Who watches waits, and goes on when it is back."""
    monkeypatch.setattr("veltrix.registration.live_changes._AGAIN_S", 0.01)
    async with a_house(FAST) as house:
        event = await house.open_event()
        honest, fail = house.ledger.head, [True]

        async def head(partition: int) -> Any:
            if fail[0]:
                raise Unavailable("no primary")
            return await honest(partition)

        monkeypatch.setattr(house.ledger, "head", head)
        screen = Screen(house, f"/v1/events/{event}/stream")
        await until(lambda: ": beat" in screen.text)
        fail[0] = False
        await screen.until(lambda: screen.events)
        await gone(screen)
