"""A real Prometheus on a real platform under load: it is asked everything that dashboards and rules ask."""

from __future__ import annotations

import asyncio
import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.running import Platform, key_of, person
from tests.observability.asking import Prometheus, prometheus, until
from veltrix.cluster.tools import Tools
from veltrix.observability import catalogue, engines
from veltrix.observability.metrics import Metrics
from veltrix.observability.prometheus import Target

RATE_S = 10
SHOWN = frozenset().union(*catalogue.GROUPS_OF.values()) | engines.EMBEDDED_GROUPS
# Made by the first who is turned away, and by the first notice that waits; embedded, there is no lease.
UNSEEN = {"veltrix_http_turned_away_total", "veltrix_notices_waiting", "veltrix_lease_margin_seconds"}


async def people(platform: Platform, event: str, numbers: Iterator[int]) -> None:
    """Come one after the other until cancelled, or until nobody answers."""
    with suppress(httpx.HTTPError):
        async with platform.public() as client:
            for number in numbers:
                headers = {"Idempotency-Key": key_of(number)}
                await client.post(f"/v1/events/{event}/registrations", json=person(number), headers=headers)


@pytest.mark.timeout(240)
async def test_every_question_is_answered(tmp_path: Path, engine_tools: Tools):
    """On an embedded platform under load, every query of every panel parses and gives series with the labels
    that it names, every rule is evaluated, and no alert fires; when it is stopped, one is pending."""
    platform = Platform(tmp_path / "data")
    await platform.start()
    target = Target("embedded", "veltrix-1", urlsplit(platform.url).netloc)
    try:
        with prometheus(engine_tools, tmp_path, [target]) as asked:
            event = await platform.open_event(await platform.key())
            numbers = count()
            load = [asyncio.create_task(people(platform, event, numbers)) for _ in range(4)]
            await asyncio.to_thread(under_load, asked)
            await platform.stop()
            for task in load:
                task.cancel()
            await asyncio.gather(*load, return_exceptions=True)
            await asyncio.to_thread(gone, asked)
    finally:
        if platform.process is not None and platform.process.returncode is None:
            await platform.stop()


def under_load(asked: Prometheus) -> None:
    """All is answered, sooner or later: rates need two scrapes."""
    until(lambda: not asked.all_unanswered(RATE_S), lambda: "\n".join(asked.all_unanswered(RATE_S)))
    assert asked.ill_rules() == {}
    assert set(asked.unknown(SHOWN)) <= UNSEEN
    assert [name for name, rule in asked.rules().items() if rule.get("state") == "firing"] == []


def gone(asked: Prometheus) -> None:
    """What nobody answers for is told."""
    until(lambda: asked.alert("VeltrixServiceGone") == "pending", lambda: str(asked.targets()), timeout_s=30)
    assert asked.targets() == {"veltrix-1": "down"}


async def test_a_scrape_during_shutdown_is_whole_or_refused(tmp_path: Path):
    """While a platform under load stops, /metrics answers a whole page or not at all, never a part of one."""
    platform = Platform(tmp_path / "data")
    await platform.start()
    event = await platform.open_event(await platform.key())
    numbers = count()
    load = [asyncio.create_task(people(platform, event, numbers)) for _ in range(4)]
    answered, ended = threading.Event(), threading.Event()
    pages: list[bytes] = []
    refused: list[str] = []
    scraping = asyncio.create_task(
        asyncio.to_thread(scrape, urlsplit(platform.url).netloc, answered, ended, pages, refused)
    )
    await asyncio.to_thread(answered.wait, 30)
    assert await platform.stop() == 0
    ended.set()
    await scraping
    for task in load:
        task.cancel()
    await asyncio.gather(*load, return_exceptions=True)
    for page in pages:
        names = {family.name for family in text_string_to_metric_families(page.decode())}
        assert {"veltrix_http_requests", "veltrix_build_info"} <= names
    assert refused


def scrape(
    address: str, answered: threading.Event, ended: threading.Event, pages: list[bytes], refused: list[str]
) -> None:
    """Ask again and again, on a connection of its own each time, until nobody answers."""
    while not (ended.is_set() and refused):
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            page = answer.read()  # raises IncompleteRead for a part
            assert answer.status == 200
            pages.append(page)
            answered.set()
        except OSError as error:
            refused.append(str(error))
        except http.client.BadStatusLine as error:  # closed before a byte was sent
            refused.append(str(error))
        finally:
            connection.close()


@contextmanager
def page_of(metrics: Metrics) -> Iterator[str]:
    """`/metrics` of a process that is not there otherwise, at "host:port"."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, content_type = metrics.page(self.headers.get("Accept", ""))
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_hostile_label_value_arrives_as_it_is(tmp_path: Path, engine_tools: Tools):
    """A label value with a line break, quotes and backslashes is one value in Prometheus, no more."""
    hostile = 'one\nveltrix_forged_total 1\n"two" \\ {three="four"}'
    metrics = Metrics()
    metrics.turned_away(hostile)
    with (
        page_of(metrics) as address,
        prometheus(engine_tools, tmp_path, [Target("registration", "registration-1", address)]) as asked,
    ):
        until(lambda: asked.ask("veltrix_http_turned_away_total"), lambda: str(asked.targets()))
        (series,) = asked.ask("veltrix_http_turned_away_total")
        assert series["metric"]["reason"] == hostile
        assert asked.ask("veltrix_forged_total") == []
        assert asked.targets() == {"registration-1": "up"}
