"""The pages, as a browser without JavaScript sees them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from tests.registration.house import EVENT, House, a_house, person, strong_key
from veltrix.registration.page_views import price_text, qr_code

FORM = {
    "version": 1,
    "questions": [
        {"key": "diet", "label": "Diet?", "scope": "seat"},
        {"key": "how", "label": "How?", "kind": "choice", "required": True, "choices": {"a": "A"}},
        {"key": "news", "label": "News?", "kind": "boolean"},
    ],
}
SENT = {
    "name": "Ada", "email": "ada@example.org", "seats": "2", "form_version": "1",
    "s0.category": "std", "s0.attendee": "", "s0.q.diet": "nuts",
    "s1.category": "vip", "s1.attendee": "Byron", "s1.q.diet": "", "q.how": "a",
}  # fmt: skip


class Outline(HTMLParser):
    """What a page refers to, and whether each field has a label."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.labels: set[str] = set()
        self.fields: list[str] = []
        self.ids: list[str] = []
        self.hidden: dict[str, str] = {}
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [given[name] for name in ("href", "src", "action") if given.get(name)]
        if given.get("id"):
            self.ids.append(given["id"])
        if tag == "label":
            self.labels.add(given["for"])
        if tag in ("input", "select", "textarea"):
            if given.get("type") == "hidden":
                self.hidden[given["name"]] = given["value"]
            else:
                self.fields.append(given["id"])
        if tag == "style" or "style" in given or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on")]


async def every_page(house: House) -> dict[str, str]:
    """Each kind of page: its address and text."""
    event = await house.open_event(form=FORM, pools=[{"key": "main", "capacity": 9}], holds={"ttl_s": 60})
    made = (await house.register(event, person("Ada", 2, answers={"how": "a"}))).json()
    await house.public.post(f"/v1/registrations/{made['link']}/confirm")
    await house.pause()
    waiting = await house.register(event, person("Eve", answers={"how": "a"}), prefer="respond-async")
    token = waiting.headers["location"].rpartition("/")[2]
    paths = ["/", "/docs", f"/e/{event}?seats=3", f"/r/{made['link']}", f"/d/{token}", "/e/evt_none"]
    return {path: (await house.public.get(path)).text for path in paths}


async def test_pages_are_self_contained_and_accessible():
    """No page refers elsewhere or holds script or style of its own; fields have labels, ids are unique."""
    async with a_house() as house:
        for path, text in (await every_page(house)).items():
            outline = Outline(text)
            assert all(not urlsplit(address).netloc for address in outline.addresses), path
            assert outline.inline == [], path
            assert set(outline.fields) <= outline.labels, path
            assert len(set(outline.ids)) == len(outline.ids), path
            assert '<html lang="en">' in text
            for address in outline.addresses:
                if address.startswith("/assets/"):
                    asset = await house.public.get(address)
                    assert asset.status_code == 200
                    assert "immutable" in asset.headers["cache-control"]


async def test_pages_give_nothing_away():
    """Links are capabilities: no page is stored, framed, named to another site, or open to scripts."""
    async with a_house() as house:
        for path in await every_page(house):
            answer = await house.public.get(path)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy


async def test_pages_speak_the_visitors_language():
    """The browser's language chooses, and the address overrules it."""
    async with a_house() as house:
        event = await house.open_event()
        german = await house.public.get(f"/e/{event}", headers={"accept-language": "de"})
        assert "Feier" in german.text
        assert "Anmelden" in german.text
        assert german.headers["content-language"] == "de"
        english = await house.public.get(f"/e/{event}?lang=en", headers={"accept-language": "de"})
        assert "Party" in english.text
        missing = await house.public.get("/e/x", headers={"accept-language": "de"})
        assert missing.status_code == 404
        assert "Diese Veranstaltung gibt es nicht" in missing.text


async def test_an_event_is_found_by_its_slug():
    """The public page is at the event's id, and at its organizer's name for it."""
    async with a_house() as house:
        event = await house.open_event(slug="autumn")
        by_id, by_slug = [await house.public.get(path) for path in (f"/e/{event}", "/e/acme/autumn")]
        assert by_slug.status_code == 200
        assert f'action="/e/{event}?lang=en"' in by_slug.text
        assert re.sub(r'value="[0-9a-f]{32}"', "", by_id.text) == re.sub(
            r'value="[0-9a-f]{32}"', "", by_slug.text
        )


