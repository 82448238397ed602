"""Events over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registration.house import EVENT, a_house, person, strong_key


async def test_an_event_reads_back_as_it_was_sent():
    """What an organizer sends is what they read, with what they left out filled in."""
    sent = EVENT | {
        "description": {"default": "de", "values": {"de": "Eine\nFeier"}},
        "venue": "Hall",
        "windows": [{"opens_at": "2030-01-01T00:00:00+01:00", "closes_at": None}],
        "holds": {"ttl_s": 60, "registrant_may_confirm": False},
        "seats_per_person": 4,
        "one_per_email": True,
        "form": {"version": 3, "min_version": 2, "questions": [
            {"key": "q", "label": "Q?", "kind": "choice", "scope": "seat", "required": True,
             "choices": {"a": "A", "b": {"default": "de", "values": {"de": "Be"}}}}]},
        "categories": [
            {"key": "std", "opens_at": "2030-01-01T00:00:00Z", "closes_at": "2030-02-01T00:00:00Z"}
        ],
    }  # fmt: skip
    async with a_house() as house:
        made = await house.organizer.post("/v1/events", json=sent)
        assert made.status_code == 201, made.text
        event = made.json()
        assert made.headers["location"] == f"/v1/events/{event['id']}"
        assert made.headers["etag"] == '"1"'
        assert (event["status"], event["version"], event["organizer"]) == ("draft", 1, "acme")
        assert event["venue"] == {"default": "en", "values": {"en": "Hall"}}
        assert event["windows"] == [{"opens_at": "2029-12-31T23:00:00.000Z", "closes_at": None}]
        assert event["categories"][0]["title"] == {"default": "en", "values": {"en": "std"}}
        assert event["categories"][0]["pools"] == ["main"]
        assert event["categories"][0]["price"] == {"amount_minor": 0, "currency": "EUR"}
        assert event["form"]["questions"][0]["choices"]["b"] == {"default": "de", "values": {"de": "Be"}}
        assert event["url"].endswith(f"/e/{event['id']}")
        for field in ("slug", "time_zone", "starts_at", "holds", "seats_per_person", "one_per_email"):
            assert event[field] == sent[field]
        read = await house.organizer.get(f"/v1/events/{event['id']}")
        assert read.json() == event


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "No slug"}, "/slug"),
        ({"title": ""}, "/title/values/en"),
        ({"title": {"default": "de", "values": {"en": "x"}}}, "/title/default"),
        ({"title": "a\x07b"}, "/title"),
        ({"time_zone": "Mars/Base"}, "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"starts_at": "2031-05-01T10:00Z"}, "/starts_at"),
        ({"ends_at": "2031-04-01T10:00"}, "/ends_at"),
        ({"ends_at": "9999-99-99T10:00"}, "/ends_at"),
        ({"pools": []}, "/pools"),
        ({"pools": [{"key": "main", "capacity": -1}]}, "/pools/0/capacity"),
        ({"pools": [{"key": "main", "capacity": 1}, {"key": "main", "capacity": 1}]}, "/pools"),
        ({"categories": [{"key": "std", "pools": ["other"]}]}, "/categories/0/pools"),
        ({"categories": [{"key": "std", "price": {"currency": "eur"}}]}, "/categories/0/price/currency"),
        ({"categories": [{"key": "std", "opens_at": "soon"}]}, "/categories/0/opens_at"),
        (
            {
                "categories": [
                    {"key": "std", "opens_at": "2030-02-01T00:00:00Z", "closes_at": "2030-01-01T00:00:00Z"}
                ]
            },
            "/categories/0/closes_at",
        ),
        ({"windows": [{"opens_at": "2030-01-01"}]}, "/windows/0/opens_at"),
        ({"waitlist": {"size": 0}}, "/waitlist/size"),
        ({"holds": {"ttl_s": 1}}, "/holds/ttl_s"),
        ({"form": {"version": 1, "min_version": 2}}, "/form/min_version"),
        (
            {"form": {"questions": [{"key": "q", "label": "Q", "kind": "choice"}]}},
            "/form/questions/0/choices",
        ),
        ({"form": {"questions": [{"key": "q", "label": "Q", "kind": "color"}]}}, "/form/questions/0/kind"),
        ({"access_codes": [{"label": "x"}]}, "/access_codes/0"),
        ({"access_codes": [{"code": "x", "categories": ["gold"]}]}, "/access_codes/0/categories"),
        ({"slug": 1}, "/slug"),
        ({"colour": 1}, "/colour"),
    ],
)
async def test_an_unsound_event_is_named(change, field):
    """Each fault of an event is 422 at the place in the JSON that it is about."""
    async with a_house(deciding=False) as house:
        answer = await house.organizer.post("/v1/events", json=EVENT | change)
        assert answer.status_code == 422
        assert field in [error["field"] for error in answer.json()["errors"]]


async def test_creating_twice_makes_one_event():
    """The same key and body is one event; with another body it is refused, whatever the slug."""
    async with a_house(partitions=8) as house:
        key = {"idempotency-key": "once"}
        first = await house.organizer.post("/v1/events", json=EVENT, headers=key)
        again = await house.organizer.post("/v1/events", json=EVENT, headers=key)
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        for number in range(8):
            other = EVENT | {"slug": f"other-{number}"}
            refused = await house.organizer.post("/v1/events", json=other, headers=key)
            assert refused.json()["type"].endswith("key_reused")


async def test_without_a_key_one_is_made():
    """Without an Idempotency-Key the answer carries the one that the server made."""
    async with a_house() as house:
        made = await house.organizer.post("/v1/events", json=EVENT)
        key = made.headers["idempotency-key"]
        again = await house.organizer.post("/v1/events", json=EVENT, headers={"idempotency-key": key})
        assert again.json() == made.json()


async def test_an_event_is_changed_by_a_merge_patch():
    """What the patch names changes, null takes away, the rest stays (RFC 7396)."""
    async with a_house() as house:
        event = await house.open_event(venue="Hall")
        path = f"/v1/events/{event}"
        patch = {
            "venue": None,
            "title": {"values": {"fr": "Fête"}},
            "pools": [{"key": "main", "capacity": 9}],
        }
        headers = {"content-type": "application/merge-patch+json", "if-match": '"2"'}
        changed = await house.organizer.patch(path, json=patch, headers=headers)
        assert changed.status_code == 200, changed.text
        assert changed.headers["etag"] == '"3"'
        assert changed.json()["venue"] is None
        assert set(changed.json()["title"]["values"]) == {"en", "de", "fr"}
        assert changed.json()["pools"] == [{"key": "main", "capacity": 9}]
        assert changed.json()["waitlist"]["size"] == 2
        late = await house.organizer.patch(path, json={"venue": "x"}, headers=headers)
        assert late.status_code == 412


async def test_a_repeated_patch_is_one_change():
    """The same patch under the same key is answered as before, also where If-Match no longer holds."""
    async with a_house() as house:
        event = await house.open_event()
        headers = {"idempotency-key": strong_key(), "if-match": '"2"'}
        first = await house.organizer.patch(f"/v1/events/{event}", json={"venue": "x"}, headers=headers)
        again = await house.organizer.patch(f"/v1/events/{event}", json={"venue": "x"}, headers=headers)
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"slug": "other"}, "/slug"),
        ({"pools": [{"key": "new", "capacity": 1}]}, "/pools"),
        ({"categories": [{"key": "std"}]}, "/categories"),
        ({"form": {"questions": [{"key": "q", "label": "Q"}]}}, "/form/version"),
        ({"status": "open"}, "/status"),
        ({"slug": None}, "/slug"),
    ],
)
async def test_what_cannot_change_is_named(patch, field):
    """A patch that an open event cannot take is 422 and says where."""
    async with a_house() as house:
        event = await house.open_event()
        answer = await house.organizer.patch(f"/v1/events/{event}", json=patch)
        if field == "/status":  # it is the server's; a patch may not name it
            assert answer.status_code in (200, 422)
        assert answer.status_code == 422
        assert field in [error["field"] for error in answer.json()["errors"]]


async def test_the_form_is_checked_as_it_is_now():
    """Answers are checked against the version they name, if it is the present one; an older one that is
    still accepted is taken as it comes."""
    async with a_house() as house:
        questions = [{"key": "diet", "label": "Diet?", "required": True}]
        event = await house.open_event(form={"version": 1, "questions": questions})
        assert (await house.register(event, person())).status_code == 422
        fine = await house.register(event, person("Ada", answers={"diet": "none"}, form_version=1))
        assert fine.status_code == 201
        questions.append({"key": "size", "label": "Size?", "required": True})
        form = {"version": 2, "min_version": 1, "questions": questions}
        await house.organizer.patch(f"/v1/events/{event}", json={"form": form})
        old = await house.register(event, person("Eve", answers={"diet": "none"}, form_version=1))
        assert old.status_code == 201
        new = await house.register(event, person("Eve", answers={"diet": "none"}))
        assert [error["field"] for error in new.json()["errors"]] == ["/answers/size"]


async def test_access_codes_stay_secret():
    """A code's text is kept neither in an answer nor in the log; its organizer sees how often it was used."""
    async with a_house() as house:
        codes = [{"code": "Summer-2031", "label": "Friends", "uses": 5}]
        event = await house.open_event(access_codes=codes)
        await house.register(event, person("Ada", access_code="summer-2031"))
        mine = (await house.organizer.get(f"/v1/events/{event}")).json()
        (code,) = mine["access_codes"]
        assert (code["label"], code["uses"]) == ("Friends", 5)
        assert code["used"] in (1, None)
        theirs = (await house.public.get(f"/v1/events/{event}")).json()
        assert theirs["needs_access_code"] is True
        assert "access_codes" not in theirs
        for record in await house.log.read(0, 0, 100, 0.0):
            assert b"ummer" not in record.value
        kept = {"access_codes": [{"id": code["id"], "label": "Family"}, {"code": "winter"}]}
        changed = await house.organizer.patch(f"/v1/events/{event}", json=kept)
        assert [each["label"] for each in changed.json()["access_codes"]] == ["Family", ""]
        assert (await house.register(event, person("Eve", access_code="SUMMER-2031"))).status_code == 201
        lost = {"access_codes": [{"id": "000000000000"}]}
        assert (await house.organizer.patch(f"/v1/events/{event}", json=lost)).status_code == 422


