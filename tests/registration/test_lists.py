"""Lists and exports."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registration.house import a_house, lines, person
from veltrix.registration.cursors import read_cursor, write_cursor
from veltrix.registration.lists import csv_line
from veltrix.registration.problems import Problem

BIG = {"pools": [{"key": "main", "capacity": 5}], "waitlist": {"size": 50}}


async def filled(house, count=7, **changes):
    """An event with registrations, one of them cancelled."""
    event = await house.open_event(**BIG | changes)
    made = [(await house.register(event, person(f"P{number}"))).json() for number in range(count)]
    await house.public.post(f"/v1/registrations/{made[0]['link']}/cancel")
    return event, made


async def test_a_list_gives_everybody_once_in_order():
    """Page by page, every registration comes once, by arrival, with its contact and without tickets."""
    async with a_house() as house:
        event, made = await filled(house)
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await house.organizer.get(f"/v1/events/{event}/registrations?limit=3{cursor}")).json()
            found += page["items"]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert [row["id"] for row in found] == [each["registration"]["id"] for each in made]
        assert [row["contact"]["name"] for row in found] == [f"P{number}" for number in range(7)]
        assert [row["status"] for row in found] == ["cancelled"] + ["confirmed"] * 5 + ["waitlisted"]
        assert all("ticket" not in seat for row in found for seat in row["seats"])


async def test_people_are_found():
    """By status, and by e-mail address in any spelling."""
    async with a_house() as house:
        event, _ = await filled(house)
        path = f"/v1/events/{event}/registrations"
        waiting = (await house.organizer.get(f"{path}?status=waitlisted,cancelled")).json()["items"]
        assert [row["contact"]["name"] for row in waiting] == ["P0", "P6"]
        (one,) = (await house.organizer.get(f"{path}?email=P3@EXAMPLE.org")).json()["items"]
        assert one["contact"]["name"] == "P3"
        assert (await house.organizer.get(f"{path}?email=nobody@example.org")).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "status=gone",
        "email=x",
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1&limit=2",
        "cursor=",
        "cursor=%ff",
        "cursor=bm90",
        "colour=1",
        "%ff=1",
    ],
)
async def test_faulty_queries_are_refused(query):
    """A parameter that cannot be used is 400, and none is ignored."""
    async with a_house() as house:
        event = await house.open_event()
        answer = await house.organizer.get(f"/v1/events/{event}/registrations?{query}")
        assert answer.status_code == 400
        assert answer.json()["type"].endswith(("invalid_query", "bad_cursor"))


async def test_cursors_belong_to_their_list():
    """A cursor of another event or another search is none of this list's."""
    async with a_house() as house:
        event, _ = await filled(house)
        other = await house.open_event()
        path = f"/v1/events/{event}/registrations"
        cursor = (await house.organizer.get(f"{path}?limit=2")).json()["next_cursor"]
        for wrong in (
            f"/v1/events/{other}/registrations?cursor={cursor}",
            f"{path}?status=held&cursor={cursor}",
        ):
            assert (await house.organizer.get(wrong)).status_code == 400


async def test_exports_hold_everything():
    """By registration in NDJSON: one row each, by arrival, with what the checks of a load need."""
    async with a_house() as house:
        event, made = await filled(house)
        answer = await house.organizer.get(f"/v1/events/{event}/export")
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert 'filename="party-' in answer.headers["content-disposition"]
        rows = lines(answer.text)
        assert [row["arrival"] for row in rows] == [each["registration"]["arrival"] for each in made]
        needed = {"id", "arrival", "status", "seats", "contact", "external_ref", "decided_at", "version"}
        assert all(needed <= set(row) for row in rows)
        assert set(rows[1]["seats"][0]) >= {"number", "category", "status"}
        confirmed = await house.organizer.get(f"/v1/events/{event}/export?status=confirmed")
        assert len(lines(confirmed.text)) == 5


async def test_exports_by_seat_hold_tickets():
    """By seat: one row a seat with who sits there, and the ticket of a confirmed one."""
    async with a_house() as house:
        event = await house.open_event()
        body = person("Ada", 2)
        body["seats"] = [{"category": "std"}, {"category": "vip", "attendee": {"name": "Byron"}}]
        made = (await house.register(event, body)).json()
        rows = lines((await house.organizer.get(f"/v1/events/{event}/export?by=seat")).text)
        assert [row["name"] for row in rows] == ["Ada", "Byron"]
        assert [row["ticket"] for row in rows] == [seat["ticket"] for seat in made["registration"]["seats"]]


async def test_csv_has_a_column_for_each_question():
    """CSV has named columns, also the form's; Excel gets its byte order mark."""
    async with a_house() as house:
        form = {
            "questions": [{"key": "diet", "label": "Diet?"}, {"key": "ok", "label": "OK?", "kind": "boolean"}]
        }
        event = await house.open_event(form=form)
        await house.register(event, person("Ada", answers={"diet": 'a "b", c', "ok": True}))
        for by, columns in (("registration", "categories"), ("seat", "ticket")):
            answer = await house.organizer.get(f"/v1/events/{event}/export?by={by}&format=csv")
            assert answer.headers["content-type"].startswith("text/csv")
            (row,) = csv.DictReader(io.StringIO(answer.text))
            assert row["name"] == "Ada"
            assert row["answers.diet"] == 'a "b", c'
            assert row["answers.ok"] == "true"
            assert row[columns]
        excel = await house.organizer.get(f"/v1/events/{event}/export?format=excel")
        assert excel.content.startswith(b"\xef\xbb\xbfid,")


async def test_no_formula_reaches_a_spreadsheet():
    """A name that begins like a formula is kept from being one."""
    async with a_house() as house:
        event = await house.open_event()
        for number, name in enumerate(("=cmd()", "+1", "-1", "@x")):
            body = person(f"P{number}")
            body["contact"]["name"] = name
            await house.register(event, body)
        answer = await house.organizer.get(f"/v1/events/{event}/export?format=csv")
        names = [row["name"] for row in csv.DictReader(io.StringIO(answer.text))]
        assert names == ["'=cmd()", "'+1", "'-1", "'@x"]


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), min_size=1))
def test_a_line_of_csv_is_one_line_of_csv(values):
    """Whatever the values are, a line reads back as that many cells, none of them a formula."""
    (row,) = csv.reader(io.StringIO(csv_line(values), newline=""))
    assert len(row) == len(values)
    for cell, value in zip(row, values, strict=True):
        if isinstance(value, str):
            assert cell in (value, f"'{value}")
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.mark.parametrize("query", ["by=person", "format=xml", "status=x", "limit=1"])
async def test_faulty_exports_are_refused(query):
    """An export that cannot be made is 400, before anything is streamed."""
    async with a_house() as house:
        event = await house.open_event()
        assert (await house.organizer.get(f"/v1/events/{event}/export?{query}")).status_code == 400


@given(st.text(max_size=300))
def test_no_text_is_a_cursor(text):
    """A cursor that was not given out is refused, whatever it is."""
    with pytest.raises(Problem, match="bad_cursor"):
        read_cursor({"cursor": text}, "kind", "of", int)


@given(st.integers(0, 2**60), st.text(max_size=40))
def test_a_cursor_reads_back(after, of):
    """A cursor leads back to where it was given out, and to no other list."""
    cursor = {"cursor": write_cursor("kind", of, after)}
    assert read_cursor(cursor, "kind", of, int) == after
    with pytest.raises(Problem):
        read_cursor(cursor, "kind", of + "x", int)
    with pytest.raises(Problem):
        read_cursor(cursor, "kind", of, str)
