"""The numbers behind the metrics: as cheap as they can be, for one thread, the event loop's.

prometheus_client's own children take a lock and walk the buckets one by one: 0.7 µs a counter and 2 µs
a histogram of 50 buckets here, against 0.1 and 0.3 µs for these. Only the exposition is the library's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from veltrix.observability.kinds import Metric, Type

# More label values than any healthy process has: what comes after them is counted together.
CHILDREN_MAX: Final = 2_000
OTHER: Final = "(other)"


class Number:
    """A counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, amount: float = 1.0) -> None:
        """Raise it."""
        self.value += amount

    def set(self, value: float) -> None:
        """Replace it (gauges only)."""
        self.value = value


class Spread:
    """A histogram: how many values are at most each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Take in a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


Child = TypeVar("Child", Number, Spread)


class Family(Generic[Child]):
    """All children of one metric, by the values of its labels."""

    __slots__ = ("_children", "_make", "metric")

    def __init__(self, metric: Metric, make: Callable[[], Child]) -> None:
        self.metric = metric
        self._make: Callable[[], Child] = make
        self._children: dict[tuple[str, ...], Child] = {}
        if not metric.labels:
            self.child()
        for value in metric.known:
            self.child(value)

    def child(self, *labels: str) -> Child:
        """The child of these label values, in the order of the metric's labels; made when it is new."""
        found = self._children.get(labels)
        if found is None:
            assert len(labels) == len(self.metric.labels), f"{self.metric.name} has {self.metric.labels}"
            if len(self._children) >= CHILDREN_MAX:
                labels = (OTHER,) * len(labels)
            found = self._children.setdefault(labels, self._make())
        return found

    def drop(self, *labels: str) -> None:
        """Show these label values no more: what they stood for is no longer this process's to tell."""
        self._children.pop(labels, None)

    def children(self) -> Iterator[tuple[tuple[str, ...], Child]]:
        """Every child with its label values."""
        yield from self._children.items()


def numbers(metric: Metric) -> Family[Number]:
    """The family of a counter or a gauge."""
    assert metric.type is not Type.HISTOGRAM
    return Family(metric, Number)


def spreads(metric: Metric) -> Family[Spread]:
    """The family of a histogram."""
    assert metric.type is Type.HISTOGRAM
    return Family(metric, lambda: Spread(metric.buckets))
