"""The generator: connections, schedules, lateness, limits, the command itself."""

import asyncio
import io
import json
import resource
import socket
import time
from dataclasses import replace

import pytest
from rich.console import Console

from tests.load.fake_server import KEY, Faults, serving
from veltrix.load import client, command, crowd
from veltrix.load.client import ClientError, Target
from veltrix.load.crowd import connections_allowed, raise_file_limit
from veltrix.load.options import SINGLES_ONLY, Gaps, LoadOptions, Mix
from veltrix.load.people import DOMAINS
from veltrix.load.plan import Planner, draw_schedule
from veltrix.load.report import EXIT_UNUSABLE
from veltrix.load.venue import Venue, event_in
from veltrix.promises.history import Kind, Terms

VENUE = Venue(Terms("evt_1", {"house": 10}, {"standard": ("house",)}, one_per_email=True), "Party", 3)


def planned(**options):
    """The scripts of 300 people."""
    wanted = LoadOptions(url="http://h:1", **options)
    return Planner(wanted, VENUE, Target.of("http://h:1"), "t").scripts(300)


def test_the_same_seed_gives_the_same_bytes():
    """A mix can be repeated: the same seed, tag and event make the same requests, another seed others."""
    assert planned(seed=3) == planned(seed=3)
    assert planned(seed=3) != planned(seed=4)


def test_the_mix_is_asked_for():
    """Every kind of request is drawn, parties fit the event, and nobody real is written to."""
    scripts = planned()
    requests = [request for script in scripts for request in script.requests()]
    assert {request.kind for request in requests} == set(Kind)
    assert {len(request.categories) for request in requests} == {1, 2, 3}
    assert {request.email.partition("@")[2] for request in requests} == set(DOMAINS)
    assert len({script.steps[0].email for script in scripts}) == len(scripts)
    assert all(request.email.isascii() for request in requests)


def test_a_plain_mix_asks_once():
    """The mix for measuring is one request a person, for one seat."""
    scripts = planned(mix=SINGLES_ONLY)
    assert all(list(script.requests()) == script.steps[:1] for script in scripts)
    assert {len(script.steps[0].categories) for script in scripts} == {1}


@pytest.mark.parametrize("gaps", list(Gaps))
def test_a_schedule_is_drawn_from_its_seed(gaps):
    """A schedule rises, keeps within its duration, has about the rate asked for, and can be repeated."""
    schedule = draw_schedule(500.0, 4.0, gaps, seed=7)
    assert schedule == draw_schedule(500.0, 4.0, gaps, seed=7)
    assert schedule == sorted(schedule)
    assert schedule[-1] < 4e9
    assert 1_800 < len(schedule) < 2_200


@pytest.mark.parametrize(
    "wrong",
    [{"registrants": 0}, {"rate_per_s": -1.0}, {"capacity": -1}, {"pools": 3}, {"timeout_s": 0.0}],
)
def test_impossible_runs_are_refused(wrong):
    """Numbers that make no run are refused by name before anything is opened."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoadOptions(url="http://h", **wrong)


@pytest.mark.parametrize("wrong", [{"cancels": 1.5}, {"party_weights": ()}, {"party_weights": (0.0,)}])
def test_impossible_mixes_are_refused(wrong):
    """A share above the whole, and parties of nobody, are refused by name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Mix(**wrong)


async def test_each_registrant_has_a_connection_and_all_are_open_before_the_first_request():
    """The server sees one connection a person, second devices included, and then the first registration."""
    seen = []
    async with serving() as (server, url):
        post = server.post

        def watched(path, headers, body):
            seen.append(server.connections)
            return post(path, headers, body)

        server.post = watched
        mix = Mix(duplicates=0.5)
        report = await command.execute(LoadOptions(url=url, api_key=KEY, registrants=50, mix=mix))
    twins = sum(1 for each in report.history.attempts if each.kind is Kind.DUPLICATE)
    assert report.connections == 50 + twins > 60
    assert seen[0] == server.connections >= report.connections
    assert report.reopened == 0


async def test_an_open_loop_measures_from_the_intended_start():
    """A request that leaves late is slow by as much: its latency starts when it should have left."""
    async with serving() as (server, url):
        post = server.post

        def slow_once(path, headers, body):
            if len(server.parties) == 1:
                time.sleep(0.2)  # stalls generator and server alike: they share this loop
            return post(path, headers, body)

        server.post = slow_once
        options = LoadOptions(
            url=url, api_key=KEY, registrants=20, rate_per_s=200.0, duration_s=0.2, mix=SINGLES_ONLY
        )
        report = await command.execute(options)
    figures = report.figures
    assert figures.lateness is not None
    assert figures.lateness.by.max_ms > 100
    assert figures.total.latency is not None
    assert figures.total.latency.max_ms >= figures.lateness.by.max_ms
    assert report.verdict.word == "INVALID"
    assert report.verdict.exit_code == 1
    assert "late" in report.verdict.reason


async def test_a_broken_promise_outweighs_lateness():
    """A run whose generator was late still fails when a promise was broken."""
    async with serving(Faults(lose=2)) as (_, url):
        options = LoadOptions(
            url=url, api_key=KEY, registrants=20, rate_per_s=200.0, duration_s=0.1, late_ms=1e-6
        )
        report = await command.execute(options)
    assert report.verdict.word == "FAIL"


