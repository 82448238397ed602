"""One registration's trace, from the request to the accepted mail, as a real collector receives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.running import Platform, key_of, person
from tests.observability.collector import Collector, Received, collecting

CALLER = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
HOSTILE = ("00-" + "0" * 32 + f"-{SPAN}-01", f"00-{CALLER}-{SPAN}-01-x", "é" * 20, "00-" + "f" * 4000)


class Traced(Platform):
    """A platform that sends its spans to a collector."""

    def __init__(self, directory: Path, endpoint: str, ratio: str = "1", *, trust: bool = False) -> None:
        super().__init__(directory)
        self._settings = {
            "VELTRIX_TRACING_ENDPOINT": endpoint,
            "VELTRIX_TRACING_SAMPLE_RATIO": ratio,
            "VELTRIX_TRACING_TRUST_CALLERS": "true" if trust else "false",
            "VELTRIX_LOGGING_LEVEL": "debug",
        }

    def environment(self) -> dict[str, str]:
        """With the collector's address."""
        return super().environment() | self._settings


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that runs."""
    with collecting() as running:
        yield running


@pytest.fixture
async def traced(tmp_path: Path, collector: Collector) -> AsyncIterator[Traced]:
    """A platform that traces everything."""
    running = Traced(tmp_path / "data", collector.url)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def register(platform: Platform, number: int, event: str, traceparent: str | bytes = "") -> str:
    """Register somebody; returns the trace's id as the answer names it."""
    headers = {b"idempotency-key": key_of(number).encode()}
    if traceparent:
        headers[b"traceparent"] = traceparent.encode() if isinstance(traceparent, str) else traceparent
    async with platform.public() as http:
        answer = await http.post(
            f"/v1/events/{event}/registrations", json=person(number), headers=list(headers.items())
        )
    assert answer.status_code == 201, answer.text
    return answer.headers["x-trace-id"]


def of(spans: Sequence[Received], trace_id: str) -> dict[str, list[Received]]:
    """The spans of one trace, by name."""
    found: dict[str, list[Received]] = {}
    for span in spans:
        if span.trace_id == trace_id:
            found.setdefault(span.name, []).append(span)
    return found


REQUEST = "POST /v1/events/{event}/registrations"
ALL = {REQUEST, "append", "wait for the decision", "process", "decide", "commit", "publish", "plan notices",
       "send notice"}  # fmt: skip


async def test_one_registration_is_one_tree(traced: Traced, collector: Collector) -> None:
    """From the request to the accepted mail: every step is there once, below the request, in order; the
    batch is a trace of its own that is linked with it both ways."""
    event = await traced.open_event(await traced.key())
    trace_id = await register(traced, 1, event)
    spans = await asyncio.to_thread(
        collector.until,
        lambda spans: of(spans, trace_id).keys() >= ALL and any(s.name == "batch" for s in spans),
    )
    tree = of(spans, trace_id)
    assert tree.keys() == ALL
    assert {name: len(found) for name, found in tree.items()} == dict.fromkeys(ALL, 1)
    [root] = tree[REQUEST]
    assert root.parent_id == ""
    by_id = {found[0].span_id: found[0] for found in tree.values()}
    for span in by_id.values():
        assert span is root or span.parent_id in by_id, f"{span.name} hangs in the air"
        assert span.start_ns <= span.end_ns
        assert root.start_ns <= span.start_ns
    starts = [tree[name][0].start_ns for name in (REQUEST, "append", "process", "publish", "send notice")]
    assert starts == sorted(starts)
    [sent], [process] = tree["send notice"], tree["process"]
    assert sent.attributes["veltrix.outcome"] == "accepted"
    assert not sent.failed
    assert root.attributes["http.response.status_code"] == 201
    [batch] = [span for span in spans if (span.trace_id, span.span_id) in process.links]
    assert batch.name == "batch"
    assert (trace_id, process.span_id) in batch.links
    parts = {span.name for span in spans if span.parent_id == batch.span_id}
    assert parts == {"load", "decide", "commit"}


async def test_a_callers_trace_goes_on_and_nonsense_is_ignored(traced: Traced, collector: Collector) -> None:
    """A caller's trace is continued below its span; a hostile header begins a new trace, and harms nobody."""
    event = await traced.open_event(await traced.key())
    assert await register(traced, 1, event, f"00-{CALLER}-{SPAN}-00") == CALLER
    others = [await register(traced, number, event, text) for number, text in enumerate(HOSTILE, 2)]
    assert len({*others, CALLER}) == len(HOSTILE) + 1
    spans = await asyncio.to_thread(
        collector.until, lambda spans: all("send notice" in of(spans, each) for each in [CALLER, *others])
    )
    assert [span.parent_id for span in of(spans, CALLER)[REQUEST]] == [SPAN]
    assert all(of(spans, each)[REQUEST][0].parent_id == "" for each in others)


async def test_strangers_do_not_choose_what_is_traced(tmp_path: Path, collector: Collector) -> None:
    """With nothing sampled a caller's flag counts where callers are trusted, and nowhere else."""
    for trusted in (False, True):
        platform = Traced(tmp_path / f"trusted-{trusted}", collector.url, "0", trust=trusted)
        await platform.start()
        event = await platform.open_event(await platform.key())
        await register(platform, 1, event)
        await register(platform, 2, event, f"00-{CALLER}-{SPAN}-01")
        assert await platform.stop() == 0
        found = {span.trace_id for span in collector.spans if span.name != "batch" and span.parent_id}
        assert CALLER in found if trusted else not collector.spans


async def test_a_collector_that_is_away_costs_nobody_anything(tmp_path: Path, collector: Collector) -> None:
    """Spans that cannot be sent are dropped, counted and said once; requests are answered as ever."""
    collector.status = 500
    platform = Traced(tmp_path / "data", collector.url)
    await platform.start()
    try:
        event = await platform.open_event(await platform.key())
        for number in range(1, 4):
            await register(platform, number, event)
        async with asyncio.timeout(30), platform.public() as http:
            while True:
                page = (await http.get("/metrics")).text
                if 'veltrix_spans_total{outcome="dropped"} 0.0' not in page:
                    break
    finally:
        assert await platform.stop() == 0
    said = [line for line in platform.tail if "spans do not reach the collector" in line]
    assert len(said) == 1
