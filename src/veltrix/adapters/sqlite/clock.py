"""The clock of adapters that were given none."""

from __future__ import annotations

import time


class WallClock:
    """Wall clock at start plus monotonic time since."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return (self._offset_ns + time.monotonic_ns()) // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds for measuring spans."""
        return time.monotonic()
