"""A mailbox that keeps what is sent, and fails as its script says."""

from __future__ import annotations

from collections import deque

from veltrix.ports.channel import Attempt, Mail, Sent


class MemoryMailbox:
    """A channel for tests and simulation.

    `sent` has every message that arrived, by notice: the same notice sent twice is the same message.
    `tries` has every attempt in order, whatever became of it.
    """

    def __init__(self) -> None:
        self.sent: dict[str, Mail] = {}
        self.tries: list[Mail] = []
        self._script: deque[Attempt | Sent] = deque()

    @property
    def name(self) -> str:
        """`email`."""
        return "email"

    def script(self, *outcomes: Attempt | Sent) -> None:
        """Let the next attempts end like this; after them all are accepted again."""
        self._script.extend(outcomes)

    async def send(self, mail: Mail) -> Attempt:
        """Keep the message, unless the script has another outcome for it."""
        self.tries.append(mail)
        outcome = self._script.popleft() if self._script else Sent.ACCEPTED
        attempt = Attempt(outcome) if isinstance(outcome, Sent) else outcome
        if attempt.sent in (Sent.ACCEPTED, Sent.UNKNOWN):
            self.sent[mail.notice] = mail
        return attempt

    async def forget(self, notices: list[str]) -> None:
        """Drop these messages."""
        for notice in notices:
            self.sent.pop(notice, None)
        self.tries = [mail for mail in self.tries if mail.notice not in notices]

    async def close(self) -> None:
        """Nothing is left to finish."""
