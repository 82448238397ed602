"""`veltrix endpoint` and `veltrix notice`, on a data directory of their own."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.registration.test_notices import a_notice
from veltrix.adapters.sqlite import SqliteNotices, SqliteOutreach
from veltrix.cli.exits import ExitCode
from veltrix.domain.identifiers import notice_id
from veltrix.ports.fulfilment import ORDERED
from veltrix.ports.notices import WEBHOOK, NoticeStatus, Planned, Result
from veltrix.ports.outreach import OrderKind

URL = "https://198.51.99.7/hooks"
PLACE = ("--data", "data")


@pytest.fixture
def endpoint(here):
    """The id of a new endpoint, and its secret."""
    made = json.loads(here("endpoint", "create", URL, "--organizer", "acme", "--json", *PLACE).stdout)
    return made["endpoint"]["id"], made["secret"]


def orders(tmp_path):
    """What was ordered."""

    async def read():
        store = await SqliteOutreach.open(tmp_path / "data" / "outreach.db")
        found = await store.orders(0, 100)
        await store.close()
        return found

    return asyncio.run(read())


@pytest.fixture
def noted(tmp_path):
    """A data directory with an accepted, a dead and a held notice."""

    async def write():
        (tmp_path / "data").mkdir()
        store = await SqliteNotices.open(tmp_path / "data" / "notices.db")
        await store.record(0, 0, 3, Planned([a_notice(seq) for seq in (1, 2, 3)]))
        ends = {1: NoticeStatus.ACCEPTED, 2: NoticeStatus.DEAD, 3: NoticeStatus.UNKNOWN}
        claimed = await store.claim(a_notice(9).created_ms, 10, 60_000)
        await store.finish(
            [
                Result(
                    each.notice.id, each.fence, ends[each.notice.seq], "because", a_notice(9).created_ms,
                    outcome="not_sent", started_ms=a_notice(9).created_ms - 5, code=500, excerpt="oops",
                )
                for each in claimed
            ]
        )  # fmt: skip
        await store.close()

    asyncio.run(write())


def test_an_endpoint_is_made_shown_and_taken_away(here, endpoint):
    """The secret is printed once; list and show tell the rest; deleted, it is gone."""
    name, secret = endpoint
    assert secret.startswith("whsec_")
    listed = here("endpoint", "list", "--json", *PLACE)
    assert [each["url"] for each in json.loads(listed.stdout)] == [URL]
    shown = here("endpoint", "show", name, *PLACE)
    assert json.loads(shown.stdout)["id"] == name
    table = here("endpoint", "list", *PLACE)
    assert name in table.stdout
    assert "closed" in table.stdout
    for ended in (listed, shown, table):
        assert secret not in ended.stdout
    assert json.loads(here("endpoint", "delete", name, *PLACE).stdout)["deleted"] is True
    assert json.loads(here("endpoint", "list", "--json", *PLACE).stdout) == []
    gone = here("endpoint", "show", name, *PLACE)
    assert gone.returncode == ExitCode.NEGATIVE
    assert "No such endpoint" in gone.stderr


def test_people_get_the_secret_on_a_line_of_its_own(here):
    """Without --json the secret stands alone, with what to do next."""
    told = here("endpoint", "create", URL, "--organizer", "acme", "--scheme", "v1a", *PLACE).stdout
    assert any(line.strip().startswith("whpk_") for line in told.splitlines())
    assert "veltrix endpoint ping ep_" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["https://127.0.0.1/"], "loopback"), (["http://198.51.99.7/"], "https"), (["nonsense"], "is no URL"),
        ([URL, "--kind", "event.exploded"], "event.opened"), ([URL, "--on-unknown", "guess"], "retry"),
        ([URL + "x" * 5_000], "too long"), (["https://a:b@198.51.99.7/"], "password"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_endpoint_is_told(here, arguments, says):
    """The reason and the remedy on standard error, and the exit code of wrong arguments."""
    ended = here("endpoint", "create", "--organizer", "acme", *arguments, *PLACE)
    assert ended.returncode == ExitCode.USAGE
    assert says in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert json.loads(here("endpoint", "list", "--json", *PLACE).stdout) == []


def test_an_endpoint_changes_and_gets_a_new_secret(here, endpoint):
    """What is named changes; a rotation prints another secret and keeps the old one for the overlap."""
    name, secret = endpoint
    changed = json.loads(here("endpoint", "change", name, "--off", "--kind", "event.opened", *PLACE).stdout)
    assert (changed["enabled"], changed["kinds"], changed["url"]) == (False, ["event.opened"], URL)
    made = json.loads(here("endpoint", "rotate", name, "--overlap", "2 h", "--json", *PLACE).stdout)
    assert made["secret"] != secret
    assert len(made["endpoint"]["secrets"]) == 2
    wrong = here("endpoint", "rotate", name, "--overlap", "soon", *PLACE)
    assert wrong.returncode == ExitCode.USAGE


def test_orders_are_given(here, endpoint, tmp_path):
    """Ping and enable append an order each, and a ping names the notice that it will make."""
    name, _ = endpoint
    told = json.loads(here("endpoint", "ping", name, *PLACE).stdout)
    assert told == {"order": 1, "notice": notice_id(ORDERED, 1, name, WEBHOOK)}
    assert json.loads(here("endpoint", "enable", name, *PLACE).stdout) == {"order": 2}
    assert [order.kind for order in orders(tmp_path)] == [OrderKind.PING, OrderKind.ENABLE]


def test_notices_are_listed_and_shown(here, noted):
    """Lists narrow by status, and a notice is shown with what its attempts were answered."""
    dead = json.loads(here("notice", "list", "--status", "dead", "--json", *PLACE).stdout)
    assert [each["id"] for each in dead] == [a_notice(2).id]
    held = json.loads(here("notice", "list", "--held", "--json", *PLACE).stdout)
    assert [each["id"] for each in held] == [a_notice(3).id]
    assert len(json.loads(here("notice", "list", "--json", *PLACE).stdout)) == 3
    shown = json.loads(here("notice", "show", a_notice(2).id, *PLACE).stdout)
    assert shown["attempts"][0]["excerpt"] == "oops"
    assert a_notice(2).id in here("notice", "list", *PLACE).stdout
    missing = here("notice", "show", "ntc_" + "0" * 32, *PLACE)
    assert missing.returncode == ExitCode.NEGATIVE
    assert "there is no notice" in missing.stderr.lower()


def test_notices_are_replayed_and_released(here, noted, tmp_path):
    """By id without an organizer, which the notice names; by status with one; and what is held is dropped."""
    assert here("notice", "replay", a_notice(2).id, *PLACE).returncode == 0
    assert here("notice", "replay", "--status", "dead", "--organizer", "acme", *PLACE).returncode == 0
    assert here("notice", "release", "--drop", a_notice(3).id, *PLACE).returncode == 0
    given = orders(tmp_path)
    assert [order.kind for order in given] == [OrderKind.REPLAY, OrderKind.REPLAY, OrderKind.DROP]
    assert {order.organizer for order in given} == {"acme"}
    assert given[0].wanted.ids == (a_notice(2).id,)


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"], ["replay", "--status", "dead"], ["release"], ["replay", "ntc_1"],
        ["replay", "--organizer", "acme", "--since", "soon"], ["list", "--status", "lost"],
    ],
)  # fmt: skip
def test_an_order_for_nothing_is_refused(here, noted, tmp_path, arguments):
    """What chooses nothing, everybody's, or what cannot be, is wrong arguments, and orders nothing."""
    ended = here("notice", *arguments, *PLACE)
    assert ended.returncode == ExitCode.USAGE, ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data" / "outreach.db").exists() or orders(tmp_path) == []


def test_looking_makes_nothing(here, tmp_path):
    """Lists of a directory that is not there are empty, and it is not made."""
    assert json.loads(here("endpoint", "list", "--json", *PLACE).stdout) == []
    assert json.loads(here("notice", "list", "--json", *PLACE).stdout) == []
    assert not (tmp_path / "data").exists()
