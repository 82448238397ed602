"""What the dispatcher sends, whatever the channel: a notice that is ready, or why there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from veltrix.notification.attempts import Schedule
from veltrix.notification.gather import Verdict
from veltrix.ports.channel import Attempt
from veltrix.ports.notices import Claimed


@dataclass(slots=True)
class Outgoing:
    """A notice that can be sent now. `address`: the hash of who gets it, where that is a person."""

    send: Callable[[], Awaitable[Attempt]]
    address: str = ""


class Way(Protocol):
    """How the notices of one channel are made ready and sent, and what follows from how that went."""

    @property
    def schedule(self) -> Schedule:
        """When to try again, and how often."""
        ...

    async def ready(self, claimed: Sequence[Claimed]) -> list[Callable[[], Outgoing | Verdict]]:
        """For each notice what makes it ready, which may take a while; reads happen here, for all together.

        What is wrong with one notice is that one's verdict. Raises the ports' errors.
        """
        ...

    def holds(self, target: str) -> bool:
        """Whether a notice waits for an operator when an attempt's outcome is unknown."""
        ...

    async def forget(self, notices: list[str]) -> None:
        """Let nothing of these notices be left."""
        ...
