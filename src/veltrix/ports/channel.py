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
    """The result of one try; `detail` is for the operator and holds no personal data.

    `code` is what the other side answered with (an HTTP status, an SMTP code), `excerpt` the first
    `limits.WEBHOOK_EXCERPT_BYTES` of a webhook's answer as text. `latency_s` where the channel measured it.
    `gone`: the endpoint said that it is there no more (410). `bounced`: the address does not exist (5.1.x).
    `own_fault`: the other side works, the message alone could not be sent (breakers do not count it).
    """

    sent: Sent
    detail: str = ""
    retry_after_s: float | None = None
    code: int | None = None
    excerpt: str = ""
    latency_s: float | None = None
    gone: bool = False
    bounced: bool = False
    own_fault: bool = False


@dataclass(slots=True)
class Mail:
    """A finished message. `notice` is its stable id; `content` the RFC 5322 bytes with CRLF."""

    notice: str
    sender: str
    recipient: str
    content: bytes


@dataclass(slots=True)
class Post:
    """A finished webhook. `notice` is its stable id (`webhook-id`), `at_s` this attempt's timestamp.

    `secrets` are those in force now as texts (`whsec_…`, `whsk_…`), the newest first; each gives one
    signature. `trace` is the notice's, sent on as `traceparent`.
    """

    notice: str
    endpoint: str
    url: str
    body: bytes
    secrets: tuple[str, ...]
    at_s: int
    trace: str = ""


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


class Poster(Protocol):
    """Posts webhooks; never raises for what the other side does."""

    async def post(self, post: Post) -> Attempt:
        """Try once, within `limits.WEBHOOK_TIMEOUT_S` in all, answer included."""
        ...

    async def close(self) -> None:
        """Finish and close; safe to call twice."""
        ...
