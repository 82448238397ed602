"""What a dashboard is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

COLUMNS: Final = 24
_HEIGHT: Final = {"stat": 4, "lines": 8, "table": 8}
_WIDTH: Final = {"stat": 4, "lines": 8, "table": 12}


class Unit(StrEnum):
    """What a value counts, as Grafana names it."""

    NUMBER = "short"
    SECONDS = "s"
    SHARE = "percentunit"
    PER_SECOND = "cps"
    REQUESTS_PER_SECOND = "reqps"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    INSTANT = "dateTimeAsIso"
    TIMES = "none"


class Kind(StrEnum):
    """How values are shown."""

    STAT = "stat"  # one big number, coloured
    LINES = "lines"  # over time
    TABLE = "table"  # a list as of now


class Level(NamedTuple):
    """From this value on, a colour; `None` is the beginning."""

    value: float | None
    colour: str


def good_below(warning: float, bad: float) -> tuple[Level, ...]:
    """Green, then orange, then red as the value rises."""
    return Level(None, "green"), Level(warning, "orange"), Level(bad, "red")


def good_above(bad: float, warning: float) -> tuple[Level, ...]:
    """Red, then orange, then green as the value rises."""
    return Level(None, "red"), Level(bad, "orange"), Level(warning, "green")


class Query(NamedTuple):
    """A question to Prometheus; `legend` names each series, with its labels in double braces."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One question that an operator asks, and the answer's unit.

    `good` says what the answer is when all is well, and stands in the title. `runbook` is the alert whose
    section helps when it is not. `empty` is the reason why a healthy platform gives no series here.
    """

    title: str
    good: str
    unit: Unit
    queries: Sequence[Query]
    runbook: str
    kind: Kind = Kind.LINES
    levels: Sequence[Level] = ()
    description: str = ""
    empty: str = ""
    width: int = 0
    stacked: bool = False

    @property
    def heading(self) -> str:
        """The title as it is shown."""
        return f"{self.title} — good: {self.good}"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) on the grid."""
        return self.width or _WIDTH[self.kind.value], _HEIGHT[self.kind.value]


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together, below a heading."""

    title: str
    panels: Sequence[Panel]


class Variable(NamedTuple):
    """A choice at the top of a dashboard: the values that a label has."""

    name: str
    label: str
    values: str


INSTANCE: Final = Variable("instance", "Process", 'label_values(up{job="veltrix"}, instance)')
PARTITION: Final = Variable("partition", "Partition", "label_values(veltrix_next_offset, partition)")


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    refresh: str = "10s"
    since: str = "now-1h"

    def panels(self) -> Iterator[Panel]:
        """All panels."""
        for row in self.rows:
            yield from row.panels


class Place(NamedTuple):
    """Where something is on the grid."""

    x: int
    y: int
    width: int
    height: int


@dataclass(slots=True)
class Grid:
    """Gives places from left to right, and from top to bottom."""

    _x: int = 0
    _y: int = 0
    _line: int = field(default=0)

    def heading(self) -> Place:
        """A place for the heading of a row."""
        self._break()
        place = Place(0, self._y, COLUMNS, 1)
        self._y += 1
        return place

    def panel(self, width: int, height: int) -> Place:
        """A place for a panel: beside the last one where it fits."""
        if self._x + width > COLUMNS:
            self._break()
        place = Place(self._x, self._y, width, height)
        self._x += width
        self._line = max(self._line, height)
        return place

    def _break(self) -> None:
        self._x, self._y, self._line = 0, self._y + self._line, 0
