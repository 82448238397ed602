"""Which events are asked for most, in bounded memory: by rank in the metrics, by name where one asks.

An event's id is no label: there are as many as people make. Here at most `limits.HOT_EVENTS_MAX` are counted
at once, by the minute; when a new one comes in a full table, those asked for least are dropped. Whoever has a
share worth seeing is kept (the "heavy hitters" of Metwally's Space-Saving, coarser).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from veltrix.domain import limits

WINDOW_S: Final = 60.0
_PLACES: Final = ("accepted", "refused")


class HotEvents:
    """Counts what was decided (or, without a decision, accepted) by event."""

    def __init__(self, most: int = limits.HOT_EVENTS_MAX) -> None:
        self._most = most
        self._now: dict[str, list[int]] = {}
        self._before: dict[str, list[int]] = {}
        self._clock: Callable[[], float] | None = None
        self._began_s = 0.0
        self._before_s = 0.0

    def timed(self, monotonic_s: Callable[[], float]) -> None:
        """Count by the minute of this clock; without one nothing is forgotten and rates are 0."""
        self._clock = monotonic_s
        self._began_s = monotonic_s()

    def count(self, event: str, outcome: str) -> None:
        """One more command of the event."""
        counts = self._now.get(event)
        if counts is None:
            if len(self._now) >= self._most:
                self._make_room()
            counts = self._now[event] = [0, 0, 0]
        counts[0] += 1
        if outcome == "accepted":
            counts[1] += 1
        elif outcome == "refused":
            counts[2] += 1

    def top(self, most: int) -> list[dict[str, Any]]:
        """The busiest events of the last minute or two (since they were asked for, if that is longer ago),
        the busiest first, as JSON shows them."""
        span_s, total = self._merged()
        ranked = sorted(total.items(), key=lambda item: (-item[1][0], item[0]))[:most]
        return [
            {
                "event": event,
                "commands": counts[0],
                **{name: counts[place] for place, name in enumerate(_PLACES, 1)},
                "per_second": round(counts[0] / span_s, 3) if span_s else 0.0,
            }
            for event, counts in ranked
        ]

    def rates(self, most: int) -> list[float]:
        """Commands a second of the busiest events, the busiest first."""
        return [row["per_second"] for row in self.top(most)]

    def document(self, most: int) -> dict[str, Any]:
        """What `/hot-events` answers."""
        span_s, _ = self._merged()
        return {"window_s": round(span_s, 1), "events": self.top(most)}

    def _make_room(self) -> None:
        """Keep the busier half."""
        ranked = sorted(self._now.items(), key=lambda item: -item[1][0])
        self._now = dict(ranked[: self._most // 2])

    def _merged(self) -> tuple[float, dict[str, list[int]]]:
        """Seconds covered, and counts by event, of this window and the one before."""
        now_s = self._clock() if self._clock is not None else 0.0
        if self._clock is not None and now_s - self._began_s >= WINDOW_S:
            self._before, self._before_s = self._now, now_s - self._began_s
            self._now, self._began_s = {}, now_s
        total = {event: list(counts) for event, counts in self._before.items()}
        for event, counts in self._now.items():
            have = total.setdefault(event, [0, 0, 0])
            for place, count in enumerate(counts):
                have[place] += count
        return self._before_s + (now_s - self._began_s), total
