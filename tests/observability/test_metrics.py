"""Metrics: that `/metrics` has exactly what the catalogue says, and that the numbers are right."""

import ast
import asyncio
import inspect
import sys
from bisect import bisect_left
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from veltrix import __version__
from veltrix.observability import catalogue, engines, instruments
from veltrix.observability.catalogue import CATALOGUE, FINE_S, MINUTES_S, Type
from veltrix.observability.exposition import ByLibrary
from veltrix.observability.instruments import numbers, spreads
from veltrix.observability.looplag import watch_event_loop
from veltrix.observability.metrics import Metrics
from veltrix.observability.reference import reference
from veltrix.ports.figures import BrokerFigures, ClientFigures, PoolFigures

BROKER = BrokerFigures(True, 0.002, 0.01, 1, 2, 3)
CLIENT = ClientFigures(7, 700, 10, 1000, 20, 2000, {"1": BROKER})
ROOT = Path(__file__).parents[2]


def samples(metrics):
    """Every sample of the page: (name, labels) → value."""
    page, _ = metrics.page()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(page.decode())
        for sample in family.samples
    }


def value(metrics, name, **labels):
    """One sample of the page."""
    return samples(metrics)[name, tuple(sorted(labels.items()))]


def test_the_page_has_exactly_the_catalogue():
    """Names, types, meanings and labels on `/metrics` are those of the catalogue, no more and no fewer."""
    metrics = Metrics()
    metrics.answered("/v1/events", "GET", 200, 0.1)
    metrics.progress(0, 1, 2)
    metrics.kafka_client("log-append", CLIENT)
    page, _ = metrics.page()
    exposed = {family.name: family for family in parse_text(page.decode())}
    wanted = {metric.name: metric for metric in CATALOGUE if sys.platform == "linux" or not metric.linux_only}
    assert set(exposed) == set(wanted)
    for name, metric in wanted.items():
        family = exposed[name]
        assert family.type == metric.type.value
        if not metric.linux_only:
            assert family.documentation == metric.meaning
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), name


def test_names_follow_the_rules():
    """Counters end in _total, times in _seconds, and every meaning is a sentence."""
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))
    for metric in CATALOGUE:
        assert metric.meaning.endswith(".")
        assert metric.exposed.endswith("_total") == (metric.type is Type.COUNTER)
        assert not metric.name.endswith("_total")
        if metric.unit == "seconds":
            assert metric.name.endswith("_seconds")
        assert bool(metric.buckets) == (metric.type is Type.HISTOGRAM)
        assert metric.unit or metric.type is not Type.HISTOGRAM
        assert not metric.known or len(metric.labels) == 1


