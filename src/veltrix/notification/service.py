"""The notification service: plans, fans out and dispatches until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from veltrix.domain import limits
from veltrix.notification.dispatcher import Dispatcher
from veltrix.notification.fanout import FanOuts
from veltrix.notification.gather import Gatherer
from veltrix.notification.memory import Events, Recent
from veltrix.notification.meters import NoMeters, NotificationMetrics
from veltrix.notification.planner import NoticeMaker, Planner
from veltrix.notification.renderer import Renderer
from veltrix.notification.settings import NotificationSettings
from veltrix.notification.texts import shared_texts
from veltrix.ports.channel import Channel
from veltrix.ports.feed import Feed
from veltrix.ports.notices import Notices, NoticeStatus
from veltrix.ports.queries import Queries
from veltrix.ports.system import Clock, Entropy
from veltrix.ports.vault import Vault

_OPEN = (NoticeStatus.PENDING, NoticeStatus.ATTEMPTING, NoticeStatus.UNKNOWN)


async def _no_courtesy() -> None:
    await asyncio.sleep(0)


class NotificationService:
    """Tells people, from ports alone. Channels have different names; each gets its own notice of a fact.

    `courtesy` is awaited between pieces of at most about 10 ms of work: where other services share the
    event loop it lets them go first. Ports are closed by whoever made them, after `stop`.
    """

    def __init__(
        self,
        *,
        notices: Notices,
        queries: Queries,
        feed: Feed,
        vault: Vault,
        channels: Sequence[Channel],
        clock: Clock,
        entropy: Entropy,
        settings: NotificationSettings,
        courtesy: Callable[[], Awaitable[None]] = _no_courtesy,
        metrics: NotificationMetrics | None = None,
    ) -> None:
        meters = NoMeters() if metrics is None else metrics
        by_name = {channel.name: channel for channel in channels}
        assert len(by_name) == len(channels), "each channel has a name of its own"
        recent, events = Recent(), Events(queries, clock)
        maker = NoticeMaker(notices, recent, tuple(by_name))
        self._notices = notices
        self._texts = shared_texts()
        self._queries = queries
        self._dispatcher = Dispatcher(
            notices,
            Gatherer(queries, vault, events, recent),
            Renderer(settings.mail_sender(), settings.signer, self._texts),
            by_name,
            clock,
            entropy,
            meters,
            courtesy,
            settings.lease_s,
            settings.in_flight,
        )
        self._fan_outs = FanOuts(queries, notices, maker, meters, self._dispatcher.wake, courtesy)
        self._planner = Planner(
            feed,
            queries,
            notices,
            maker,
            events,
            meters,
            settings.partitions,
            self._dispatcher.forget,
            self._dispatcher.wake,
            self._fan_outs.wake,
            courtesy,
            clock,
        )
        self._planning: list[asyncio.Task[None]] = []
        self._dispatching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow the facts and to deliver what is owed."""
        assert self._dispatching is None, "a service starts once"
        self._texts.load()
        self._dispatching = asyncio.create_task(self._dispatcher.run(), name="notification/dispatcher")
        self._planning = [
            asyncio.create_task(self._planner.run(), name="notification/planner"),
            asyncio.create_task(self._fan_outs.run(), name="notification/fan-out"),
        ]

    @property
    def ready(self) -> bool:
        """Whether all of it is running."""
        tasks = [*self._planning, self._dispatching]
        return len(tasks) > 1 and all(task is not None and not task.done() for task in tasks)

    async def stop(self) -> None:
        """Finish what is in flight, within `limits.DRAIN_MAX_S`, and stop; safe to call twice.

        What is planned and not sent stays recorded, and goes out after the next start.
        """
        self._planner.stop()
        self._fan_outs.stop()
        await _ended(self._planning)
        self._dispatcher.stop()
        if self._dispatching is not None:
            await _ended([self._dispatching])
        self._planning, self._dispatching = [], None

    async def settled(self) -> bool:
        """Whether every published fact is planned, and every notice has its definite result."""
        if len(self._planner.positions) < self._planner.partitions:
            return False
        for partition, at in list(self._planner.positions.items()):
            head = await self._queries.head(partition)
            if head is not None and head.next_seq - 1 > at:
                return False
        if await self._notices.jobs(1):
            return False
        counts = await self._notices.counts()
        return not any(counts.get(status, 0) for status in _OPEN)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=limits.DRAIN_MAX_S + limits.BACKOFF_MAX_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
