"""One registration over its life: by its link, and by its organizer."""

from __future__ import annotations

import pytest

from tests.registration.house import a_house, person, strong_key
from veltrix.domain.identifiers import raw_of

HOLDS = {"holds": {"ttl_s": 600}}
FORM = {
    "version": 2,
    "questions": [
        {"key": "diet", "label": "Diet?", "scope": "seat"},
        {"key": "how", "label": "How?", "kind": "choice", "required": True, "choices": {"a": "A", "b": "B"}},
        {"key": "news", "label": "News?", "kind": "boolean"},
    ],
}


async def registered(house, event, **body):
    """The answer to a new registration, as JSON."""
    answer = await house.register(event, person("Ada", 2) | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_link_shows_everything_and_changes_nothing():
    """Whoever has the link sees the registration with its personal data; looking leaves no trace."""
    async with a_house() as house:
        event = await house.open_event(form=FORM)
        made = await registered(
            house,
            event,
            seats=[
                {"category": "std", "answers": {"diet": "nuts"}},
                {"category": "vip", "attendee": {"name": "Byron"}},
            ],
            answers={"how": "a", "news": True},
            metadata={"campaign": "x"},
            consents=[
                {"key": "terms", "version": "1", "time": "2031-01-01T00:00:00Z"},
                {"key": "mail", "version": "2"},
            ],
        )
        before = await house.log.bounds(0)
        read = await house.public.get(f"/v1/registrations/{made['link']}")
        view = read.json()
        assert read.status_code == 200
        assert read.headers["etag"] == '"1"'
        assert view["contact"] == {"name": "Ada", "email": "ada@example.org", "locale": "en"}
        assert view["erased"] is False
        assert view["answers"] == {"how": "a", "news": True}
        assert view["metadata"] == {"campaign": "x"}
        assert view["consents"][0]["time"] == "2031-01-01T00:00:00Z"
        assert view["consents"][1]["time"] == view["registration"]["decided_at"]
        assert view["link"] == made["link"]
        seats = view["registration"]["seats"]
        assert [seat["answers"] for seat in seats] == [{"diet": "nuts"}, {}]
        assert [seat["attendee"] for seat in seats] == [None, {"name": "Byron", "email": None}]
        assert [seat["ticket"] for seat in seats] == [
            seat["ticket"] for seat in made["registration"]["seats"]
        ]
        head = await house.public.head(f"/v1/registrations/{made['link']}")
        assert (head.status_code, head.content) == (200, b"")
        assert await house.log.bounds(0) == before


async def test_an_organizer_sees_theirs_without_the_link():
    """By its id and a key with the scope read; neither the link nor tickets are given out, and no
    other organizer sees that it exists."""
    async with a_house() as house:
        made = await registered(house, await house.open_event())
        path = f"/v1/registrations/{made['registration']['id']}"
        view = (await house.organizer.get(path)).json()
        assert view["contact"]["name"] == "Ada"
        assert "link" not in view
        assert "ticket" not in view["registration"]["seats"][0]
        other = house.client(await house.new_key("write", organizer="other"))
        assert (await other.get(path)).status_code == 404
        assert (await other.post(f"{path}/cancel")).status_code == 404
        assert (await house.public.get(path)).status_code == 401
        door = house.client(await house.new_key("check-in"))
        assert (await door.get(path)).status_code == 403
        reader = house.client(await house.new_key("read"))
        assert (await reader.post(f"{path}/cancel")).status_code == 403


async def test_a_waiting_registration_says_how_many_are_ahead():
    """The place on the waitlist is told while one waits."""
    async with a_house() as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 2}])
        await registered(house, event)
        first = await house.register(event, person("Eve"))
        second = await house.register(event, person("Eva"))
        read = await house.public.get(f"/v1/registrations/{second.json()['link']}")
        assert read.json()["registration"]["waitlist_ahead"] == 1
        assert first.json()["registration"]["waitlist_ahead"] == 0


