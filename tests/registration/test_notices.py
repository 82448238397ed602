"""Notices over HTTP: lists, searches, attempts, and orders to try again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.registration.house import a_house
from veltrix.domain.identifiers import notice_id
from veltrix.ports.channel import Sent
from veltrix.ports.fulfilment import ORDERED
from veltrix.ports.notices import WEBHOOK, Notice, NoticeStatus, Planned, Result
from veltrix.ports.outreach import OrderKind

EVENT = "evt_" + "0" * 32
REGISTRATION = "reg_" + "1" * 32
ENDPOINT = "ep_" + "2" * 32
MS = 1_900_000_000_000


def a_notice(seq: int, organizer: str = "acme", channel: str = WEBHOOK, **changes) -> Notice:
    """The obligation to tell an endpoint (or somebody by mail) of a fact."""
    recipient = ENDPOINT if channel == WEBHOOK else "hash-of-an-address"
    return Notice(
        id=notice_id(0, seq, recipient, channel),
        organizer=organizer,
        event=EVENT,
        partition=0,
        seq=seq,
        kind=changes.pop("kind", "registration.confirmed"),
        registration=REGISTRATION,
        recipient=recipient,
        channel=channel,
        key_id="",
        created_ms=MS + seq * 1000,
        **changes,
    )


@pytest.fixture
async def house():
    """A house with six notices: accepted, refused, dead, unknown and held, waiting, and another's."""
    async with a_house(deciding=False) as made:
        notices = [a_notice(seq) for seq in range(1, 5)] + [a_notice(5, channel="email", kind="confirmed")]
        await made.notices.record(0, 0, 6, Planned([*notices, a_notice(6, organizer="other")]))
        claimed = {each.notice.seq: each for each in await made.notices.claim(MS + 60_000, 100, 60_000)}
        ends = {
            1: (NoticeStatus.ACCEPTED, Sent.ACCEPTED, 204, "", None),
            2: (NoticeStatus.REFUSED, Sent.REFUSED, 410, "gone for good", None),
            3: (NoticeStatus.DEAD, Sent.NOT_SENT, 500, "<b>oops</b>", None),
            4: (NoticeStatus.UNKNOWN, Sent.UNKNOWN, None, "", None),
            5: (NoticeStatus.PENDING, Sent.NOT_SENT, 451, "", MS + 90_000),
        }
        await made.notices.finish(
            [
                Result(
                    claimed[seq].notice.id, claimed[seq].fence, status, f"detail {seq}", MS + 60_250, due,
                    outcome=sent, started_ms=MS + 60_000, code=code, excerpt=excerpt,
                )
                for seq, (status, sent, code, excerpt, due) in ends.items()
            ]
        )  # fmt: skip
        yield made


async def listed(house, **query):
    """The sequence numbers of the notices that fit."""
    answer = await house.organizer.get("/v1/notices", params=query)
    assert answer.status_code == 200, answer.text
    return [int(item["fact"].split("-")[1]) for item in answer.json()["items"]]


async def test_notices_are_listed_newest_first_and_only_one_s_own(house):
    """A list has the organizer's notices, whatever their channel, and nobody else's."""
    assert await listed(house) == [5, 4, 3, 2, 1]
    other = house.client(await house.new_key("read", organizer="other"))
    assert len((await other.get("/v1/notices")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "dead"}, [3]), ({"status": "dead,refused"}, [3, 2]), ({"channel": "email"}, [5]),
        ({"endpoint": ENDPOINT}, [4, 3, 2, 1]), ({"endpoint": "ep_" + "9" * 32}, []),
        ({"event": EVENT, "kind": "confirmed"}, [5]), ({"registration": "reg_" + "9" * 32}, []),
        ({"held": "true"}, [4]), ({"held": "false"}, [5, 4, 3, 2, 1]),
        ({"since": "2030-03-17T17:46:43Z", "until": "2030-03-17T17:46:45Z"}, [4, 3]),
    ],
)  # fmt: skip
async def test_notices_are_searched(house, query, found):
    """Each filter narrows the list to what fits."""
    assert await listed(house, **query) == found


@pytest.mark.parametrize(
    "query",
    [
        {"status": "lost"}, {"since": "yesterday"}, {"endpoint": "ep_1"}, {"event": "x"}, {"held": "maybe"},
        {"limit": "0"}, {"who": "me"}, {"cursor": "AAAA"},
    ],
)  # fmt: skip
async def test_a_filter_that_is_none_is_named(house, query):
    """A filter that cannot be used is a problem that names it."""
    answer = await house.organizer.get("/v1/notices", params=query)
    assert answer.status_code == 400
    if "cursor" not in query:
        assert answer.json()["errors"][0]["field"] == f"query:{next(iter(query))}"


