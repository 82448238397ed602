"""Who is not written to: lists of organizers, choices of people, and mail that came back."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager

import pytest

from tests.registration.house import House, a_house, person
from tests.registration.test_reports import arf, dsn, failed
from veltrix.domain.identifiers import notice_id
from veltrix.ports.notices import Notice, Planned
from veltrix.ports.outreach import OrderKind, Reason
from veltrix.sealing import AddressHashes

RAW = {"content-type": "message/rfc822"}
ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'


def hashed(house: House, email: str = "ada@example.org", organizer: str = "acme") -> str:
    """What stands for an address."""
    return AddressHashes.under(house.signer.secret).of(organizer, email)


@asynccontextmanager
async def told(name: str = "Ada"):
    """(house, made, notice): somebody registered, and there is a notice of it."""
    async with a_house() as house:
        event = await house.open_event()
        made = (await house.register(event, person(name))).json()
        registration = await house.ledger.registration(made["registration"]["id"])
        identity = notice_id(0, 1, registration.person, "email")
        notice = Notice(
            identity, "acme", event, 0, 1, "confirmed", registration.id, registration.person, "email",
            registration.box.key_id, 1,
        )  # fmt: skip
        await house.notices.record(0, 0, 1, Planned(notices=[notice]))
        yield house, made, identity


def report(notice: str, status: str = "5.1.1", raw: bytes | None = None) -> bytes:
    """A delivery status of the notice's mail."""
    return (raw or dsn(failed(status))).replace(b"ntc_" + b"cd" * 16, notice.encode())


async def test_an_organizer_keeps_a_list_of_addresses():
    """Added, listed, found by the address, removed; a hash is all that is kept."""
    async with a_house() as house:
        ask = house.organizer
        added = await ask.post("/v1/suppressions", json={"email": " ADA@Example.org ", "detail": "asked me"})
        assert added.status_code == 200
        body = added.json()
        assert (body["address"], body["category"], body["reason"]) == (hashed(house), "*", "manual")
        again = await ask.post("/v1/suppressions", json={"email": "ada@example.org"})
        assert (again.status_code, again.json()) == (200, body)
        await ask.post("/v1/suppressions", json={"email": "ada@example.org", "category": "reminder"})
        await ask.post("/v1/suppressions", json={"email": "bob@example.org"})
        listed = (await ask.get("/v1/suppressions")).json()["items"]
        assert len(listed) == 3
        assert "example.org" not in str(listed)
        found = (await ask.get("/v1/suppressions", params={"email": "ada@example.org"})).json()["items"]
        assert [(each["address"], each["category"]) for each in found] == [
            (hashed(house), "*"),
            (hashed(house), "reminder"),
        ]
        assert (await ask.delete("/v1/suppressions/ada@example.org")).status_code == 204
        assert (await ask.delete(f"/v1/suppressions/{hashed(house)}?category=reminder")).status_code == 204
        gone = await ask.delete("/v1/suppressions/ada@example.org")
        assert (gone.status_code, gone.json()["type"]) == (404, "urn:veltrix:problem:unknown_suppression")
        assert len((await ask.get("/v1/suppressions")).json()["items"]) == 1


async def test_pages_of_suppressions_have_each_once():
    """The cursor goes on where the last page ended, also between the categories of one address."""
    async with a_house() as house:
        for number in range(5):
            for category in ("*", "reminder"):
                body = {"email": f"p{number}@example.org", "category": category}
                assert (await house.organizer.post("/v1/suppressions", json=body)).status_code == 200
        seen, cursor = [], None
        while True:
            query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = (await house.organizer.get("/v1/suppressions", params=query)).json()
            seen += [(each["address"], each["category"]) for each in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 10
        assert seen == sorted(seen)


async def test_another_organizers_list_is_their_own():
    """The same address is another hash, and nobody sees or removes what is not theirs."""
    async with a_house() as house:
        other = house.client(await house.new_key("read", "write", organizer="other"))
        await house.organizer.post("/v1/suppressions", json={"email": "ada@example.org"})
        assert (await other.get("/v1/suppressions")).json()["items"] == []
        assert (await other.delete(f"/v1/suppressions/{hashed(house)}")).status_code == 404
        assert hashed(house) != hashed(house, organizer="other")
        reader = house.client(await house.new_key("read"))
        assert (await reader.post("/v1/suppressions", json={"email": "a@b.de"})).status_code == 403
        assert (await house.public.get("/v1/suppressions")).status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "/email"),
        ({"email": "a" * 400 + "@example.org"}, "/email"),
        ({"email": "ada@example.org\r\nBcc: x@example.org"}, "/email"),
        ({"email": "ada@example.org", "category": "news"}, "/category"),
        ({"email": "ada@example.org", "detail": "a\nb"}, "/detail"),
    ],
)
async def test_what_cannot_be_suppressed(body, field):
    """What is wrong is named with its remedy."""
    async with a_house() as house:
        answer = await house.organizer.post("/v1/suppressions", json=body)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert answer.json()["errors"][0]["remedy"]


