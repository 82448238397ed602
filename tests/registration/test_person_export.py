"""Everything that is kept about a person: by their organizer, by a link, and after they were forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.registration.house import House, a_house, person, until
from veltrix.ports.notices import Notice, NoticeStatus, Planned, Result
from veltrix.ports.outreach import Reason, Suppression
from veltrix.sealing import AddressHashes


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A house."""
    async with a_house() as house:
        yield house


async def export(house: House, **query: str) -> dict[str, Any]:
    """What the organizer gets."""
    answer = await house.organizer.get("/v1/people/export", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def busy(house: House) -> tuple[str, dict[str, Any]]:
    """Ada registers, corrects her name, is refused once, is told once, and does not want reminders."""
    event = await house.open_event(one_per_email=True, form={"questions": [{"key": "diet", "label": "Diet"}]})
    made = (await house.register(event, person("Ada", answers={"diet": "vegan"}))).json()
    await house.public.patch(f"/v1/registrations/{made['link']}", json={"contact": {"name": "Ada King"}})
    await house.register(event, person("Ada"))
    await house.register(event, person("Bob"))
    hashed = (await export(house, email="ada@example.org"))["events"][0]["person"]
    registration = made["registration"]["id"]
    for number, (recipient, channel) in enumerate(
        [(hashed, "spool"), ("somebody", "spool"), ("ep_1", "webhook")], 1
    ):
        notice = Notice(
            f"ntc_{number:032d}",
            "acme",
            event,
            0,
            number,
            "confirmed",
            registration,
            recipient,
            channel,
            "k",
            5,
        )
        await house.notices.record(0, number - 1, number, Planned([notice]))
    for claimed in await house.notices.claim(10**15, 9, 1000):
        result = Result(claimed.notice.id, claimed.fence, NoticeStatus.ACCEPTED, "", 10, outcome="accepted")
        await house.notices.finish([result])
    address = AddressHashes.under(house.signer.secret).of("acme", "ada@example.org")
    await house.outreach.suppress([Suppression("acme", address, "reminder", Reason.UNSUBSCRIBE, 7)])
    return event, made


async def test_an_organizer_gets_everything_about_a_person(house: House):
    """Registrations, every box that came with a request, notices with attempts, choices; of nobody else."""
    event, made = await busy(house)
    found = await export(house, email=" ADA@example.org ")
    [kept] = found["events"]
    assert kept["event"] == event
    assert [(each["status"], each["contact"]["name"]) for each in kept["registrations"]] == [
        ("confirmed", "Ada King")
    ]
    told = [(each["request"], each["outcome"], each["refusal"]) for each in kept["decisions"]]
    assert told == [
        ("register", "accepted", None),
        ("change_answers", "accepted", None),
        ("register", "refused", "already_registered"),
    ]
    names = [each["data"]["name"] for each in kept["decisions"]]
    assert names == ["Ada", "Ada King", "Ada"]
    assert kept["decisions"][0]["data"]["answers"] == {"diet": "vegan"}
    [notice] = kept["notices"]
    assert (notice["registration"], notice["status"]) == (made["registration"]["id"], "accepted")
    assert [each["outcome"] for each in notice["attempts"]] == ["accepted"]
    assert [(each["category"], each["reason"]) for each in found["choices"]] == [("reminder", "unsubscribe")]
    assert (found["email"], found["bounced"]) == ("ada@example.org", False)
    assert "bob" not in str(found).lower()


async def test_all_events_are_looked_through_or_one(house: House):
    """A person may have been at many; a named event must be one's own."""
    events = [await house.open_event() for _ in range(3)]
    for event in events[:2]:
        await house.register(event, person("Ada"))
    found = await export(house, email="ada@example.org")
    assert {each["event"] for each in found["events"]} == set(events[:2])
    one = await export(house, email="ada@example.org", event=events[1])
    assert [each["event"] for each in one["events"]] == [events[1]]
    assert (await export(house, email="nobody@example.org"))["events"] == []
    other = house.client(await house.new_key("read", organizer="other"))
    query = {"email": "ada@example.org"}
    assert (await other.get("/v1/people/export", params=query)).json()["events"] == []
    theirs = await other.get("/v1/people/export", params=query | {"event": events[0]})
    assert theirs.status_code == 404
    assert (await house.public.get("/v1/people/export", params=query)).status_code == 401
    for wrong in ({}, {"email": "no address"}):
        assert (await house.organizer.get("/v1/people/export", params=wrong)).status_code in (400, 422)


async def test_a_link_shows_its_registration_only(house: House):
    """Whoever registers with somebody's address holds a link; it must not open what else that person has."""
    event = await house.open_event()
    first = (await house.register(event, person("Ada"))).json()
    second = (await house.register(event, person("Ada"))).json()
    found = (await house.public.get(f"/v1/registrations/{second['link']}/export")).json()
    [kept] = found["events"]
    assert [each["id"] for each in kept["registrations"]] == [second["registration"]["id"]]
    assert {each["registration"] for each in kept["decisions"]} == {second["registration"]["id"]}
    assert first["registration"]["id"] not in str(found)
    assert found["email"] == "ada@example.org"


async def test_after_a_transfer_each_has_their_own(house: House):
    """The new holder's export has nothing of the old one, and the old link opens nothing."""
    event = await house.open_event()
    made = (await house.register(event, person("Ada"))).json()
    handed = await house.public.post(
        f"/v1/registrations/{made['link']}/transfer",
        json={"contact": {"name": "Bob", "email": "bob@example.org"}},
    )
    link = handed.json().get("link")
    bob = await export(house, email="bob@example.org")
    assert [each["request"] for each in bob["events"][0]["decisions"]] == ["transfer"]
    assert "ada@" not in str(bob).lower()
    ada = await export(house, email="ada@example.org")
    assert [each["request"] for each in ada["events"][0]["decisions"]] == ["register"]
    assert ada["events"][0]["registrations"] == []
    assert (await house.public.get(f"/v1/registrations/{made['link']}/export")).status_code in (403, 410)
    if link is not None:
        mine = (await house.public.get(f"/v1/registrations/{link}/export")).json()
        assert "ada@" not in str(mine).lower()


async def test_after_an_erasure_there_is_nothing_to_read(house: House):
    """That there was somebody is kept, with seats and decisions; no name, address or answer is."""
    event, made = await busy(house)
    await house.organizer.post(f"/v1/events/{event}/erasures", json={"email": "ada@example.org"})
    registration = made["registration"]["id"]

    async def erased() -> bool:
        answer = await house.organizer.get(f"/v1/registrations/{registration}")
        return bool(answer.json()["erased"])

    for _ in range(200):
        if await erased():
            break
        await until(lambda: True)
    found = await export(house, email="ada@example.org")
    [kept] = found["events"]
    assert all(each["data"] is None for each in kept["decisions"])
    assert sum(each["erased"] for each in kept["decisions"]) == 3
    assert kept["registrations"][0]["contact"] is None
    for readable in ("King", "vegan"):
        assert readable not in str(found)
