"""Carries a log into an empty topic: the same bytes at the same offsets, with the same append times.

The topic of commands takes its times from the brokers. While it is filled it takes them from who sends, and
what it was given stays: the kind of time is written with each batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, KafkaException, Message, Producer

from veltrix.adapters.kafka.appending import REPLY_TO, TRACE
from veltrix.adapters.kafka.settings import KafkaSettings, durable_producer
from veltrix.adapters.kafka.topics import Admin
from veltrix.ports.errors import Mismatch, Unavailable
from veltrix.ports.log import LogRecord

_TYPE: Final = "message.timestamp.type"
_AHEAD: Final = "message.timestamp.after.max.ms"
_ANY_MS: Final = str((1 << 63) - 1)
_AHEAD_MS: Final = str(3600 * 1000)  # Kafka's default
_APPLIED_S: Final = 10.0
_POLL_S: Final = 0.1
_MARGIN_S: Final = 1.0
_SEND_S: Final = 60.0


class LogCopy:
    """Fills the topic of commands. Between `begin` and `end` nobody else may append to it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = settings.commands
        self._admin = Admin(settings)
        self._producer = Producer(
            durable_producer(settings)
            | {"linger.ms": 20, "message.timeout.ms": round(_SEND_S * 1000), "log_level": 2}
        )
        self._spoiled: str = ""

    async def ends(self) -> tuple[dict[int, int], dict[int, int]]:
        """How many messages the partitions of the commands' and of the facts' topic have had."""
        found = []
        for name in (self._topic, self._settings.facts):
            topic = await self._admin.shape(name)
            if not topic.exists:
                raise Mismatch(f"there is no topic {name}; make it with `veltrix cluster prepare`")
            found.append(await self._admin.offsets(name, range(topic.partitions), end=True))
        return found[0], found[1]

    async def begin(self) -> None:
        """Let the topic take the times that it is given."""
        await self._set({_TYPE: "CreateTime", _AHEAD: _ANY_MS})

    async def append(self, partition: int, records: Sequence[LogRecord]) -> None:
        """Append these records at their offsets. Raises `Mismatch` when they did not come to lie there."""
        await asyncio.to_thread(self._append, partition, records)

    async def end(self) -> None:
        """Let the brokers' clocks count again."""
        await self._set({_TYPE: "LogAppendTime", _AHEAD: _AHEAD_MS})

    async def _set(self, config: dict[str, str]) -> None:
        await self._admin.alter(self._topic, config)
        try:
            async with asyncio.timeout(_APPLIED_S):
                while not await self._stands(config):  # noqa: ASYNC110 - Kafka gives no signal
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise Unavailable(f"the settings of {self._topic} do not become what was asked for") from None
        await asyncio.sleep(_MARGIN_S)  # brokers apply what they already tell

    async def _stands(self, config: dict[str, str]) -> bool:
        found = (await self._admin.topics([self._topic]))[self._topic].settings
        return all(found.get(key) == value for key, value in config.items())

    def _append(self, partition: int, records: Sequence[LogRecord]) -> None:
        waiting = {record.offset: record for record in records}

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._spoiled = self._spoiled or f"a record was not appended: {error.str()}"
                return
            record = waiting.pop(message.offset() if message.offset() is not None else -1, None)  # type: ignore[arg-type]  # typed too narrowly
            kind, at_ms = message.timestamp()
            if record is None or kind != TIMESTAMP_CREATE_TIME or at_ms != record.append_ms:
                self._spoiled = self._spoiled or (
                    f"partition {partition} of {self._topic} took a record at offset {message.offset()} or "
                    f"under a time that is not its own; delete the topic, run `veltrix cluster prepare` and "
                    "move again"
                )

        for record in records:
            headers: list[tuple[str, str | bytes | None]] = []
            if record.trace:
                headers.append((TRACE, record.trace.encode()))
            if record.reply_to:
                headers.append((REPLY_TO, record.reply_to.encode()))
            self._produce(partition, record, headers, delivered)
        left = self._producer.flush(_SEND_S)
        if self._spoiled:
            raise Mismatch(self._spoiled)
        if left or waiting:
            raise Unavailable(f"Kafka has not acknowledged {len(waiting)} records in time; move again")

    def _produce(
        self,
        partition: int,
        record: LogRecord,
        headers: list[tuple[str, str | bytes | None]],
        delivered: object,
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    record.value,
                    partition=partition,
                    timestamp=record.append_ms,
                    headers=headers,
                    on_delivery=delivered,  # type: ignore[arg-type]  # typed too narrowly
                )
            except BufferError:
                self._producer.poll(_POLL_S)
            except KafkaException as exception:
                raise Unavailable(f"Kafka's client does not take a record: {exception}") from None
            else:
                self._producer.poll(0)
                return