def test_the_reference_is_current():
    """docs/metrics.md is what the catalogue gives now."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == reference(), "run: .venv/bin/python -m veltrix.observability.reference > docs/metrics.md"


def test_the_decision_histogram_is_fine_enough():
    """Ten buckets a decade wherever a latency is judged, rising by no more than a third a step; the bounds
    of what is promised (1 s, 60 s) are among them."""
    assert FINE_S[0] == 0.0001
    assert FINE_S[-1] == 10.0
    for decade in range(-4, 1):
        inside = [bound for bound in FINE_S if 10**decade * 0.999 <= bound < 10 ** (decade + 1) * 0.999]
        assert len(inside) >= 10
    assert all(1 < after / before <= 1.34 for fine in (FINE_S, MINUTES_S) for before, after in pairwise(fine))
    assert 1.0 in FINE_S
    assert 60.0 in MINUTES_S
    coarse = {metric.name for metric in CATALOGUE if metric.unit == "seconds" and metric.buckets}
    coarse -= {metric.name for metric in CATALOGUE if metric.buckets in (FINE_S, MINUTES_S)}
    assert coarse == {"veltrix_postgres_connect_seconds", "veltrix_invariant_check_seconds"}


ROUTE = {"route": "/v1/events/{event}", "method": "POST"}


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        (
            lambda m: m.answered("/v1/events/{event}", "POST", 201, 0.004),
            {
                "http_requests_total": (1, {**ROUTE, "status": "2xx"}),
                "http_request_seconds_sum": (0.004, ROUTE),
            },
        ),
        (
            lambda m: m.appended("register", 0.001),
            {
                "commands_accepted_total": (1, {"kind": "register"}),
                "log_append_seconds_sum": (0.001, {}),
            },
        ),
        (lambda m: m.waited("decided", 0.02), {"decision_wait_seconds_count": (1, {"outcome": "decided"})}),
        (lambda m: m.turned_away("rate"), {"http_turned_away_total": (1, {"reason": "rate"})}),
        (lambda m: m.gauge("held_requests", 7), {"http_held_requests": (7, {})}),
        (lambda m: m.gauge("stream_clients", 8), {"http_stream_clients": (8, {})}),
        (lambda m: m.gauge("keys_reserved", 9), {"keys_reserved": (9, {})}),
        (
            lambda m: m.line(2, 10, 1.5),
            {
                "undecided_estimate": (10, {"partition": "2"}),
                "oldest_undecided_estimate_seconds": (1.5, {"partition": "2"}),
            },
        ),
        (lambda m: m.append_failed("unknown"), {"log_appends_failed_total": (1, {"why": "unknown"})}),
        (lambda m: m.commit_failed(0, "raised"), {"commits_failed_total": (1, {"why": "raised"})}),
        (
            lambda m: m.took_over(0, 0.2),
            {"partition_take_overs_total": (1, {}), "partition_take_over_seconds_sum": (0.2, {})},
        ),
        (lambda m: m.partitions_failed(2), {"partitions_failed": (2, {})}),
        (
            lambda m: m.oldest_undecided(1, 2.5),
            {"oldest_undecided_seconds": (2.5, {"partition": "1"})},
        ),
        (lambda m: m.unpublished(1, 9), {"facts_unpublished": (9, {"partition": "1"})}),
        (lambda m: m.publish_failed(1), {"publish_failed_total": (1, {})}),
        (
            lambda m: m.called(True, 0.01, 0.02),
            {
                "postgres_pool_wait_seconds_sum": (0.01, {}),
                "postgres_call_seconds_sum": (0.02, {"kind": "write"}),
            },
        ),
        (lambda m: m.call_failed(True), {"postgres_calls_failed_total": (1, {"why": "unknown"})}),
        (
            lambda m: m.pool("vault", lambda: PoolFigures(3, 1, 5, 2), 8),
            {
                "postgres_connections": (3, {"database": "vault", "state": "in_use"}),
                "postgres_pool_waiting": (5, {"database": "vault"}),
                "postgres_failovers_total": (2, {"database": "vault"}),
                "bound_used": (3, {"bound": "postgres_pool_vault"}),
                "bound_max": (8, {"bound": "postgres_pool_vault"}),
            },
        ),
        (
            lambda m: m.kafka_client("log-append", CLIENT),
            {
                "kafka_client_queue_messages": (7, {"client": "log-append"}),
                "kafka_client_received_bytes_total": (2000, {"client": "log-append"}),
                "kafka_broker_up": (1, {"client": "log-append", "broker": "1"}),
                "kafka_broker_rtt_seconds": (0.002, {"client": "log-append", "broker": "1"}),
                "kafka_broker_timeouts_total": (2, {"client": "log-append", "broker": "1"}),
            },
        ),
        (
            lambda m: m.lease(lambda: -0.5, lambda: 3),
            {"lease_margin_seconds": (-0.5, {}), "leases_lost_total": (3, {})},
        ),
        (
            lambda m: m.engines_up(lambda: {"log": True, "ledger": False}),
            {"engine_up": (1, {"engine": "log"})},
        ),
        (
            lambda m: m.certificates({"kafka.ca_file": 12.0}),
            {"certificate_not_after_timestamp_seconds": (12, {"setting": "kafka.ca_file"})},
        ),
        (lambda m: m.settings_applied(4), {"settings_version": (4, {})}),
        (
            lambda m: m.storage(lambda: {"data": 5.0}, lambda: {"log.db": 6.0}),
            {
                "storage_free_bytes": (5, {"directory": "data"}),
                "storage_used_bytes": (6, {"file": "log.db"}),
            },
        ),
        (lambda m: m.readiness(lambda: {"started": True}), {"ready": (1, {"check": "started"})}),
        (
            lambda m: m.bound("things", lambda: 3, lambda: 4),
            {"bound_used": (3, {"bound": "things"}), "bound_max": (4, {"bound": "things"})},
        ),
        (lambda m: m.lines(lambda: {"error": 2}), {"log_lines_total": (2, {"level": "error"})}),
        (
            lambda m: m.spans(lambda: (5, 1)),
            {"spans_total": (5, {"outcome": "recorded"})},
        ),
        (lambda m: m.checker_active(True), {"checker_active": (1, {})}),
        (
            lambda m: m.checked("terms_grow", 3),
            {
                "invariant_checks_total": (1, {"invariant": "terms_grow"}),
                "invariant_violations_total": (1, {"invariant": "terms_grow"}),
            },
        ),
        (lambda m: m.check_round(0.5), {"invariant_check_seconds_sum": (0.5, {})}),
        (lambda m: m.unplanned({3: 8}), {"facts_unplanned": (8, {"partition": "3"})}),
        (
            lambda m: m.batch(0, 40, 0.001, 0.002, 0.003),
            {
                "batch_commands_sum": (40, {}),
                "batch_load_seconds_sum": (0.001, {}),
                "batch_decide_seconds_sum": (0.002, {}),
                "batch_commit_seconds_sum": (0.003, {}),
            },
        ),
        (lambda m: m.decided("register", "accepted", ""), {"decisions_total": (1, {"outcome": "accepted"})}),
        (
            lambda m: m.decided("register", "refused", "full"),
            {"decisions_total": (1, {"outcome": "refused"}), "refusals_total": (1, {"reason": "full"})},
        ),
        (
            lambda m: m.progress(3, 40, 100),
            {"next_offset": (40, {"partition": "3"}), "undecided_commands": (60, {"partition": "3"})},
        ),
        (lambda m: m.progress(3, 40, 39), {"undecided_commands": (0, {"partition": "3"})}),
        (lambda m: (m.owned(0, True), m.owned(1, True), m.owned(1, True)), {"terms_held": (2, {})}),
        (lambda m: (m.owned(0, True), m.owned(0, False), m.owned(0, False)), {"terms_held": (0, {})}),
        (lambda m: m.fenced(0), {"fenced_total": (1, {})}),
        (lambda m: m.ticked(4), {"due_commands_total": (4, {}), "ticks_total": (1, {})}),
        (
            lambda m: m.published(3, 0.002),
            {"facts_published_total": (3, {}), "publish_seconds_sum": (0.002, {})},
        ),
        (lambda m: m.erased(), {"people_erased_total": (1, {})}),
        (
            lambda m: m.planned("registration_confirmed", 2),
            {"notices_planned_total": (2, {"kind": "registration_confirmed"})},
        ),
        (
            lambda m: m.attempted("webhook", "accepted", 0.1),
            {
                "notice_attempts_total": (1, {"channel": "webhook", "outcome": "accepted"}),
                "notice_attempt_seconds_sum": (0.1, {}),
            },
        ),
        (lambda m: m.delivered(0.2), {"notice_delivery_seconds_sum": (0.2, {})}),
        (
            lambda m: m.notices({"pending": 5}, 12.5),
            {"notices": (5, {"status": "pending"}), "notice_oldest_pending_seconds": (12.5, {})},
        ),
        (
            lambda m: (m.queues({"email": 3, "webhook": 9}, 1), m.queues({"email": 4}, 2)),
            {"notices_waiting": (0, {"channel": "webhook"}), "notices_held": (2, {})},
        ),
        (lambda m: m.targets({"open": 2}), {"notice_targets": (2, {"state": "open"})}),
        (lambda m: m.loop_lag(0.001), {"event_loop_lag_seconds_count": (1, {})}),
    ],
)
def test_every_method_moves_its_metric(tell, expected):
    """What a service tells is on the page afterwards, and before it there was nothing."""
    metrics = Metrics()
    before = samples(metrics)
    tell(metrics)
    after = samples(metrics)
    for name, (number, labels) in expected.items():
        key = f"veltrix_{name}", tuple(sorted(labels.items()))
        assert after[key] == number
        assert before.get(key, 0) == 0


def test_latency_falls_into_its_bucket():
    """A latency counts in every bucket from its own on."""
    metrics = Metrics()
    metrics.decision_latency(0.0051)
    assert value(metrics, "veltrix_decision_seconds_bucket", le="0.005") == 0
    assert value(metrics, "veltrix_decision_seconds_bucket", le="0.0063") == 1


def test_what_is_known_beforehand_starts_at_zero():
    """Outcomes, reasons, kinds and statuses are there before the first one happens: an alert sees that."""
    metrics = Metrics()
    assert value(metrics, "veltrix_decisions_total", outcome="quarantined") == 0
    assert value(metrics, "veltrix_refusals_total", reason="waitlist_full") == 0
    assert value(metrics, "veltrix_commands_accepted_total", kind="cancel") == 0
    assert value(metrics, "veltrix_notices", status="dead") == 0


def test_the_page_says_which_version_runs():
    """Without being told, it is the installed one."""
    assert f'version="{__version__}"' in Metrics().page()[0].decode()


def test_the_format_follows_the_accept_header():
    """Prometheus' text by default, OpenMetrics for who asks; both can be parsed and agree."""
    metrics = Metrics()
    metrics.decision_latency(0.01)
    text, text_type = metrics.page("*/*")
    openmetrics, openmetrics_type = metrics.page(
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert text_type.startswith("text/plain")
    assert openmetrics_type.startswith("application/openmetrics-text")
    assert openmetrics.endswith(b"# EOF\n")
    names = {family.name for family in parse_openmetrics(openmetrics.decode())}
    assert names == {family.name for family in parse_text(text.decode())}
    for accept in ("", "nonsense", ";;;", "application/openmetrics-text;version=9"):
        assert metrics.page(accept)[0]


def filled():
    """Metrics with children of every shape, and values of every kind."""
    metrics = Metrics("1.2.3", "registration")
    metrics.answered('/v1/"odd"\\{x}\n', "GET", 200, 0.01)
    metrics.answered("/v1/events", "POST", 503, 123.0)
    metrics.progress(3, 2**40, 2**41)
    metrics.oldest_undecided(3, 1e-9)
    metrics.kafka_client("log-append", CLIENT)
    metrics.line(0, 0, float("inf"))
    metrics.line(1, 0, float("nan"))
    metrics.batch(0, 1_000_000, 0.0, 0.1, 99.0)
    return metrics


@pytest.mark.parametrize(
    ("accept", "encode", "parse"),
    [
        ("text/plain", generate_text, parse_text),
        ("application/openmetrics-text;version=1.0.0", generate_openmetrics, parse_openmetrics),
    ],
)
def test_the_lines_are_what_the_library_would_write(accept, encode, parse):
    """Family by family: the same names, types, meanings, labels and values, in both formats."""
    metrics = filled()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ByLibrary(metrics._families.values()))
    theirs = list(parse(encode(registry).decode()))
    page, _ = metrics.page(accept)
    ours = {family.name: family for family in parse(page.decode())}
    assert len(theirs) > 60
    for family in theirs:
        mine = ours[family.name]
        assert (mine.type, mine.documentation) == (family.type, family.documentation)
        assert {_key(each): repr(each.value) for each in mine.samples} == {
            _key(each): repr(each.value) for each in family.samples
        }


