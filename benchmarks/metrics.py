"""Reading a Prometheus page: what a histogram gained between two looks at it."""

import re
from bisect import bisect_left
from dataclasses import dataclass
from urllib.request import urlopen

from veltrix.load.client import Asker

_SAMPLE = re.compile(r"^(\w+?)(?:\{([^}]*)\})? ([0-9.eE+-]+|\+Inf|NaN)$", re.MULTILINE)
_LE = re.compile(r'le="([^"]+)"')


@dataclass(frozen=True)
class Histogram:
    """Counts by upper bound (cumulative), in seconds; series of other labels added up."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total_s: float
    count: float

    def since(self, before: "Histogram") -> "Histogram":
        """What was added."""
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return Histogram(self.bounds, counts, self.total_s - before.total_s, self.count - before.count)

    @property
    def mean_s(self) -> float:
        """Exact: a histogram keeps the sum."""
        return self.total_s / self.count if self.count else float("nan")

    def quantile_s(self, share: float) -> float:
        """Interpolated within its bucket, as PromQL does it."""
        if not self.count:
            return float("nan")
        wanted = share * self.count
        index = bisect_left(self.counts, wanted)
        if index >= len(self.bounds) - 1:
            return self.bounds[-2]
        low = self.bounds[index - 1] if index else 0.0
        below = self.counts[index - 1] if index else 0.0
        inside = self.counts[index] - below
        return low + (self.bounds[index] - low) * ((wanted - below) / inside if inside else 1.0)


class Page:
    """One look at a metrics page."""

    def __init__(self, text: str) -> None:
        self.samples = [(name, labels or "", float(value)) for name, labels, value in _SAMPLE.findall(text)]

    def total(self, name: str) -> float:
        """The sum of all series of that name."""
        return sum(value for known, _, value in self.samples if known == name)

    def histogram(self, name: str) -> Histogram:
        """All series of that name as one."""
        buckets: dict[float, float] = {}
        for known, labels, value in self.samples:
            bound = _LE.search(labels) if known == f"{name}_bucket" else None
            if bound:
                upper = float(bound[1].replace("+Inf", "inf"))
                buckets[upper] = buckets.get(upper, 0.0) + value
        bounds = tuple(sorted(buckets)) or (0.0, float("inf"))
        counts = tuple(buckets.get(bound, 0.0) for bound in bounds)
        return Histogram(bounds, counts, self.total(f"{name}_sum"), self.total(f"{name}_count"))


def look_now(url: str) -> Page:
    """The page as it is now, for where nothing can be awaited."""
    with urlopen(f"{url}/metrics", timeout=30) as answer:
        return Page(answer.read().decode())


async def look(asker: Asker) -> Page:
    """The page as it is now."""
    answer = await asker.ask("GET", "/metrics")
    return Page(answer.body.decode())
