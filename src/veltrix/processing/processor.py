"""One owner of one partition: read, decide, commit, reply; and what to do when any of it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from veltrix.domain import limits
from veltrix.domain.commands import Actor, ContinuePromotions, Envelope
from veltrix.domain.decider import RULES, RulesUnknown
from veltrix.domain.identifiers import command_id, first_offset
from veltrix.domain.state import PartitionState
from veltrix.observability.logging import DEBUG, get_logger
from veltrix.observability.tracing import OFF, Tracer, trace_id_of
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import LogBehind, Mismatch, OutcomeUnknown, Rejected, Unavailable
from veltrix.ports.feed import Replies
from veltrix.ports.ledger import MOVING, Head, Ledger
from veltrix.ports.log import Log, LogRecord, Record
from veltrix.ports.simulated import LATE_S, buggify, sometimes
from veltrix.ports.system import Clock
from veltrix.processing.batch import (
    Continuation,
    Entry,
    Outcome,
    Poisoned,
    decide_batch,
    forget_touched,
    merge,
    needs_of,
    read_entries,
    record_hash,
)
from veltrix.processing.relay import Relay
from veltrix.processing.spans import Times, trace_batch
from veltrix.wire import encode_command

_log = get_logger("processing")


class ProcessorMetrics(Protocol):
    """What a processor tells about itself; times in seconds."""

    def batch(self, partition: int, size: int, load_s: float, decide_s: float, commit_s: float) -> None:
        """A batch was committed."""

    def decided(self, kind: str, outcome: str, refusal: str, event: str = "") -> None:
        """A decision was committed."""

    def took_over(self, partition: int, seconds: float) -> None:
        """A partition is decided here now, so long after its grant came."""

    def commit_failed(self, partition: int, why: str) -> None:
        """A batch did not commit as it stood: `unavailable`, `rejected`, `raised`; or it is `unknown`."""

    def progress(self, partition: int, next_offset: int, log_end: int) -> None:
        """How far is decided, and how far the log goes."""


@dataclass(slots=True)
class Processor:
    """Decides one partition while its grant stands. `run` returns when asked to stop, and raises what
    ends ownership: `Fenced`, `Mismatch`, `Unavailable`, `RulesUnknown`."""

    partition: int
    grant: Grant
    log: Log
    ledger: Ledger
    replies: Replies
    relay: Relay
    clock: Clock
    metrics: ProcessorMetrics
    batch_max: int = limits.READ_BATCH_MAX
    granted_s: float | None = None
    tracer: Tracer = OFF
    state: PartitionState | None = None
    stopping: bool = False

    def stop(self) -> None:
        """Let `run` end after the batch at hand."""
        self.stopping = True

    async def run(self) -> None:
        """Take the partition over and decide until `stopping` is set or the grant is lost."""
        await self._take_over()
        if self.granted_s is not None:
            self.metrics.took_over(self.partition, self.clock.monotonic_s() - self.granted_s)
        while not self.stopping and not self.grant.lost.is_set():
            state = self._state()
            most = 1 if buggify("processor.short_batch") else self.batch_max
            records = await self.log.read(self.partition, state.next_offset, most, limits.READ_WAIT_S)
            if records:
                await self._handle(records)

    async def _take_over(self) -> None:
        """Fence older owners, check that log and ledger belong together, start from the ledger's offset."""
        identity = self.log.identity
        standing = await self.ledger.head(self.partition)
        if standing is not None and standing.rules_version not in RULES:
            raise RulesUnknown(
                f"partition {self.partition} is under rules version {standing.rules_version}, which this "
                "version of Veltrix does not know. Start the version that made it, or a newer one."
            )
        if standing is not None:
            self._check_identity(standing)
        head = await self.ledger.take_over(self.partition, self.grant.term, self.grant.owner, identity)
        if head.next_offset < first_offset(identity.generation):  # a partition that was added since
            head = await self.ledger.rebind(self.partition, self.grant.term, self.grant.owner, identity)
        await self._check_log(head)
        await self._check_published(head)
        self.state = PartitionState(
            self.partition,
            identity.generation,
            head.next_offset,
            head.log_time_ms,
            head.rules_version,
            head.next_seq,
        )
        self.relay.resume(head)
        _log.info(
            "partition_taken",
            partition=self.partition,
            term=str(self.grant.term),
            next_offset=head.next_offset,
        )

    def _check_identity(self, standing: Head) -> None:
        """The ledger itself refuses another log; here with what to do about it."""
        if standing.topic_id.startswith(MOVING):
            raise Mismatch(
                "a deployment is on its way into this cluster and not whole yet. Let `veltrix move` end, or "
                "run it again"
            )
        if standing.topic_id != self.log.identity.topic_id:
            raise Mismatch(
                f"the ledger belongs to log {standing.topic_id}, not {self.log.identity.topic_id}. Put back "
                "the log that belongs to it; if that is lost, stop all services and run: "
                "veltrix restore --new-log"
            )

    async def _check_published(self, head: Head) -> None:
        """Facts that were published and that the ledger does not know: it is older than it was."""
        published = await self.relay.feed.last_seq(self.partition)
        if published >= head.next_seq:
            raise Mismatch(
                f"partition {self.partition}: fact {published} was published, the ledger knows "
                f"{head.next_seq - 1}; it was restored from an older state. Stop all services and run: "
                "veltrix restore"
            )

    async def _check_log(self, head: Head) -> None:
        low, high = await self.log.bounds(self.partition)
        if not low <= head.next_offset <= high:
            sometimes("processor.log_behind")
            wrong = LogBehind if head.next_offset > high else Mismatch
            raise wrong(
                f"partition {self.partition}: the ledger stands at offset {head.next_offset}, the log holds "
                f"{low} to {high}; they do not belong together. Restore both from the same time."
            )
        if not head.last_hash:  # nothing of this log is decided
            return
        before = await self.log.read(self.partition, head.next_offset - 1, 1, limits.READ_WAIT_S)
        if not before:
            raise Unavailable(
                f"record {head.next_offset - 1} of partition {self.partition} cannot be read now"
            )
        if record_hash(before[0].value) != head.last_hash:
            raise Mismatch(
                f"partition {self.partition}: record {head.next_offset - 1} of the log is not the one that "
                "the ledger decided; they do not belong together. Restore both from the same time."
            )

    def _state(self) -> PartitionState:
        assert self.state is not None, "a partition is taken over before it is decided"
        return self.state

    async def _handle(self, records: Sequence[LogRecord]) -> None:
        """Decide and commit the records, or as many as one transaction may hold."""
        entries = read_entries(records)
        try:
            await self._commit(entries, {})
        except Unavailable:
            self.metrics.commit_failed(self.partition, "unavailable")
            raise
        except OutcomeUnknown:
            self.metrics.commit_failed(self.partition, "unknown")
            sometimes("processor.commit_unknown")
            _log.warning("commit_unknown", partition=self.partition, offset=entries[0].record.offset)
            await self._take_over()
        except Poisoned as poisoned:
            self.metrics.commit_failed(self.partition, "raised")
            _log.warning(
                "decision_raised",
                partition=self.partition,
                offset=entries[poisoned.index].record.offset,
                error=str(poisoned),
                trace_id=trace_id_of(entries[poisoned.index].record.trace),
            )
            await self._isolate(entries, poisoned.index)
        except Rejected as rejected:
            self.metrics.commit_failed(self.partition, "rejected")
            _log.warning(
                "commit_rejected",
                partition=self.partition,
                offset=entries[0].record.offset,
                size=len(entries),
                error=str(rejected),
            )
            await self._isolate(entries, 0 if len(entries) == 1 else len(entries) // 2)

    async def _isolate(self, entries: Sequence[Entry], index: int) -> None:
        """Handle what stands before `index` first; the culprit alone, again, and then quarantine it."""
        await self._take_over()
        if index > 0:
            await self._handle([entry.record for entry in entries[:index]])
            return
        alone = entries[:1]
        if len(entries) > 1:
            await self._handle([alone[0].record])
            return
        try:
            await self._commit(alone, {})
        except (Poisoned, Rejected) as error:
            await self._take_over()
            offset = alone[0].record.offset
            trace_id = trace_id_of(alone[0].record.trace)
            _log.error(
                "quarantined", partition=self.partition, offset=offset, error=str(error), trace_id=trace_id
            )
            await self._commit(alone, {offset: str(error)[:500]})

    async def _commit(self, entries: Sequence[Entry], quarantined: dict[int, str]) -> None:
        state = self._state()
        started_s = self.clock.monotonic_s()
        merge(state, entries, await self.ledger.load(self.partition, needs_of(state, entries)))
        loaded_s = self.clock.monotonic_s()
        outcome = decide_batch(state, entries, self.grant.term, quarantined)
        decided_s = self.clock.monotonic_s()
        for continuation in outcome.continuations:
            await self._continue(continuation)
        if buggify("processor.late_commit"):
            await asyncio.sleep(LATE_S)
        before_s = self.clock.monotonic_s()
        await self.ledger.commit(outcome.changes)
        committed_s = self.clock.monotonic_s()
        if self.tracer.enabled:
            times = Times(started_s, loaded_s, decided_s, before_s, committed_s)
            trace_batch(self.tracer, self.partition, entries, outcome, times)
        self._follow(entries, outcome)
        forget_touched(state, 0 if buggify("processor.forget") else limits.EVENTS_CACHED)
        self.metrics.batch(
            self.partition,
            len(entries),
            loaded_s - started_s,
            decided_s - loaded_s,
            committed_s - before_s,
        )
        _, high = await self.log.bounds(self.partition)
        self.metrics.progress(self.partition, state.next_offset, high)

    def _follow(self, entries: Sequence[Entry], outcome: Outcome) -> None:
        """What the commit allows: facts go out, requests are answered."""
        changes = outcome.changes
        self.relay.committed(changes.facts, changes.new_offset, [entry.record.append_ms for entry in entries])
        for reply_to, replies in outcome.replies.items():
            self.replies.send(reply_to, replies)
        if _log.enabled(DEBUG):
            self._tell_refused(entries, outcome)
        for decision in changes.decisions:
            self.metrics.decided(decision.kind, decision.outcome, decision.refusal or "", decision.event)

    def _tell_refused(self, entries: Sequence[Entry], outcome: Outcome) -> None:
        for entry, decision in zip(entries, outcome.changes.decisions, strict=True):
            if decision.refusal is not None:
                _log.debug(
                    "command_refused",
                    partition=self.partition,
                    offset=decision.offset,
                    kind=decision.kind,
                    event=decision.event,
                    reason=decision.refusal.value,
                    trace_id=trace_id_of(entry.record.trace),
                )

    async def _continue(self, continuation: Continuation) -> None:
        """Append the continuation before the commit: if that fails it finds nothing to do, but if this
        process died in between, no one else would append it."""
        sometimes("processor.continued")
        name = f"{self.partition}/{continuation.offset}"
        envelope = Envelope(
            command_id([continuation.organizer, "continue", continuation.event, "system", name]),
            continuation.organizer,
            continuation.event,
            ContinuePromotions(),
            Actor.SYSTEM,
            self.clock.now_ms(),
            "",
        )
        await self.log.append(self.partition, Record(encode_command(envelope)))
