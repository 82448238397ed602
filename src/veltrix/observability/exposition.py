"""The metrics as Prometheus reads them: its text format, or OpenMetrics when it is asked for.

The lines of our own families are put together here: prometheus_client makes objects of every sample, 20 ms
for the 1,300 of a page, and for so long no request is answered; this takes less than one. What stands before
a number is the same each time, and kept. The choice of the format, and the process' own metrics, are the
library's; a test compares the lines with what it would have written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as ExposedMetric
from prometheus_client.registry import Collector

from veltrix.observability.instruments import Family, Number, Spread
from veltrix.observability.kinds import Metric, Type

AnyFamily = Family[Number] | Family[Spread]
_OPENMETRICS = "application/openmetrics-text"


class ByLibrary(Collector):
    """The families as the library would show them: what the lines below are compared with."""

    def __init__(self, families: Iterable[AnyFamily]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[ExposedMetric]:
        """One exposed metric a family."""
        yield from map(_exposed, self._families)


def _exposed(family: AnyFamily) -> ExposedMetric:
    metric = family.metric
    labels = list(metric.labels)
    if metric.type is Type.HISTOGRAM:
        spread = HistogramMetricFamily(metric.name, metric.meaning, labels=labels)
        for values, child in family.children():
            assert isinstance(child, Spread)
            spread.add_metric(list(values), buckets=_cumulative(child), sum_value=child.total)
        return spread
    make = CounterMetricFamily if metric.type is Type.COUNTER else GaugeMetricFamily
    number = make(metric.name, metric.meaning, labels=labels)
    for values, child in family.children():
        assert isinstance(child, Number)
        number.add_metric(list(values), child.value)
    return number


def _cumulative(spread: Spread) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them: each holds all values up to its bound."""
    buckets: list[tuple[str, float]] = []
    count = 0
    for bound, own in zip((*spread.bounds, math.inf), spread.counts, strict=True):
        count += own
        buckets.append(("+Inf" if bound == math.inf else repr(bound), float(count)))
    return buckets


class _Lines:
    """One family as lines. `prefixes` keeps what stands before the numbers of each child."""

    __slots__ = ("_family", "_heads", "_prefixes")

    def __init__(self, family: AnyFamily) -> None:
        self._family = family
        self._heads = (_head(family.metric, family.metric.exposed), _head(family.metric, family.metric.name))
        self._prefixes: dict[tuple[str, ...], list[str]] = {}

    def write(self, lines: list[str], *, openmetrics: bool) -> None:
        """Append the family's lines."""
        lines.append(self._heads[openmetrics])
        for values, child in self._family.children():
            prefixes = self._prefixes.get(values)
            if prefixes is None:
                prefixes = self._prefixes[values] = _prefixes(self._family.metric, values)
            if isinstance(child, Number):
                lines.append(f"{prefixes[0]}{_shown(child.value)}\n")
                continue
            count = 0
            for prefix, own in zip(prefixes, child.counts, strict=False):
                count += own
                lines.append(f"{prefix}{count}.0\n")
            lines.append(f"{prefixes[-2]}{count}.0\n{prefixes[-1]}{_shown(child.total)}\n")


def _head(metric: Metric, name: str) -> str:
    meaning = metric.meaning.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {meaning}\n# TYPE {name} {metric.type}\n"


def _prefixes(metric: Metric, values: tuple[str, ...]) -> list[str]:
    """Of a number one; of a histogram one a bucket, then those of count and sum."""
    labels = [f'{name}="{_escaped(value)}"' for name, value in zip(metric.labels, values, strict=True)]
    plain = f"{{{','.join(labels)}}} " if labels else " "
    if metric.type is not Type.HISTOGRAM:
        return [f"{metric.exposed}{plain}"]
    bounds = [*map(repr, metric.buckets), "+Inf"]
    buckets = [
        f"{metric.name}_bucket{{{','.join([*labels, f'le={chr(34)}{le}{chr(34)}'])}}} " for le in bounds
    ]
    return [*buckets, f"{metric.name}_count{plain}", f"{metric.name}_sum{plain}"]


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _shown(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


class Page:
    """`/metrics` of one process: nothing global."""

    def __init__(self, families: Iterable[AnyFamily]) -> None:
        self._lines = [_Lines(family) for family in families]
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type, in the format that an Accept header prefers."""
        encode, content_type = exposition.choose_encoder(accept)
        lines: list[str] = []
        openmetrics = content_type.startswith(_OPENMETRICS)
        for family in self._lines:
            family.write(lines, openmetrics=openmetrics)
        return "".join(lines).encode() + encode(self._process), content_type
