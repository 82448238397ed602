"""Published facts and replies within one process."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final
from weakref import WeakSet

from veltrix.domain.facts import NumberedFact
from veltrix.ports.feed import Published, Reply

_log = logging.getLogger(__name__)

QUEUE_MAX: Final = 256
"""Batches kept for a slow subscriber, who reads what was dropped from the ledger."""


class Subscription:
    """One subscriber's queue: an iterator that ends when it is closed, and is forgotten when dropped."""

    def __init__(self, queue_max: int) -> None:
        self._batches: deque[Published] = deque(maxlen=queue_max)
        self._wake = asyncio.Event()
        self._closed = False

    def put(self, batch: Published) -> None:
        """Add a batch; the oldest makes room when the queue is full."""
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


class MemoryFeed:
    """Hands published batches to the subscribers of this process."""

    def __init__(self, queue_max: int = QUEUE_MAX) -> None:
        self._queue_max = queue_max
        self._subscribers: WeakSet[Subscription] = WeakSet()
        self._last: dict[int, int] = {}

    async def publish(self, partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        """Hand a batch to every subscriber."""
        batch = Published(partition, facts, next_offset)
        for subscriber in list(self._subscribers):
            subscriber.put(batch)
        if facts:
            self._last[partition] = max(facts[-1].seq, self._last.get(partition, 0))

    async def last_seq(self, partition: int) -> int:
        """The last fact that this process published."""
        return self._last.get(partition, 0)

    def subscribe(self) -> Subscription:
        """A new subscriber: it gets what is published from this call on."""
        subscriber = Subscription(self._queue_max)
        self._subscribers.add(subscriber)
        return subscriber


class MemoryReplies:
    """The way back to this process, or to others that share its `switchboard`."""

    def __init__(
        self,
        address: str = "local",
        switchboard: dict[str, MemoryReplies] | None = None,
    ) -> None:
        self._address = address
        self._switchboard = {} if switchboard is None else switchboard
        self._receive: Callable[[Sequence[Reply]], None] | None = None
        self._switchboard[address] = self

    @property
    def address(self) -> str:
        """What this process writes into its records."""
        return self._address

    def send(self, reply_to: str, replies: Sequence[Reply]) -> None:
        """Hand the replies over at once, if anyone listens there."""
        target = self._switchboard.get(reply_to)
        if target is None or target._receive is None:
            return
        try:
            target._receive(replies)
        except Exception:  # a reply is a hint: its receiver's fault must not stop the one who decides
            _log.exception("a receiver of replies raised")

    def listen(self, receive: Callable[[Sequence[Reply]], None]) -> None:
        """Hand every reply to `receive` from now on."""
        self._receive = receive
