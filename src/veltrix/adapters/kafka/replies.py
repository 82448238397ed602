"""Replies in Kafka: each process that waits for decisions has a partition, by its slot, and an incarnation.

A reply is a hint: it is sent once, to one replica, and is dropped wherever it cannot go on.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from confluent_kafka import KafkaException, Message, TopicPartition

from veltrix.adapters.kafka.figures import tell_of
from veltrix.adapters.kafka.settings import KafkaSettings, hasty_producer, tailing_consumer
from veltrix.adapters.kafka.threads import PolledConsumer, PolledProducer
from veltrix.adapters.kafka.topics import Admin
from veltrix.ports.errors import Mismatch, Unavailable
from veltrix.ports.feed import Reply

_log = logging.getLogger(__name__)

VERSION: Final = b"\x01"
"""The first byte of a message. Another version's replies are dropped: the ledger answers instead."""
_PROBE: Final = b"\x00"
_PROBE_S: Final = 10.0
_PROBE_AGAIN_S: Final = 0.5
_PLACES_KEPT: Final = 4_096

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Reply])


class KafkaReplies:
    """The way back to the process that holds a slot, and from this one to any other."""

    def __init__(self, settings: KafkaSettings, partitions: int, slot: int | None) -> None:
        self._settings = settings
        self._topic = settings.replies
        self._partitions = partitions
        self._slot = slot
        self._incarnation = os.urandom(8).hex().encode()
        self._receive: Callable[[Sequence[Reply]], None] | None = None
        self._closed = False
        self._places: dict[str, tuple[int, bytes] | None] = {}
        self._probed = asyncio.Event()
        self._client = self._new_client()
        self._consumer: PolledConsumer[list[bytes]] | None = None

    @classmethod
    async def open(cls, settings: KafkaSettings, *, slot: int | None) -> KafkaReplies:
        """Open it; with a slot it returns once a reply to this process's own address has arrived.

        Without one it only sends. Raises `Mismatch` when there is no such topic or slot, `Unavailable`
        when the brokers cannot be asked or do not carry a reply.
        """
        admin = Admin(settings)
        topic = await admin.shape(settings.replies)
        if not topic.exists:
            raise Mismatch(f"there is no topic {settings.replies}; make it with `veltrix cluster prepare`")
        if slot is not None and not 0 <= slot < topic.partitions:
            raise Mismatch(
                f"{settings.replies} has {topic.partitions} partitions and none for slot {slot}; raise "
                "kafka.reply_partitions and run `veltrix cluster prepare`"
            )
        replies = cls(settings, topic.partitions, slot)
        try:
            if slot is not None:
                end = await admin.offsets(settings.replies, [slot], end=True)
                await replies._listen_from(slot, end[slot])
        except BaseException:
            await replies.close()
            raise
        return replies

    @property
    def address(self) -> str:
        """Slot and incarnation: a reply to whoever held the slot before is not for this process."""
        assert self._slot is not None, "replies that were opened without a slot have no address"
        return f"{self._slot}.{self._incarnation.decode()}"

    def send(self, reply_to: str, replies: Sequence[Reply]) -> None:
        """Send; what cannot be sent is dropped."""
        place = self._place(reply_to)
        if place is not None:
            self._produce(*place, VERSION + _encoder.encode(replies))

    def listen(self, receive: Callable[[Sequence[Reply]], None]) -> None:
        """Hand every reply to `receive` from now on."""
        self._receive = receive

    async def close(self) -> None:
        """Close; safe to call twice. What was sent just now may be lost."""
        self._closed = True
        if self._consumer is not None:
            await self._consumer.close()
        await self._client.close()

    async def _listen_from(self, slot: int, offset: int) -> None:
        consumer = PolledConsumer(
            tailing_consumer(self._settings),
            self._convert,
            self._hand_out,
            lambda error: None,
            tell_of(self._settings.meters, "replies-listen"),
        )
        self._consumer = consumer
        at = [TopicPartition(self._topic, slot, offset)]
        await consumer.do(lambda client: client.assign(at))
        try:
            async with asyncio.timeout(_PROBE_S):
                while not self._probed.is_set():
                    self._produce(slot, self._incarnation, _PROBE)
                    try:
                        async with asyncio.timeout(_PROBE_AGAIN_S):
                            await self._probed.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            raise Unavailable(
                f"no reply came back through partition {slot} of {self._topic} within {_PROBE_S:g} s; see "
                "whether its brokers are up"
            ) from None

    def _place(self, reply_to: str) -> tuple[int, bytes] | None:
        """(partition, incarnation) of an address; None for one that is not ours."""
        if reply_to not in self._places:
            if len(self._places) >= _PLACES_KEPT:
                self._places.clear()
            slot, _, incarnation = reply_to.partition(".")
            known = slot.isascii() and slot.isdecimal() and len(slot) < 8 and int(slot) < self._partitions
            self._places[reply_to] = (int(slot), incarnation.encode(errors="replace")) if known else None
        return self._places[reply_to]

    def _produce(self, partition: int, incarnation: bytes, value: bytes) -> None:
        try:
            self._client.produce(self._topic, value, incarnation, partition)
        except (BufferError, KafkaException, AttributeError) as error:  # AttributeError: closed
            _log.debug("a reply is dropped: %s", error)

    def _convert(self, messages: list[Message]) -> list[bytes]:
        """What is for this incarnation."""
        mine = self._incarnation
        return [
            message.value() or b""
            for message in messages
            if message.error() is None and message.key() == mine
        ]

    def _hand_out(self, values: list[bytes]) -> None:
        for value in values:
            if value == _PROBE:
                self._probed.set()
            if value[:1] != VERSION or self._receive is None:
                continue
            try:
                self._receive(_decoder.decode(memoryview(value)[1:]))
            except msgspec.DecodeError as error:
                _log.debug("a reply cannot be read: %s", error)
            except Exception:  # the receiver's fault must not end the way back
                _log.exception("a receiver of replies raised")

    def _new_client(self) -> PolledProducer[object]:
        tell = tell_of(self._settings.meters, "replies-send")
        return PolledProducer(hasty_producer(self._settings), lambda delivered: None, self._replace, tell)

    def _replace(self, client: PolledProducer[object]) -> None:
        if client is self._client and not self._closed:
            self._client = self._new_client()
            client.retire()