def _key(sample):
    return sample.name, tuple(sorted(sample.labels.items()))


@given(st.lists(st.floats(0, 20), max_size=50))
def test_histograms_count_every_value_once(observed):
    """Buckets are cumulative and agree with counting by hand; the last one holds everything."""
    metrics = Metrics()
    for seconds in observed:
        metrics.decision_latency(seconds)
    page = samples(metrics)
    for bound in FINE_S:
        found = page["veltrix_decision_seconds_bucket", (("le", repr(bound)),)]
        assert found == sum(seconds <= bound for seconds in observed)
    assert page["veltrix_decision_seconds_bucket", (("le", "+Inf"),)] == len(observed)
    assert page["veltrix_decision_seconds_count", ()] == len(observed)
    assert page["veltrix_decision_seconds_sum", ()] == pytest.approx(sum(observed))


def test_strange_labels_stay_on_their_line():
    """A label value with quotes or line breaks is escaped, not obeyed."""
    metrics = Metrics()
    metrics.turned_away('a"b\nc\\d')
    assert value(metrics, "veltrix_http_turned_away_total", reason='a"b\nc\\d') == 1


def test_label_values_are_bounded(monkeypatch):
    """A flood of new label values is counted together, so that memory stays bounded."""
    monkeypatch.setattr(instruments, "CHILDREN_MAX", 3)
    family = numbers(catalogue.TURNED_AWAY)
    for number in range(10):
        family.child(str(number)).add()
    found = {labels: child.value for labels, child in family.children()}
    assert found == {("0",): 1, ("1",): 1, ("2",): 1, ("(other)",): 7}


