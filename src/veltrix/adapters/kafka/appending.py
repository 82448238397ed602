"""Appends to the log: gathered while others are under way, acknowledged by every in-sync replica.

A partition has one burst of records under way. What is appended meanwhile waits for its acknowledgement
and goes out together: with nothing under way a record leaves at once, and the busier the brokers are, the
more records share a request. That adapts where a fixed linger is too long at rest and too short under load.

It also tells apart what librdkafka's Python client does not: a record that waits here was surely not
appended when its time is over; one that was handed over may have been.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message

from veltrix.adapters.kafka.errors import error_of, of_delivery
from veltrix.adapters.kafka.figures import tell_of
from veltrix.adapters.kafka.settings import KafkaSettings, durable_producer
from veltrix.adapters.kafka.threads import PolledProducer
from veltrix.domain import limits
from veltrix.ports.errors import OutcomeUnknown, PortError, Rejected, Unavailable
from veltrix.ports.log import Appended, Record

TRACE: Final = "traceparent"
REPLY_TO: Final = "reply-to"
QUEUE_MAX_RECORDS: Final = 100_000
QUEUE_MAX_BYTES: Final = 64 * 1024 * 1024
_SWEEP_S: Final = 0.1
_FULL_S: Final = 0.005

Headers = list[tuple[str, str | bytes | None]]


class _Append:
    """One call of `append`. Called by librdkafka, in the producer's thread, with how it went."""

    __slots__ = ("append_ms", "client", "deadline_s", "done", "error", "headers", "lane", "offset", "value")

    def __init__(
        self,
        lane: _Lane,
        value: bytes,
        headers: Headers,
        done: asyncio.Future[Appended],
        deadline_s: float,
    ) -> None:
        self.lane = lane
        self.value = value
        self.headers = headers
        self.done = done
        self.deadline_s = deadline_s
        self.client: PolledProducer[_Append] | None = None
        self.error: KafkaError | None = None
        self.offset = -1
        self.append_ms = 0

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Note the outcome; the thread hands a burst of them over."""
        if error is None:
            offset = message.offset()
            self.offset = -1 if offset is None else offset
            self.append_ms = message.timestamp()[1]
        else:
            self.error = error
        assert self.client is not None
        self.client.delivered.append(self)


class _Lane:
    """The appends of one partition: those that wait, and how many are under way."""

    __slots__ = ("last_offset", "partition", "under_way", "waiting")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.waiting: deque[_Append] = deque()
        self.under_way = 0
        self.last_offset = -1


class Appender:
    """Appends to one topic of so many partitions."""

    def __init__(self, settings: KafkaSettings, topic: str, partitions: int) -> None:
        self._config = durable_producer(settings)
        self._tell = tell_of(settings.meters, "log-append")
        self._timeout_s = settings.delivery_timeout_s
        self._topic = topic
        self._lanes = [_Lane(partition) for partition in range(partitions)]
        self._loop = asyncio.get_running_loop()
        self._client = self._new_client()
        self._dirty: set[_Lane] = set()
        self._unsettled: deque[_Append] = deque()
        self._records = 0
        self._bytes = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._refusal: str | None = None

    async def append(self, partition: int, record: Record) -> Appended:
        """Append one record and return once it is acknowledged."""
        lane, headers = self._check(partition, record)
        if self._records >= QUEUE_MAX_RECORDS or self._bytes >= QUEUE_MAX_BYTES:
            raise Unavailable(f"{self._records} records wait for Kafka already; try again later")
        done: asyncio.Future[Appended] = self._loop.create_future()
        append = _Append(lane, record.value, headers, done, self._loop.time() + self._timeout_s)
        self._records += 1
        self._bytes += len(record.value)
        lane.waiting.append(append)
        self._unsettled.append(append)
        if self._sweeping is None:
            self._idle.clear()
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        if not lane.under_way:
            self._later(lane)
        return await done

    @property
    def waiting(self) -> tuple[int, int]:
        """(records, bytes) that are not acknowledged yet."""
        return self._records, self._bytes

    def refuse(self, why: str) -> None:
        """Take nothing any more: the topic is not the one that it was."""
        self._refusal = why

    async def close(self) -> None:
        """Send and settle what was appended, then end; safe to call twice."""
        self._closing = True
        await self._idle.wait()
        await self._client.close()

    def _check(self, partition: int, record: Record) -> tuple[_Lane, Headers]:
        if self._closing:
            raise Unavailable("the log is closed")
        if self._refusal is not None:
            raise Unavailable(self._refusal)
        size = len(record.value)
        if size > limits.READ_BATCH_MAX_BYTES:
            raise Rejected(f"a record of {size} bytes is too large; at most {limits.READ_BATCH_MAX_BYTES}")
        if not 0 <= partition < len(self._lanes):
            raise Rejected(f"there is no partition {partition}; the log has {len(self._lanes)}")
        headers: Headers = []
        try:
            if record.trace:
                headers.append((TRACE, record.trace.encode()))
            if record.reply_to:
                headers.append((REPLY_TO, record.reply_to.encode()))
        except UnicodeEncodeError as error:
            raise Rejected(f"the record's trace or reply address is no text: {error}") from error
        return self._lanes[partition], headers

    def _later(self, lane: _Lane) -> None:
        """Send the lane's records after this round of the loop: what else it appends goes with them."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.add(lane)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for lane in dirty:
            self._send(lane)

    def _send(self, lane: _Lane) -> None:
        """Hand a burst over, if none is under way."""
        if lane.under_way:
            return
        client = self._client
        while lane.waiting and lane.under_way < limits.APPEND_BATCH_MAX:
            append = lane.waiting[0]
            if append.done.done():  # given up by its caller or by its deadline
                self._forget(lane.waiting.popleft())
                continue
            append.client = client
            try:
                client.produce(
                    self._topic,
                    append.value,
                    partition=lane.partition,
                    on_delivery=append,
                    headers=append.headers,
                )
            except BufferError:  # other partitions fill librdkafka's queue
                append.client = None
                self._loop.call_later(_FULL_S, self._later, lane)
                return
            except KafkaException as exception:
                lane.waiting.popleft()
                self._refused(append, client, error_of(exception))
                return
            lane.waiting.popleft()
            lane.under_way += 1

    def _refused(self, append: _Append, client: PolledProducer[_Append], error: KafkaError) -> None:
        """The client did not take the record: it was surely not sent."""
        problem = of_delivery(error)
        if not isinstance(problem, Rejected):
            problem = Unavailable(f"Kafka's client does not take the record: {error.str()}")
        self._resolve(append, problem)
        self._forget(append)
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._replace(client)
        self._later(append.lane)

    def _settle(self, delivered: list[_Append]) -> None:
        """Outcomes of a burst; what waited for them goes out first."""
        for append in delivered:
            append.lane.under_way -= 1
        for lane in {append.lane for append in delivered}:
            if lane.waiting:
                self._send(lane)
        for append in delivered:
            self._forget(append)
            if append.error is not None:
                self._resolve(append, of_delivery(append.error))
                continue
            lane = append.lane
            if append.offset <= lane.last_offset:
                self._resolve(append, self._restarted(append))
                continue
            lane.last_offset = append.offset
            if not append.done.done():
                append.done.set_result(Appended(lane.partition, append.offset, append.append_ms))

    def _restarted(self, append: _Append) -> PortError:
        """Offsets that begin again: the topic was made anew under our feet."""
        self.refuse(
            f"partition {append.lane.partition} of {self._topic} gave the offset {append.offset} after "
            f"{append.lane.last_offset}: the topic was replaced; restart once log and ledger are restored"
        )
        assert self._refusal is not None
        return OutcomeUnknown(self._refusal)

    def _resolve(self, append: _Append, error: PortError) -> None:
        if not append.done.done():
            append.done.set_exception(error)

    def _forget(self, append: _Append) -> None:
        self._records -= 1
        self._bytes -= len(append.value)

    def _sweep(self) -> None:
        """End what is overdue: unavailable if it never left, unknown if it may have."""
        now_s = self._loop.time()
        unsettled = self._unsettled
        while unsettled and (unsettled[0].done.done() or unsettled[0].deadline_s <= now_s):
            append = unsettled.popleft()
            late = f"within {self._timeout_s:g} s"
            if append.client is None:
                self._resolve(append, Unavailable(f"Kafka took no record of the partition {late}"))
            else:
                self._resolve(append, OutcomeUnknown(f"Kafka has not acknowledged the record {late}"))
        for lane in self._lanes:
            while lane.waiting and lane.waiting[0].done.done():
                self._forget(lane.waiting.popleft())
        if unsettled:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        else:
            self._sweeping = None
            self._idle.set()

    def _new_client(self) -> PolledProducer[_Append]:
        return PolledProducer(self._config, self._settle, self._replace, self._tell)

    def _replace(self, client: PolledProducer[_Append]) -> None:
        """A fatal error ends a producer. What it had under way is unknown; what waits goes with the next."""
        if client is self._client and not self._closing:
            self._client = self._new_client()
            client.retire()
