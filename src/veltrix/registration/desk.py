"""The desk: appends commands to the log, and hands each decision to whoever waits for it.

It also keeps the two bounds of overload: requests held open, and undecided commands of a partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from veltrix.domain import limits
from veltrix.domain.commands import Envelope, Register
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision, Outcome
from veltrix.observability.logging import get_logger
from veltrix.observability.tracing import OFF
from veltrix.ports.errors import OutcomeUnknown, PortError, Rejected, Unavailable
from veltrix.ports.feed import Replies, Reply
from veltrix.ports.log import Log, Record
from veltrix.ports.queries import Queries
from veltrix.ports.simulated import buggify, sometimes
from veltrix.ports.spans import SpanKind
from veltrix.ports.system import Clock
from veltrix.registration.links import OFFSET_UNKNOWN, Links
from veltrix.registration.meters import Meters
from veltrix.registration.problems import Problem
from veltrix.registration.progress import Progress
from veltrix.registration.settings import Settings
from veltrix.registration.waiting import TICK_S, Deadlines, Waiter
from veltrix.wire import encode_command

_log = get_logger("registration")

SWEEP_S: Final = 0.5
_READ_BACK_AT_ONCE: Final = 64
_RETRY_AFTER_HALT_S: Final = 30
_RETRY_AFTER_MAX_S: Final = 30


@dataclass(slots=True)
class Settled:
    """A decision, with the fact that answers the command. `replayed`: an earlier request had led to it."""

    decision: Decision
    own: NumberedFact | None
    replayed: bool


@dataclass(slots=True)
class Queued:
    """Durable in the log and not decided in time."""

    partition: int
    offset: int
    place: int


class Desk:
    """Where every command of this process passes on its way to the log."""

    def __init__(
        self,
        log: Log,
        queries: Queries,
        replies: Replies,
        clock: Clock,
        links: Links,
        settings: Settings,
        meters: Meters,
    ) -> None:
        self._log = log
        self._queries = queries
        self._replies = replies
        self._clock = clock
        self._links = links
        self.settings = settings
        self._meters = meters
        self.tracer = OFF
        self._log_fails = False
        self._waiters: dict[str, list[Waiter]] = {}
        self._deadlines = Deadlines()
        self._watchers: dict[str, list[asyncio.Future[Reply]]] = {}
        self._reading_back = asyncio.Semaphore(_READ_BACK_AT_ONCE)
        self.held = 0
        self.progress = [Progress(partition) for partition in range(log.identity.partitions)]
        self.on_fact: Callable[[NumberedFact], None] = lambda fact: None
        self.on_sweep: Callable[[], None] = lambda: None
        self.on_progress: Callable[[Progress], None] = lambda progress: None

    async def start(self) -> None:
        """Learn how far each partition is, and begin to take replies.

        What cannot be read just now is tried again for a while: a leader is being elected somewhere.
        """
        self._replies.listen(self._receive)
        deadline_s = self._clock.monotonic_s() + limits.DRAIN_MAX_S
        for progress in self.progress:
            while True:
                try:
                    await self._learn(progress)
                    break
                except Unavailable:
                    if self._clock.monotonic_s() > deadline_s:
                        raise
                    await asyncio.sleep(limits.BACKOFF_MIN_S)

    async def _learn(self, progress: Progress) -> None:
        _, end_offset = await self._log.bounds(progress.partition)
        head = await self._queries.head(progress.partition)
        progress.end_offset = max(progress.end_offset, end_offset)
        progress.decided(head.next_offset if head is not None else 0)

    async def ask(self, envelope: Envelope, partition: int, wait_s: float, trace: str) -> Settled | Queued:
        """Append a command and wait up to `wait_s` for its decision.

        Raises `Problem`: overloaded or event_busy (nothing was appended), outcome_unknown, key_reused,
        unavailable.
        """
        progress = self.progress[partition]
        newcomer = type(envelope.body) is Register
        self.admit(progress, envelope.event, newcomer)
        if wait_s <= 0 or self.held >= self.settings.held_requests_max:
            offset = await self._append(envelope, progress, newcomer, trace)
            return Queued(partition, offset, progress.place(offset))
        if buggify("desk.give_up"):
            wait_s = TICK_S
        key = envelope.id + envelope.fingerprint
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        waiter = Waiter(future, progress)
        self._waiters.setdefault(key, []).append(waiter)
        self.held += 1
        asked_s = self._clock.monotonic_s()
        self._deadlines.add(waiter, asked_s + wait_s)
        try:
            try:
                offset = await self._append(envelope, progress, newcomer, trace)
            except Problem as problem:
                # It may be in the log all the same; then the reply says so.
                reply = await future if problem.code == "outcome_unknown" else None
                if reply is None:
                    raise
                sometimes("desk.outcome_told")
                offset = reply.decision.offset
            waiter.offset = offset
            reply = await future
        finally:
            self.held -= 1
            waiter.future = None  # its deadline keeps the waiter for a while; the reply must not stay with it
            self._leave(key, waiter)
        ended_s = self._clock.monotonic_s()
        self._meters.waited("timed_out" if reply is None else "decided", ended_s - asked_s)
        if (place := self.tracer.place(trace)) is not None:
            came = {"veltrix.decided": reply is not None}
            self.tracer.span("wait for the decision", SpanKind.INTERNAL, place, asked_s, ended_s, came)
        if reply is None:
            return await self._late(envelope, progress, offset)
        decision = reply.decision
        if decision.outcome is Outcome.DUPLICATE or decision.outcome is Outcome.KEY_REUSED:
            return await self._repeated(envelope, decision, progress, offset)
        return Settled(decision, reply.own, replayed=decision.offset != offset)

    def admit(self, progress: Progress, event: str, newcomer: bool) -> None:
        """Let a command in, or say that too many are undecided. Each share leaves room for what is
        asked less often and matters more: confirm, cancel, expire and changes of events. Nothing is
        let onto a log that nobody may decide."""
        if progress.partition in self.settings.halted:
            raise Problem("unavailable").retry_after(_RETRY_AFTER_HALT_S)
        most = self.settings.undecided_max
        undecided = progress.undecided
        if undecided < most * limits.UNDECIDED_SHARE_ONE_EVENT:
            return
        if newcomer and progress.undecided_of(event) >= most * limits.UNDECIDED_SHARE_ONE_EVENT:
            raise self._turned_away("event_busy", progress)
        share = limits.UNDECIDED_SHARE_REGISTRATIONS if newcomer else 1.0
        if undecided >= most * share:
            raise self._turned_away("overloaded", progress)

    def watch(self, command: str) -> asyncio.Future[Reply]:
        """A future of the next reply about a command; to be given back by `unwatch`."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(command, []).append(future)
        return future

    def unwatch(self, command: str, future: asyncio.Future[Reply]) -> None:
        """Nobody waits for it any more."""
        future.cancel()
        watchers = self._watchers.get(command)
        if watchers is not None and future in watchers:
            watchers.remove(future)
            if not watchers:
                del self._watchers[command]

    @property
    def waiting(self) -> bool:
        """Whether anybody waits by a receipt, for what perhaps another process appended."""
        return bool(self._watchers)

    def advanced(self, partition: int, next_offset: int) -> None:
        """All commands of a partition before `next_offset` are decided."""
        progress = self.progress[partition]
        if progress.decided(next_offset):
            self.on_progress(progress)

    async def sweep(self) -> None:
        """Again and again: end what has waited long enough, measure, and read back decisions whose
        replies went missing."""
        swept_s = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self._clock.monotonic_s()
            self._deadlines.expire(now_s)
            if now_s - swept_s < SWEEP_S:
                continue
            swept_s = now_s
            for progress in self.progress:
                progress.tidy(now_s)
            self._meters.gauge("held_requests", self.held)
            for progress in self.progress:
                self._meters.line(progress.partition, progress.undecided, progress.oldest_s)
            self._read_back()
            self.on_sweep()

    def give_up(self) -> None:
        """End all waiting: what is undecided is answered 202 with its receipt."""
        for waiters in list(self._waiters.values()):
            for waiter in waiters:
                waiter.resolve(None)

    def _turned_away(self, code: str, progress: Progress) -> Problem:
        self._meters.turned_away(code)
        _log.debug("turned_away", reason=code, partition=progress.partition)
        wait_s = progress.estimated_wait_s(progress.end_offset) or 1.0
        return Problem(code).retry_after(max(1, min(_RETRY_AFTER_MAX_S, round(wait_s / 2))))

    async def _append(self, envelope: Envelope, progress: Progress, newcomer: bool, trace: str) -> int:
        """Append it and return its offset."""
        record = Record(encode_command(envelope), trace, self._replies.address)
        if len(record.value) > limits.RECORD_MAX_BYTES:  # some bodies say much with few bytes
            raise Problem("body_too_large", params={"most_bytes": limits.BODY_MAX_BYTES})
        began_s = self._clock.monotonic_s()
        progress.appending += 1
        try:
            appended = await self._log.append(progress.partition, record)
        except OutcomeUnknown as error:
            self._append_failed("unknown", error)
            path = self._links.decision_path(
                envelope.id, progress.partition, OFFSET_UNKNOWN, envelope.fingerprint
            )
            raise Problem(
                "outcome_unknown", headers=[(b"location", path.encode())], members={"location": path}
            ).retry_after(1) from None
        except Rejected as error:
            self._meters.append_failed("rejected")
            _log.error("append_rejected", command=envelope.id, error=str(error))
            raise Problem("internal") from None
        except PortError as error:
            self._append_failed("unavailable", error)
            raise Problem("unavailable").retry_after(1) from None
        finally:
            progress.appending -= 1
        if self._log_fails:
            self._log_fails = False
            _log.info("appends_succeed_again", partition=progress.partition)
        offset = appended.offset
        progress.appended(offset)
        if newcomer:
            progress.appended_of(envelope.event, offset)
        ended_s = self._clock.monotonic_s()
        self._meters.appended(envelope.kind, ended_s - began_s, envelope.event)
        if (place := self.tracer.place(trace)) is not None:
            told: dict[str, str | int] = {
                "veltrix.command": envelope.id,
                "veltrix.kind": envelope.kind,
                "veltrix.partition": progress.partition,
                "veltrix.offset": offset,
            }
            self.tracer.span("append", SpanKind.PRODUCER, place, began_s, ended_s, told)
        return offset

    def _append_failed(self, why: str, error: PortError) -> None:
        """Count it; said once until it succeeds again, for there are as many as there are people."""
        self._meters.append_failed(why)
        if not self._log_fails:
            self._log_fails = True
            _log.warning("appends_fail", reason=why, error=str(error))

    def _receive(self, replies: Sequence[Reply]) -> None:
        """Hand replies to those who wait; called by the adapter, must not block."""
        waiters, watchers = self._waiters, self._watchers
        moved: dict[int, int] = {}
        for reply in replies:
            decision = reply.decision
            moved[decision.partition] = decision.offset + 1
            if reply.own is not None:
                self.on_fact(reply.own)
            if buggify("desk.no_reply"):
                continue
            found = waiters.pop(decision.command + decision.fingerprint, None)
            if found is not None:
                for waiter in found:
                    waiter.resolve(reply)
            if watchers and (watching := watchers.pop(decision.command, None)) is not None:
                for future in watching:
                    if not future.done():
                        future.set_result(reply)
        for partition, next_offset in moved.items():
            self.advanced(partition, next_offset)

    def _leave(self, key: str, waiter: Waiter) -> None:
        waiters = self._waiters.get(key)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[key]

    async def _repeated(
        self, envelope: Envelope, decision: Decision, progress: Progress, offset: int
    ) -> Settled | Queued:
        """Its id was decided before: then for the same request, or for another one under its key."""
        if decision.outcome is Outcome.KEY_REUSED:
            sometimes("desk.key_reused")
            raise Problem("key_reused")
        try:
            original = await self.original(envelope.id, envelope.fingerprint)
        except PortError:  # it is in the log: not an error, only not known yet
            original = None
        if original is None:
            return Queued(progress.partition, offset, progress.place(offset))
        return original

    async def original(self, command: str, fingerprint: str) -> Settled | None:
        """The first decision of a command from the ledger. Raises `Problem` key_reused."""
        found = await self._queries.decision(command)
        if found is None:
            return None
        decision, own = found
        if not decision.fingerprint.startswith(fingerprint):
            raise Problem("key_reused")
        return Settled(decision, own, replayed=True)

    async def _late(self, envelope: Envelope, progress: Progress, offset: int) -> Settled | Queued:
        """The time is over. Where the partition has passed the command, only its reply is missing."""
        if offset < progress.next_offset:
            try:
                async with self._reading_back:
                    found = await self.original(envelope.id, envelope.fingerprint)
            except PortError:
                found = None
            if found is not None:
                sometimes("desk.read_back")
                self._meters.waited("read_back", 0.0)
                found.replayed = found.decision.offset != offset
                return found
        return Queued(progress.partition, offset, progress.place(offset))

    def _read_back(self) -> None:
        """Wake those whose reply is overdue, seen in two sweeps: `_late` reads what was decided."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                if waiter.offset is not None and waiter.offset < waiter.progress.next_offset:
                    if waiter.passed:
                        waiter.resolve(None)
                    waiter.passed = True