def test_the_wrong_number_of_labels_is_a_programmers_error():
    """Labels must be those of the metric."""
    with pytest.raises(AssertionError):
        spreads(catalogue.REQUEST_SECONDS).child("only one")


def test_processes_share_no_numbers():
    """Two objects count apart: nothing is global."""
    first, second = Metrics(), Metrics()
    first.fenced(0)
    assert value(first, "veltrix_fenced_total") == 1
    assert value(second, "veltrix_fenced_total") == 0


def test_gauges_can_be_read_when_asked_for():
    """A gauge that is read shows the value at the time of each page."""
    held = [3]
    metrics = Metrics()
    metrics.reads("held_requests", lambda: held[0])
    assert value(metrics, "veltrix_http_held_requests") == 3
    held[0] = 0
    assert value(metrics, "veltrix_http_held_requests") == 0


def test_a_partition_that_is_given_up_is_told_by_its_next_owner():
    """Lag and offset of a partition leave the page of who does not own it any more, and only those."""
    metrics = Metrics()
    for partition in (0, 1):
        metrics.owned(partition, True)
        metrics.progress(partition, 1, 2)
        metrics.oldest_undecided(partition, 0.5)
        metrics.unpublished(partition, 1)
    metrics.owned(0, False)
    left = {labels for name, labels in samples(metrics) if "partition" in dict(labels)}
    assert left == {(("partition", "1"),)}


