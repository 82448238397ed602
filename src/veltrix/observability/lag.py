"""How long the oldest undecided command has waited, without reading it.

The end of the log is looked at again and again. The first look that saw a command's offset tells since when
it has been there, to the time between two looks; that holds also while nothing can be read or decided.
"""

from __future__ import annotations

from collections import deque

from veltrix.domain import limits


class Lag:
    """The lag of one partition in seconds, from looks at how far it is appended and decided."""

    __slots__ = ("_end", "_marks")

    def __init__(self) -> None:
        self._marks: deque[tuple[int, float]] = deque()
        self._end = -1

    def seen(self, now_s: float, next_offset: int, end_offset: int) -> float:
        """Take in a look; returns for how many seconds the command at `next_offset` has waited, 0 if none."""
        marks = self._marks
        if end_offset > self._end:
            marks.append((end_offset, now_s))
            self._end = end_offset
        while marks and marks[0][0] <= next_offset:
            marks.popleft()
        if len(marks) > limits.LAG_MARKS_MAX:  # a stall of many minutes: every other look is enough
            kept = [mark for place, mark in enumerate(marks) if place % 2 == 0 or place == len(marks) - 1]
            self._marks = marks = deque(kept)
        return now_s - marks[0][1] if marks and end_offset > next_offset else 0.0