async def test_an_erased_person_is_not_shown():
    """Once the keys are gone, the registration stands and nobody can be read in it."""
    async with a_house() as house:
        event = await house.open_event()
        made = await registered(house, event)
        erased = await house.organizer.post(f"/v1/events/{event}/erasures", json={"email": "ADA@example.org"})
        assert erased.json()["erased"] is True
        await house.pause()  # whoever decides also destroys the keys, at the latest before it stops
        view = (await house.public.get(f"/v1/registrations/{made['link']}")).json()
        assert (view["contact"], view["erased"], view["answers"]) == (None, True, {})
        assert view["registration"]["status"] == "confirmed"
        (row,) = (await house.organizer.get(f"/v1/events/{event}/registrations")).json()["items"]
        assert (row["contact"], row["erased"]) == (None, True)
        page = await house.public.get(f"/r/{made['link']}")
        assert "erased" in page.text


async def test_holds_are_confirmed_extended_and_released():
    """A registrant confirms a hold; an organizer confirms with a reference, extends, and releases."""
    async with a_house() as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 9}], **HOLDS)
        first = await registered(house, event)
        assert first["registration"]["status"] == "held"
        assert "ticket" not in first["registration"]["seats"][0]
        confirmed = await house.public.post(f"/v1/registrations/{first['link']}/confirm")
        assert confirmed.json()["registration"]["status"] == "confirmed"
        assert confirmed.json()["registration"]["seats"][0]["ticket"].startswith("T1")
        again = await house.public.post(f"/v1/registrations/{first['link']}/confirm")
        assert (again.status_code, again.json()["registration"]["version"]) == (200, 2)

        second = (await registered(house, event))["registration"]
        path = f"/v1/registrations/{second['id']}"
        extended = await house.organizer.post(f"{path}/extend", json={"ttl_s": 9_000})
        assert extended.json()["registration"]["hold_deadline"] > second["hold_deadline"]
        paid = await house.organizer.post(f"{path}/confirm", json={"external_ref": "invoice 1"})
        assert paid.json()["registration"]["external_ref"] == "invoice 1"

        third = await registered(house, event)
        released = await house.public.post(f"/v1/registrations/{third['link']}/release")
        assert released.json()["registration"]["status"] == "cancelled"


async def test_what_only_organizers_may_do():
    """A link gives neither more time nor a reference of its own."""
    async with a_house() as house:
        made = await registered(house, await house.open_event(**HOLDS))
        path = f"/v1/registrations/{made['link']}"
        assert (await house.public.post(f"{path}/extend", json={"ttl_s": 900})).status_code == 403
        reference = {"external_ref": "paid"}
        assert (await house.public.post(f"{path}/confirm", json=reference)).status_code == 403
        # A key beside a link adds nothing: the link is what counts.
        assert (await house.organizer.post(f"{path}/extend", json={"ttl_s": 900})).status_code == 403


async def test_seats_are_cancelled_and_moved():
    """One seat goes and the rest stays; a seat moves to another category at its price; then all goes."""
    async with a_house() as house:
        made = await registered(house, await house.open_event())
        path = f"/v1/registrations/{made['link']}"
        numbers = [seat["number"] for seat in made["registration"]["seats"]]
        one = await house.public.post(f"{path}/cancel", json={"seat": numbers[0]})
        assert [seat["status"] for seat in one.json()["registration"]["seats"]] == ["cancelled", "active"]
        moved = await house.public.post(f"{path}/move", json={"seat": numbers[1], "category": "vip"})
        assert moved.json()["registration"]["seats"][1]["price"]["amount_minor"] == 9900
        gone = await house.public.post(f"{path}/cancel")
        assert gone.json()["registration"]["status"] == "cancelled"
        again = await house.public.post(f"{path}/cancel")
        assert again.status_code == 200


