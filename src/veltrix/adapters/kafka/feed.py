"""Published facts in Kafka: a CloudEvent each, in the partition of their command.

A batch is a run of messages, of which the last one says in a header how far is decided. A batch without
facts is one message without a value. A subscriber gets whole batches, so that `next_offset` is never
ahead of the facts that it has seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final
from weakref import WeakSet

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from veltrix.adapters.kafka.errors import error_of
from veltrix.adapters.kafka.figures import tell_of
from veltrix.adapters.kafka.published import last_seq
from veltrix.adapters.kafka.settings import KafkaSettings, durable_producer, tailing_consumer
from veltrix.adapters.kafka.threads import PolledConsumer, PolledProducer
from veltrix.adapters.kafka.topics import Admin
from veltrix.domain import limits
from veltrix.domain.facts import NumberedFact
from veltrix.ports.errors import Mismatch, PortError, Unavailable
from veltrix.ports.feed import Published
from veltrix.wire import WireError, decode_fact, encode_fact

_log = logging.getLogger(__name__)

QUEUE_MAX: Final = 256
"""Batches kept for a slow subscriber, who reads what was dropped from the ledger."""
NEXT_OFFSET: Final = "veltrix-next-offset"
_CONTENT_TYPE: Final = ("content-type", b"application/cloudevents+json; charset=UTF-8")
_GROWN_S: Final = 10.0

_Part = tuple[int, int, NumberedFact | None, int | None]
"""(partition, the message's offset, a fact, how far is decided): what one message says."""


class Subscription:
    """One subscriber's queue: an iterator that ends when it is closed, and is forgotten when dropped."""

    def __init__(self, after: dict[int, int]) -> None:
        self._after = after
        self._batches: deque[Published] = deque(maxlen=QUEUE_MAX)
        self._wake = asyncio.Event()
        self._closed = False

    def put(self, batch: Published, offset: int) -> None:
        """Add a batch that ended at this offset of the topic, unless it was published before."""
        if offset >= self._after.get(batch.partition, 0) and not self._closed:
            self._batches.append(batch)
            self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Published:
        while not self._batches:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._batches.popleft()

    async def aclose(self) -> None:
        """End it: who waits on it gets the end of the iteration."""
        self._closed = True
        self._batches.clear()
        self._wake.set()


class _Publishing:
    """The messages of one call of `publish`. Called with each outcome, in the producer's thread."""

    __slots__ = ("client", "done", "error", "left", "offset", "partition")

    def __init__(self, client: PolledProducer[_Publishing], partition: int, left: int) -> None:
        self.client = client
        self.partition = partition
        self.left = left
        self.offset = -1
        self.error: KafkaError | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Count; the last one goes to the loop."""
        self.left -= 1
        if error is not None:
            self.error = error
        else:
            self.offset = max(self.offset, message.offset() or 0)
        if self.left == 0:
            self.client.delivered.append(self)


class KafkaFeed:
    """Publishes facts, and hands what anyone publishes to the subscribers of this process."""

    def __init__(self, settings: KafkaSettings, admin: Admin, partitions: int) -> None:
        self._settings = settings
        self._topic = settings.facts
        self._admin = admin
        self._partitions = partitions
        self._closed = False
        self._client: PolledProducer[_Publishing] | None = None
        self._consumer: PolledConsumer[list[_Part]] | None = None
        self._growing: asyncio.Task[None] | None = None
        self._subscribers: WeakSet[Subscription] = WeakSet()
        self._begun: dict[int, list[NumberedFact]] = {}
        self._published: dict[int, int] = {}

    @classmethod
    async def open(cls, settings: KafkaSettings, *, listen: bool = True) -> KafkaFeed:
        """Open it; with `listen` subscribers get what is published after this returned.

        Raises `Mismatch` when there is no such topic, `Unavailable` when the brokers cannot be asked.
        """
        admin = Admin(settings)
        topic = await admin.shape(settings.facts)
        if not topic.exists:
            raise Mismatch(f"there is no topic {settings.facts}; make it with `veltrix cluster prepare`")
        feed = cls(settings, admin, topic.partitions)
        if listen:
            await feed._listen()
        return feed

    async def publish(self, partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        """Publish a batch; returns once every in-sync replica has all of it."""
        if self._closed:
            raise Unavailable("the feed is closed")
        if self._client is None:
            tell = tell_of(self._settings.meters, "facts-publish")
            self._client = PolledProducer(durable_producer(self._settings), _settle, self._replace, tell)
        client = self._client
        progress = (NEXT_OFFSET, str(next_offset).encode())
        values: list[bytes | None] = [encode_fact(fact) for fact in facts] or [None]
        publishing = _Publishing(client, partition, len(values))
        last = len(values) - 1
        for at, value in enumerate(values):
            headers = [_CONTENT_TYPE] if value is not None else []
            if at == last:
                headers.append(progress)
            try:
                client.produce(
                    self._topic, value, partition=partition, on_delivery=publishing, headers=headers
                )
            except (BufferError, KafkaException) as exception:
                if isinstance(exception, KafkaException) and error_of(exception).fatal():
                    self._replace(client)
                raise Unavailable(f"facts cannot be published now: {exception}") from exception
        await publishing.done
        if publishing.error is not None:
            raise Unavailable(f"facts were not acknowledged: {publishing.error.str()}")
        self._published[partition] = max(self._published.get(partition, -1), publishing.offset)

    async def last_seq(self, partition: int) -> int:
        """The last fact in the topic's partition, whoever published it; 0 for a partition it lacks yet."""
        if partition >= self._partitions:
            return 0
        return await last_seq(self._settings, partition)

    def subscribe(self) -> Subscription:
        """A new subscriber: it gets what is published from this call on."""
        assert self._consumer is not None, "a feed that was opened without `listen` has no subscribers"
        after = {partition: offset + 1 for partition, offset in self._published.items()}
        subscriber = Subscription(after)
        self._subscribers.add(subscriber)
        return subscriber

    async def close(self) -> None:
        """End the subscriptions and the clients; safe to call twice."""
        self._closed = True
        if self._growing is not None:
            self._growing.cancel()
            await asyncio.gather(self._growing, return_exceptions=True)
        for subscriber in list(self._subscribers):
            await subscriber.aclose()
        if self._consumer is not None:
            await self._consumer.close()
        if self._client is not None:
            await self._client.close()

    async def _listen(self) -> None:
        ends = await self._admin.offsets(self._topic, range(self._partitions), end=True)
        consumer = PolledConsumer(
            tailing_consumer(self._settings),
            _convert,
            self._receive,
            lambda error: None,
            tell_of(self._settings.meters, "facts-follow"),
        )
        self._consumer = consumer
        await self._assign(consumer, ends)
        self._growing = asyncio.create_task(self._follow_growth(consumer), name="kafka-feed-growth")

    async def _assign(self, consumer: PolledConsumer[list[_Part]], starts: dict[int, int]) -> None:
        at = [TopicPartition(self._topic, partition, offset) for partition, offset in starts.items()]
        await consumer.do(lambda client: client.incremental_assign(at))

    async def _follow_growth(self, consumer: PolledConsumer[list[_Part]]) -> None:
        """Partitions may be added at any time: who subscribes gets theirs too, from their start."""
        while True:
            await asyncio.sleep(_GROWN_S)
            try:
                topic = await self._admin.shape(self._topic)
                if topic.partitions > self._partitions:
                    new = range(self._partitions, topic.partitions)
                    await self._assign(consumer, dict.fromkeys(new, 0))
                    self._partitions = topic.partitions
            except (PortError, KafkaException) as error:
                _log.debug("the topic %s could not be looked at: %s", self._topic, error)

    def _receive(self, parts: list[_Part]) -> None:
        """Put batches together and hand them out."""
        for partition, offset, fact, next_offset in parts:
            facts = self._begun.get(partition)
            if fact is not None:
                if facts is None:
                    facts = self._begun[partition] = []
                if len(facts) >= limits.RELAY_BUFFER_MAX:  # nobody publishes such a batch
                    facts.clear()
                facts.append(fact)
            if next_offset is not None:
                self._begun.pop(partition, None)
                batch = Published(partition, facts or (), next_offset)
                for subscriber in list(self._subscribers):
                    subscriber.put(batch, offset)

    def _replace(self, client: PolledProducer[_Publishing]) -> None:
        """A fatal error ends a producer; the next `publish` makes another."""
        if client is self._client:
            self._client = None
            client.retire()


def _settle(delivered: list[_Publishing]) -> None:
    for publishing in delivered:
        if not publishing.done.done():
            publishing.done.set_result(None)


def _convert(messages: list[Message]) -> list[_Part]:
    """What the messages say; one that cannot be understood is a gap, which the ledger fills."""
    parts: list[_Part] = []
    for message in messages:
        error = message.error()
        partition, offset, value = message.partition(), message.offset(), message.value()
        if error is not None or partition is None or offset is None:
            _log.warning("facts cannot be read: %s", error)
            continue
        fact = next_offset = None
        try:
            if value:
                fact = decode_fact(value)
            headers: list[tuple[str, bytes]] = message.headers() or []  # type: ignore[assignment] # as received
            for name, text in headers:
                if name == NEXT_OFFSET:
                    next_offset = int(text)
        except (WireError, ValueError) as problem:
            _log.warning("a fact of partition %d cannot be read: %s", partition, problem)
        parts.append((partition, offset, fact, next_offset))
    return parts
