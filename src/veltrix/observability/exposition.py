"""The metrics as Prometheus reads them: its text format, or OpenMetrics when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as ExposedMetric
from prometheus_client.registry import Collector

from veltrix.observability.instruments import Family, Number, Spread
from veltrix.observability.kinds import Type

AnyFamily = Family[Number] | Family[Spread]


class _Collector(Collector):
    """Hands the families of one process to the library at each scrape."""

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
    for bound, own in zip((*spread.bounds, float("inf")), spread.counts, strict=True):
        count += own
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(count)))
    return buckets


class Page:
    """`/metrics` of one process: a registry of its own, nothing global."""

    def __init__(self, families: Iterable[AnyFamily]) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_Collector(families))
        ProcessCollector(registry=self.registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type, in the format that an Accept header prefers."""
        encode, content_type = exposition.choose_encoder(accept)
        return encode(self.registry), content_type


def samples(registry: CollectorRegistry) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels: for tests and reports."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
