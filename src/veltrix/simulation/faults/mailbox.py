"""The mail relay of a simulated cluster, which has bad days."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

from veltrix.ports.channel import Attempt, Mail, Sent
from veltrix.simulation.cluster import Cluster


class FickleMailbox:
    """A mail relay that refuses for now or for good, asks for patience, or takes a message and says nothing,
    as often as it is told: shares of the messages."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self.not_sent = 0.0
        self.refused = 0.0
        self.throttled = 0.0
        self.unknown = 0.0
        self.slow_s = 0.0
        self.arrived: Counter[str] = Counter()
        self.needless: list[str] = []
        """Messages that came although their notice was recorded as over."""

    @property
    def name(self) -> str:
        """It carries mail."""
        return "email"

    async def send(self, mail: Mail) -> Attempt:
        """Take it, or not; a message that was taken may go without an answer."""
        random = self._random.random
        await asyncio.sleep((self.slow_s or 0.02) * random())
        if self.not_sent and random() < self.not_sent:
            return Attempt(Sent.NOT_SENT, "452 try again")
        if self.throttled and random() < self.throttled:
            return Attempt(Sent.NOT_SENT, "421 too many messages", retry_after_s=5 * random())
        if self.refused and random() < self.refused:
            return Attempt(Sent.REFUSED, "550 no such mailbox")
        self.arrived[mail.notice] += 1
        if mail.notice in self._cluster.over:
            self.needless.append(mail.notice)
        await self._cluster.mailbox.send(mail)
        if self.slow_s:
            await asyncio.sleep(self.slow_s * random())
        if self.unknown and random() < self.unknown:
            return Attempt(Sent.UNKNOWN, "connection lost after DATA")
        return Attempt(Sent.ACCEPTED)

    async def forget(self, notices: list[str]) -> None:
        """A relay cannot."""

    async def close(self) -> None:
        """Nothing is kept."""