@pytest.mark.parametrize("name", ["Ada\r\nBcc: victim@example.org", "Ada\nX: y", "Ada\u2028"])
async def test_no_header_hides_in_a_name(name):
    """A name with a line end is refused at the door, with the field, the fault and the remedy."""
    async with a_house() as house:
        event = await house.open_event()
        answer = await house.register(event, person() | {"contact": {"name": name, "email": "a@example.org"}})
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["field"] == "/contact/name"
        assert error["remedy"]


async def test_an_address_of_400_characters_is_none():
    """It is refused at the door, with the reason."""
    async with a_house() as house:
        event = await house.open_event()
        contact = {"name": "Ada", "email": "a" * 388 + "@example.org"}
        answer = await house.register(event, person() | {"contact": contact})
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert (error["field"], "254" in error["fault"] + error["remedy"]) == ("/contact/email", True)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ONE_CLICK, "application/x-www-form-urlencoded"),
        (MULTIPART, "multipart/form-data; boundary=x"),
        (ONE_CLICK, ""),
    ],
)
async def test_a_mail_programs_button_unsubscribes_at_once(content, kind):
    """RFC 8058: one POST, without login, cookie or redirect, in either form of a form; twice is once."""
    async with a_house() as house:
        path = f"/u/acme/reminder/{house.signer.choice('acme', hashed(house), 'reminder')}"
        headers = {"content-type": kind} if kind else {}
        for _ in range(2):
            answer = await house.public.post(path, content=content, headers=headers)
            assert answer.status_code == 200
        [kept] = await house.outreach.suppressions("acme", None, 10)
        assert (kept.address, kept.category, kept.reason) == (hashed(house), "reminder", Reason.UNSUBSCRIBE)


async def test_looking_never_unsubscribes():
    """GET and HEAD show the page and change nothing, however often and with whatever query."""
    async with a_house() as house:
        path = f"/u/acme/reminder/{house.signer.choice('acme', hashed(house), 'reminder')}"
        for query in ("", "?lang=de", "?done=stop", "?List-Unsubscribe=One-Click"):
            for method in ("GET", "HEAD"):
                answer = await house.public.request(method, path + query)
                assert answer.status_code == (400 if "List" in query else 200)
        assert await house.outreach.suppressions("acme", None, 10) == []


async def test_the_pages_button_stops_and_starts():
    """The page's form stops the category, and takes it back, by a POST that leads back to the page."""
    async with a_house() as house:
        path = f"/u/acme/reminder/{house.signer.choice('acme', hashed(house), 'reminder')}?lang=en"
        page = (await house.public.get(path)).text
        assert "Stop reminders" in page
        assert 'method="post"' in page
        action = re.search(r'<form method="post" action="([^"]+)"', page)
        assert action is not None
        stop = {"category": "reminder", "choice": "stop"}
        moved = await house.public.post(action.group(1), data=stop)
        assert moved.status_code == 303
        after = (await house.public.get(moved.headers["location"])).text
        assert "You get no more of these." in after
        assert "Send me reminders" in after
        assert len(await house.outreach.suppressions("acme", None, 10)) == 1
        await house.public.post(path, data=stop | {"choice": "receive"})
        assert await house.outreach.suppressions("acme", None, 10) == []


