"""A channel: the way that a notice leaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Sent(StrEnum):
    """What became of one attempt.

    `refused` is for good; `not_sent` surely did not arrive and may be tried again; `unknown` was
    transmitted, but the answer was lost.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one try; `detail` is for the operator and holds no personal data."""

    sent: Sent
    detail: str = ""
    retry_after_s: float | None = None


@dataclass(slots=True)
class Mail:
    """A finished message. `notice` is its stable id; `content` the RFC 5322 bytes with CRLF."""

    notice: str
    sender: str
    recipient: str
    content: bytes


class Channel(Protocol):
    """Sends mail; never raises for what the other side does."""

    @property
    def name(self) -> str:
        """`email` for every channel that carries mail."""
        ...

    async def send(self, mail: Mail) -> Attempt:
        """Try once, within `limits.SEND_TIMEOUT_S`. The same notice sent twice is the same message."""
        ...

    async def forget(self, notices: list[str]) -> None:
        """Remove what this channel still keeps of these notices (a spool does; a relay cannot)."""
        ...

    async def close(self) -> None:
        """Finish and close; safe to call twice."""
        ...
