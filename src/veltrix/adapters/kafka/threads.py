"""The bridge between librdkafka and asyncio: one thread polls, and hands over each burst in one call.

librdkafka has its own threads for sockets. What Python needs is one thread a client that waits in C for
what comes, and one wake-up of the event loop for all that came together.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from confluent_kafka import Consumer, KafkaError, Message, Producer

from veltrix.adapters.kafka.figures import INTERVAL_MS, Tell, figures_of
from veltrix.adapters.kafka.settings import Config

_log = logging.getLogger(__name__)
_librdkafka = logging.getLogger("veltrix.adapters.kafka.librdkafka")
_SAID_AGAIN_S: Final = 10.0


class _Seldom(logging.Filter):
    """Lets one line of each kind through in a while: a client that reconnects says so many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether its first word was not said lately."""
        kind = record.getMessage().partition(" ")[0]
        said_s = self._said_s.get(kind)
        if said_s is not None and record.created - said_s < _SAID_AGAIN_S:
            return False
        self._said_s[kind] = record.created
        return True


_librdkafka.addFilter(_Seldom())

POLL_S: Final = 0.1
"""How long a producer's thread waits in C at most: what closing takes."""
CONSUMER_POLL_S: Final = 0.05
"""The same for a consumer's: what an assignment takes when nothing comes."""
BURST_MAX: Final = 5_000
_BURSTS_PENDING: Final = 4

T = TypeVar("T")
Delivery = Callable[[KafkaError | None, Message], None]


class PolledProducer(Generic[T]):
    """A producer and its thread. What its callbacks put into `delivered` goes to `settle` in the loop."""

    def __init__(
        self,
        config: Config,
        settle: Callable[[list[T]], None],
        fatal: Callable[[PolledProducer[T]], None],
        tell: Tell | None = None,
    ) -> None:
        self.delivered: list[T] = []
        self._loop = asyncio.get_running_loop()
        self._settle = settle
        self._fatal = fatal
        self._stopping = False
        config = config | {"error_cb": self._on_error} | _telling(self._loop, tell)
        self._producer: Producer | None = Producer(config, logger=_librdkafka)
        self.produce: Callable[..., None] = self._producer.produce
        self._ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="kafka-producer", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Give up what is still under way: its callbacks come first, with an error. Safe to call twice."""
        self._stopping = True
        await asyncio.shield(self._ended)

    def retire(self) -> None:
        """Give up what is under way, and end as soon as its callbacks have come."""
        self._stopping = True

    def _run(self) -> None:
        producer, self._producer = self._producer, None
        assert producer is not None
        try:
            while not self._stopping:
                producer.poll(POLL_S)
                self._hand_over()
            producer.purge()
            while len(producer):
                producer.poll(POLL_S)
            self._hand_over()
        except Exception:  # a defect; its appends end by their deadline
            _log.exception("the thread of a Kafka producer ended")
        finally:
            del producer, self.produce  # the last references: the client ends here, not in the event loop
            _call(self._loop, _resolve, self._ended)

    def _hand_over(self) -> None:
        if self.delivered:
            burst, self.delivered = self.delivered, []
            _call(self._loop, self._settle, burst)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            _log.error("the Kafka producer cannot go on and is made anew: %s", error.str())
            _call(self._loop, self._fatal, self)


class PolledConsumer(Generic[T]):
    """A consumer and its thread. Each burst of messages is converted in the thread and received in the loop.

    The client lets one thread at a time into a consumer, so that everything else that is asked of it is
    done by this thread too, between two polls. When the loop falls behind by a few bursts the thread
    waits: librdkafka's own bounds hold then.
    """

    def __init__(
        self,
        config: Config,
        convert: Callable[[list[Message]], T],
        receive: Callable[[T], None],
        down: Callable[[KafkaError], None],
        tell: Tell | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._convert = convert
        self._receive = receive
        self._down = down
        self._stopping = False
        self._pending = threading.Semaphore(_BURSTS_PENDING)
        self._todo: SimpleQueue[Callable[[Consumer], None] | None] = SimpleQueue()
        self._assigned = False
        self._ended = self._loop.create_future()
        config = config | {"error_cb": self._on_error} | _telling(self._loop, tell)
        self._consumer: Consumer | None = Consumer(config, logger=_librdkafka)
        self._thread = threading.Thread(target=self._run, name="kafka-consumer", daemon=True)
        self._thread.start()

    async def do(self, action: Callable[[Consumer], None]) -> None:
        """Let the thread do something with the consumer, such as to assign; raises what that raises."""
        done: asyncio.Future[None] = self._loop.create_future()

        def act(consumer: Consumer) -> None:
            try:
                action(consumer)
            except Exception as error:  # it is raised where the action was asked for
                _call(self._loop, _fail, done, error)
            else:
                _call(self._loop, _resolve, done)

        if self._stopping:
            raise RuntimeError("the consumer is closed")
        self._todo.put(act)
        await done

    async def close(self) -> None:
        """Stop polling and close the consumer; safe to call twice."""
        self._stopping = True
        self._todo.put(None)
        self._pending.release()
        await asyncio.shield(self._ended)

    def _run(self) -> None:
        consumer, self._consumer = self._consumer, None
        assert consumer is not None
        try:
            while not self._stopping:
                if not self._assigned or not self._todo.empty():
                    self._act(consumer)
                    continue
                first = consumer.poll(CONSUMER_POLL_S)
                if first is None:
                    continue
                burst = [first, *consumer.consume(BURST_MAX, 0)]
                self._pending.acquire()
                _call(self._loop, self._take, self._convert(burst))
        except Exception:  # a defect; readers notice that nothing comes
            _log.exception("the thread of a Kafka consumer ended")
        finally:
            while not self._todo.empty():
                self._act(consumer)  # nobody is left waiting
            consumer.close()
            _call(self._loop, _resolve, self._ended)

    def _act(self, consumer: Consumer) -> None:
        """Do the next thing asked for; waits for one, which costs nothing while nothing is assigned."""
        action = self._todo.get()
        if action is not None:
            action(consumer)
            self._assigned = bool(consumer.assignment())

    def _take(self, burst: T) -> None:
        self._pending.release()
        self._receive(burst)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            _call(self._loop, self._down, error)


def _telling(loop: asyncio.AbstractEventLoop, tell: Tell | None) -> Config:
    """What makes a client tell its figures: they are read in its thread, and told in the loop."""
    if tell is None:
        return {}

    def told(text: str) -> None:
        try:
            _call(loop, tell, figures_of(text))
        except Exception:  # figures that a newer librdkafka writes otherwise must not end the client
            _log.debug("the client's figures could not be read", exc_info=True)

    return {"stats_cb": told, "statistics.interval.ms": INTERVAL_MS}


def _resolve(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _fail(ended: asyncio.Future[None], error: Exception) -> None:
    if not ended.done():
        ended.set_exception(error)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., Any], *args: Any) -> None:
    """Call in the loop; a loop that is closed has nobody left who waits."""
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        _log.debug("the event loop ended before its Kafka client")