@pytest.mark.parametrize("data", [{}, {"category": "reminder"}, {"category": "x", "choice": "stop"}])
async def test_a_form_that_says_nothing_changes_nothing(data):
    """What chooses nothing is refused as a page."""
    async with a_house() as house:
        path = f"/u/acme/reminder/{house.signer.choice('acme', hashed(house), 'reminder')}"
        assert (await house.public.post(path, data=data)).status_code == 422
        assert await house.outreach.suppressions("acme", None, 10) == []


async def test_a_token_is_good_for_one_address_organizer_and_category():
    """Changed in any part, it is nobody's: a page says so, and nothing is suppressed."""
    async with a_house() as house:
        token = house.signer.choice("acme", hashed(house), "reminder")
        for path in (
            f"/u/other/reminder/{token}",
            f"/u/acme/*/{token}",
            f"/u/acme/reminder/{token[:-1]}{'a' if token[-1] != 'a' else 'b'}",
            "/u/acme/reminder/u1",
        ):
            for answer in (await house.public.get(path), await house.public.post(path, content=ONE_CLICK)):
                assert answer.status_code == 404
                assert "text/html" in answer.headers["content-type"]
        assert await house.outreach.suppressions("acme", None, 10) == []


async def test_a_registrations_page_leads_to_the_choices():
    """Whoever has the link of a registration chooses there, for the address of its contact."""
    async with told() as (house, made, _):
        page = (await house.public.get(f"/r/{made['link']}?lang=en")).text
        assert f"/r/{made['link']}/mail?lang=en" in page
        choices = (await house.public.get(f"/r/{made['link']}/mail?lang=en")).text
        assert "Stop reminders" in choices
        moved = await house.public.post(
            f"/r/{made['link']}/mail", data={"category": "reminder", "choice": "stop"}
        )
        assert moved.headers["location"].startswith(f"/r/{made['link']}/mail?")
        [kept] = await house.outreach.suppressions("acme", None, 10)
        assert (kept.address, kept.category) == (hashed(house), "reminder")


async def test_preferences_over_http():
    """Read and changed by the link, and by the organizer; what is not named stays."""
    async with told() as (house, made, _):
        path = f"/v1/registrations/{made['link']}/preferences"
        assert (await house.public.get(path)).json() == {"categories": {"reminder": True}}
        changed = await house.public.patch(path, json={"categories": {"reminder": False}})
        assert changed.json() == {"categories": {"reminder": False}}
        assert (await house.public.patch(path, json={"categories": {}})).json() == changed.json()
        own = f"/v1/registrations/{made['registration']['id']}/preferences"
        assert (await house.organizer.get(own)).json() == changed.json()
        assert (await house.public.get(own)).status_code == 401
        wrong = await house.public.patch(path, json={"categories": {"news": False}})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "/categories")


async def test_a_person_takes_back_only_their_own_choice():
    """What the organizer switched off stays off, and the page says whom to ask."""
    async with told() as (house, made, _):
        body = {"email": "ada@example.org", "category": "reminder"}
        await house.organizer.post("/v1/suppressions", json=body)
        path = f"/v1/registrations/{made['link']}/preferences"
        assert (await house.public.patch(path, json={"categories": {"reminder": True}})).json() == {
            "categories": {"reminder": False}
        }
        page = (await house.public.get(f"/r/{made['link']}/mail?lang=en")).text
        assert "Please ask them" in page
        assert "<form" not in page


async def test_an_address_that_does_not_exist_is_suppressed():
    """The report of a mail server names the notice, and the notice's address gets nothing more."""
    async with told() as (house, _, notice):
        answer = await house.organizer.post("/v1/bounces", content=report(notice), headers=RAW)
        assert answer.json() == {"notice": notice, "said": "hard", "status": "5.1.1", "suppressed": True}
        [kept] = await house.outreach.suppressions("acme", None, 10)
        assert (kept.address, kept.category, kept.reason) == (hashed(house), "*", Reason.BOUNCE)
        assert kept.detail == "5.1.1"


