"""A server that breaks a promise is found out, whichever it is; one that keeps them all passes."""

import pytest

from tests.load.fake_server import KEY, Faults, serving
from veltrix.load.command import execute
from veltrix.load.options import LoadOptions, Mix
from veltrix.promises.history import Kind, Outcome

MIX = Mix(duplicates=0.2, retries=0.2, other_bodies=0.1, again=0.2, cancels=0.2)


async def load(faults: Faults | None = None, **options):
    """A run of 120 people for 60 seats and a waitlist of 40 against a server with these faults."""
    strict = options.pop("strict", True)
    async with serving(faults, strict=strict) as (_, url):
        options = {"registrants": 120, "capacity": 60, "waitlist": 40, "mix": MIX, **options}
        return await execute(LoadOptions(url=url, api_key=KEY, timeout_s=5.0, **options))


def found(report) -> dict[str, int]:
    """The checks that found something."""
    return {finding.check: finding.breaches for finding in report.findings if finding.breaches}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 2, "concurrency": 7},
        {"concurrency": 10, "connections": 10},
        {"waitlist": None},
        {"waitlist": 0, "capacity": 0},
        {"one_per_email": False},
        {"pools": 1},
        {"rate_per_s": 400.0, "duration_s": 0.3, "late_share_max": 1.0},
    ],
)
async def test_an_honest_server_passes(options):
    """A server that keeps every promise passes, whatever the shape of the load."""
    report = await load(**options)
    assert found(report) == {}
    assert str(report.verdict) == "VERDICT PASS"
    assert report.verdict.exit_code == 0


async def test_an_honest_server_may_answer_in_pieces():
    """Answers that come in small chunks, across reads, are read like any other."""
    report = await load(Faults(in_small_pieces=True))
    assert found(report) == {}


async def test_connections_that_the_server_closes_are_opened_again():
    """A server that ends connections after an answer is met with new ones, and nobody goes unanswered."""
    report = await load(Faults(close_after=3), concurrency=20, connections=20)
    assert found(report) == {}
    assert report.reopened > 0


@pytest.mark.parametrize(
    ("faults", "check", "words"),
    [
        (Faults(oversell=True), "oversold", "seats are taken in the export"),
        (Faults(oversell=True), "oversold", "seats were confirmed in answers"),
        (Faults(oversell_quietly=True), "oversold", "the export says"),
        (Faults(pools_lie=True), "oversold", "the export says"),
        (Faults(double_duplicate=1), "doubled", "the same request twice was answered"),
        (Faults(double_duplicate=1, double_person=True), "doubled", "registrations in the export"),
        (Faults(double_person=True), "doubled", "active registrations where one is allowed"),
        (Faults(same_seat=10), "doubled", "belongs to"),
        (Faults(accept_other_body=True), "doubled", "a used key with another body"),
        (Faults(other_answer_on_retry=True), "doubled", "the same request twice was answered"),
        (Faults(lose=10), "lost", "but the export has no"),
        (Faults(swap_name=10), "lost", "exported as Somebody Else"),
        (Faults(forget_cancel=True), "lost", "then asked to cancel"),
        (Faults(offsets_fall=True), "out of order", "had the answer"),
        (Faults(swap_offsets=10), "out of order", "in order of arrival it is"),
        (Faults(overtake=4), "out of order", "in order of arrival it is"),
        (Faults(wrong_promotion=True), "out of order", "in order of arrival it is"),
        (Faults(refuse_with_room=5), "out of order", "told full"),
        (Faults(undecided=5), "unanswered", "202 undecided"),
        (Faults(throttle=5), "unanswered", "429"),
        (Faults(unavailable=5), "unanswered", "503"),
        (Faults(reset=5), "unanswered", "connection reset"),
        (Faults(error=5), "unanswered", "wrong answer: 500"),
        (Faults(garbage=5), "unanswered", "wrong answer: 201, and no JSON"),
    ],
)
async def test_a_broken_promise_is_found(faults, check, words):
    """Each way of breaking a promise is found by the check that guards it, and named in words."""
    report = await load(faults, concurrency=20)
    assert check in found(report)
    assert report.verdict.word == "FAIL"
    assert check in report.verdict.reason
    assert report.verdict.exit_code == 1
    examples = [
        example for finding in report.findings for example in finding.examples if finding.check == check
    ]
    assert any(words in example for example in examples), examples


@pytest.mark.parametrize("pools", [1, 2])
async def test_overtaking_is_found_without_the_model(pools):
    """Where nothing was given back, a later party of the same need with more than an earlier one is found."""
    mix = Mix(cancels=0.0, duplicates=0.0, retries=0.0, other_bodies=0.0, again=0.0)
    report = await load(Faults(overtake=4, undecided=1, undecided_forever=False), mix=mix, pools=pools)
    examples = next(finding.examples for finding in report.findings if finding.check == "out of order")
    assert any("although" in example or "while offset" in example for example in examples), examples


async def test_what_hangs_is_timed_out():
    """A request that is never answered ends at the time-out, is counted, and its person goes no further."""
    async with serving(Faults(hang=10)) as (_, url):
        options = LoadOptions(url=url, api_key=KEY, registrants=40, capacity=60, mix=MIX, timeout_s=0.3)
        report = await execute(options)
    hung = [each for each in report.history.attempts if each.outcome is Outcome.TIMED_OUT]
    assert len(hung) >= 4
    assert found(report) == {"unanswered": len(hung)}


async def test_a_late_decision_is_asked_for_and_still_checked():
    """After a 202 the decision is fetched: it counts as unanswered, and is checked like the others."""
    report = await load(Faults(undecided=4, lose=10))
    assert {"unanswered", "lost"} <= found(report).keys()
    undecided = [each for each in report.history.attempts if each.outcome is Outcome.UNDECIDED]
    assert undecided
    assert all(each.answer is not None for each in undecided if each.kind is not Kind.OTHER_BODY)
    assert all(each.latency_ns is None for each in undecided)


async def test_what_stays_undecided_is_left_open():
    """A decision that never comes is waited for until the time-out and breaks no promise but to answer."""
    async with serving(Faults(undecided=10, undecided_forever=True)) as (_, url):
        options = LoadOptions(url=url, api_key=KEY, registrants=40, capacity=60, mix=MIX, timeout_s=0.3)
        report = await execute(options)
    assert found(report).keys() == {"unanswered"}


async def test_unanswered_can_be_tolerated():
    """Where machines are being killed, unanswered requests are shown but need not fail the run."""
    report = await load(Faults(unavailable=5), tolerate_unanswered=True)
    assert "unanswered" in found(report)
    assert report.verdict.word == "PASS"
    report = await load(Faults(unavailable=5, lose=3), tolerate_unanswered=True)
    assert report.verdict.word == "FAIL"
    assert "unanswered" not in report.verdict.reason


async def test_without_a_key_answers_are_checked_against_each_other():
    """The URL of an event is enough for a run; what only the export shows is then not judged."""
    async with serving() as (server, url):
        await execute(LoadOptions(url=url, api_key=KEY, registrants=1, capacity=60, waitlist=40))
        server.faults = Faults(oversell_quietly=True, lose=7, other_answer_on_retry=True)
        event = f"{url}/v1/events/{server.spec['id']}"
        report = await execute(LoadOptions(url=event, registrants=120, mix=MIX))
    assert report.history.ledger is None
    assert found(report).keys() == {"oversold", "doubled"}
