"""The machine's own clock and chance."""

from __future__ import annotations

import os
import time


class SystemClock:
    """Wall clock at start plus monotonic time since.

    An operator who sets the machine's clock back moves nothing here; one who sets it right is followed
    at the next start of the process.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """Milliseconds since the epoch; never runs backward."""
        return (self._offset_ns + time.monotonic_ns()) // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds for measuring spans."""
        return time.monotonic()


class SystemEntropy:
    """Random bytes from the operating system."""

    def token(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        return os.urandom(size)
