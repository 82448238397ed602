"""Bulk imports."""

from __future__ import annotations

import json

import pytest

from tests.registration.house import a_house, lines, person, quick

BIG = {"pools": [{"key": "main", "capacity": 3}], "waitlist": {"size": 1}}
NDJSON = {"content-type": "application/x-ndjson"}
CSV = {"content-type": "text/csv; charset=utf-8"}


def ndjson(*rows):
    """Rows as they are sent."""
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


async def imported(house, event, content, headers=NDJSON, **more):
    """The report of an import: the rows, and the summary."""
    answer = await house.organizer.post(
        f"/v1/events/{event}/imports", content=content, headers=headers | more
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    *rows, last = lines(answer.text)
    return rows, last


async def test_every_row_is_reported():
    """Rows compete for the same seats as everybody, in their order; the report says what became of each."""
    async with a_house() as house:
        event = await house.open_event(**BIG)
        rows, last = await imported(
            house,
            event,
            ndjson(
                person("A", 2),
                "not json",
                person("B"),
                {"contact": {"name": "C", "email": "c"}, "seats": [{"category": "std"}]},
                "",
                person("D"),
                person("E"),
            ),
        )
        assert [row["row"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert [row["result"] for row in rows] == [
            "accepted", "invalid", "accepted", "invalid", "accepted", "refused",
        ]  # fmt: skip
        assert [row.get("status") for row in rows][4] == "waitlisted"
        assert rows[3]["errors"][0]["field"] == "/contact/email"
        assert rows[5]["refusal"] == "waitlist_full"
        assert rows[5]["explanation"]
        assert last["summary"] == {
            "rows": 6, "accepted": 3, "refused": 1, "undecided": 0, "invalid": 2, "failed": 0,
        }  # fmt: skip
        (row,) = (await house.organizer.get(f"/v1/events/{event}/registrations?limit=1")).json()["items"]
        assert row["source"] == "import"


async def test_an_import_may_be_sent_again():
    """Under the same key, rows that were imported are not imported twice."""
    async with a_house() as house:
        event = await house.open_event(**BIG)
        content = ndjson(person("A"), person("B"))
        first, last = await imported(house, event, content)
        again, _ = await imported(house, event, content, **{"idempotency-key": last["idempotency_key"]})
        assert [row["registration"] for row in first] == [row["registration"] for row in again]
        assert [row["replayed"] for row in again] == [True, True]
        other, _ = await imported(
            house, event, ndjson(person("Z")), **{"idempotency-key": last["idempotency_key"]}
        )
        assert other[0]["problem"].endswith("key_reused")


async def test_csv_is_imported_by_its_columns():
    """Columns are found by name; seats, answers and metadata are read from them."""
    async with a_house() as house:
        form = {"questions": [{"key": "diet", "label": "?"}, {"key": "ok", "label": "?", "kind": "boolean"}]}
        event = await house.open_event(**BIG, form=form)
        content = (
            "\ufeffemail,name,categories,answers.diet,answers.ok,metadata.table,locale,form_version\r\n"
            'ada@example.org,"Lovelace, Ada",std vip,\'=none,TRUE,7,de,1\r\n'
            "\r\n"
            "eve@example.org,Eve,std,,,,,x\r\n"
        )
        rows, _ = await imported(house, event, content.encode(), CSV)
        assert [row["result"] for row in rows] == ["accepted", "invalid"]
        assert rows[1]["errors"][0]["field"] == "/form_version"
        (row,) = (await house.organizer.get(f"/v1/events/{event}/registrations")).json()["items"]
        assert row["contact"] == {"name": "Lovelace, Ada", "email": "ada@example.org", "locale": "de"}
        assert [seat["category"] for seat in row["seats"]] == ["std", "vip"]
        assert row["answers"] == {"diet": "=none", "ok": True}
        assert row["metadata"] == {"table": "7"}


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"", {"content-type": "text/plain"}, "unsupported_media_type"),
        (b"\xff", NDJSON, "malformed_json"),
        (b"name,email\r\n", CSV, "invalid_body"),
        (b"name,email,categories,colour\r\n", CSV, "invalid_body"),
        (b'name,email,categories\r\n"', CSV, "invalid_body"),
        (b"x" * 2_000, NDJSON, "body_too_large"),
        (b"{}\n" * 11, NDJSON, "invalid_body"),
        (b'name,email,categories\r\n"' + b"x" * 900, CSV, "invalid_body"),
    ],
)
async def test_what_is_no_import_is_refused_whole(content, headers, code):
    """What cannot be read at all, or has too much, is a problem and imports nothing."""
    async with a_house(quick(import_max_bytes=1_000, import_max_rows=10)) as house:
        event = await house.open_event()
        answer = await house.organizer.post(f"/v1/events/{event}/imports", content=content, headers=headers)
        assert answer.json()["type"].endswith(code)
        again = await house.organizer.post(f"/v1/events/{event}/imports", content=b"", headers=NDJSON)
        assert lines(again.text)[-1]["summary"]["rows"] == 0


async def test_imports_have_a_bound_of_their_own():
    """No more rows are undecided at once than the bound says, and all are imported in the end."""
    async with a_house(quick(import_in_flight=3)) as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 100}])
        most = 0
        ask = house.service.core.desk.ask

        async def counted(*arguments):
            nonlocal most
            most = max(most, house.service.core.desk.held + 1)
            return await ask(*arguments)

        house.service.core.desk.ask = counted
        rows, last = await imported(house, event, ndjson(*(person(f"P{n}") for n in range(40))))
        assert most <= 3
        assert last["summary"]["accepted"] == 40
        arrivals = [int(row["arrival"].split(".")[1]) for row in rows]
        assert arrivals == sorted(arrivals)


async def test_rows_in_line_are_reported_as_such():
    """A row that is not decided in time is undecided, with the place where its decision will be."""
    async with a_house(quick(wait_default_s=0.01)) as house:
        event = await house.open_event()
        await house.pause()
        rows, last = await imported(house, event, ndjson(person("A")))
        assert (rows[0]["result"], last["summary"]["undecided"]) == ("undecided", 1)
        await house.decide()
        assert (await house.public.get(rows[0]["location"])).status_code == 200
