"""What the adapter tells about its connections; the services' metrics take it from here."""

from __future__ import annotations

from typing import Protocol


class PostgresMeters(Protocol):
    """Called on the event loop; must not block and must not raise."""

    def connected(self, seconds: float) -> None:
        """A connection was made, from the first packet until it was found to lead to the primary."""
        ...

    def connection_failed(self, timed_out: bool) -> None:
        """No connection could be made to any host, or not in time."""
        ...

    def called(self, writing: bool, waited_s: float, seconds: float) -> None:
        """A call had its connection after waiting, and took so long on it, however it ended."""
        ...

    def call_failed(self, unknown: bool) -> None:
        """A call failed for want of a server, or its commit's outcome is unknown."""
        ...


class Silent:
    """Tells nobody."""

    def connected(self, seconds: float) -> None:
        """Nothing."""

    def connection_failed(self, timed_out: bool) -> None:
        """Nothing."""

    def called(self, writing: bool, waited_s: float, seconds: float) -> None:
        """Nothing."""

    def call_failed(self, unknown: bool) -> None:
        """Nothing."""
