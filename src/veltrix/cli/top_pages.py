"""The metrics pages of processes, as `veltrix top` reads them: fetched at once, parsed as far as needed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

TIMEOUT_S: Final = 2.0
PAGE_MAX_BYTES: Final = 16 * 1024 * 1024
HOT_MAX: Final = 10

Labels = tuple[tuple[str, str], ...]
Samples = dict[str, dict[Labels, float]]

# What is shown; everything else on a page is skipped before it costs anything.
WANTED: Final = (
    "veltrix_bound_", "veltrix_build_info", "veltrix_commands_accepted_total", "veltrix_commits_failed_total",
    "veltrix_decision_seconds", "veltrix_decisions_total", "veltrix_engine_up",
    "veltrix_event_loop_lag_seconds", "veltrix_facts_published_total", "veltrix_facts_unpublished",
    "veltrix_fenced_total", "veltrix_http_requests_total", "veltrix_http_turned_away_total",
    "veltrix_invariant_violations_total", "veltrix_lease_margin_seconds", "veltrix_leases_lost_total",
    "veltrix_log_append_seconds", "veltrix_log_appends_failed_total", "veltrix_log_lines_total",
    "veltrix_next_offset", "veltrix_notice_attempts_total", "veltrix_notice_delivery_seconds",
    "veltrix_notice_oldest_pending_seconds", "veltrix_notices{", "veltrix_oldest_undecided_",
    "veltrix_partition_take_overs_total", "veltrix_partitions_failed", "veltrix_postgres_failovers_total",
    "veltrix_ready", "veltrix_spans_total", "veltrix_terms_held", "veltrix_undecided_",
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds",
)  # fmt: skip


@dataclass(slots=True)
class Page:
    """A process at one moment; `error` says why there is nothing."""

    url: str
    at_s: float
    samples: Samples = field(default_factory=dict)
    hot: list[dict[str, Any]] = field(default_factory=list)
    hot_window_s: float = 0.0
    error: str = ""

    def sum(self, name: str, **labels: str) -> float:
        """All values of a metric that have these labels, added up."""
        wanted = set(labels.items())
        return sum(value for have, value in self.samples.get(name, {}).items() if wanted <= set(have))

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """Values by one label, added up."""
        found: dict[str, float] = {}
        for have, value in self.samples.get(name, {}).items():
            key = dict(have).get(label, "")
            found[key] = found.get(key, 0.0) + value
        return found

    def label(self, name: str, label: str) -> str:
        """A label's value of a metric that has one child, such as a version."""
        return next((dict(have).get(label, "") for have in self.samples.get(name, {})), "")


def fetch_all(urls: Iterable[str]) -> list[Page]:
    """The pages of all processes, asked at once; one that does not answer costs the others nothing."""
    listed = list(urls)
    with ThreadPoolExecutor(max_workers=max(1, min(32, len(listed)))) as pool:
        return list(pool.map(fetch, listed))


def fetch(url: str) -> Page:
    """One process' page, and the events that are asked for most there."""
    opener = build_opener(ProxyHandler({}))
    at_s = time.monotonic()
    try:
        with opener.open(f"{url}/metrics", timeout=TIMEOUT_S) as answer:
            text = answer.read(PAGE_MAX_BYTES).decode("utf-8", "replace")
        page = Page(url, at_s, parsed(text))
    except (OSError, ValueError) as error:
        return Page(url, at_s, error=_said(error))
    if not page.samples:
        page.error = "answers, but is no process of Veltrix"
        return page
    try:
        with opener.open(f"{url}/hot-events", timeout=TIMEOUT_S) as answer:
            document = json.loads(answer.read(PAGE_MAX_BYTES))
        page.hot = list(document["events"])[:HOT_MAX]
        page.hot_window_s = float(document["window_s"])
    except (OSError, ValueError, KeyError, TypeError):
        page.hot = []  # an older process, or none that knows of events
    return page


def parsed(text: str) -> Samples:
    """The samples that are shown, by name and labels. Raises `ValueError` for what is no metrics page."""
    from prometheus_client.parser import text_string_to_metric_families

    lines = "\n".join(line for line in text.splitlines() if line.startswith(WANTED))
    found: Samples = {}
    for family in text_string_to_metric_families(lines + "\n"):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def _said(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"answers {error.code} {error.reason}"
    reason = error.reason if isinstance(error, URLError) else error
    text = str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
    return "does not answer in time" if "timed out" in text else text