@pytest.mark.parametrize("service", list(catalogue.GROUPS_OF))
def test_a_process_shows_what_it_can_tell(service):
    """The page of one service has its own groups and those of every process, and nothing of the others':
    what nobody can ever tell there would be 0 for ever."""
    groups = catalogue.GROUPS_OF[service] | engines.CLUSTER_GROUPS
    page, _ = Metrics(service=service, groups=groups).page()
    found = {family.name for family in parse_text(page.decode())}
    wanted = {metric.name for metric in CATALOGUE if metric.group in groups}
    assert found - {metric.name for metric in engines.PROCESS_METRICS} == wanted - {
        metric.name for metric in engines.PROCESS_METRICS
    }


def test_every_group_is_somebodys():
    """Each metric of the catalogue is shown by some process, embedded or in a cluster."""
    of_services = frozenset().union(*catalogue.GROUPS_OF.values())
    shown = of_services | engines.CLUSTER_GROUPS | engines.EMBEDDED_GROUPS
    assert {metric.group for metric in CATALOGUE} == shown


def test_what_can_be_read_no_more_is_not_shown():
    """An engine or a file that is gone leaves the page, instead of standing there as it was."""
    metrics, up = Metrics(), {"log": True, "ledger": True}
    metrics.engines_up(lambda: up)
    assert value(metrics, "veltrix_engine_up", engine="ledger") == 1
    del up["ledger"]
    assert ("veltrix_engine_up", (("engine", "ledger"),)) not in samples(metrics)


