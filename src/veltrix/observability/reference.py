"""The reference of all metrics, printed from their catalogue.

``python -m veltrix.observability.reference > docs/metrics.md``
"""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Final

from veltrix.observability.catalogue import CATALOGUE, Metric, Type

# Longer lists (kinds of commands, reasons of refusals) have their place in the vocabulary.
KNOWN_SHOWN_MAX: Final = 8

_INTRODUCTION = """\
# Metrics

`/metrics` gives these in Prometheus' text format, or as OpenMetrics when the scraper asks for that. This page
is printed from their catalogue, and a test compares `/metrics` with it.

Times are seconds, sizes bytes. A counter begins at 0 when the process starts. Histograms have `_bucket`,
`_sum` and `_count`; those by which the platform is judged have ten buckets a decade, so that their
percentiles are right to a tenth. A label never holds anything about a person or an event (`/hot-events` names
the busiest events), and each metric has at most 2,000 sets of label values: what comes after them is counted
as `(other)`.

Each process shows what it can tell: registration its requests, processing its decisions, and so on. What
follows a partition (`veltrix_undecided_commands`, …) is told by whoever owns it; a partition that nobody owns
is missing there, while `veltrix_undecided_estimate` of registration goes on. Everything that is bounded
stands in `veltrix_bound_used` and `veltrix_bound_max` under one name: their quotient is its saturation.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    parts = [_INTRODUCTION]
    for group, metrics in groupby(CATALOGUE, key=lambda metric: metric.group):
        parts += [f"## {group}", "", "| metric | type | labels | meaning |", "|---|---|---|---|"]
        parts += [_row(metric) for metric in metrics]
        parts.append("")
    return "\n".join(parts)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    notes = []
    if metric.type is Type.HISTOGRAM:
        notes.append(f"{len(metric.buckets)} buckets, {metric.buckets[0]:g} to {metric.buckets[-1]:g}")
    if 0 < len(metric.known) <= KNOWN_SHOWN_MAX:
        values = ", ".join(f"`{value}`" for value in metric.known)
        notes.append(f"{metric.labels[0]}: {values}")
    if metric.linux_only:
        notes.append("on Linux only")
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"| `{metric.exposed}` | {metric.type} | {labels} | {metric.meaning.rstrip('.')}{note}. |"


if __name__ == "__main__":
    sys.stdout.write(reference())
