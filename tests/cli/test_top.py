"""`veltrix top`: what it makes of pages, of processes that are gone, and of what is no process at all."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from veltrix.cli.top_pages import Page, fetch, parsed
from veltrix.cli.top_view import View, quantile
from veltrix.observability import catalogue, engines
from veltrix.observability.catalogue import FINE_S
from veltrix.observability.metrics import Metrics


def process(service):
    """The metrics of one process of a cluster."""
    return Metrics("1", service, catalogue.GROUPS_OF[service] | engines.CLUSTER_GROUPS)


def page(metrics, at_s, url="http://h:1", started=1.0):
    """Its page at a moment, as it was read."""
    samples = parsed(metrics.page()[0].decode())
    samples["process_start_time_seconds"] = {(): started}
    return Page(url, at_s, samples, metrics.hot.top(10))


def gone(at_s, url="http://h:1"):
    """Nobody answered."""
    return Page(url, at_s, error="Connection refused")


def test_rates_and_latencies_are_of_the_time_between_two_looks():
    """What happened before the first look counts for nothing; rates are by the second, over all processes."""
    one, two, view = process("processing"), process("processing"), View()
    for metrics in (one, two):
        metrics.decision_latency(9.0)
        metrics.decided("register", "accepted", "")
    view.frame([page(one, 0.0, "http://a:1"), page(two, 0.0, "http://b:1")], "t0")
    for metrics in (one, two):
        for _ in range(10):
            metrics.decision_latency(0.004)
            metrics.decided("register", "refused", "full")
    frame = view.frame([page(one, 2.0, "http://a:1"), page(two, 2.0, "http://b:1")], "t1")
    assert frame.rates["decided"] == frame.rates["refused"] == 10.0
    assert frame.rates["requests"] is None, "no process of these answers requests"
    median = frame.latencies["decided"]["p50"]
    assert median is not None
    assert 0.00315 <= median <= 0.004
    assert frame.latencies["told"] == {"p50": None, "p99": None}


def test_partitions_have_their_owner_and_their_lag():
    """An owned partition is told by its owner; one that nobody owns as registration sees it."""
    owner, edge, view = process("processing"), process("registration"), View()
    owner.owned(0, True)
    owner.progress(0, 10, 12)
    owner.oldest_undecided(0, 0.5)
    edge.line(0, 99, 9.0)
    edge.line(1, 7, 3.5)
    view.frame([page(owner, 0.0, "http://o:1"), page(edge, 0.0, "http://e:1")], "t0")
    owner.progress(0, 30, 31)
    frame = view.frame([page(owner, 2.0, "http://o:1"), page(edge, 2.0, "http://e:1")], "t1")
    zero, one = frame.partitions
    assert (zero["owner"], zero["undecided"], zero["oldest_s"]) == ("processing o:1", 1, 0.5)
    assert (zero["per_second"], zero["next_offset"]) == (10.0, 30)
    assert (one["owner"], one["undecided"], one["oldest_s"]) == ("", 7, 3.5)


def test_a_process_that_goes_and_comes_is_seen():
    """Gone, back, started anew and no longer ready: each is an incident, once, the newest first."""
    metrics, view, ready = process("ticker"), View(), {"campaigning": True}
    metrics.readiness(lambda: ready)
    view.frame([page(metrics, 0.0)], "t0")
    assert view.frame([gone(1.0)], "t1").services[0]["state"] == "gone"
    view.frame([gone(2.0)], "t2")
    frame = view.frame([page(metrics, 3.0, started=2.5)], "t3")
    assert frame.services[0]["state"] == "ready"
    ready["campaigning"] = False
    frame = view.frame([page(metrics, 4.0, started=2.5)], "t4")
    assert frame.services[0] | {"state": "not ready", "why": "campaigning"} == frame.services[0]
    frame = view.frame([page(metrics, 5.0, started=4.5)], "t5")
    assert [(each["at"], each["what"]) for each in frame.incidents] == [
        ("t5", "was started anew"),
        ("t4", "campaigning: no longer"),
        ("t3", "answers"),
        ("t1", "gone: Connection refused"),
    ]


def test_what_an_operator_wants_to_have_seen_is_an_incident():
    """Fences, take-overs, failovers, lost leases, violations and errors are told as they are counted."""
    metrics, view = process("notification"), View()
    more = process("processing")
    view.frame([page(metrics, 0.0), page(more, 0.0, "http://p:1")], "t0")
    metrics.checked("pools_balance", 1)
    more.fenced(0)
    more.fenced(0)
    more.decided("register", "quarantined", "quarantined")
    frame = view.frame([page(metrics, 1.0), page(more, 1.0, "http://p:1")], "t1")
    said = {each["what"] for each in frame.incidents}
    assert said == {
        "AN INVARIANT IS VIOLATED",
        "fenced: another process took a partition over (2)",
        "a record was quarantined",
    }


def test_the_fullest_bounds_come_first_and_hot_events_add_up():
    """Saturation is a share of what may be; an event is counted over all who decide."""
    one, two, view = process("processing"), process("processing"), View()
    one.bound("small", lambda: 9, 10)
    one.bound("empty", lambda: 0, 10)
    two.bound("large", lambda: 50, 1000)
    for metrics, count in ((one, 3), (two, 2)):
        for _ in range(count):
            metrics.decided("register", "accepted", "", "evt_hot")
    frame = view.frame([page(one, 0.0, "http://a:1"), page(two, 0.0, "http://b:1")], "t0")
    assert [(row["bound"], row["share"]) for row in frame.bounds] == [("small", 0.9), ("large", 0.05)]
    assert [(row["event"], row["commands"]) for row in frame.hot_events] == [("evt_hot", 5)]
    json.dumps(frame.to_json())


def test_quantiles_of_buckets():
    """As Prometheus interpolates; what lies beyond the last bound is that bound, nothing is nothing."""
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 0.0}, 0.5) is None
    assert quantile({1.0: 10.0, 2.0: 20.0, float("inf"): 20.0}, 0.5) == 1.0
    assert quantile({1.0: 10.0, 2.0: 20.0, float("inf"): 20.0}, 0.75) == 1.5
    assert quantile({FINE_S[-1]: 0.0, float("inf"): 5.0}, 0.99) == FINE_S[-1]


@contextmanager
def answering(pages):
    """A server that answers these paths, (status, body) each."""

    class Handler(BaseHTTPRequestHandler):
        """GET."""

        def do_GET(self):
            """Answers."""
            status, body = pages.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ({}, "404"),
        ({"/metrics": (200, b"<html>hello</html>")}, "no process of Veltrix"),
        ({"/metrics": (200, b'veltrix_ready{check="a" 1\n')}, ""),
        ({"/metrics": (503, b"")}, "503"),
        ({"/metrics": (200, b"\xff\xfe\x00")}, "no process of Veltrix"),
    ],
)
def test_what_is_no_process_is_said_so(pages, said):
    """Another server, a broken page and an error are told in words; none ends the program."""
    with answering(pages) as url:
        found = fetch(url)
    assert found.error
    assert said in found.error


def test_the_command_prints_one_picture(here):
    """--once for people and --json for programs; a process that is gone makes the verdict bad."""
    metrics = process("ticker")
    metrics.readiness(lambda: {"started": True})
    body, _ = metrics.page()
    with answering({"/metrics": (200, body), "/hot-events": (200, b'{"window_s": 1, "events": []}')}) as url:
        ended = here("top", "--once", "--interval", "0.2", url)
        assert ended.returncode == 0, ended.stderr
        assert f"ticker {url.removeprefix('http://')}" in ended.stdout
        both = here("top", "--json", "--interval", "0.2", url, "http://127.0.0.1:1")
    assert both.returncode == 1
    document = json.loads(both.stdout)
    assert [row["state"] for row in document["services"]] == ["ready", "gone"]
    assert here("top", "--once", "ftp://h").returncode == 2
    assert here("top", "--once", "--directory", "nowhere").returncode == 2
