"""Organizers' texts over HTTP: saved only when everybody could read them, looked at, tried, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from typing import Any

import msgspec
import pytest

from tests.registration.house import House, a_house
from veltrix.domain import limits
from veltrix.domain.notices import NoticeKind
from veltrix.ports.outreach import OrderKind
from veltrix.sealing import open_secret

ONE = "/v1/templates/reminder/en"
TEXT = {
    "subject": "Soon: {{ title }}",
    "text": "Hello {{ name }}, on {{ date }}:\n\n{{ seats }}\n{{ link }}\n",
}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A house."""
    async with a_house() as house:
        yield house


async def test_a_template_is_saved_read_replaced_and_removed(house: House):
    """Each version takes the place of the one before; whoever saw an older one is told so."""
    saved = await house.organizer.put(ONE, json=TEXT)
    assert saved.status_code == 200, saved.text
    assert (saved.json()["version"], saved.headers["etag"]) == (1, '"1"')
    read = await house.organizer.get(ONE)
    assert read.json() == saved.json()
    again = await house.organizer.put(ONE, json=TEXT | {"subject": "Now"}, headers={"if-match": '"1"'})
    assert (again.status_code, again.json()["version"]) == (200, 2)
    late = await house.organizer.put(ONE, json=TEXT, headers={"if-match": '"1"'})
    assert late.status_code == 412
    listed = (await house.organizer.get("/v1/templates")).json()
    assert [(each["kind"], each["locale"], each["version"]) for each in listed["items"]] == [
        ("reminder", "en", 2)
    ]
    assert listed["kinds"] == list(NoticeKind)
    assert {each["name"] for each in listed["variables"]} >= {"title", "name", "link", "seats"}
    assert (await house.organizer.delete(ONE)).status_code == 204
    for gone in (await house.organizer.get(ONE), await house.organizer.delete(ONE)):
        assert (gone.status_code, gone.json()["type"]) == (404, "urn:veltrix:problem:unknown_template")


async def test_a_locale_has_one_spelling(house: House):
    """`DE-ch` is `de-CH`: two templates for one language would be a riddle."""
    assert (await house.organizer.put("/v1/templates/held/DE-ch", json=TEXT)).json()["locale"] == "de-CH"
    assert (await house.organizer.get("/v1/templates/held/de-CH")).status_code == 200


HOSTILE: list[tuple[dict[str, str], str, str]] = [
    (
        {"text": "{% for i in range(1000000000) %}x{% endfor %}"},
        "/text",
        "repeats something 1000000000 times",
    ),
    (
        {"text": "{% for a in range(999) %}{% for b in range(999) %}x{% endfor %}{% endfor %}"},
        "/text",
        "998001",
    ),
    ({"text": "{{ 9**9**9 }}"}, "/text", "templates have no 'Pow'"),
    ({"text": "{{ title.__class__ }}"}, "/text", "templates have no parts of values"),
    ({"text": "{% include '/etc/passwd' %}"}, "/text", "templates have no 'include'"),
    ({"text": "{{ tilte }}"}, "/text", "'tilte' is unknown"),
    ({"text": "{{ name|upper }}"}, "/text", "does something with 'name'"),
    ({"text": "{{ title"}, "/text", "line 1"),
    ({"text": " \n"}, "/text", "is empty"),
    ({"html": "<script>alert(1)</script>"}, "/html", "'<script'"),
    ({"html": "{{ title|safe }}"}, "/html", "uses the filter 'safe'"),
    ({"subject": "{{ name }}"}, "/subject", "another one for everybody"),
    ({"subject": "Hi\r\nBcc: all@example.org"}, "/subject", "has more than one line"),
    ({"subject": ""}, "/subject", "is empty"),
]


@pytest.mark.parametrize(("change", "field", "fault"), HOSTILE, ids=lambda each: str(each)[:40])
async def test_what_nobody_should_get_is_refused_with_the_reason(
    house: House, change: dict[str, str], field: str, fault: str
):
    """At once, naming field, fault and remedy; nothing is saved, looked at or sent."""
    for method, path, more in (
        ("PUT", ONE, {}),
        ("POST", f"{ONE}/preview", {}),
        ("POST", f"{ONE}/test", {"to": "me@example.org"}),
    ):
        answer = await house.organizer.request(method, path, json=TEXT | change | more)
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["field"] == field
        assert fault in error["fault"]
        assert error["remedy"]
    assert (await house.organizer.get("/v1/templates")).json()["items"] == []
    assert await house.outreach.orders(0, 10) == []