async def test_fewer_connections_than_wanted_is_a_reduced_run(monkeypatch):
    """Where the open-file limit is too low, what fits is run, and the verdict says so."""
    monkeypatch.setattr(command, "raise_file_limit", lambda: crowd.FILES_SPARE + 40)
    async with serving() as (_, url):
        report = await command.execute(
            LoadOptions(url=url, api_key=KEY, registrants=100, mix=SINGLES_ONLY, capacity=5)
        )
    assert report.people == 40
    assert str(report.verdict) == "VERDICT PASS (reduced: 40, open-file limit)"


async def test_a_limit_met_while_connecting_reduces_the_run_too(monkeypatch):
    """When the system refuses further files before the limit is reached, the run goes on smaller."""
    opened = 0
    real = client.open_connection

    async def scarce(target, connection):
        nonlocal opened
        opened += 1
        if opened > 30:
            raise OSError(24, "Too many open files")
        return await real(target, connection)

    monkeypatch.setattr(crowd, "open_connection", scarce)
    async with serving() as (_, url):
        report = await command.execute(
            LoadOptions(url=url, api_key=KEY, registrants=100, mix=SINGLES_ONLY, capacity=5)
        )
    assert 20 < report.people < 30
    assert report.verdict.note.endswith("open-file limit")


def test_the_file_limit_is_raised_to_the_hard_one():
    """This process may open as many files as its hard limit says; a lower wish is left as it is."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        assert raise_file_limit() == before[1]
        assert connections_allowed(50, before[1]) == 50
        assert connections_allowed(before[1], before[1]) == before[1] - crowd.FILES_SPARE
        assert connections_allowed(10**6, None) == 10**6
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_server_that_dies_leaves_everyone_else_unanswered():
    """When nothing can be connected to any more the run ends by itself, with all the rest unanswered."""
    async with serving() as (server, url):
        post = server.post

        def die(path, headers, body):
            if len(server.parties) == 5:
                server.faults.reset = 1
                server.listener.close()
            return post(path, headers, body)

        server.post = die
        base = LoadOptions(
            url=url,
            registrants=60,
            concurrency=5,
            connections=5,
            mix=SINGLES_ONLY,
            timeout_s=0.5,
        )
        await command.execute(LoadOptions(url=url, api_key=KEY, registrants=1))
        event = f"{url}/v1/events/{server.spec['id']}"
        report = await command.execute(replace(base, url=event))
    assert len(report.history.attempts) == 60
    unanswered = next(finding for finding in report.findings if finding.check == "unanswered")
    assert 40 <= unanswered.breaches <= 60


async def run_command(options: LoadOptions) -> tuple[int, str]:
    """`run_load` in a thread, as it brings a loop of its own; its exit code and what it printed."""
    console = Console(file=io.StringIO(), width=100)
    code = await asyncio.to_thread(command.run_load, options, console)
    return code, console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO from above


async def test_the_command_prints_a_table_and_the_verdict_last():
    """People get one table and a last line that says whether all is well, with the exit code to match."""
    async with serving() as (_, url):
        code, text = await run_command(LoadOptions(url=url, api_key=KEY, registrants=50))
    assert code == 0
    assert text.splitlines()[-1] == "VERDICT PASS"
    for words in ("register: confirmed", "p99.9", "all registered after", "oversold", "out of order"):
        assert words in text
    async with serving(Faults(lose=5)) as (_, url):
        code, text = await run_command(LoadOptions(url=url, api_key=KEY, registrants=50))
    assert code == 1
    assert text.splitlines()[-1].startswith("VERDICT FAIL: lost (")


async def test_the_command_speaks_json():
    """Programs get one object with the same verdict, figures and findings."""
    async with serving(Faults(lose=5)) as (_, url):
        code, text = await run_command(LoadOptions(url=url, api_key=KEY, registrants=50, json=True))
    report = json.loads(text)
    assert report["exit_code"] == code == 1
    assert report["verdict"] == "FAIL"
    assert report["checks"]["lost"]["breaches"] > 0
    assert report["all"]["count"] == sum(line["count"] for line in report["requests"])


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_server_that_is_not_there_is_said_so(as_json):
    """Without a server the command says where it looked, and ends with the code for "could not run"."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        code, text = await run_command(LoadOptions(url=url, api_key=KEY, json=as_json))
    assert code == EXIT_UNUSABLE
    assert "no server at" in text


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://h:99999"])
def test_what_is_no_url_is_said_so(url):
    """A URL that cannot be one is named."""
    with pytest.raises(ClientError, match="is no URL"):
        Target.of(url)


async def test_a_missing_or_wrong_key_is_said_so():
    """Publishing without a key, or with one that is not known, ends with the remedy or the server's words."""
    async with serving() as (_, url):
        code, text = await run_command(LoadOptions(url=url))
        assert (code, "veltrix key create" in text) == (EXIT_UNUSABLE, True)
        code, text = await run_command(LoadOptions(url=url, api_key="vk_wrong"))
        assert (code, "401" in text) == (EXIT_UNUSABLE, True)


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("", None),
        ("/v1", None),
        ("/v1/events/evt_1", "evt_1"),
        ("/v1/events/evt_1/registrations", "evt_1"),
        ("/e/evt_1", "evt_1"),
    ],
)
def test_an_event_is_found_in_its_url(path, event):
    """The API's URL of an event, and that of its page, name the event."""
    assert event_in(path) == event
