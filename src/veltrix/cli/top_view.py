"""What `veltrix top` shows, from the pages before and the pages now: no terminal, no clock, no network."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from veltrix.cli.top_pages import Page

INCIDENTS_KEPT: Final = 12
FULL_SHARE: Final = 0.8
LATENCIES: Final = (
    ("log append", "veltrix_log_append_seconds"),
    ("decided", "veltrix_decision_seconds"),
    ("told", "veltrix_notice_delivery_seconds"),
    ("event loop", "veltrix_event_loop_lag_seconds"),
)
RATES: Final[tuple[tuple[str, str, dict[str, str]], ...]] = (
    ("requests", "veltrix_http_requests_total", {}),
    ("turned away", "veltrix_http_turned_away_total", {}),
    ("accepted", "veltrix_commands_accepted_total", {}),
    ("decided", "veltrix_decisions_total", {}),
    ("refused", "veltrix_decisions_total", {"outcome": "refused"}),
    ("facts out", "veltrix_facts_published_total", {}),
    ("notices out", "veltrix_notice_attempts_total", {"outcome": "accepted"}),
)
# Counters of which every step is something that an operator wants to have seen.
INCIDENTS: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("veltrix_fenced_total", {}, "fenced: another process took a partition over"),
    ("veltrix_partition_take_overs_total", {}, "took a partition over"),
    ("veltrix_postgres_failovers_total", {}, "PostgreSQL has another primary"),
    ("veltrix_leases_lost_total", {}, "lost its lease in etcd"),
    ("veltrix_commits_failed_total", {}, "a batch was not committed, and is decided again"),
    ("veltrix_log_appends_failed_total", {}, "commands were not appended: 503"),
    ("veltrix_decisions_total", {"outcome": "quarantined"}, "a record was quarantined"),
    ("veltrix_invariant_violations_total", {}, "AN INVARIANT IS VIOLATED"),
    ("veltrix_log_lines_total", {"level": "error"}, "errors in its log"),
)


@dataclass(slots=True)
class Frame:
    """One picture. Rates are by the second, times in seconds; None: nothing happened that has one."""

    services: list[dict[str, Any]]
    rates: dict[str, float | None]
    latencies: dict[str, dict[str, float | None]]
    partitions: list[dict[str, Any]]
    bounds: list[dict[str, Any]]
    hot_events: list[dict[str, Any]]
    notices: dict[str, float]
    incidents: list[dict[str, str]]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class View:
    """Remembers the last pages, and what happened between all that it has seen."""

    before: dict[str, Page] = field(default_factory=dict)
    incidents: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=INCIDENTS_KEPT))

    def frame(self, pages: Sequence[Page], clock: str) -> Frame:
        """The picture of these pages; `clock` is what the time of an incident is called."""
        pairs = [(self.before.get(page.url), page) for page in pages]
        for before, page in pairs:
            self.incidents.extendleft({"at": clock, **found} for found in _incidents(before, page))
        both = [(before, now) for before, now in pairs if before is not None and _same(before, now)]
        found = Frame(
            [_service(before, page) for before, page in pairs],
            {name: _rate(both, metric, labels) for name, metric, labels in RATES},
            {name: _quantiles(both, metric) for name, metric in LATENCIES},
            _partitions(pairs),
            _bounds(pages),
            _hot(pages),
            _notices(pages),
            list(self.incidents),
        )
        self.before = {page.url: page for page in pages}
        return found


def name_of(page: Page) -> str:
    """What a process is called: its kind and where it answers."""
    service = page.label("veltrix_build_info", "service")
    return f"{service} {page.url.partition('://')[2]}".strip()


def _same(before: Page, now: Page) -> bool:
    """Whether both pages are of one life of a process."""
    started = "process_start_time_seconds"
    return not before.error and not now.error and before.sum(started) == now.sum(started)


def _delta(before: Page, now: Page, metric: str, **labels: str) -> float:
    return max(0.0, now.sum(metric, **labels) - before.sum(metric, **labels))


def _rate(both: Sequence[tuple[Page, Page]], metric: str, labels: dict[str, str]) -> float | None:
    rates = [
        _delta(before, now, metric, **labels) / (now.at_s - before.at_s)
        for before, now in both
        if metric in now.samples and now.at_s > before.at_s
    ]
    return round(sum(rates), 2) if rates else None


def _quantiles(both: Sequence[tuple[Page, Page]], metric: str) -> dict[str, float | None]:
    """The median and the 99th percentile of what was measured between the pages, by buckets."""
    buckets: dict[float, float] = {}
    for before, now in both:
        for labels, value in now.samples.get(f"{metric}_bucket", {}).items():
            was = before.samples.get(f"{metric}_bucket", {}).get(labels, 0.0)
            bound = float(dict(labels)["le"])
            buckets[bound] = buckets.get(bound, 0.0) + max(0.0, value - was)
    return {"p50": quantile(buckets, 0.5), "p99": quantile(buckets, 0.99)}


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """A quantile of cumulative buckets, interpolated as Prometheus does; None when they are empty."""
    ordered = sorted(buckets.items())
    if not ordered or not ordered[-1][1]:
        return None
    rank = share * ordered[-1][1]
    for (low, below), (high, upto) in pairwise([(0.0, 0.0), *ordered]):
        if upto >= rank and upto > below:
            if high == float("inf"):
                return low
            return low + (high - low) * (rank - below) / (upto - below)
    return None


def _service(before: Page | None, page: Page) -> dict[str, Any]:
    ready = page.by("veltrix_ready", "check")
    wrong = [check for check, holds in ready.items() if not holds]
    wrong += [
        f"{engine} is silent" for engine, up in page.by("veltrix_engine_up", "engine").items() if not up
    ]
    alive = before is not None and _same(before, page)
    span_s = page.at_s - before.at_s if before is not None and alive else 0.0
    cpu = _delta(before, page, "process_cpu_seconds_total") / span_s if before and span_s > 0 else None
    return {
        "name": name_of(before if page.error and before is not None else page),
        "url": page.url,
        "state": "gone" if page.error else "not ready" if wrong or not ready else "ready",
        "why": page.error or ", ".join(wrong),
        "version": page.label("veltrix_build_info", "version"),
        "cpu": None if cpu is None else round(cpu, 3),
        "memory_bytes": page.sum("process_resident_memory_bytes") or None,
        "partitions": page.sum("veltrix_terms_held") if "veltrix_terms_held" in page.samples else None,
        "lease_s": page.sum("veltrix_lease_margin_seconds")
        if "veltrix_lease_margin_seconds" in page.samples
        else None,
    }


def _partitions(pairs: Sequence[tuple[Page | None, Page]]) -> list[dict[str, Any]]:
    """By partition: who decides it, and how far behind it is; what nobody owns, as registration sees it."""
    found: dict[str, dict[str, Any]] = {}
    for _, page in pairs:
        oldest = page.by("veltrix_oldest_undecided_estimate_seconds", "partition")
        for partition, undecided in page.by("veltrix_undecided_estimate", "partition").items():
            row = found.setdefault(partition, _partition(partition))
            row["undecided"] = max(row["undecided"], undecided)
            row["oldest_s"] = max(row["oldest_s"], oldest.get(partition, 0.0))
    for before, page in pairs:
        offsets = page.by("veltrix_next_offset", "partition")
        oldest = page.by("veltrix_oldest_undecided_seconds", "partition")
        unpublished = page.by("veltrix_facts_unpublished", "partition")
        for partition, undecided in page.by("veltrix_undecided_commands", "partition").items():
            row = found.setdefault(partition, _partition(partition))
            was = before.by("veltrix_next_offset", "partition").get(partition) if before is not None else None
            moved = None if was is None or before is None else offsets.get(partition, was) - was
            span_s = page.at_s - before.at_s if before is not None else 0.0
            row |= {
                "owner": name_of(page),
                "undecided": undecided,
                "oldest_s": oldest.get(partition, 0.0),
                "unpublished": unpublished.get(partition, 0.0),
                "next_offset": offsets.get(partition),
                "per_second": round(moved / span_s, 2) if moved is not None and span_s > 0 else None,
            }
    return sorted(found.values(), key=lambda row: int(row["partition"]))


def _partition(partition: str) -> dict[str, Any]:
    return {"partition": partition, "owner": "", "undecided": 0.0, "oldest_s": 0.0, "unpublished": 0.0,
            "next_offset": None, "per_second": None}  # fmt: skip


def _bounds(pages: Sequence[Page]) -> list[dict[str, Any]]:
    """Bounded things by how full they are, the fullest first; what is empty is left out."""
    found = []
    for page in pages:
        most = page.by("veltrix_bound_max", "bound")
        for bound, used in page.by("veltrix_bound_used", "bound").items():
            if used and most.get(bound):
                share = used / most[bound]
                found.append({"process": name_of(page), "bound": bound, "used": used, "max": most[bound],
                              "share": round(share, 4)})  # fmt: skip
    return sorted(found, key=lambda row: -row["share"])


def _hot(pages: Sequence[Page]) -> list[dict[str, Any]]:
    """The busiest events over all who decide; where nobody tells of decisions, over all who append."""
    deciding = [page for page in pages if "veltrix_decisions_total" in page.samples]
    total: dict[str, dict[str, Any]] = {}
    for page in deciding or pages:
        for row in page.hot:
            have = total.setdefault(row["event"], dict.fromkeys(row, 0) | {"event": row["event"]})
            for name, value in row.items():
                if name != "event":
                    have[name] = round(have.get(name, 0) + value, 3)
    return sorted(total.values(), key=lambda row: -row["per_second"])[:10]


def _notices(pages: Sequence[Page]) -> dict[str, float]:
    found: dict[str, float] = {}
    for page in pages:
        for status, count in page.by("veltrix_notices", "status").items():
            found[status] = max(found.get(status, 0.0), count)  # each process counts the same store
        oldest_s = page.sum("veltrix_notice_oldest_pending_seconds")
        found["oldest_pending_s"] = max(found.get("oldest_pending_s", 0.0), round(oldest_s, 3))
    return found


def _incidents(before: Page | None, page: Page) -> list[dict[str, str]]:
    """What changed for the worse, or back, since the page before."""
    if before is None:
        return [{"process": page.url, "what": f"gone: {page.error}"}] if page.error else []
    name = name_of(before if page.error else page)
    if page.error and not before.error:
        return [{"process": name, "what": f"gone: {page.error}"}]
    if page.error:
        return []
    if before.error:
        return [{"process": name, "what": "answers"}]
    if not _same(before, page):
        return [{"process": name, "what": "was started anew"}]
    said = []
    for metric, labels, what in INCIDENTS:
        count = _delta(before, page, metric, **labels)
        if count:
            said.append({"process": name, "what": f"{what}{f' ({count:g})' if count > 1 else ''}"})
    was, now = (each.by("veltrix_ready", "check") for each in (before, page))
    said += [
        {"process": name, "what": f"{check}: {'yes again' if holds else 'no longer'}"}
        for check, holds in now.items()
        if check in was and was[check] != holds
    ]
    return said
