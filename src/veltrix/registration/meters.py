"""What registration tells about itself. Observability implements it; without one, nothing is kept."""

from __future__ import annotations

from typing import Protocol


class Meters(Protocol):
    """Counters and histograms of the way from a request to its answer. Every call must be cheap."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the path's template, so its values are few."""
        ...

    def appended(self, kind: str, seconds: float, event: str = "") -> None:
        """A command of this kind, about this event, became durable in the log after that time."""
        ...

    def append_failed(self, why: str) -> None:
        """A command was not appended: `unavailable` or `rejected`; or nobody knows: `unknown`."""
        ...

    def line(self, partition: int, undecided: int, oldest_s: float) -> None:
        """So many commands of a partition are undecided as this process knows, the oldest for so long."""
        ...

    def waited(self, outcome: str, seconds: float) -> None:
        """A request waited for its decision: `decided`, `timed_out` or `read_back` (reply was missing)."""
        ...

    def turned_away(self, why: str) -> None:
        """A request was refused for size, rate or load; `why` is the problem's code."""
        ...

    def gauge(self, name: str, value: float) -> None:
        """The present value of `held_requests`, `stream_clients` or `keys_reserved`."""
        ...


class NoMeters:
    """Keeps nothing."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Does nothing."""

    def appended(self, kind: str, seconds: float, event: str = "") -> None:
        """Does nothing."""

    def append_failed(self, why: str) -> None:
        """Does nothing."""

    def line(self, partition: int, undecided: int, oldest_s: float) -> None:
        """Does nothing."""

    def waited(self, outcome: str, seconds: float) -> None:
        """Does nothing."""

    def turned_away(self, why: str) -> None:
        """Does nothing."""

    def gauge(self, name: str, value: float) -> None:
        """Does nothing."""
