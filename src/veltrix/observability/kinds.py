"""What a metric is, and how the catalogue writes one down."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Type(StrEnum):
    """What can be read from a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A counter's name stands without the `_total` that the exposition adds.

    `known` are values of a single label that show as 0 from the start, so that a rate or an alert sees
    the first occurrence. `linux_only` ones are read from /proc.
    """

    name: str
    type: Type
    unit: str
    group: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    known: tuple[str, ...] = ()
    linux_only: bool = False

    @property
    def exposed(self) -> str:
        """The name that a query uses."""
        return f"{self.name}_total" if self.type is Type.COUNTER else self.name


def decades(first: float, last: float, steps: tuple[float, ...]) -> tuple[float, ...]:
    """Bucket bounds: each step times every power of ten from `first` up to `last`."""
    bounds: list[float] = []
    power = first
    while power < last * 0.999:
        bounds += [float(f"{power * step:.6g}") for step in steps]
        power *= 10
    return (*(bound for bound in bounds if bound < last), last)


COARSE_S: Final = decades(0.0001, 10.0, (1.0, 2.5, 5.0))
# Ten a decade: percentiles of the numbers that the platform is judged by stay within a tenth of the truth.
FINE_S: Final = decades(0.0001, 10.0, (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0))
# Ten a decade too, up to minutes, and with a bound at 60 s: what is promised of notices is judged by it.
MINUTES_S: Final = decades(0.001, 1000.0, (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0))
SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)


def counter(
    name: str,
    group: str,
    meaning: str,
    labels: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
    unit: str = "",
) -> Metric:
    """A number that only rises while the process lives."""
    return Metric(f"veltrix_{name}", Type.COUNTER, unit, group, meaning, labels, known=known)


def gauge(
    name: str,
    group: str,
    meaning: str,
    labels: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
    unit: str = "",
) -> Metric:
    """A number as of now."""
    return Metric(f"veltrix_{name}", Type.GAUGE, unit, group, meaning, labels, known=known)


def histogram(
    name: str,
    group: str,
    meaning: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = COARSE_S,
    known: tuple[str, ...] = (),
    unit: str = "seconds",
) -> Metric:
    """How values are spread."""
    return Metric(f"veltrix_{name}", Type.HISTOGRAM, unit, group, meaning, labels, buckets, known)
