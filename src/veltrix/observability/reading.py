"""What is read anew for each page of metrics, instead of being told: it is then never stale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from veltrix.observability.instruments import Family, Number, Spread
from veltrix.observability.logging import get_logger

if TYPE_CHECKING:
    from veltrix.observability.exposition import Page

_log = get_logger("metrics")
T = TypeVar("T")
Read = Callable[[], float]


def _attempted(read: Callable[[], T]) -> T | None:
    """What is read; None when it cannot be: in a process that is stopping, part of it is gone already, and
    the rest of the page is worth having then above all."""
    try:
        return read()
    except Exception as error:
        _log.debug("not_read_for_metrics", error=f"{type(error).__name__}: {error}")
        return None


class Readings:
    """Gauges (and counters that somebody else counts) with the functions that read them, and the page."""

    def __init__(self, families: Mapping[str, Family[Number] | Family[Spread]]) -> None:
        self._families = families
        self._numbers: list[tuple[Number, Read]] = []
        self._tables: list[tuple[Family[Number], Callable[[], Mapping[tuple[str, ...], float]]]] = []
        self._page: Page | None = None

    def number(self, child: Number, read: Read) -> None:
        """Read one value."""
        self._numbers.append((child, read))

    def table(self, family: Family[Number], read: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Read all values of a metric by its labels; what is no longer among them is no longer shown."""
        self._tables.append((family, read))

    def render(self, accept: str, groups: frozenset[str] | None) -> tuple[bytes, str]:
        """The page of these groups (None: all) with everything read."""
        for child, read in self._numbers:
            value = _attempted(read)
            if value is not None:
                child.set(value)
        for family, read_all in self._tables:
            values = _attempted(read_all)
            if values is None:
                continue
            for labels, _ in list(family.children()):
                if labels not in values:
                    family.drop(*labels)
            for labels, value in values.items():
                family.child(*labels).set(value)
        if self._page is None:
            from veltrix.observability.exposition import Page

            shown = [
                family
                for family in self._families.values()
                if groups is None or family.metric.group in groups
            ]
            self._page = Page(shown)
        return self._page.render(accept)