async def test_drafts_are_their_organizers_own():
    """A draft does not exist for anybody but its organizer, in the API, on the page and in streams."""
    async with a_house() as house:
        event = (await house.organizer.post("/v1/events", json=EVENT)).json()["id"]
        other = house.client(await house.new_key("write", organizer="other"))
        for path in (f"/v1/events/{event}", f"/v1/events/{event}/seats", f"/e/{event}", "/e/acme/party"):
            for client in (house.public, other):
                assert (await client.get(path)).status_code == 404, path
        assert (await house.organizer.get(f"/v1/events/{event}/seats")).status_code == 200
        assert (await other.post(f"/v1/events/{event}/open")).status_code == 404
        assert (await house.public.get(f"/v1/events/{event}/seats/stream")).status_code == 404


async def test_opening_closing_and_cancelling():
    """Each is done once however often it is asked, and an event that was called off stays so."""
    async with a_house() as house:
        event = await house.open_event()
        for name, status in (
            ("open", "open"),
            ("close", "closed"),
            ("open", "open"),
            ("cancel", "cancelled"),
        ):
            answers = [await house.organizer.post(f"/v1/events/{event}/{name}") for _ in range(2)]
            assert [answer.json()["status"] for answer in answers] == [status, status]
        refused = await house.organizer.post(f"/v1/events/{event}/open")
        assert refused.json()["refusal"] == "event_cancelled"


