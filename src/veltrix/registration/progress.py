"""How far one partition is appended and decided, as this process knows it: an estimate, never the truth."""

from __future__ import annotations

from collections import deque
from typing import Final

from veltrix.observability.lag import Lag

_RATE_SPAN_S: Final = 0.25
_RATE_WEIGHT: Final = 0.3


class Progress:
    """Offsets of one partition. It only ever learns of later ones, from whoever mentions them."""

    __slots__ = (
        "_by_event",
        "_lag",
        "_rate_at_s",
        "_rate_offset",
        "appending",
        "end_offset",
        "next_offset",
        "oldest_s",
        "partition",
        "rate_per_s",
    )

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.next_offset = 0
        self.end_offset = 0
        self.appending = 0
        self.rate_per_s = 0.0
        self.oldest_s = 0.0
        self._lag = Lag()
        self._rate_at_s: float | None = None
        self._rate_offset = 0
        self._by_event: dict[str, deque[int]] = {}

    @property
    def undecided(self) -> int:
        """Commands that are appended, or are being appended by this process, and not decided yet."""
        return max(0, self.end_offset - self.next_offset) + self.appending

    def undecided_of(self, event: str) -> int:
        """Undecided new registrations of one event that this process appended."""
        line = self._by_event.get(event)
        if line is None:
            return 0
        while line and line[0] < self.next_offset:
            line.popleft()
        return len(line)

    def appended(self, offset: int) -> None:
        """A command was appended at this offset."""
        if offset >= self.end_offset:
            self.end_offset = offset + 1

    def appended_of(self, event: str, offset: int) -> None:
        """A new registration of this event was appended at this offset."""
        line = self._by_event.get(event)
        if line is None:
            line = self._by_event[event] = deque()
        line.append(offset)

    def decided(self, next_offset: int) -> bool:
        """All before `next_offset` is decided; returns whether that is news."""
        if next_offset <= self.next_offset:
            return False
        self.next_offset = next_offset
        self.end_offset = max(self.end_offset, next_offset)
        return True

    def place(self, offset: int) -> int:
        """How many commands before this one are undecided, at most; also where its offset is not known."""
        return max(0, min(offset, self.end_offset) - self.next_offset)

    def estimated_wait_s(self, offset: int) -> float | None:
        """How long the command at this offset may have to wait still; None when nobody can say."""
        if offset < self.next_offset:
            return 0.0
        ahead = self.place(offset) + 1
        return round(ahead / self.rate_per_s, 1) if self.rate_per_s > 0 else None

    def tidy(self, now_s: float) -> None:
        """Measure the rate of decisions and how long the oldest command waits, and drop what is over; to be
        called now and then."""
        self.oldest_s = self._lag.seen(now_s, self.next_offset, self.end_offset)
        for event in [event for event in self._by_event if not self.undecided_of(event)]:
            del self._by_event[event]
        if self._rate_at_s is None:
            self._rate_at_s, self._rate_offset = now_s, self.next_offset
            return
        span_s = now_s - self._rate_at_s
        if span_s < _RATE_SPAN_S:
            return
        done = self.next_offset - self._rate_offset
        if done or self.undecided:
            sample = done / span_s
            known = self.rate_per_s
            self.rate_per_s = sample if not known else known + _RATE_WEIGHT * (sample - known)
        self._rate_at_s, self._rate_offset = now_s, self.next_offset