async def test_a_report_by_the_envelope_sender():
    """The token that the mail's envelope sender carried is enough, and a forged one is nothing."""
    async with told() as (house, _, notice):
        to = f"bounces+{house.signer.bounce(notice)}@tickets.example"
        answer = await house.organizer.post("/v1/bounces", content=dsn(failed(), to=to, back=False))
        assert answer.json()["suppressed"] is True
        forged = to.replace("@", "x@")[:-1]
        answer = await house.organizer.post("/v1/bounces", content=dsn(failed(), to=forged, back=False))
        assert answer.status_code == 422


async def test_what_a_report_says_of_addresses_is_not_believed():
    """A report that names somebody else's address suppresses the one that the mail went to."""
    async with told() as (house, _, notice):
        raw = report(notice).replace(b"ada@example.org", b"victim@example.org")
        assert (await house.organizer.post("/v1/bounces", content=raw)).json()["suppressed"] is True
        [kept] = await house.outreach.suppressions("acme", None, 10)
        assert kept.address == hashed(house)


@pytest.mark.parametrize(("status", "said"), [("4.4.1", "soft"), ("5.2.2", "soft"), ("5.7.1", "soft")])
async def test_a_soft_bounce_is_noted_alone(status, said):
    """A full mailbox, a busy server or a suspicion says nothing of the address."""
    async with told() as (house, _, notice):
        answer = await house.organizer.post("/v1/bounces", content=report(notice, status))
        assert answer.json() == {"notice": notice, "said": said, "status": status, "suppressed": False}
        assert await house.outreach.suppressions("acme", None, 10) == []


async def test_who_complains_gets_nothing_more():
    """A complaint (ARF) suppresses as a bounce does, with its own reason."""
    async with told() as (house, _, notice):
        answer = await house.organizer.post("/v1/bounces", content=report(notice, raw=arf()))
        assert answer.json()["said"] == "complaint"
        [kept] = await house.outreach.suppressions("acme", None, 10)
        assert (kept.address, kept.category, kept.reason) == (hashed(house), "*", Reason.COMPLAINT)


async def test_a_report_of_somebody_elses_notice():
    """It does not exist for another organizer, and nothing is suppressed."""
    async with told() as (house, _, notice):
        other = house.client(await house.new_key("write", organizer="other"))
        answer = await other.post("/v1/bounces", content=report(notice))
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:veltrix:problem:unknown_notice")
        assert await house.outreach.suppressions("acme", None, 10) == []


async def test_a_report_of_a_person_who_was_erased():
    """Their address is not known any more, so there is nothing to suppress; the report is taken."""
    async with told() as (house, made, notice):
        registration = await house.ledger.registration(made["registration"]["id"])
        await house.vault.destroy([registration.box.key_id])
        answer = await house.organizer.post("/v1/bounces", content=report(notice))
        assert (answer.json()["said"], answer.json()["suppressed"]) == ("hard", False)


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [
        (b"", 422, "is empty"),
        (b"hello", 422, "is no report"),
        (b"x" * 2_000_000, 413, ""),
        (dsn(failed(), back=False), 422, "names no mail of ours"),
    ],
)
async def test_a_report_that_cannot_be_used(raw, status, said):
    """The answer says what is wrong and what to do, in the reader's language."""
    async with a_house() as house:
        answer = await house.organizer.post("/v1/bounces", content=raw)
        assert answer.status_code == status
        if said:
            [error] = answer.json()["errors"]
            assert (error["fault"], bool(error["remedy"])) == (said, True)
            german = await house.organizer.post("/v1/bounces", content=raw, headers={"accept-language": "de"})
            assert german.json()["errors"][0]["fault"] != said


async def test_removing_also_forgets_what_mail_servers_said(monkeypatch):
    """An address that bounced while mail was sent is listed, and written to again when it is removed: an
    order to notification, whose state that is."""
    async with a_house() as house:

        async def bounced(asked):
            return set(asked)

        monkeypatch.setattr(house.notices, "bounced", bounced)
        assert (await house.organizer.get("/v1/bounces")).json() == {"items": [], "next_cursor": None}
        assert (await house.organizer.delete("/v1/suppressions/ada@example.org")).status_code == 204
        [order] = await house.outreach.orders(0, 10)
        assert (order.kind, order.organizer, order.addresses) == (
            OrderKind.UNBOUNCE,
            "acme",
            (hashed(house),),
        )