async def test_a_transfer_ends_the_old_link():
    """The giver's link is answered 410 and tells nothing; the answer to them holds no new ticket."""
    async with a_house() as house:
        event = await house.open_event()
        made = await registered(house, event)
        path = f"/v1/registrations/{made['link']}"
        body = {"contact": {"name": "Mary", "email": "mary@example.org"}, "metadata": {"k": "v"}}
        given = await house.public.post(f"{path}/transfer", json=body)
        assert given.status_code == 200
        assert "ticket" not in given.json()["registration"]["seats"][0]
        for method, where in (("GET", path), ("POST", f"{path}/cancel"), ("GET", f"/r/{made['link']}")):
            answer = await house.public.request(method, where)
            assert answer.status_code == 410
            assert "Mary" not in answer.text
            assert "mary@" not in answer.text
        new_link = house.signer.link(made["registration"]["id"], 2)
        view = (await house.public.get(f"/v1/registrations/{new_link}")).json()
        assert view["contact"]["name"] == "Mary"
        assert view["metadata"] == {"k": "v"}
        old, new = made["registration"]["seats"][0]["ticket"], view["registration"]["seats"][0]["ticket"]
        assert old != new


async def test_a_seat_is_handed_on_alone():
    """The new holder's name shows, their ticket does not: it is not the giver's any more."""
    async with a_house() as house:
        event = await house.open_event()
        made = await registered(house, event)
        number = made["registration"]["seats"][1]["number"]
        body = {"contact": {"name": "Mary", "email": "mary@example.org"}, "seat": number}
        await house.public.post(f"/v1/registrations/{made['link']}/transfer", json=body)
        seats = (await house.public.get(f"/v1/registrations/{made['link']}")).json()["registration"]["seats"]
        assert ["ticket" in seat for seat in seats] == [True, False]
        assert seats[1]["attendee"] == {"name": "Mary", "email": "mary@example.org"}
        page = await house.public.get(f"/r/{made['link']}")
        assert page.text.count("<svg") == 2  # the brand's, and one QR code


async def test_forged_links_are_unknown():
    """Whatever is no link of ours is 404, whether its registration exists or not."""
    async with a_house() as house:
        made = await registered(house, await house.open_event())
        link = made["link"]
        forged = link[:-1] + ("a" if link[-1] != "a" else "b")
        shifted = house.signer.link(made["registration"]["id"], 9)
        for text in (forged, shifted, link[:-1], link + "a", "r1", "reg_x", "x", "%00", link + "%0a"):
            answer = await house.public.get(f"/v1/registrations/{text}")
            assert answer.status_code in (401, 404), text
        assert (await house.public.get(f"/v1/registrations/{link.upper()}")).status_code == 200