def test_a_page_is_whole_while_the_process_ends():
    """What cannot be read any more keeps its last value; everything else on the page is there."""
    metrics, gone = Metrics(), [False]

    def read() -> float:
        if gone[0]:
            raise RuntimeError("it is closed")
        return 3.0

    def checks() -> dict[str, bool]:
        if gone[0]:
            raise KeyError("started")
        return {"started": True}

    metrics.bound("things", read, 10)
    metrics.readiness(checks)
    assert value(metrics, "veltrix_bound_used", bound="things") == 3
    gone[0] = True
    metrics.fenced(0)
    assert value(metrics, "veltrix_fenced_total") == 1
    assert value(metrics, "veltrix_bound_used", bound="things") == 3
    assert value(metrics, "veltrix_ready", check="started") == 1


def test_hot_events_are_counted_where_they_are_decided():
    """A process that decides counts decisions; one that only accepts counts what it appended. None twice."""
    both = Metrics()
    both.appended("register", 0.1, "evt_1")
    both.decided("register", "accepted", "", "evt_1")
    assert [row["commands"] for row in both.hot.top(5)] == [1]
    edge = Metrics(groups=catalogue.GROUPS_OF["registration"])
    edge.appended("register", 0.1, "evt_1")
    assert [row["commands"] for row in edge.hot.top(5)] == [1]


def protocols(tree):
    """The classes in a file by which a service says what it wants to tell."""
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(("Metrics", "Meters"))
        and any("Protocol" in ast.unparse(base) for base in node.bases)
    ]


def test_metrics_fit_what_the_services_ask_for():
    """Every protocol of the services' own is met, method by method, with the same arguments."""
    found = 0
    for path in sorted((ROOT / "src/veltrix").glob("[rpn]*/*.py")):
        for protocol in protocols(ast.parse(path.read_text(encoding="utf-8"))):
            for method in protocol.body:
                if isinstance(method, ast.FunctionDef):
                    found += 1
                    ours = list(inspect.signature(getattr(Metrics, method.name)).parameters)
                    theirs = [argument.arg for argument in method.args.args]
                    assert ours[: len(theirs)] == theirs, f"{path.name}: {method.name}"
    assert found > 10


async def test_event_loop_lag_is_measured():
    """A loop that is blocked shows it; the watch ends when it is cancelled."""
    seen: list[float] = []
    measured = asyncio.Event()

    def observe(seconds):
        seen.append(seconds)
        measured.set()

    watching = asyncio.create_task(watch_event_loop(observe, interval_s=0.001))
    await measured.wait()
    loop = asyncio.get_running_loop()
    end_s = loop.time() + 0.03
    while loop.time() < end_s:
        pass
    measured.clear()
    await measured.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert min(seen) >= 0
    assert max(seen) > 0.02


def test_bisecting_finds_the_bucket():
    """A value on a bound belongs to that bound, as Prometheus defines it."""
    spread = spreads(catalogue.DECISION_SECONDS).child()
    spread.observe(0.001)
    assert spread.counts[bisect_left(FINE_S, 0.001)] == 1


def test_the_first_failure_is_a_rise():
    """A route's errors and a channel's bad outcomes stand at 0 from the first answer or attempt: Prometheus
    sees the first one as a rise, and not as a series that begins at 1."""
    metrics = Metrics()
    metrics.answered("/v1/events", "POST", 201, 0.01)
    metrics.attempted("webhook", "accepted", 0.1)
    assert value(metrics, "veltrix_http_requests_total", route="/v1/events", method="POST", status="5xx") == 0
    assert value(metrics, "veltrix_notice_attempts_total", channel="webhook", outcome="unknown") == 0