async def test_pages_follow_each_other(house):
    """By its cursor, each page goes on where the one before it ended; another filter refuses the cursor."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await house.organizer.get("/v1/notices", params=query)).json()
        found += [item["fact"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is not None:
            wrong = await house.organizer.get("/v1/notices", params={"cursor": cursor, "status": "dead"})
            assert wrong.json()["type"].endswith("bad_cursor")
    assert found == ["0-5", "0-4", "0-3", "0-2", "0-1"]


async def test_a_test_has_no_fact(house):
    """The notice of a ping follows from an order: it is about no fact."""
    order = replace(a_notice(1), id="ntc_" + "7" * 32, partition=ORDERED, kind="ping")
    await house.notices.record(0, 6, 6, Planned([order]))
    read = (await house.organizer.get(f"/v1/notices/{order.id}")).json()
    assert (read["notice"]["fact"], read["notice"]["kind"]) == (None, "ping")


async def test_a_notice_is_read_with_its_attempts(house):
    """Each attempt has outcome, status, latency and what was answered; a mail's recipient is told nowhere."""
    dead = (await house.organizer.get(f"/v1/notices/{a_notice(3).id}")).json()
    assert dead["notice"]["status"] == "dead"
    (attempt,) = dead["attempts"]
    assert (attempt["code"], attempt["latency_ms"], attempt["excerpt"]) == (500, 250, "<b>oops</b>")
    assert attempt["outcome"] == "not_sent"
    mail = (await house.organizer.get(f"/v1/notices/{a_notice(5, channel='email').id}")).text
    assert "hash-of-an-address" not in mail
    for unknown in ("ntc_1", "ntc_" + "0" * 32, a_notice(6, organizer="other").id):
        assert (await house.organizer.get(f"/v1/notices/{unknown}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [a_notice(1).id]}, {"endpoint": ENDPOINT}, {"statuses": ["dead"]},
        {"since": "2030-03-17T17:46:43Z", "until": "2030-03-17T17:46:45Z", "endpoint": ENDPOINT},
    ],
)  # fmt: skip
async def test_a_replay_is_an_order(house, body):
    """A replay by id, endpoint, status or time is one order of this organizer, however often it is sent."""
    headers = {"idempotency-key": "again"}
    answers = [await house.organizer.post("/v1/notices/replays", json=body, headers=headers) for _ in "ab"]
    assert [answer.status_code for answer in answers] == [200, 200]
    (order,) = await house.outreach.orders(0, 10)
    assert order.kind is OrderKind.REPLAY
    assert order.wanted.organizer == order.organizer == "acme"
    assert order.wanted.ids == tuple(body.get("ids", ()))
    assert order.wanted.target == body.get("endpoint")
    assert {str(status) for status in order.wanted.statuses} == set(body.get("statuses", ()))
    assert (order.wanted.since_ms is None) == ("since" not in body)


@pytest.mark.parametrize(("send", "kind"), [(True, OrderKind.RELEASE), (False, OrderKind.DROP)])
async def test_what_is_held_is_let_go_by_an_order(house, send, kind):
    """A release orders held notices to be sent, or to be dropped."""
    answer = await house.organizer.post("/v1/notices/releases", json={"endpoint": ENDPOINT, "send": send})
    assert answer.status_code == 200
    (order,) = await house.outreach.orders(0, 10)
    assert (order.kind, order.wanted.target) == (kind, ENDPOINT)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""), ({"ids": ["ntc_1"]}, "/ids/0"), ({"endpoint": "crm"}, "/endpoint"),
        ({"since": "soon"}, "/since"), ({"statuses": ["lost"]}, "/statuses/0"),
        ({"ids": ["ntc_" + "0" * 32] * 1_001}, "/ids"), ({"everything": True}, "/everything"),
    ],
)  # fmt: skip
async def test_a_choice_of_nothing_is_no_order(house, body, field):
    """What chooses nothing, or names what cannot be, is told by field and orders nothing."""
    for path in ("replays", "releases"):
        answer = await house.organizer.post(f"/v1/notices/{path}", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field
    assert await house.outreach.orders(0, 10) == []


async def test_reading_keys_order_nothing(house):
    """A key that may only read gets 403 for every order."""
    reader = house.client(await house.new_key("read"))
    for path in ("/v1/notices/replays", "/v1/notices/releases"):
        assert (await reader.post(path, json={"statuses": ["dead"]})).status_code == 403
