"""One fact that concerns everyone of an event: its notices are made page by page, from a recorded job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.domain.notices import NoticeKind, concerned, everyone
from veltrix.notification.meters import NotificationMetrics
from veltrix.notification.planner import NoticeMaker
from veltrix.observability.logging import get_logger
from veltrix.ports.errors import Fenced, PortError, Unavailable
from veltrix.ports.notices import FanOut, Notice, Notices
from veltrix.ports.queries import Filter, Queries
from veltrix.ports.simulated import buggify, sometimes

_log = get_logger("notification")


@dataclass(slots=True)
class FanOuts:
    """Works through the jobs, a page of each in turn, so that no event waits for a bigger one."""

    queries: Queries
    notices: Notices
    maker: NoticeMaker
    metrics: NotificationMetrics
    wake_dispatcher: Callable[[], None]
    courtesy: Callable[[], Awaitable[None]]
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    def wake(self) -> None:
        """There is a new job."""
        self._wake.set()

    def stop(self) -> None:
        """Let `run` end after the page at hand."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped; errors are tried again."""
        delay_s = limits.BACKOFF_MIN_S
        while not self._stopping:
            try:
                while await self.step() and not self._stopping:
                    pass
                delay_s = limits.BACKOFF_MIN_S
                await self._wait()
            except PortError as error:
                _log.warning("fan_out_interrupted", error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, limits.BACKOFF_MAX_S)
            except Exception:
                _log.exception("fan_out_failed")
                await asyncio.sleep(limits.BACKOFF_MAX_S)

    async def step(self) -> bool:
        """A page of every open job; False when there are none."""
        jobs = await self.notices.jobs(limits.FAN_OUT_JOBS)
        for job in jobs:
            if self._stopping:
                return False
            await self.courtesy()
            try:
                await self._page(job)
            except Fenced:
                continue  # another one recorded this page
        return bool(jobs)

    async def _page(self, job: FanOut) -> None:
        facts = await self.queries.facts(job.partition, job.seq - 1, 1)
        if not facts or facts[0].seq != job.seq:
            raise Unavailable(f"fact {job.partition}/{job.seq} of a fan-out cannot be read")
        numbered = facts[0]
        most = 2 if buggify("fanout.tiny_page") else limits.FAN_OUT_PAGE
        page = await self.queries.registrations(
            Filter(job.event, concerned(NoticeKind(job.kind))), job.after_arrival, most
        )
        made: list[Notice] = []
        for registration in page:
            # Whoever came after the fact saw the event as it made it, and needs no word of it.
            if registration.decided_ms <= numbered.log_time_ms:
                told = everyone(registration, NoticeKind(job.kind))
                made += await self.maker.make(numbered, told, made)
        last = len(page) < most
        if not last:
            sometimes("fanout.paged")
        await self.notices.advance(job, None if last else page[-1].arrival, made)
        if made:
            self.metrics.planned(job.kind, len(made))
            self.wake_dispatcher()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(limits.NOTICE_POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