async def test_a_kind_or_language_that_there_is_not_is_refused(house: House):
    """Whoever mistypes a kind is told which there are."""
    answer = await house.organizer.put("/v1/templates/remainder/en", json=TEXT)
    assert answer.status_code == 422
    assert "reminder" in answer.text
    assert (await house.organizer.put("/v1/templates/reminder/e", json=TEXT)).status_code == 422


async def test_a_preview_shows_what_people_get(house: House):
    """A draft, else one's own, else ours; of an event of one's own, where one is named."""
    event = await house.open_event()
    standard = (await house.organizer.post(f"{ONE}/preview")).json()
    assert (standard["source"], standard["subject"]) == ("standard", "Reminder: Sample event")
    draft = (await house.organizer.post(f"{ONE}/preview", json=TEXT | {"event": event})).json()
    assert (draft["source"], draft["subject"]) == ("draft", "Soon: Party")
    assert "Hello Alex Sample, on 2031-05-01" in draft["text"]
    assert "<table" in draft["html"]
    assert any("unsubscribe" in each for each in draft["warnings"])
    await house.organizer.put(ONE, json=TEXT | {"html": "<h1>{{ title }}</h1>{{ name }}"})
    own = (await house.organizer.post(f"{ONE}/preview", json={"event": event})).json()
    assert (own["source"], own["html"]) == ("yours", "<h1>Party</h1>Alex Sample\n")
    assert any("'link'" in each for each in own["warnings"])


async def test_what_an_event_says_is_escaped_in_html(house: House):
    """A title with markup is text in a mail, in a template's HTML and in what is made from its text."""
    event = await house.open_event(title="<b>Party</b> & more")
    for html in ("", "<p>{{ title }}</p>"):
        body = {"subject": "{{ title }}", "text": "{{ title }} {{ link }}", "html": html, "event": event}
        found = (await house.organizer.post(f"{ONE}/preview", json=body)).json()
        assert "&lt;b&gt;Party&lt;/b&gt; &amp; more" in found["html"]
        assert found["subject"] == "<b>Party</b> & more"


async def test_a_test_mail_is_ordered_once_and_sealed(house: House):
    """Repeated under its key it is the same order; neither address nor text stands in it in clear."""
    body = TEXT | {"to": "me@example.org"}
    answers = [
        await house.organizer.post(f"{ONE}/test", json=body, headers={"idempotency-key": "a" * 32})
        for _ in range(2)
    ]
    assert [each.json()["order"] for each in answers] == [1, 1]
    [order] = await house.outreach.orders(0, 10)
    assert order.kind is OrderKind.TEST_MAIL
    assert b"example.org" not in order.payload
    opened = open_secret(order.payload, b"t" * 32, "acme", "test_mail")
    to, raw = msgspec.msgpack.decode(opened, type=tuple[str, bytes])
    assert to == "me@example.org"
    mail: Any = message_from_bytes(raw, policy=policy.default)
    assert (mail["to"].addresses[0].addr_spec, mail["subject"]) == ("me@example.org", "Soon: Sample event")
    bad = await house.organizer.post(f"{ONE}/test", json=TEXT | {"to": "me@example.org\r\nBcc: x@y.z"})
    assert bad.status_code == 422


async def test_templates_are_their_organizers_own(house: House):
    """Another organizer sees none of them and cannot look at events that are not theirs."""
    event = await house.open_event()
    await house.organizer.put(ONE, json=TEXT)
    other = house.client(await house.new_key("read", "write", organizer="other"))
    assert (await other.get("/v1/templates")).json()["items"] == []
    assert (await other.get(ONE)).status_code == 404
    assert (await other.post(f"{ONE}/preview", json={"event": event})).status_code == 404
    reader = house.client(await house.new_key("read"))
    assert (await reader.put(ONE, json=TEXT)).status_code == 403
    assert (await house.public.get(ONE)).status_code == 401


async def test_templates_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch):
    """Replacing one goes on where a new one does not."""
    monkeypatch.setattr(limits, "TEMPLATES_PER_ORGANIZER_MAX", 1)
    assert (await house.organizer.put(ONE, json=TEXT)).status_code == 200
    assert (await house.organizer.put("/v1/templates/held/en", json=TEXT)).status_code == 409
    assert (await house.organizer.put(ONE, json=TEXT)).status_code == 200


async def test_both_find_room(house: House):
    """Two who save at the same time both do, one after the other."""
    answers = await asyncio.gather(*(house.organizer.put(ONE, json=TEXT) for _ in range(2)))
    assert sorted(each.json()["version"] for each in answers) == [1, 2]
