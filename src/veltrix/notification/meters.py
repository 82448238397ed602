"""What notification tells about itself. Observability implements it; without one, nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class NotificationMetrics(Protocol):
    """Counters and histograms of the way from a fact to a mail. Every call must be cheap."""

    def planned(self, kind: str, notices: int) -> None:
        """Notices of that kind were recorded."""
        ...

    def attempted(self, channel: str, outcome: str, seconds: float) -> None:
        """An attempt ended: `accepted`, `refused`, `not_sent` or `unknown`."""
        ...

    def delivered(self, seconds: float) -> None:
        """A channel accepted a notice that long after its fact was decided."""
        ...

    def notices(self, by_status: Mapping[str, int], oldest_pending_s: float) -> None:
        """How many notices stand in each status, and the age of the oldest that is due."""
        ...

    def queues(self, by_channel: Mapping[str, int], held: int) -> None:
        """How many notices wait for each channel, and how many for an operator."""
        ...

    def targets(self, by_state: Mapping[str, int]) -> None:
        """How many endpoints and relays stand in each state, of those that ever failed."""
        ...


class NoMeters:
    """Keeps nothing."""

    def planned(self, kind: str, notices: int) -> None:
        """Does nothing."""

    def attempted(self, channel: str, outcome: str, seconds: float) -> None:
        """Does nothing."""

    def delivered(self, seconds: float) -> None:
        """Does nothing."""

    def notices(self, by_status: Mapping[str, int], oldest_pending_s: float) -> None:
        """Does nothing."""

    def queues(self, by_channel: Mapping[str, int], held: int) -> None:
        """Does nothing."""

    def targets(self, by_state: Mapping[str, int]) -> None:
        """Does nothing."""
