"""Claims notices that are due, writes their mails and sends them, a bounded number at once.

Everything here happens under a lease: a notice is in hand until its result is recorded under the fence of
its claim. A process that dies in between leaves its claims to be taken again, as unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.notification.attempts import delay_ms, ended, put_back, result_of
from veltrix.notification.gather import Gatherer, Verdict
from veltrix.notification.meters import NotificationMetrics
from veltrix.notification.renderer import Material, Renderer, Unwritable
from veltrix.observability.logging import get_logger
from veltrix.ports.channel import Attempt, Channel, Mail, Sent
from veltrix.ports.errors import PortError
from veltrix.ports.notices import Claimed, Notices, NoticeStatus, Result
from veltrix.ports.simulated import LATE_S, buggify, sometimes
from veltrix.ports.system import Clock, Entropy

_log = get_logger("notification")
_LEASE_SHARE = 0.9  # an attempt must end before another process may take it for lost


@dataclass(slots=True)
class Dispatcher:
    """Gets notices delivered. `courtesy` is called between small pieces of work."""

    notices: Notices
    gatherer: Gatherer
    renderer: Renderer
    channels: Mapping[str, Channel]
    clock: Clock
    entropy: Entropy
    metrics: NotificationMetrics
    courtesy: Callable[[], Awaitable[None]]
    lease_s: float
    in_flight: int = limits.NOTICE_IN_FLIGHT_MAX
    _in_hand: dict[str, asyncio.Task[None] | None] = field(default_factory=dict)
    _oldest_ms: dict[str, int] = field(default_factory=dict)
    _withheld: set[str] = field(default_factory=set)
    _results: list[Result] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _gauged_s: float = -limits.NOTICE_GAUGE_S
    _stopping: bool = False

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
        for channel in self.channels.values():
            await channel.forget(notices)

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
        room = self.in_flight - len(self._in_hand)
        if room < min(limits.NOTICE_CLAIM_MAX, (self.in_flight + 1) // 2):
            return False  # a few at a time would cost a transaction each
        await self.courtesy()
        claimed_s = self.clock.monotonic_s()
        now_ms = self.clock.now_ms()
        most = 1 if buggify("dispatcher.claim_one") else min(room, limits.NOTICE_CLAIM_MAX)
        lease_s = LATE_S if buggify("dispatcher.short_lease") else self.lease_s
        claimed = await self.notices.claim(now_ms, most, round(lease_s * 1000))
        await self._gauge(now_ms)
        if not claimed:
            return False
        for each in claimed:
            self._in_hand[each.notice.id] = None
            self._oldest_ms[each.notice.id] = each.notice.created_ms
        try:
            await self._start(claimed, claimed_s + lease_s * _LEASE_SHARE)
        finally:
            for each in claimed:
                if self._in_hand.get(each.notice.id, self) is None:  # neither sent nor ended: an error above
                    self._put_back(each, "it could not be prepared")
        return True

    async def _start(self, claimed: Sequence[Claimed], deadline_s: float) -> None:
        open_ones = [each for each in claimed if not self._worn_out(each)]
        materials = await self.gatherer.gather(open_ones)
        for start in range(0, len(open_ones), limits.NOTICE_CHUNK):
            if start:
                await self.courtesy()
            for each, material in zip(
                open_ones[start : start + limits.NOTICE_CHUNK],
                materials[start : start + limits.NOTICE_CHUNK],
                strict=True,
            ):
                self._begin(each, material, deadline_s)

    def _worn_out(self, claimed: Claimed) -> bool:
        """Whether it was claimed so often without a definite result that trying on would be no use."""
        if claimed.attempt <= 2 * limits.MAIL_ATTEMPTS_MAX:
            return False
        self._end(
            claimed, NoticeStatus.DEAD, f"gave up after {claimed.attempt - 1} attempts without a result"
        )
        return True

    def _begin(self, claimed: Claimed, material: Material | Verdict, deadline_s: float) -> None:
        """Write the mail and start to send it, or record why not."""
        notice = claimed.notice
        if isinstance(material, Verdict):
            if material.status is NoticeStatus.PENDING:
                self._put_back(claimed, material.detail)
            else:
                self._end(claimed, material.status, material.detail)
            return
        if notice.id in self._withheld:
            self._end(claimed, NoticeStatus.SUPPRESSED, "the person was erased")
            return
        if self._stopping:
            self._put_back(claimed, "stopped before it was sent", wait_ms=0)
            return
        try:
            channel = self.channels[notice.channel]
            mail = self.renderer.mail(material)
        except Unwritable as error:
            self._end(claimed, NoticeStatus.DEAD, f"no mail can be written: {error}")
            return
        except Exception as error:  # one person's data must not stop the others' mails
            _log.exception("rendering_failed", notice=notice.id, kind=notice.kind, event=notice.event)
            self._end(claimed, NoticeStatus.DEAD, f"no mail can be written: {type(error).__name__}")
            return
        self._in_hand[notice.id] = asyncio.create_task(self._send(claimed, channel, mail, deadline_s))

    async def _send(self, claimed: Claimed, channel: Channel, mail: Mail, deadline_s: float) -> None:
        started_s = self.clock.monotonic_s()
        try:
            async with asyncio.timeout(max(0.0, deadline_s - started_s)):
                attempt = await channel.send(mail)
        except asyncio.CancelledError:
            attempt = Attempt(Sent.UNKNOWN, "stopped while it was being sent")
        except TimeoutError:
            sometimes("dispatcher.lease_over")
            attempt = Attempt(Sent.UNKNOWN, "the channel did not answer within the lease")
        except Exception as error:
            _log.exception("channel_failed", channel=channel.name, notice=mail.notice)
            attempt = Attempt(Sent.UNKNOWN, f"the channel failed: {type(error).__name__}")
        now_ms = self.clock.now_ms()
        self.metrics.attempted(attempt.sent, self.clock.monotonic_s() - started_s)
        if attempt.sent is Sent.ACCEPTED:
            self.metrics.delivered(max(0.0, (now_ms - claimed.notice.created_ms) / 1000))
        self._finish(claimed, result_of(claimed, attempt, now_ms, self.entropy))

    def _end(self, claimed: Claimed, status: NoticeStatus, detail: str) -> None:
        self._finish(claimed, ended(claimed, status, detail, self.clock.now_ms()))

    def _put_back(self, claimed: Claimed, detail: str, wait_ms: int | None = None) -> None:
        wait_ms = delay_ms(claimed.attempt, self.entropy) if wait_ms is None else wait_ms
        self._finish(claimed, put_back(claimed, detail, self.clock.now_ms(), wait_ms))

    def _finish(self, claimed: Claimed, result: Result) -> None:
        self._in_hand.pop(result.notice, None)
        self._oldest_ms.pop(result.notice, None)
        self._withheld.discard(result.notice)
        self._results.append(result)
        if not self._in_hand or len(self._results) >= min(limits.NOTICE_CLAIM_MAX, self.in_flight // 2):
            self._wake.set()
        elif len(self._results) == 1:  # others are slower: what there is must not wait for them
            asyncio.get_running_loop().call_later(limits.NOTICE_LINGER_S, self._wake.set)
        if result.status is not NoticeStatus.ACCEPTED:
            _tell(claimed, result)

    async def flush(self) -> None:
        """Record the results so far; on an error they are kept, and recorded with the next ones."""
        if not self._results:
            return
        results, self._results = self._results, []
        try:
            await self.notices.finish(results)
        except BaseException:
            self._results[:0] = results
            raise

    async def _wait(self) -> None:
        """For something to claim or to record; now and then, look for what became due."""
        try:
            async with asyncio.timeout(limits.NOTICE_POLL_S):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _gauge(self, now_ms: int) -> None:
        now_s = self.clock.monotonic_s()
        if now_s - self._gauged_s < limits.NOTICE_GAUGE_S:
            return
        self._gauged_s = now_s
        counts = await self.notices.counts()
        oldest_ms = min(self._oldest_ms.values(), default=now_ms)
        self.metrics.notices(
            {str(status): count for status, count in counts.items()}, max(0.0, (now_ms - oldest_ms) / 1000)
        )

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
        trace=notice.trace,
    )
