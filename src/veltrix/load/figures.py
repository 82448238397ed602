"""Numbers of a run: latencies as HdrHistogram counts them, rates, and how late the generator was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hdrh.histogram import HdrHistogram

from veltrix.promises.history import ANSWERED, Attempt, Kind

_MAX_US: Final = 3_600_000_000
_DIGITS: Final = 3
_REGISTERING: Final = frozenset({Kind.REGISTER, Kind.DUPLICATE})


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution, in milliseconds."""

    count: int
    min_ms: float
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    @classmethod
    def of_ns(cls, values_ns: Iterable[int]) -> Latency | None:
        """Of these values; None when there are none."""
        values = [max(0, value) for value in values_ns]
        if not values:
            return None
        histogram = HdrHistogram(1, _MAX_US, _DIGITS)
        for value in values:
            histogram.record_value(min(_MAX_US, max(1, value // 1000)))
        p50, p90, p99, p999 = (histogram.get_value_at_percentile(each) / 1e3 for each in (50, 90, 99, 99.9))
        low, mean, high = min(values) / 1e6, sum(values) / len(values) / 1e6, max(values) / 1e6
        return cls(len(values), low, mean, p50, p90, p99, min(p999, high), high)


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of request with one outcome."""

    kind: str
    outcome: str
    count: int
    latency: Latency | None


@dataclass(frozen=True, slots=True)
class Lateness:
    """How far after their intended time requests were sent."""

    late: int
    sent: int
    limit_ms: float
    by: Latency

    @property
    def share(self) -> float:
        """The share that was sent later than the limit."""
        return self.late / self.sent


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it. `registering_s` is from the first request to the last answer to a first registration."""

    lines: tuple[Line, ...]
    total: Line
    elapsed_s: float
    registering_s: float
    registered: int
    lateness: Lateness | None

    @property
    def rate_per_s(self) -> float:
        """Answered requests a second, over the whole run."""
        return self.total.latency.count / self.elapsed_s if self.total.latency and self.elapsed_s else 0.0

    @property
    def registering_rate_per_s(self) -> float:
        """Answered first registrations a second, until the last of them."""
        return self.registered / self.registering_s if self.registering_s else 0.0


def figures_of(attempts: tuple[Attempt, ...], late_ms: float) -> Figures:
    """The figures of what was sent."""
    groups: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        groups[attempt.kind, _outcome(attempt)].append(attempt)
    order = [str(kind) for kind in Kind]
    lines = [Line(kind, outcome, len(group), _latency(group)) for (kind, outcome), group in groups.items()]
    lines.sort(key=lambda line: (order.index(line.kind), -line.count))
    first_ns = min((attempt.sent_ns for attempt in attempts), default=0)
    registering = [each for each in attempts if each.kind in _REGISTERING and each.outcome in ANSWERED]
    return Figures(
        lines=tuple(lines),
        total=Line("all", "", len(attempts), _latency(attempts)),
        elapsed_s=_span_s(first_ns, attempts),
        registering_s=_span_s(first_ns, registering),
        registered=len(registering),
        lateness=_lateness(attempts, late_ms),
    )


def _outcome(attempt: Attempt) -> str:
    if attempt.outcome in ANSWERED and attempt.answer is not None:
        return attempt.answer.label + (" after 202" if attempt.settled_ns is not None else "")
    return str(attempt.outcome)


def _latency(attempts: Iterable[Attempt]) -> Latency | None:
    return Latency.of_ns(each.latency_ns for each in attempts if each.latency_ns is not None)


def _span_s(first_ns: int, attempts: Iterable[Attempt]) -> float:
    read_ns = (each.settled_ns or each.received_ns for each in attempts)
    last_ns = max((each for each in read_ns if each is not None), default=first_ns)
    return (last_ns - first_ns) / 1e9


def _lateness(attempts: tuple[Attempt, ...], late_ms: float) -> Lateness | None:
    planned = [each for each in attempts if not each.tried]  # what is repeated is late for another reason
    behind_ns = [each.sent_ns - each.intended_ns for each in planned if each.intended_ns is not None]
    by = Latency.of_ns(behind_ns)
    if by is None:
        return None
    late = sum(1 for each in behind_ns if each > late_ms * 1e6)
    return Lateness(late, len(behind_ns), late_ms, by)
