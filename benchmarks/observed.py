"""What it costs to be seen: throughput with everything on beside throughput with nothing, in one run.

Everything: metrics, scraped as Prometheus does by default; traces at the shipped ratio, sent to a
collector; the log; the checker. Nothing: `benchmarks.unobserved`, with traces off. The two take turns, and
medians of the ratios of neighbouring turns count.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.metrics import look_now
from benchmarks.servers import Server
from benchmarks.throughput import Turn, take_turn
from veltrix.load.platform import LocalPlatform

GOAL = 0.95
SCRAPE_S = 15.0
UNOBSERVED = (sys.executable, "-m", "benchmarks.unobserved")
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """The turns of both."""

    off: list[Turn]
    on: list[Turn]
    spans: float

    @property
    def ratio(self) -> float:
        """The median of the ratios of neighbouring turns."""
        pairs = zip(self.on, self.off, strict=True)
        return median(seen.rate_per_s / unseen.rate_per_s for seen, unseen in pairs)

    def rows(self) -> list[tuple[str, str, str]]:
        """For the table: what, value, remark."""
        shown = []
        for name, turns in (("nothing observed", self.off), ("everything observed", self.on)):
            rates = sorted(turn.rate_per_s for turn in turns)
            cpu_us = median(turn.server_us for turn in turns)
            spread = f"{rates[0]:,.0f} to {rates[-1]:,.0f}; CPU {cpu_us:.0f} µs server a request"
            shown.append((f"registrations, {name}", f"{median(rates):,.0f}/s", spread))
        cpu = median(turn.server_us for turn in self.on) / median(turn.server_us for turn in self.off)
        return [
            *shown,
            ("ratio of throughput", f"{self.ratio:.3f}", f"goal: at least {GOAL}"),
            ("ratio of the server's CPU time a request", f"{cpu:.3f}", ""),
            ("spans recorded meanwhile", f"{self.spans:,.0f}", "at the shipped tracing.sample_ratio"),
        ]


@contextmanager
def collector() -> Iterator[str]:
    """Takes spans in and forgets them; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        """POST."""

        def do_POST(self) -> None:
            """Accepts."""
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def scraped(url: str) -> Iterator[None]:
    """Its metrics are read as Prometheus reads them."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(SCRAPE_S):
            look_now(url)

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def compare(
    directory: Path | None, connections: int, people: int, rounds: int, say: Callable[[str], None]
) -> Cost:
    """Turn about, after a first short turn of each that does not count; who begins changes each time."""
    with ExitStack() as stack:
        off = stack.enter_context(_started(directory, "unobserved", UNOBSERVED, {}))
        seen = {
            "VELTRIX_TRACING_ENDPOINT": stack.enter_context(collector()),
            "VELTRIX_LOGGING_FORMAT": "json",
        }
        on = stack.enter_context(_started(directory, "observed", (), seen))
        stack.enter_context(scraped(on.url))
        turns: dict[str, list[Turn]] = {off.name: [], on.name: []}
        for server in (off, on):
            await take_turn(server, min(connections, 100), min(people, 500), 0)
        for number in range(1, rounds + 1):
            for server in (off, on) if number % 2 else (on, off):
                turn = await take_turn(server, connections, people, number)
                turns[server.name].append(turn)
                say(f"{server.name}, turn {number}: {turn.rate_per_s:,.0f}/s")
        spans = look_now(on.url).total("veltrix_spans_total")
    return Cost(turns[off.name], turns[on.name], spans)


@contextmanager
def _started(
    directory: Path | None, name: str, program: tuple[str, ...], environment: dict[str, str]
) -> Iterator[Server]:
    with TemporaryDirectory(prefix="veltrix-bench-", dir=directory) as fresh:
        paths = {"PYTHONPATH": str(ROOT)} if program else {}
        platform = LocalPlatform.start(Path(fresh), program, environment | paths)
        try:
            yield Server(name, platform.url, platform.process.pid, platform.new_key("bench"))
        finally:
            platform.stop()