async def test_answers_and_names_are_changed():
    """What is named changes and the rest stays; the e-mail address cannot."""
    async with a_house() as house:
        event = await house.open_event(form=FORM)
        made = await registered(house, event, answers={"how": "a"}, metadata={"a": "1", "b": "2"})
        path = f"/v1/registrations/{made['link']}"
        number = made["registration"]["seats"][1]["number"]
        change = {
            "contact": {"name": "Ada King", "email": "ADA@example.org"},
            "answers": {"how": "b", "news": False},
            "metadata": {"a": None, "c": "3"},
            "seats": [{"number": number, "attendee": {"name": "Byron"}, "answers": {"diet": "none"}}],
            "consents": [{"key": "terms", "version": "2"}],
        }
        key = strong_key()
        changed = await house.public.patch(path, json=change, headers={"idempotency-key": key})
        assert changed.status_code == 200, changed.text
        view = (await house.public.get(path)).json()
        assert view["contact"]["name"] == "Ada King"
        assert view["contact"]["email"] == "ada@example.org"
        assert view["answers"] == {"how": "b", "news": False}
        assert view["metadata"] == {"b": "2", "c": "3"}
        assert view["registration"]["seats"][1]["attendee"]["name"] == "Byron"
        assert view["registration"]["seats"][1]["answers"] == {"diet": "none"}
        assert view["consents"][0]["version"] == "2"
        again = await house.public.patch(path, json=change, headers={"idempotency-key": key})
        assert again.headers["idempotent-replayed"] == "true"
        undone = {"seats": [{"number": number, "attendee": None, "answers": {"diet": None}}]}
        await house.public.patch(path, json=undone)
        seats = (await house.public.get(path)).json()["registration"]["seats"]
        assert (seats[1]["attendee"], seats[1]["answers"]) == (None, {})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contact": {"email": "eve@example.org"}}, "/contact/email"),
        ({"contact": {"name": " "}}, "/contact/name"),
        ({"answers": {"how": "z"}}, "/answers/how"),
        ({"answers": {"how": None}}, "/answers/how"),
        ({"answers": {"other": "z"}}, "/answers/other"),
        ({"answers": {"news": "yes"}}, "/answers/news"),
        ({"seats": [{"number": 99}]}, "/seats/0/number"),
        ({"seats": [{"number": 1, "attendee": {"name": "\t"}}]}, "/seats/0/attendee/name"),
        ({"metadata": {f"k{n}": "v" for n in range(19)} | {"new": "v"}}, "/metadata"),
        ({"consents": [{"key": "k", "version": "1", "time": "x"}]}, "/consents/0/time"),
        ({"form_version": 0}, "/form_version"),
    ],
)
async def test_faulty_changes_are_named(change, field):
    """A change that does not fit is 422 and names its field."""
    async with a_house() as house:
        made = await registered(
            house, await house.open_event(form=FORM), answers={"how": "a"}, metadata={"a": "1"}
        )
        answer = await house.public.patch(f"/v1/registrations/{made['link']}", json=change)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_if_match_guards_a_change():
    """A change for an older version is 412; the same request repeated is its own answer, not a conflict."""
    async with a_house() as house:
        made = await registered(house, await house.open_event())
        path = f"/v1/registrations/{made['link']}"
        headers = {"if-match": '"1"', "idempotency-key": strong_key()}
        first = await house.public.patch(path, json={"contact": {"name": "Eva"}}, headers=headers)
        assert (first.status_code, first.headers["etag"]) == (200, '"2"')
        again = await house.public.patch(path, json={"contact": {"name": "Eva"}}, headers=headers)
        assert (again.status_code, again.headers["etag"]) == (200, '"2"')
        late = await house.public.post(f"{path}/cancel", headers={"if-match": '"1"'})
        assert late.status_code == 412
        fine = await house.public.post(f"{path}/cancel", headers={"if-match": '"2", "7"'})
        assert fine.status_code == 200


async def test_the_same_key_elsewhere_is_another_request():
    """A key belongs to one registration and one route: used for another registration it is refused."""
    async with a_house() as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 9}])
        first, second = await registered(house, event), await registered(house, event)
        key = {"idempotency-key": strong_key()}
        path = "/v1/registrations/{}/cancel"
        assert (await house.organizer.post(path.format(first["registration"]["id"]), headers=key)).is_success
        other = await house.organizer.post(path.format(second["registration"]["id"]), headers=key)
        assert other.json()["type"].endswith("key_reused")


async def test_strong_reads_pass_a_barrier():
    """`consistency=strong` goes through the ledger's barrier before it reads."""
    async with a_house() as house:
        made = await registered(house, await house.open_event())
        passed = []
        barrier = house.ledger.barrier

        async def counted():
            passed.append(1)
            await barrier()

        house.ledger.barrier = counted
        for path in (
            f"/v1/registrations/{made['link']}",
            f"/v1/events/{made['registration']['event']}/seats",
        ):
            assert (await house.public.get(f"{path}?consistency=strong")).status_code == 200
        assert len(passed) == 2
        assert (
            await house.public.get(f"/v1/registrations/{made['link']}?consistency=weak")
        ).status_code == 400


async def test_links_are_not_in_the_log():
    """Neither commands nor facts hold a link, a ticket code, or what they are made of."""
    async with a_house() as house:
        made = await registered(house, await house.open_event())
        await house.public.post(f"/v1/registrations/{made['link']}/cancel")
        records = await house.log.read(0, 0, 100, 0.0)
        link = house.signer.read_link(made["link"])
        assert link is not None
        for record in records:
            assert made["link"].encode() not in record.value
            assert made["registration"]["seats"][0]["ticket"].encode() not in record.value
            assert link.tag not in record.value
            assert b"Ada" not in record.value
        assert raw_of(made["registration"]["id"])