async def test_events_are_listed_page_by_page():
    """A list gives every event of its organizer once, and nobody else's."""
    async with a_house() as house:
        mine = [await house.open_event() for _ in range(5)]
        other = house.client(await house.new_key("write", organizer="other"))
        await other.post("/v1/events", json=EVENT)
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await house.organizer.get(f"/v1/events?limit=2{cursor}")).json()
            found += [event["id"] for event in page["items"]]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert sorted(found) == sorted(mine)
        stolen = (await house.organizer.get("/v1/events?limit=2")).json()["next_cursor"]
        assert (await other.get(f"/v1/events?cursor={stolen}")).status_code == 400


async def test_an_unchanged_event_is_not_sent_again():
    """If-None-Match with the present version is 304 without a body."""
    async with a_house() as house:
        event = await house.open_event()
        read = await house.public.get(f"/v1/events/{event}")
        again = await house.public.get(f"/v1/events/{event}", headers={"if-none-match": read.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = await house.public.get(f"/v1/events/{event}", headers={"if-none-match": '"1"'})
        assert other.status_code == 200


async def test_methods_and_paths():
    """405 names what is allowed, OPTIONS too; HEAD is GET without its body; the rest is 404."""
    async with a_house() as house:
        event = await house.open_event()
        refused = await house.public.put(f"/v1/events/{event}")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS, PATCH")
        options = await house.public.options("/v1/events")
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        read, head = [await house.public.request(m, f"/v1/events/{event}") for m in ("GET", "HEAD")]
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == read.headers["content-length"]
        for path in (
            "/v1",
            "/v1/",
            "/v1/events/",
            f"/v1/events/{event}/",
            "/v1/events/a/b/registrations",
        ):
            assert (await house.public.get(path)).status_code == 404, path


async def test_traces_go_through():
    """A caller's trace is gone on with, in the answer and in the log; a hostile one is not."""
    async with a_house() as house:
        event = await house.open_event()
        parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
        answer = await house.register(event, traceparent=parent)
        assert answer.headers["x-trace-id"] == "a" * 32
        *_, record = await house.log.read(0, 0, 100, 0.0)
        assert record.trace.startswith("00-" + "a" * 32)
        assert "b" * 16 not in record.trace
        hostile = await house.register(event, person("Eve"), traceparent="00-" + "0" * 32 + "-x\r\ny")
        assert hostile.headers["x-trace-id"] != "0" * 32
