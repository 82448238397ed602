"""Carries committed facts out of the ledger, in sequence, at least once; and forgets erased persons.

The facts table is the outbox. The relay's position moves only past facts that were published and whose
erasures were carried out; after any error it starts again from that position, from the ledger.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from veltrix.domain import limits
from veltrix.domain.facts import FactKind, NumberedFact
from veltrix.observability.logging import get_logger
from veltrix.observability.tracing import OFF, Tracer
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import Fenced, PortError
from veltrix.ports.feed import Feed
from veltrix.ports.ledger import Head, Ledger
from veltrix.ports.simulated import buggify, sometimes
from veltrix.ports.spans import SpanKind
from veltrix.ports.system import Clock
from veltrix.ports.vault import Vault

_log = get_logger("processing")


class Stuck(PortError):
    """Facts are committed and cannot be published from here."""


class RelayMetrics(Protocol):
    """What a relay tells about itself."""

    def decision_latency(self, seconds: float) -> None:
        """From the log's append time of a command to its facts being published."""

    def published(self, facts: int, seconds: float) -> None:
        """Facts were acknowledged by the feed, so long after they were handed to it."""

    def publish_failed(self, partition: int) -> None:
        """Facts could not be published, or their position not be recorded."""

    def erased(self) -> None:
        """A person's keys were destroyed."""


@dataclass(slots=True)
class Relay:
    """The way out of one partition. `committed` is called by its processor after each commit."""

    partition: int
    grant: Grant
    ledger: Ledger
    feed: Feed
    vault: Vault
    clock: Clock
    metrics: RelayMetrics
    tracer: Tracer = OFF
    _published_seq: int = 0
    _marked_seq: int = 0
    _marked_s: float = 0.0
    _committed_seq: int = 0
    _next_offset: int = 0
    _told_offset: int = 0
    _buffer: deque[NumberedFact] = field(default_factory=deque)
    _appended_ms: list[int] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    def resume(self, head: Head) -> None:
        """Start from the ledger's position; facts that were published beyond it go out again."""
        self._buffer.clear()
        self._published_seq = self._marked_seq = head.relayed_seq
        self._committed_seq = head.next_seq - 1
        self._next_offset = head.next_offset
        self._wake.set()

    def committed(self, facts: Sequence[NumberedFact], next_offset: int, appended_ms: list[int]) -> None:
        """Facts that were just committed; kept at hand up to a bound, else read from the ledger again."""
        most = 0 if buggify("relay.tiny_buffer") else limits.RELAY_BUFFER_MAX
        if len(self._buffer) + len(facts) <= most:
            self._buffer.extend(facts)
        else:
            self._buffer.clear()
        if facts:
            self._committed_seq = facts[-1].seq
        self._next_offset = next_offset
        self._appended_ms.extend(appended_ms[: limits.RELAY_BUFFER_MAX - len(self._appended_ms)])
        self._wake.set()

    @property
    def unpublished(self) -> int:
        """How many facts are committed and not published yet."""
        return max(0, self._committed_seq - self._published_seq)

    @property
    def buffered(self) -> int:
        """How many facts are at hand to be published."""
        return len(self._buffer)

    def stop(self) -> None:
        """Let `run` end once everything committed is published."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Publish until stopped or fenced. Errors of the feed and the vault are tried again, for a while.

        Raises `Stuck` when for so long nothing went out: perhaps it is this process alone that cannot.
        """
        delay_s = limits.BACKOFF_MIN_S
        failing_s: float | None = None
        while True:
            try:
                await self._publish_all()
                await self._mark(force=self._stopping)
                if self._stopping and self._published_seq >= self._committed_seq:
                    return
                delay_s, failing_s = limits.BACKOFF_MIN_S, None
                await self._wait()
            except Fenced:
                raise
            except PortError as error:
                self.metrics.publish_failed(self.partition)
                _log.warning("relay_failed", partition=self.partition, error=str(error))
                self._buffer.clear()
                now_s = self.clock.monotonic_s()
                failing_s = now_s if failing_s is None else failing_s
                if now_s - failing_s > limits.RELAY_KEEP_GRANT_S and not self._stopping:
                    raise Stuck(f"nothing went out for {now_s - failing_s:.0f} s: {error}") from error
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, limits.BACKOFF_MAX_S)

    async def _wait(self) -> None:
        if self._marked_seq == self._published_seq:
            await self._wake.wait()
        else:
            try:
                async with asyncio.timeout(limits.RELAY_MARK_S):
                    await self._wake.wait()
            except TimeoutError:
                return
        self._wake.clear()

    async def _publish_all(self) -> None:
        while True:
            facts = await self._next_facts()
            appended_ms, self._appended_ms = self._appended_ms, []
            next_offset = self._next_offset
            if not facts and next_offset == self._told_offset:
                return
            for numbered in facts:
                if numbered.fact.kind is FactKind.PERSON_ERASED:
                    await self._erase(numbered)
            began_s = self.clock.monotonic_s()
            await self.feed.publish(self.partition, facts, next_offset)
            self._told_offset = next_offset
            if facts:
                ended_s = self.clock.monotonic_s()
                self._published_seq = facts[-1].seq
                self.metrics.published(len(facts), ended_s - began_s)
                if self.tracer.enabled:
                    self._trace(facts, began_s, ended_s)
            now_ms = self.clock.now_ms()
            for append_ms in appended_ms:
                self.metrics.decision_latency((now_ms - append_ms) / 1000)

    def _trace(self, facts: Sequence[NumberedFact], began_s: float, ended_s: float) -> None:
        for numbered in facts:
            if (place := self.tracer.place(numbered.trace)) is not None:
                told = {"veltrix.fact": numbered.fact.kind.value, "veltrix.seq": numbered.seq}
                self.tracer.span("publish", SpanKind.PRODUCER, place, began_s, ended_s, told)

    async def _next_facts(self) -> list[NumberedFact]:
        while self._buffer and self._buffer[0].seq <= self._published_seq:
            self._buffer.popleft()
        if self._buffer and self._buffer[0].seq == self._published_seq + 1:
            facts = list(self._buffer)
            self._buffer.clear()
            return facts
        if self._published_seq >= self._committed_seq:
            return []
        sometimes("relay.from_ledger")
        page = 1 if buggify("relay.tiny_page") else limits.RELAY_PAGE
        return await self.ledger.facts(self.partition, self._published_seq, page)

    async def _erase(self, numbered: NumberedFact) -> None:
        person = numbered.fact.person
        assert person is not None
        keys = await self.ledger.keys_of(numbered.fact.event, person, numbered.offset)
        await self.vault.destroy(keys)
        sometimes("relay.erased")
        self.metrics.erased()
        _log.info("person_erased", partition=self.partition, offset=numbered.offset, keys=len(keys))

    async def _mark(self, *, force: bool) -> None:
        """Record the position now and then: a crash in between publishes some facts twice, no more."""
        now_s = self.clock.monotonic_s()
        if self._marked_seq == self._published_seq:
            return
        if not force and (now_s - self._marked_s < limits.RELAY_MARK_S or buggify("relay.mark_late")):
            return
        await self.ledger.relayed(self.partition, self.grant.term, self._published_seq)
        self._marked_seq = self._published_seq
        self._marked_s = now_s
