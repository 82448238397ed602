"""The processing service: owns the partitions that the coordinator grants it, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from veltrix.domain import limits
from veltrix.domain.decider import NEWEST_RULES, RulesUnknown
from veltrix.observability.logging import get_logger
from veltrix.observability.tracing import OFF, Tracer
from veltrix.ports.coordinator import Coordinator, Grant
from veltrix.ports.errors import Fenced, LogBehind, Mismatch, PortError, TermsBehind, Unavailable
from veltrix.ports.feed import Feed, Replies
from veltrix.ports.ledger import Ledger
from veltrix.ports.log import Log
from veltrix.ports.simulated import sometimes
from veltrix.ports.system import Clock
from veltrix.ports.vault import Vault
from veltrix.processing.lagging import LagMetrics, LagWatch
from veltrix.processing.processor import Processor, ProcessorMetrics
from veltrix.processing.relay import Relay, RelayMetrics
from veltrix.processing.ticker import Ticker, TickerMetrics

_log = get_logger("processing")
T = TypeVar("T")


class ProcessingMetrics(ProcessorMetrics, RelayMetrics, TickerMetrics, LagMetrics, Protocol):
    """All that processing tells about itself."""

    def owned(self, partition: int, owned: bool) -> None:
        """A partition was taken or given up."""

    def fenced(self, partition: int) -> None:
        """A write was refused because a newer term exists."""

    def partitions_failed(self, count: int) -> None:
        """So many partitions wait for an operator."""


@dataclass(slots=True)
class ProcessingService:
    """Decides every partition that it can get. `failed` names what an operator must repair.

    With `ticks` it also campaigns for the ticker, which may as well be a process of its own; it brings
    partitions under `rules_version` at most.
    """

    log: Log
    ledger: Ledger
    feed: Feed
    replies: Replies
    vault: Vault
    coordinator: Coordinator
    clock: Clock
    metrics: ProcessingMetrics
    batch_max: int = limits.READ_BATCH_MAX
    tick_interval_s: float = limits.TICK_INTERVAL_S
    ticks: bool = True
    rules_version: int = NEWEST_RULES
    tracer: Tracer = OFF
    failed: dict[int, str] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _processors: dict[int, Processor] = field(default_factory=dict)
    _ticking: asyncio.Task[None] | None = None
    _ticker: Ticker | None = None
    _watch: LagWatch | None = None
    _watching: asyncio.Task[None] | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Begin to campaign for every partition, and for the ticker."""
        self._watch = LagWatch(self.log, self.clock, self.metrics, self._processors)
        self._watching = asyncio.create_task(self._watch.run(), name="processing/lag")
        for partition in range(self.log.identity.partitions):
            self._tasks.append(asyncio.create_task(self._own(partition), name=f"partition/{partition}"))
        if not self.ticks:
            return
        self._ticker = Ticker(
            self.log,
            self.ledger,
            self.vault,
            self.coordinator,
            self.clock,
            self.metrics,
            self.tick_interval_s,
            rules_version=self.rules_version,
        )
        self._ticking = asyncio.create_task(self._ticker.run(), name="ticker")

    def reconfigure(self, batch_max: int, tick_interval_s: float) -> None:
        """Take these over while it runs: from the next batch and the next tick on."""
        self.batch_max, self.tick_interval_s = batch_max, tick_interval_s
        for processor in self._processors.values():
            processor.batch_max = batch_max
        if self._ticker is not None:
            self._ticker.interval_s = tick_interval_s

    @property
    def ready(self) -> bool:
        """Whether every partition is owned here; more processes share them, one process has them all."""
        return len(self._processors) == self.log.identity.partitions and not self.failed

    @property
    def campaigning(self) -> bool:
        """Whether it wants every partition that it may decide; others may own them all."""
        wanting = [not task.done() or partition in self.failed for partition, task in enumerate(self._tasks)]
        return bool(wanting) and all(wanting)

    async def stop(self) -> None:
        """Finish the batch at hand, publish its facts, and hand the partitions over; safe to call twice."""
        self._stopping.set()
        for processor in self._processors.values():
            processor.stop()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        waiting = [task for task in self._tasks if not task.done()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=limits.DRAIN_MAX_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def drained(self) -> None:
        """Return once everything in the log is decided; bounded by `limits.DRAIN_MAX_S`."""
        deadline_s = self.clock.monotonic_s() + limits.DRAIN_MAX_S
        for partition, processor in list(self._processors.items()):
            while self.clock.monotonic_s() < deadline_s and partition not in self.failed:
                _, high = await self.log.bounds(partition)
                if processor.state is None or processor.state.next_offset >= high:
                    break
                await asyncio.sleep(limits.BACKOFF_MIN_S)

    async def _own(self, partition: int) -> None:
        """Own the partition again and again; back off after errors, stop where an operator is needed."""
        delay_s = limits.BACKOFF_MIN_S
        while not self._stopping.is_set():
            started_s = self.clock.monotonic_s()
            grant: Grant | None = None
            try:
                grant = await self._unless_stopping(self.coordinator.acquire(f"partition/{partition}"))
                if grant is not None and not self._stopping.is_set():
                    await self._decide_while_granted(partition, grant)
            except Fenced as error:
                sometimes("processing.fenced")
                self.metrics.fenced(partition)
                _log.warning("fenced", partition=partition, error=str(error))
            except TermsBehind as error:  # mended by raising the epoch, which needs no restart
                self.failed[partition] = str(error)
                _log.error("terms_behind", partition=partition, error=str(error))
            except LogBehind as error:  # or a leader that was cut off answers, which passes by itself
                self.failed[partition] = str(error)
                _log.error("partition_stopped", partition=partition, error=str(error))
            except (Mismatch, RulesUnknown) as error:
                self.failed[partition] = str(error)
                _log.error("partition_stopped", partition=partition, error=str(error))
                return
            except PortError as error:
                _log.warning("partition_interrupted", partition=partition, error=str(error))
            except Exception:  # a defect; while it lasts nothing is decided, but it may not last
                _log.exception("deciding_failed", partition=partition)
            finally:
                if partition in self._processors:
                    why = "stopping" if self._stopping.is_set() else "lost" if _is_lost(grant) else "failed"
                    _log.info("partition_given_up", partition=partition, reason=why)
                self._processors.pop(partition, None)
                if self._watch is not None:
                    self._watch.drop(partition)
                self.metrics.owned(partition, False)
                self.metrics.partitions_failed(len(self.failed))
                if grant is not None:
                    with suppress(PortError):  # a grant that cannot be given back ends by itself
                        await self.coordinator.release(grant)
            if self.clock.monotonic_s() - started_s > limits.BACKOFF_MAX_S:
                delay_s = limits.BACKOFF_MIN_S
            await self._unless_stopping(asyncio.sleep(delay_s))
            delay_s = min(delay_s * 2, limits.BACKOFF_MAX_S)

    async def _decide_while_granted(self, partition: int, grant: Grant) -> None:
        """Decide, and keep the grant for a while when log or ledger cannot be used.

        To give it up would send the partition round processes that cannot use them either, each with a
        campaign; whoever alone is cut off from them lets others try after `limits.KEEP_GRANT_S`.
        """
        delay_s = limits.BACKOFF_MIN_S
        interrupted_s: float | None = None
        granted_s = self.clock.monotonic_s()
        if self._watch is not None:
            self._watch.take(partition)
        while not self._stopping.is_set() and not grant.lost.is_set():
            started_s = self.clock.monotonic_s()
            try:
                await self._check_term(partition, grant)
                await self._decide(partition, grant, granted_s)
            except Unavailable as error:
                now_s = self.clock.monotonic_s()
                # Time alone proves nothing: a try may take long because nobody answers.
                ran = self._has_taken(partition) and now_s - started_s > limits.BACKOFF_MAX_S
                if interrupted_s is None or ran:
                    interrupted_s, delay_s = now_s, limits.BACKOFF_MIN_S
                if now_s - interrupted_s > limits.KEEP_GRANT_S:
                    raise
                self._processors.pop(partition, None)
                sometimes("processing.kept_grant")
                _log.warning("partition_interrupted", partition=partition, error=str(error))
            else:
                return
            await self._unless_stopping(asyncio.sleep(delay_s))
            delay_s = min(delay_s * 2, limits.BACKOFF_OWNED_S)

    def _has_taken(self, partition: int) -> bool:
        """Whether the processor at hand got as far as to own the partition in the ledger."""
        processor = self._processors.get(partition)
        return processor is not None and processor.state is not None

    async def _unless_stopping(self, waiting: Coroutine[Any, Any, T]) -> T | None:
        """What the coroutine returns; None when the service is told to stop before."""
        task = asyncio.create_task(waiting)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            task.cancel()  # without effect when it is done
            with suppress(asyncio.CancelledError):
                return await task  # it may be done all the same: a grant that came just now is given back
            return None
        finally:
            stopping.cancel()
            task.cancel()

    async def _check_term(self, partition: int, grant: Grant) -> None:
        """Tell a coordinator that was restored from a successor: both mean that the ledger knows more.

        Raises `TermsBehind` for the one, for which to try again and again would be all there is to see, and
        `Fenced` for the other.
        """
        head = await self.ledger.head(partition)
        if head is not None and head.term > grant.term:
            await self.coordinator.verify(head.term)
            raise Fenced(f"partition {partition} was taken under term {head.term}, after {grant.term}")
        if self.failed.pop(partition, None) is not None:
            self.metrics.partitions_failed(len(self.failed))

    async def _decide(self, partition: int, grant: Grant, granted_s: float) -> None:
        """Run a processor with its relay; each ends when the other does."""
        relay = Relay(
            partition, grant, self.ledger, self.feed, self.vault, self.clock, self.metrics, self.tracer
        )
        processor = Processor(
            partition,
            grant,
            self.log,
            self.ledger,
            self.replies,
            relay,
            self.clock,
            self.metrics,
            self.batch_max,
            granted_s,
            self.tracer,
        )
        self._processors[partition] = processor
        self.metrics.owned(partition, True)
        relaying = asyncio.create_task(relay.run(), name=f"relay/{partition}")
        relaying.add_done_callback(lambda _: processor.stop())
        try:
            await processor.run()
            if self._stopping.is_set():
                relay.stop()
            if self._stopping.is_set() or relaying.done():
                await relaying  # drained; or it raised, and with it falls its owner
        finally:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)


def _is_lost(grant: Grant | None) -> bool:
    return grant is not None and grant.lost.is_set()
