"""What the topic of facts holds already: read once, by a consumer of its own, and only to be compared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from veltrix.adapters.kafka.settings import KafkaSettings, consumer
from veltrix.adapters.kafka.topics import Admin
from veltrix.ports.errors import Unavailable
from veltrix.wire import WireError, decode_fact

_BACK: Final = 64
"""Messages from the end on that are looked at first: the last one may hold no fact."""
_WAIT_S: Final = 5.0
_CRITICAL: Final = 2


async def last_seq(settings: KafkaSettings, partition: int) -> int:
    """The greatest sequence number in a partition of the facts' topic; 0 when it holds none."""
    low, high = await _bounds(settings, partition)
    back = _BACK
    while high > low:
        start = max(low, high - back)
        found = await asyncio.to_thread(_last_of, settings, partition, start, high)
        if found or start == low:
            return found
        back *= 16
    return 0


async def published_facts(settings: KafkaSettings, partition: int, after_seq: int) -> dict[int, bytes]:
    """The facts of a partition past `after_seq` as they were published, by sequence number."""
    low, high = await _bounds(settings, partition)
    if high == low:
        return {}
    return await asyncio.to_thread(_facts_of, settings, partition, low, high, after_seq)


async def _bounds(settings: KafkaSettings, partition: int) -> tuple[int, int]:
    admin = Admin(settings)
    low = await admin.offsets(settings.facts, [partition], end=False)
    high = await admin.offsets(settings.facts, [partition], end=True)
    return low[partition], high[partition]


def _last_of(settings: KafkaSettings, partition: int, start: int, end: int) -> int:
    return max((seq for seq, _ in _facts(settings, partition, start, end)), default=0)


def _facts_of(
    settings: KafkaSettings, partition: int, start: int, end: int, after_seq: int
) -> dict[int, bytes]:
    return {seq: value for seq, value in _facts(settings, partition, start, end) if seq > after_seq}


def _facts(settings: KafkaSettings, partition: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(sequence number, bytes) of the facts at these offsets of the topic."""
    for message in _messages(settings, partition, start, end):
        value = message.value()
        if value:
            try:
                yield decode_fact(value).seq, value
            except WireError:  # not ours: a gap, as it is for every subscriber
                continue


def _messages(settings: KafkaSettings, partition: int, start: int, end: int) -> Iterator[Message]:
    reader = Consumer(consumer(settings) | {"log_level": _CRITICAL})
    try:
        reader.assign([TopicPartition(settings.facts, partition, start)])
        offset = start
        while offset < end:
            message = reader.poll(_WAIT_S)
            if message is None:
                raise Unavailable(f"{settings.facts} cannot be read: no broker answers in time")
            error = message.error()
            if error is not None:
                raise Unavailable(f"{settings.facts} cannot be read: {error.str()}")
            offset = (message.offset() or 0) + 1
            yield message
    except KafkaException as exception:
        raise Unavailable(f"{settings.facts} cannot be read: {exception}") from None
    finally:
        reader.close()
