"""Reads of the log: one consumer and one thread for all partitions, assigned by hand.

Where a partition is read for the first time, or out of turn, it is assigned at the offset asked for, after
that was compared with what the broker holds. From there on librdkafka fetches ahead, the window of the
partition keeps what came, and reads in sequence are served from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from veltrix.adapters.kafka.appending import REPLY_TO, TRACE
from veltrix.adapters.kafka.figures import tell_of
from veltrix.adapters.kafka.settings import KafkaSettings, consumer
from veltrix.adapters.kafka.threads import PolledConsumer
from veltrix.adapters.kafka.topics import Admin
from veltrix.adapters.kafka.window import Window
from veltrix.ports.errors import LogBehind, Mismatch, PortError, Unavailable
from veltrix.ports.log import LogRecord

_STUCK_S: Final = 3.0
"""After that long without progress, though there is more, a partition is assigned anew."""
_FETCH_S: Final = 5.0
"""How long records that are known to be there may take to come."""
_FRESH_S: Final = 2.0
_FIRST_KEPT_S: Final = 10.0
_FORGOTTEN_S: Final = 60.0
_GAPS_MAX: Final = 3

_Burst = tuple[dict[int, list[LogRecord]], list[tuple[int, KafkaError]]]


class Reader:
    """Reads one topic of so many partitions."""

    def __init__(self, settings: KafkaSettings, admin: Admin, topic: str, partitions: int) -> None:
        self._admin = admin
        self._topic = topic
        self._partitions = partitions
        self._loop = asyncio.get_running_loop()
        tell = tell_of(settings.meters, "log-read")
        self._client = PolledConsumer(consumer(settings), _convert, self._receive, self._went_down, tell)
        self._windows: dict[int, Window] = {}
        self._assigned: set[int] = set()
        self._paused: set[int] = set()
        self._assigning = [asyncio.Lock() for _ in range(partitions)]
        self._firsts: dict[int, tuple[int, float]] = {}
        self._repairs: set[asyncio.Task[None]] = set()
        self._down: str | None = None
        self._ended: PortError | None = None
        self.suspect: Callable[[], None] = lambda: None

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Records from `offset` on; waits for the first."""
        deadline_s = self._loop.time() + wait_s
        asked = False
        while True:
            window = await self._window(partition, offset)
            found, whole = window.page(offset, max_records)
            if not whole and offset + len(found) < window.known_end and not window.paused:
                found = await self._fill(window, offset, max_records)
            if found:
                window.passed(found[-1].offset + 1)
                if window.paused and window.roomy:
                    self._pause(window, paused=False)
                return found
            if window.dropped:
                continue
            left_s = deadline_s - self._loop.time()
            if wait_s <= 0 and not asked:  # who does not wait wants what was acknowledged before this call
                _, window.known_end = await self.ask_bounds(partition)
                asked = True
            elif left_s <= 0:
                if self._down is not None:  # is there nothing, or nobody who could tell?
                    await self.ask_bounds(partition)
                return []
            else:
                await window.wait(left_s)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first, next) offsets; of a partition that is being read as of its last fetch, else as of now."""
        window = self._windows.get(partition)
        now_s = self._loop.time()
        if window is None or window.dropped or window.paused or now_s - window.read_s > _FRESH_S:
            return await self.ask_bounds(partition)
        self._check(partition)
        return window.first, max(window.next_offset, window.known_end)

    async def ask_bounds(self, partition: int) -> tuple[int, int]:
        """(first, next) offsets, from the partition's leader."""
        self._check(partition)
        end = (await self._admin.offsets(self._topic, [partition], end=True))[partition]
        first, asked_s = self._firsts.get(partition, (0, 0.0))
        if not asked_s or self._loop.time() - asked_s > _FIRST_KEPT_S:
            first = (await self._admin.offsets(self._topic, [partition], end=False))[partition]
            self._firsts[partition] = first, self._loop.time()
        self._down = None
        window = self._windows.get(partition)
        if window is not None:
            window.first = first
        return first, end

    def appended(self, partition: int, offset: int) -> None:
        """This process's own append was acknowledged: the partition reaches beyond it."""
        window = self._windows.get(partition)
        if window is not None and window.known_end <= offset:
            window.known_end = offset + 1

    def forget_idle(self) -> None:
        """Stop fetching what nobody has read for a while."""
        now_s = self._loop.time()
        for partition, window in list(self._windows.items()):
            if now_s - window.read_s > _FORGOTTEN_S:
                self._drop(window)
                self._spawn(self._unassign(partition))

    async def check_progress(self) -> None:
        """Assign anew what is known to be there and does not come."""
        before = {window: window.next_offset for window in self._windows.values() if not window.paused}
        for window in before:
            _, window.known_end = await self.ask_bounds(window.partition)
        await asyncio.sleep(_STUCK_S)
        for window, offset in before.items():
            if not window.dropped and not window.paused and window.next_offset == offset < window.known_end:
                self._drop(window)

    def end(self, error: PortError) -> None:
        """Let every read from now on end with this error."""
        if self._ended is None:
            self._ended = error
        for window in self._windows.values():
            window.wake()

    async def close(self) -> None:
        """End who waits, and the consumer; safe to call twice."""
        self.end(Unavailable("the log is closed"))
        for repair in list(self._repairs):
            repair.cancel()
        await asyncio.gather(*self._repairs, return_exceptions=True)
        await self._client.close()

    def _check(self, partition: int) -> None:
        if self._ended is not None:
            raise type(self._ended)(*self._ended.args)
        assert 0 <= partition < self._partitions

    async def _window(self, partition: int, offset: int) -> Window:
        """The window that a reader at `offset` is served from, made if there is none."""
        while True:
            self._check(partition)
            window = self._windows.get(partition)
            if window is not None and window.error is not None:
                del self._windows[partition]
                raise type(window.error)(*window.error.args)
            if window is not None and window.holds(offset):
                window.read_s = self._loop.time()
                return window
            async with self._assigning[partition]:
                if self._windows.get(partition) is window:
                    await self._assign(partition, offset)

    async def _assign(self, partition: int, offset: int, gaps: int = 0) -> None:
        first, end = await self.ask_bounds(partition)
        if not first <= offset <= end:
            self.suspect()
            wrong = LogBehind if offset > end else Mismatch  # a leader that was cut off lags, for a while
            raise wrong(
                f"partition {partition} of {self._topic} holds the offsets {first} to {end}, not {offset}; "
                "log and ledger do not belong together, restore both from the same time"
            )
        at = TopicPartition(self._topic, partition, offset)

        def assign(consumer: Consumer) -> None:
            if partition in self._assigned:
                consumer.incremental_unassign([TopicPartition(self._topic, partition)])
                self._assigned.discard(partition)
            consumer.incremental_assign([at])
            self._assigned.add(partition)
            if paused:  # a pause outlives the assignment
                consumer.resume([at])

        old = self._windows.get(partition)
        paused = partition in self._paused
        self._paused.discard(partition)
        window = Window(partition, offset, end, first)
        window.gaps = gaps
        window.read_s = self._loop.time()
        self._windows[partition] = window
        if old is not None:
            old.drop()
        try:
            await self._do(assign)
        except BaseException:
            self._drop(window)
            raise

    async def _unassign(self, partition: int) -> None:
        async with self._assigning[partition]:
            if partition not in self._windows and partition in self._assigned:
                self._assigned.discard(partition)
                gone = [TopicPartition(self._topic, partition)]
                await self._do(lambda consumer: consumer.incremental_unassign(gone))

    async def _fill(self, window: Window, offset: int, max_records: int) -> list[LogRecord]:
        """A page of what is known to be there: it is on its way."""
        deadline_s = self._loop.time() + _FETCH_S
        while True:
            self._check(window.partition)
            found, whole = window.page(offset, max_records)
            if whole or offset + len(found) >= window.known_end or window.paused or window.dropped:
                return found
            left_s = deadline_s - self._loop.time()
            if left_s <= 0:
                if found:
                    return found
                self._drop(window)  # the next read begins anew
                raise Unavailable(f"record {offset} of partition {window.partition} cannot be read now")
            await window.wait(left_s)

    def _receive(self, burst: _Burst) -> None:
        """What the consumer's thread has polled."""
        by_partition, errors = burst
        if by_partition:
            self._down = None
        for partition, records in by_partition.items():
            window = self._windows.get(partition)
            if window is None or window.dropped:
                continue
            if not window.take(records):
                self._spawn(self._repair(window))
            elif window.full and not window.paused:
                self._pause(window, paused=True)
        for partition, error in errors:
            self._failed(partition, error)

    async def _repair(self, window: Window) -> None:
        """Something is missing: what was polled before an assignment, or the log itself has a hole."""
        async with self._assigning[window.partition]:
            if window.dropped or self._windows.get(window.partition) is not window:
                return
            if window.gaps >= _GAPS_MAX:
                window.drop(
                    Mismatch(
                        f"record {window.next_offset} of partition {window.partition} of {self._topic} is "
                        "missing, later ones are there; restore log and ledger from the same time"
                    )
                )
                return
            try:
                await self._assign(window.partition, window.next_offset, window.gaps + 1)
            except PortError as error:
                window.drop(error)

    def _failed(self, partition: int, error: KafkaError) -> None:
        window = self._windows.get(partition)
        if window is None or window.dropped:
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._drop(window)  # who reads on asks for the bounds, and is told what is wrong
        else:
            window.drop(Unavailable(f"partition {partition} cannot be read: {error.str()}"))
        self.suspect()

    def _drop(self, window: Window) -> None:
        if self._windows.get(window.partition) is window:
            del self._windows[window.partition]
        window.drop()

    def _pause(self, window: Window, *, paused: bool) -> None:
        window.paused = paused
        if paused:
            self._paused.add(window.partition)
        else:
            self._paused.discard(window.partition)
        at = [TopicPartition(self._topic, window.partition)]

        async def tell() -> None:
            try:
                await self._do(lambda consumer: consumer.pause(at) if paused else consumer.resume(at))
            except Unavailable:
                self._drop(window)

        self._spawn(tell())

    async def _do(self, action: Callable[[Consumer], None]) -> None:
        try:
            await self._client.do(action)
        except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
            raise Unavailable(f"the log cannot be read: {error}") from error

    def _went_down(self, error: KafkaError) -> None:
        self._down = f"no Kafka broker can be reached: {error.str()}"

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._repairs.add(task)
        task.add_done_callback(self._repairs.discard)


def _convert(messages: list[Message]) -> _Burst:
    """A burst as records by partition, and errors by partition."""
    by_partition: dict[int, list[LogRecord]] = {}
    errors: list[tuple[int, KafkaError]] = []
    for message in messages:
        partition = message.partition()
        error = message.error()
        if error is not None:
            errors.append((-1 if partition is None else partition, error))
            continue
        offset = message.offset()
        assert partition is not None
        assert offset is not None
        trace = reply_to = ""
        headers: list[tuple[str, str | bytes | None]] = message.headers() or []  # type: ignore[assignment] # never a dict: that is for sending
        for name, value in headers:
            if name == TRACE:
                trace = _text(value)
            elif name == REPLY_TO:
                reply_to = _text(value)
        record = LogRecord(offset, message.timestamp()[1], message.value() or b"", trace, reply_to)
        records = by_partition.get(partition)
        if records is None:
            by_partition[partition] = [record]
        else:
            records.append(record)
    return by_partition, errors


def _text(value: str | bytes | None) -> str:
    """A header's value. Foreign bytes in it are no reason to stop: nothing is decided by a header."""
    if isinstance(value, str):
        return value
    return (value or b"").decode(errors="replace")
