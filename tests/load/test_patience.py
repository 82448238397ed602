"""People who do not give up: several URLs, the same key again, a 202 followed, mails counted."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from tests.load.fake_server import KEY, Faults, Speaker, serving
from veltrix.load import command
from veltrix.load.client import Asker, ClientError, Target
from veltrix.load.command import execute
from veltrix.load.options import SINGLES_ONLY, LoadOptions, Mix
from veltrix.load.report import as_json
from veltrix.promises import answers
from veltrix.promises.history import ANSWERED, Outcome

MIX = Mix(duplicates=0.2, retries=0.2, other_bodies=0.1, again=0.2, cancels=0.2)


@asynccontextmanager
async def another_door(server):
    """A second URL of the same platform; yields its listener and the URL."""
    loop = asyncio.get_running_loop()
    door = await loop.create_server(lambda: Speaker(server), "127.0.0.1", 0, backlog=1024)
    try:
        yield door, f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}"
    finally:
        door.close()


async def load(server, url, also, **options):
    """120 patient people for 60 seats and 40 places on the waitlist."""
    base = {"registrants": 120, "capacity": 60, "waitlist": 40, "mix": MIX, "patience_s": 20.0}
    return await execute(
        LoadOptions(
            url=url, also=also, api_key=KEY, **{"timeout_s": 5.0, "concurrency": 20, **base, **options}
        )
    )


def found(report) -> dict[str, int]:
    """The checks that found something."""
    return {finding.check: finding.breaches for finding in report.findings if finding.breaches}


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        (Faults(reset=5), Outcome.RESET),
        (Faults(unavailable=5), Outcome.UNAVAILABLE),
        (Faults(throttle=5), Outcome.THROTTLED),
        (Faults(hang=40), Outcome.TIMED_OUT),
    ],
)
async def test_what_is_not_answered_is_asked_again_under_its_key(faults, outcome):
    """Whoever is not answered repeats the request: all are answered in the end, and each try is counted."""
    async with serving(faults) as (server, url), another_door(server) as (_, second):
        report = await load(server, url, (second,), timeout_s=0.5)
    failed = [each for each in report.history.attempts if each.outcome is outcome]
    assert failed
    assert found(report) == {}
    assert report.repeated == len(failed)
    assert all(each.retried for each in failed)
    for asked in report.history.commands.values():
        assert asked.attempts[-1].outcome in ANSWERED
    assert as_json(report)["requests_repeated"] == report.repeated


async def test_patience_ends():
    """A request that is never answered is given up when patience is over, and counts as unanswered once."""
    async with serving(Faults(unavailable=1)) as (server, url):
        report = await load(server, url, (), patience_s=0.4, registrants=5, mix=SINGLES_ONLY)
    assert found(report) == {"unanswered": 5}
    assert report.repeated > 5


async def test_a_202_is_followed_to_its_decision():
    """A 202 is no answer yet: the decision is fetched, the person goes on, and latency runs until then."""
    async with serving(Faults(undecided=3)) as (server, url), another_door(server) as (_, second):
        report = await load(server, url, (second,))
    followed = [each for each in report.history.attempts if each.settled_ns is not None]
    assert followed
    assert found(report) == {}
    assert report.followed >= len(followed)
    assert all(each.settled_ns > each.received_ns and each.status_code == 202 for each in followed)
    assert any(line.outcome.endswith("after 202") for line in report.figures.lines)


async def test_lost_promises_are_found_behind_repetition_and_202():
    """Patience hides nothing: an answer that is not kept is found whichever way it came."""
    async with serving(Faults(undecided=3, reset=7, lose=9)) as (server, url):
        report = await load(server, url, ())
    assert found(report).keys() >= {"lost"}
    async with serving(Faults(unavailable=6, other_answer_on_retry=True)) as (server, url):
        report = await load(server, url, ())
    assert "doubled" in found(report)


async def test_a_door_that_closes_is_left_for_the_other(monkeypatch):
    """When one URL stops accepting and ends its connections, everybody is served at the other."""
    async with serving() as (server, url), another_door(server) as (door, second):
        speakers: list[asyncio.Transport] = []
        made = Speaker.connection_made

        def remembered(self, transport):
            made(self, transport)
            if transport.get_extra_info("sockname")[1] == door_port:
                speakers.append(transport)

        door_port = door.sockets[0].getsockname()[1]
        monkeypatch.setattr(Speaker, "connection_made", remembered)
        post = server.post

        def close_one(path, headers, body):
            if len(server.parties) == 30 and door.is_serving():
                door.close()
                for transport in speakers:
                    transport.abort()
            return post(path, headers, body)

        server.post = close_one
        report = await load(server, url, (second,), registrants=2_000)  # the rest takes longer than to reopen
    assert not door.is_serving()
    assert found(report) == {}
    assert report.reopened > 0


async def test_who_sets_up_asks_at_the_next_door():
    """Setting up and exporting do not depend on one URL; without any that answers it is said so."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with serving() as (server, url):
            server.spec = {"id": "evt_1"}
            asker = Asker(Target.of(closed), KEY, 1.0, (Target.of(url),), patience_s=5.0)
            assert (await asker.ask("GET", "/v1/events/evt_1")).status == 200
            await asker.close()
        alone = Asker(Target.of(closed), KEY, 1.0, patience_s=0.5)
        with pytest.raises(ClientError, match="no server"):
            await alone.ask("GET", "/v1/events/evt_1")


async def test_impatient_people_do_not_wait():
    """A share of people asks for an answer at once, and the others are asked for what they were before."""
    async with serving() as (server, url):
        waits = []
        post = server.post

        def watched(path, headers, body):
            waits.append(headers["prefer"])
            return post(path, headers, body)

        server.post = watched
        await load(server, url, (), mix=Mix(impatient=0.5), registrants=60)
    assert {"wait=0", "wait=20"} == set(waits)


async def test_mails_of_all_spools_are_counted_once(tmp_path, monkeypatch):
    """The same notice in two spools is one; who was told too little or too often is named."""
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir()
    second.mkdir()
    real = answers.check

    def deliver(history):
        for number, attempt in enumerate(history.attempts):
            mail = f"To: {attempt.email}\r\n\r\nhello".encode()
            for spool in (first, second) if number % 2 else (first,):
                spool.joinpath(f"ntc_{number}.eml").write_bytes(mail)
        if lost:
            first.joinpath("ntc_0.eml").unlink()
            first.joinpath("ntc_again.eml").write_bytes(f"To: {history.attempts[3].email}\r\n\r\nx".encode())
        return real(history)

    monkeypatch.setattr(command, "check", deliver)
    mix = Mix(duplicates=0, retries=0, other_bodies=0, again=0, cancels=0)
    options = {"mix": mix, "registrants": 20, "spools": (first, second), "telling_s": 0.3}
    lost = False
    async with serving() as (server, url):
        assert found(await load(server, url, (), **options)) == {}
    lost = True
    async with serving() as (server, url):
        report = await load(server, url, (), **options)
    assert found(report) == {"untold": 2}
    assert "untold (2)" in report.verdict.reason