async def test_the_form_works_without_a_script():
    """Sent as a browser does, the form registers once and leads to the page; sent twice, too."""
    async with a_house() as house:
        event = await house.open_event(form=FORM)
        page = await house.public.get(f"/e/{event}?seats=2")
        hidden = Outline(page.text).hidden
        sent = SENT | {"key": hidden["key"]}
        answers = [await house.public.post(f"/e/{event}", data=sent) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [303, 303]
        assert answers[0].headers["location"] == answers[1].headers["location"]
        shown = await house.public.get(answers[0].headers["location"])
        assert "Confirmed" in shown.text
        assert "Byron" in shown.text
        rows = (await house.organizer.get(f"/v1/events/{event}/registrations")).json()["items"]
        assert len(rows) == 1
        assert rows[0]["answers"] == {"how": "a", "news": False}
        assert rows[0]["contact"]["locale"] == "en"


async def test_a_faulty_form_comes_back_with_what_was_entered():
    """What is wrong is said at its field, what was entered is kept, and so is the key."""
    async with a_house() as house:
        event = await house.open_event(form=FORM)
        key = strong_key()
        sent = SENT | {"key": key, "email": "nobody", "q.how": "", "s1.attendee": "Byron"}
        answer = await house.public.post(f"/e/{event}", data=sent)
        assert answer.status_code == 422
        assert answer.text.count('aria-invalid="true"') == 2
        assert "is no e-mail address" in answer.text
        assert 'value="Byron"' in answer.text
        assert Outline(answer.text).hidden["key"] == key


async def test_a_refused_form_gets_a_new_key():
    """A refusal is bound to its key, so the next attempt from the same page is another request."""
    async with a_house() as house:
        event = await house.open_event(form=FORM, pools=[{"key": "main", "capacity": 1}], waitlist=None)
        key = strong_key()
        answer = await house.public.post(f"/e/{event}", data=SENT | {"key": key})
        assert answer.status_code == 409
        assert "Sold out" in answer.text
        assert Outline(answer.text).hidden["key"] != key


async def test_who_is_in_line_is_led_on():
    """A form whose decision takes long leads to a page that looks again, and then to what was decided."""
    async with a_house() as house:
        event = await house.open_event(form=FORM)
        await house.pause()
        waiting = await house.register(event, person("Eve", answers={"how": "a"}), prefer="respond-async")
        refused = await house.register(event, person("Eve", 11, answers={"how": "a"}), prefer="respond-async")
        pages = [f"/d/{answer.headers['location'].rpartition('/')[2]}" for answer in (waiting, refused)]
        page = await house.public.get(pages[1])
        assert page.status_code == 200
        assert 'http-equiv="refresh"' in page.text
        assert "Before you: 1" in page.text
        await house.decide()
        await house.public.get(refused.headers["location"])
        decided = await house.public.get(pages[0])
        assert decided.status_code == 303
        assert decided.headers["location"].startswith("/r/r1")
        problem = await house.public.get(pages[1])
        assert problem.status_code == 422
        assert "Too many seats at once" in problem.text


async def test_a_registration_is_confirmed_and_cancelled_by_its_buttons():
    """Buttons post, lead back to the page, and do their thing once; looking at a page does nothing."""
    async with a_house() as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 9}], holds={"ttl_s": 600})
        made = (await house.register(event, person("Ada", 2))).json()
        path = f"/r/{made['link']}"
        page = await house.public.get(path)
        assert "Held for you" in page.text
        done = page
        for _ in range(2):
            done = await house.public.post(
                f"{path}/confirm", data={"key": Outline(page.text).hidden["key"][:32]}
            )
            assert done.status_code == 303
        page = await house.public.get(done.headers["location"])
        assert "Your seats are confirmed." in page.text
        assert page.text.count("<svg") == 3
        seat = made["registration"]["seats"][0]["number"]
        done = await house.public.post(f"{path}/cancel", data={"key": strong_key(), "seat": str(seat)})
        page = await house.public.get(done.headers["location"])
        assert "It was cancelled." in page.text
        assert page.text.count("<svg") == 2
        await house.public.post(f"{path}/cancel", data={"key": strong_key()})
        page = await house.public.get(path)
        assert "Cancelled" in page.text
        assert "<form" not in page.text
        again = await house.public.post(f"{path}/cancel", data={"key": strong_key(), "seat": "99"})
        assert again.status_code == 409
        assert "The registration has ended" in again.text


@pytest.mark.parametrize("status", ["close", "cancel"])
async def test_a_page_says_why_nobody_can_register(status):
    """A closed or cancelled event has a page that says so, and no form."""
    async with a_house() as house:
        event = await house.open_event()
        await house.organizer.post(f"/v1/events/{event}/{status}")
        page = await house.public.get(f"/e/{event}")
        assert page.status_code == 200
        assert "<form" not in page.text
        assert 'class="notice"' in page.text


async def test_nothing_that_people_write_becomes_markup():
    """Titles, names and answers are shown as text, whatever they hold."""
    async with a_house() as house:
        evil = "<script>alert(1)</script>'\"&"
        event = await house.open_event(title=evil, description=evil, venue=evil)
        body = person("Ada")
        body["contact"]["name"] = evil
        made = (await house.register(event, body)).json()
        for path in (f"/e/{event}", f"/r/{made['link']}"):
            text = (await house.public.get(path)).text
            assert "<script>alert" not in text
            assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        ({"key": "short"}, None, 400),
        ({}, "text/plain", 415),
        ({"key": "k" * 32, "seats": "999999999999"}, None, 422),
        ({f"f{n}": "x" for n in range(1_100)}, None, 422),
    ],
)
async def test_hostile_forms_are_refused(data, content_type, status):
    """A form that no page of ours sends is refused like any other request, without a traceback."""
    async with a_house() as house:
        event = await house.open_event()
        headers = {"content-type": content_type} if content_type else {}
        answer = await house.public.post(f"/e/{event}", data=data, headers=headers)
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("minor", "currency", "language", "text"),
    [
        (0, "EUR", "en", "free"),
        (2500, "EUR", "en", "25.00 EUR"),
        (123456789, "EUR", "de", "1.234.567,89 EUR"),
        (5000, "JPY", "en", "5,000 JPY"),
        (1234, "KWD", "en", "1.234 KWD"),
    ],
)
def test_prices_are_shown_as_people_read_them(minor, currency, language, text):
    """Minor units, groups and points follow the currency and the language."""
    assert price_text(minor, currency, language) == text


def test_a_qr_code_needs_nothing_else():
    """A ticket's QR code is one SVG without script, style or reference."""
    drawn = qr_code("T1AAAAATJN6KR7KK5JHRNKYNY")
    assert drawn.startswith("<svg")
    assert "href" not in drawn
    assert "style=" not in drawn


async def test_the_start_page_leads_on():
    """The start page says what runs here, and every link on it leads somewhere."""
    async with a_house() as house:
        page = await house.public.get("/")
        for address in Outline(page.text).addresses:
            assert (await house.public.get(address)).status_code == 200, address
        assert EVENT["slug"] not in page.text
