"""The clock and chance, as the services get them."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time. Waiting is asyncio's: a simulated event loop makes that time virtual too."""

    def now_ms(self) -> int:
        """Wall clock at start plus monotonic time since, ms since the epoch: it never runs backward."""
        ...

    def monotonic_s(self) -> float:
        """Seconds for measuring spans."""
        ...


class Entropy(Protocol):
    """Randomness, unpredictable in production, seeded in a simulation."""

    def token(self, size: int) -> bytes:
        """`size` random bytes."""
        ...
