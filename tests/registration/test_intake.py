"""Registering over HTTP: from a request to its decision."""

from __future__ import annotations

import pytest

from tests.registration.house import a_house, person, quick, strong_key


async def test_a_registration_is_confirmed():
    """Who registers while there is room gets 201 with the seats, the link, and where it was decided."""
    async with a_house() as house:
        event = await house.open_event()
        answer = await house.register(event, person("Ada", 2))
        body = answer.json()
        assert answer.status_code == 201
        assert body["registration"]["status"] == "confirmed"
        assert [seat["ticket"][:2] for seat in body["registration"]["seats"]] == ["T1", "T1"]
        assert body["registration"]["arrival"] == f"0.{body['decision']['offset']}"
        assert answer.headers["location"] == f"/v1/registrations/{body['link']}"
        assert body["url"].endswith(f"/r/{body['link']}")
        assert answer.headers["cache-control"] == "no-store"


async def test_who_comes_too_late_waits_and_then_is_refused():
    """Past the capacity people wait, told how many are ahead; past the waitlist they are refused."""
    async with a_house() as house:
        event = await house.open_event()
        answers = [await house.register(event, person(f"P{n}")) for n in range(6)]
        statuses = [a.json().get("registration", {}).get("status") for a in answers]
        assert statuses == ["confirmed"] * 3 + ["waitlisted"] * 2 + [None]
        assert [a.json()["registration"]["waitlist_ahead"] for a in answers[3:5]] == [0, 1]
        problem = answers[5].json()
        assert answers[5].status_code == 409
        assert problem["type"] == "urn:veltrix:problem:waitlist_full"
        assert problem["refusal"] == "waitlist_full"
        assert answers[5].headers["content-type"] == "application/problem+json"


async def test_the_same_request_has_the_same_answer():
    """The same key and body give the original answer, marked as a replay, and no second registration."""
    async with a_house() as house:
        event = await house.open_event()
        key = strong_key()
        first = await house.register(event, idempotency_key=key)
        again = await house.register(event, idempotency_key=f'"{key}"')
        prefixed = await house.register(event, idempotency_key=key, x_idempotency_key=key)
        assert first.json() == again.json() == prefixed.json()
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.status_code == 201


async def test_a_refusal_is_replayed_too():
    """A refused request is refused again under its key, even when there would be room by now."""
    async with a_house() as house:
        event = await house.open_event(waitlist=None)
        await house.register(event, person("A", 3))
        key = strong_key()
        first = await house.register(event, idempotency_key=key)
        again = await house.register(event, idempotency_key=key)
        assert first.json() == again.json()
        assert again.json()["refusal"] == "full"
        assert again.headers["idempotent-replayed"] == "true"


async def test_a_key_is_for_one_request():
    """The same key with another body is 422, and does not change what was decided."""
    async with a_house() as house:
        event = await house.open_event()
        key = strong_key()
        await house.register(event, person("Ada"), idempotency_key=key)
        other = await house.register(event, person("Eve"), idempotency_key=key)
        assert other.status_code == 422
        assert other.json()["type"] == "urn:veltrix:problem:key_reused"


async def test_the_server_makes_a_key():
    """Without a key the server makes one, returns it, and honours it."""
    async with a_house() as house:
        event = await house.open_event()
        path = f"/v1/events/{event}/registrations"
        first = await house.public.post(path, json=person())
        key = first.json()["idempotency_key"]
        again = await house.register(event, idempotency_key=key)
        assert again.json()["registration"] == first.json()["registration"]


async def test_who_will_not_wait_gets_a_receipt():
    """`respond-async` is 202 at once; the receipt has the place in line, then the decision."""
    async with a_house() as house:
        event = await house.open_event()
        await house.pause()
        first = await house.register(event, prefer="respond-async")
        second = await house.register(event, person("Eve"), prefer="respond-async")
        assert first.status_code == second.status_code == 202
        assert first.headers["preference-applied"] == "respond-async"
        assert [first.json()["place_in_line"], second.json()["place_in_line"]] == [0, 1]
        location = second.headers["location"]
        assert location == second.json()["location"]
        early = await house.public.get(location, headers={"prefer": "wait=0"})
        assert early.status_code == 202
        assert early.headers["retry-after"] == "1"
        await house.decide()
        late = await house.public.get(location)
        assert late.status_code == 200
        assert late.json()["registration"]["status"] == "confirmed"


async def test_the_wait_ends():
    """When no decision comes in time, the answer is 202, and the command stays in line."""
    async with a_house(quick(wait_default_s=0.01)) as house:
        event = await house.open_event()
        await house.pause()
        answer = await house.register(event)
        assert answer.status_code == 202
        await house.decide()
        decision = await house.public.get(answer.headers["location"], headers={"prefer": "wait=5"})
        assert decision.status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contact": {"name": " ", "email": "a@example.org"}}, "/contact/name"),
        ({"contact": {"name": "A\nB", "email": "a@example.org"}}, "/contact/name"),
        ({"contact": {"name": "A", "email": "nobody"}}, "/contact/email"),
        ({"contact": {"name": "A", "email": "a@example.org", "locale": "!"}}, "/contact/locale"),
        ({"contact": {"name": "A"}}, "/contact/email"),
        ({"seats": []}, "/seats"),
        ({"seats": [{"category": "std"}] * 51}, "/seats"),
        ({"seats": [{"category": 1}]}, "/seats/0/category"),
        ({"seats": [{"category": "std", "x": 1}]}, "/seats/0/x"),
        ({"metadata": {"k": 1}}, "/metadata"),
        ({"consents": [{"key": "k", "version": "1", "time": "yesterday"}]}, "/consents/0/time"),
        ({"answers": {"diet": "none"}}, "/answers/diet"),
        ({"unknown": 1}, "/unknown"),
    ],
)
async def test_what_is_wrong_is_named(change, field):
    """A faulty body is 422 with the field as a JSON pointer, the fault and the remedy."""
    async with a_house() as house:
        event = await house.open_event()
        answer = await house.register(event, person() | change)
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:veltrix:problem:invalid_body"
        faults = answer.json()["errors"]
        assert [fault["field"] for fault in faults] == [field]
        assert all(fault["fault"] and fault["remedy"] for fault in faults)


async def test_events_are_made_and_opened():
    """An event is created as a draft that the public cannot see, opened, and read with its ETag."""
    async with a_house() as house:
        made = await house.organizer.post("/v1/events", json={"slug": "x"})
        assert made.status_code == 422
        event = await house.open_event()
        read = await house.public.get(f"/v1/events/{event}")
        assert read.status_code == 200
        assert read.json()["status"] == "open"
        assert read.headers["etag"] == f'"{read.json()["version"]}"'
        seats = await house.public.get(f"/v1/events/{event}/seats")
        assert seats.json()["pools"] == [{"key": "main", "capacity": 3, "taken": 0, "free": 3}]


async def test_the_process_says_how_it_is():
    """The probes answer, and readiness ends with the process's willingness to serve."""
    async with a_house() as house:
        assert (await house.public.get("/livez")).status_code == 200
        assert (await house.public.get("/readyz")).json()["status"] == "ready"
        await house.service.stop()
        stopped = await house.public.get("/readyz")
        assert stopped.status_code == 503
        refused = await house.register("evt_" + "0" * 32)
        assert refused.status_code == 503
        assert refused.headers["connection"] == "close"
        assert refused.headers["retry-after"]
