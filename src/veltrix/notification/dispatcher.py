"""Claims notices that are due, makes them ready and sends them, a bounded number at once.

Everything here happens under a lease: a notice is in hand until its result is recorded under the fence of
its claim. A process that dies in between leaves its claims to be taken again, as unknown.

Each target has a share of what is in hand, after how fast it answers: whoever is slow has few notices under
way, and keeps no room from the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from veltrix.domain import limits
from veltrix.notification.attempts import delay_ms, ended, put_back, result_of
from veltrix.notification.choices import Choices
from veltrix.notification.gather import Verdict
from veltrix.notification.gauging import Gauging
from veltrix.notification.meters import NotificationMetrics
from veltrix.notification.outgoing import Outgoing, Way
from veltrix.notification.standing import Standing
from veltrix.observability.logging import get_logger
from veltrix.observability.tracing import OFF, Tracer, trace_id_of
from veltrix.ports.channel import Attempt, Sent
from veltrix.ports.errors import PortError
from veltrix.ports.notices import WEBHOOK, Claimed, Notices, NoticeStatus, Result, Shares
from veltrix.ports.simulated import LATE_S, buggify, sometimes
from veltrix.ports.spans import SpanKind
from veltrix.ports.system import Clock, Entropy

_log = get_logger("notification")
_LEASE_SHARE = 0.9  # an attempt must end before another process may take it for lost
_Ready = Callable[[], Outgoing | Verdict]


@dataclass(slots=True)
class Dispatcher:
    """Gets notices delivered, each by the way of its channel. `courtesy` is called between small pieces of
    work. `in_flight` bounds the mails that are in hand; `standing` knows targets, `choices` endpoints."""

    notices: Notices
    ways: Mapping[str, Way]
    clock: Clock
    entropy: Entropy
    metrics: NotificationMetrics
    courtesy: Callable[[], Awaitable[None]]
    lease_s: float
    in_flight: int = limits.NOTICE_IN_FLIGHT_MAX
    tracer: Tracer = OFF
    standing: Standing | None = None
    choices: Choices | None = None
    _gauging: Gauging = field(init=False)
    _in_hand: dict[str, asyncio.Task[None] | None] = field(default_factory=dict)
    _by_target: Counter[str] = field(default_factory=Counter)
    _webhooks: int = 0
    _withheld: set[str] = field(default_factory=set)
    _results: list[Result] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    def __post_init__(self) -> None:
        deliveries = None if self.standing is None else self.standing.deliveries
        self._gauging = Gauging(self.notices, deliveries, self.clock, self.metrics)

    def wake(self) -> None:
        """There are notices to claim."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more; `run` ends when what is in hand is done, or after `limits.DRAIN_MAX_S`."""
        self._stopping = True
        self._wake.set()

    @property
    def busy(self) -> bool:
        """Whether notices are in hand, or results wait to be recorded."""
        return bool(self._in_hand or self._results)

    async def forget(self, notices: list[str]) -> None:
        """Let these notices leave no mail behind: what is being sent ends first, the rest is not sent."""
        if not notices:
            return
        self._withheld.update(notice for notice in notices if notice in self._in_hand)
        sending = [task for notice in notices if (task := self._in_hand.get(notice)) is not None]
        if sending:
            await asyncio.wait(sending)
        for way in self.ways.values():
            await way.forget(notices)

    async def run(self) -> None:
        """Dispatch until stopped; errors are tried again."""
        delay_s = limits.BACKOFF_MIN_S
        while not self._stopping:
            try:
                if len(self._results) >= limits.NOTICE_CLAIM_MAX:
                    await self.flush()
                if not await self.step():
                    await self.flush()
                    await self._wait()
                delay_s = limits.BACKOFF_MIN_S
            except PortError as error:
                _log.warning("dispatching_interrupted", error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, limits.BACKOFF_MAX_S)
            except Exception:
                _log.exception("dispatching_failed")
                await asyncio.sleep(limits.BACKOFF_MAX_S)
        await self._drain()

    async def step(self) -> bool:
        """Claim and start what there is room for; False when there was none, or nothing due."""
        mails, webhooks = self._room()
        if not mails and not webhooks:
            return False
        await self.courtesy()
        shares = await self._shares(mails, webhooks)
        claimed_s = self.clock.monotonic_s()
        now_ms = self.clock.now_ms()
        most = 1 if buggify("dispatcher.claim_one") else mails + webhooks
        lease_s = LATE_S if buggify("dispatcher.short_lease") else self.lease_s
        claimed = await self.notices.claim(now_ms, most, round(lease_s * 1000), shares)
        in_hand_ms = self._gauging.oldest_ms
        for each in claimed:
            self._in_hand[each.notice.id] = None
            in_hand_ms[each.notice.id] = each.notice.created_ms
            self._by_target[each.notice.target] += 1
            self._webhooks += each.notice.channel == WEBHOOK
        try:
            if claimed:
                await self._start(claimed, claimed_s + lease_s * _LEASE_SHARE)
            await self._gauging.look(now_ms, self.standing)
        finally:
            for each in claimed:
                if self._in_hand.get(each.notice.id, self) is None:  # neither sent nor ended: an error above
                    # Perhaps by this process alone, which waits longer than that before it claims again.
                    wait_ms = round(limits.BACKOFF_MAX_S * 1000)
                    self._put_back(each, "it could not be prepared", wait_ms)
        return bool(claimed)

    def _room(self) -> tuple[int, int]:
        """How many mails and webhooks may be claimed; a few at a time would cost a transaction each."""
        mails = self.in_flight - (len(self._in_hand) - self._webhooks)
        if mails < min(limits.NOTICE_CLAIM_MAX, (self.in_flight + 1) // 2):
            mails = 0
        webhooks = limits.WEBHOOKS_IN_FLIGHT_MAX - self._webhooks
        known = self.choices is not None and (mails or self.choices.endpoints)
        if not known or webhooks < limits.NOTICE_CLAIM_MAX:
            webhooks = 0
        return min(mails, limits.NOTICE_CLAIM_MAX), min(webhooks, limits.WEBHOOKS_CLAIM_MAX)

    async def _shares(self, mails: int, webhooks: int) -> Shares | None:
        if self.standing is None:
            return None
        await self.standing.flush()  # what was just seen counts for what is claimed now
        await self.standing.refresh()
        if self.choices is not None:
            await self.choices.refresh()
        rooms = {name: mails for name in self.ways if name != WEBHOOK}
        endpoints = {} if self.choices is None else self.choices.endpoints
        return self.standing.shares(rooms, webhooks, self._by_target, endpoints)

    async def _start(self, claimed: Sequence[Claimed], deadline_s: float) -> None:
        open_ones: dict[str, list[Claimed]] = {}
        for each in claimed:
            if not self._worn_out(each):
                open_ones.setdefault(each.notice.channel, []).append(each)
        for channel, theirs in open_ones.items():
            ready = await self.ways[channel].ready(theirs)
            for start in range(0, len(theirs), limits.NOTICE_CHUNK):
                if start:
                    await self.courtesy()
                stop = start + limits.NOTICE_CHUNK
                for each, make in zip(theirs[start:stop], ready[start:stop], strict=True):
                    self._begin(each, make, deadline_s)

    def _worn_out(self, claimed: Claimed) -> bool:
        """Whether trying on would be no use: it was claimed so often without a definite result, or nothing
        here can send it."""
        way = self.ways.get(claimed.notice.channel)
        if way is None:
            self._put_back(claimed, f"nothing here sends by {claimed.notice.channel}")
            return True
        if claimed.attempt <= 2 * way.schedule.most:
            return False
        self._end(
            claimed, NoticeStatus.DEAD, f"gave up after {claimed.attempt - 1} attempts without a result"
        )
        return True

    def _begin(self, claimed: Claimed, make: _Ready, deadline_s: float) -> None:
        """Make it ready and start to send it, or record why not."""
        notice = claimed.notice
        if notice.id in self._withheld:
            self._end(claimed, NoticeStatus.SUPPRESSED, "the person was erased")
            return
        if self._stopping:
            self._put_back(claimed, "stopped before it was sent", wait_ms=0)
            return
        made = make()
        if isinstance(made, Outgoing):
            self._in_hand[notice.id] = asyncio.create_task(self._send(claimed, made, deadline_s))
        elif made.status is NoticeStatus.PENDING:
            self._put_back(claimed, made.detail)
        else:
            self._end(claimed, made.status, made.detail)

    async def _send(self, claimed: Claimed, outgoing: Outgoing, deadline_s: float) -> None:
        notice = claimed.notice
        started_s, started_ms = self.clock.monotonic_s(), self.clock.now_ms()
        try:
            async with asyncio.timeout(max(0.0, deadline_s - started_s)):
                attempt = await outgoing.send()
        except asyncio.CancelledError:
            attempt = Attempt(Sent.UNKNOWN, "stopped while it was being sent", own_fault=True)
        except TimeoutError:
            sometimes("dispatcher.lease_over")
            attempt = Attempt(Sent.UNKNOWN, "the channel did not answer within the lease")
        except Exception as error:
            _log.exception("channel_failed", channel=notice.channel, notice=notice.id)
            attempt = Attempt(Sent.UNKNOWN, f"the channel failed: {type(error).__name__}")
        now_ms = self.clock.now_ms()
        ended_s = self.clock.monotonic_s()
        seconds = ended_s - started_s
        self.metrics.attempted(notice.channel, attempt.sent, seconds)
        self._trace(claimed, attempt, started_s, ended_s)
        if attempt.sent is Sent.ACCEPTED:
            self.metrics.delivered(max(0.0, (now_ms - notice.created_ms) / 1000))
        if self.standing is not None:
            self.standing.saw(notice, attempt, seconds)
        way = self.ways[notice.channel]
        hold = way.holds(notice.target)
        result = result_of(
            claimed, attempt, now_ms, self.entropy, way.schedule, hold=hold, started_ms=started_ms
        )
        self._finish(claimed, replace(result, bounced=outgoing.address) if attempt.bounced else result)

    def _end(self, claimed: Claimed, status: NoticeStatus, detail: str) -> None:
        self._untried(claimed, ended(claimed, status, detail, self.clock.now_ms()))

    def _put_back(self, claimed: Claimed, detail: str, wait_ms: int | None = None) -> None:
        if wait_ms is None:  # no attempt was spent: how often it was claimed says how long to wait
            wait_ms = delay_ms((claimed.fence + 1) // 2, self.entropy)
            wait_ms = min(wait_ms, round(limits.PUT_BACK_MAX_S * 1000))
        self._untried(claimed, put_back(claimed, detail, self.clock.now_ms(), wait_ms))

    def _untried(self, claimed: Claimed, result: Result) -> None:
        if self.standing is not None:
            self.standing.unseen(claimed.notice)
        self._finish(claimed, result)

    def _finish(self, claimed: Claimed, result: Result) -> None:
        notice = claimed.notice
        if notice.id in self._in_hand:
            del self._in_hand[notice.id]
            self._webhooks -= notice.channel == WEBHOOK
            self._by_target[notice.target] -= 1
            if not self._by_target[notice.target]:
                del self._by_target[notice.target]
        self._gauging.oldest_ms.pop(notice.id, None)
        self._withheld.discard(notice.id)
        self._results.append(result)
        if not self._in_hand or len(self._results) >= min(limits.NOTICE_CLAIM_MAX, self.in_flight // 2):
            self._wake.set()
        elif len(self._results) == 1:  # others are slower: what there is must not wait for them
            asyncio.get_running_loop().call_later(limits.NOTICE_LINGER_S, self._wake.set)
        if result.status is not NoticeStatus.ACCEPTED:
            _tell(claimed, result)

    def _trace(self, claimed: Claimed, attempt: Attempt, began_s: float, ended_s: float) -> None:
        notice = claimed.notice
        place = self.tracer.place(notice.trace)
        if place is None:
            return
        told: dict[str, str | int] = {
            "veltrix.notice": notice.id,
            "veltrix.kind": notice.kind,
            "veltrix.channel": notice.channel,
            "veltrix.attempt": claimed.attempt,
            "veltrix.outcome": attempt.sent.value,
        }
        failed = "" if attempt.sent is Sent.ACCEPTED else attempt.sent.value
        self.tracer.span("send notice", SpanKind.CLIENT, place, began_s, ended_s, told, failed=failed)

    async def flush(self) -> None:
        """Record the results so far; on an error they are kept, and recorded with the next ones."""
        if self._results:
            results, self._results = self._results, []
            try:
                await self.notices.finish(results)
            except BaseException:
                self._results[:0] = results
                raise
        if self.standing is not None:
            await self.standing.flush()

    async def _wait(self) -> None:
        """For something to claim or to record; now and then, look for what became due."""
        try:
            async with asyncio.timeout(limits.NOTICE_POLL_S):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _drain(self) -> None:
        """Let what is being sent end, within bounds, and record it."""
        sending = [task for task in self._in_hand.values() if task is not None]
        if sending:
            _, late = await asyncio.wait(sending, timeout=limits.DRAIN_MAX_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        try:
            await self.flush()
        except PortError as error:
            _log.warning("results_lost", results=len(self._results), error=str(error))


def _tell(claimed: Claimed, result: Result) -> None:
    notice = claimed.notice
    write = _log.warning if result.status is NoticeStatus.DEAD else _log.info
    write(
        "notice_not_delivered",
        notice=notice.id,
        kind=str(notice.kind),
        event=notice.event,
        registration=notice.registration,
        status=str(result.status),
        attempt=claimed.attempt,
        detail=result.detail,
        trace_id=trace_id_of(notice.trace),
    )
