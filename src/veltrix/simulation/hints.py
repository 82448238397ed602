"""What is only a hint between processes: published facts and replies. Hints come late, twice or never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from veltrix.adapters.memory.feed import Subscription
from veltrix.domain.facts import NumberedFact
from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.ports.feed import Published, Reply
from veltrix.simulation.loop import Life
from veltrix.simulation.network import Network, Server

FEED_QUEUE_MAX: Final = 64


@dataclass
class Topic:
    """The facts topic and the replies topic: who listens."""

    network: Network
    server: Server
    subscriptions: list[tuple[Life, Subscription]] = field(default_factory=list)
    listeners: dict[str, tuple[Life, Callable[[Sequence[Reply]], None]]] = field(default_factory=dict)
    last_seqs: dict[int, int] = field(default_factory=dict)


class SimFeed:
    """The port `Feed`."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    async def publish(self, partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        """Hand a batch to whoever subscribes; each may miss it."""
        topic = self._topic

        async def effect() -> None:
            batch = Published(partition, list(facts), next_offset)
            if facts:
                topic.last_seqs[partition] = max(facts[-1].seq, topic.last_seqs.get(partition, 0))
            topic.subscriptions[:] = [each for each in topic.subscriptions if not each[0].ended]
            for life, subscription in topic.subscriptions:
                topic.network.tell(topic.server.name, life, subscription.put, batch)

        try:
            await topic.network.ask(topic.server, effect, writes=True)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def last_seq(self, partition: int) -> int:
        """The last fact that was published."""

        async def effect() -> int:
            return self._topic.last_seqs.get(partition, 0)

        return await self._topic.network.ask(self._topic.server, effect, writes=False)

    def subscribe(self) -> Subscription:
        """A new subscriber in this life."""
        subscription = Subscription(FEED_QUEUE_MAX)
        self._topic.subscriptions.append((self._topic.network.loop.life(), subscription))
        return subscription


class SimReplies:
    """The port `Replies`."""

    def __init__(self, topic: Topic, address: str) -> None:
        self._topic = topic
        self._address = address

    @property
    def address(self) -> str:
        """This process's address."""
        return self._address

    def send(self, reply_to: str, replies: Sequence[Reply]) -> None:
        """Send, or lose."""
        topic, listener = self._topic, self._topic.listeners.get(reply_to)
        if listener is None or not topic.server.up:
            return
        if (topic.network.loop.life().host, topic.server.name) in topic.network.cuts:
            return
        life, receive = listener
        topic.network.tell(topic.server.name, life, receive, list(replies))

    def listen(self, receive: Callable[[Sequence[Reply]], None]) -> None:
        """Take replies in this life."""
        self._topic.listeners[self._address] = (self._topic.network.loop.life(), receive)
