"""The notification service: plans, fans out and dispatches until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from veltrix.domain import limits
from veltrix.notification.choices import Choices
from veltrix.notification.dispatcher import Dispatcher
from veltrix.notification.fanout import FanOuts
from veltrix.notification.gather import Gatherer
from veltrix.notification.hooks import WebhookWay
from veltrix.notification.mailing import MailWay
from veltrix.notification.memory import Events, Recent
from veltrix.notification.meters import NoMeters, NotificationMetrics
from veltrix.notification.ordering import Ordering
from veltrix.notification.outgoing import Way
from veltrix.notification.own_book import OwnBook
from veltrix.notification.planner import NoticeMaker, Planner
from veltrix.notification.reach import Reach
from veltrix.notification.renderer import Renderer
from veltrix.notification.settings import NotificationSettings
from veltrix.notification.standing import Standing
from veltrix.notification.texts import shared_texts
from veltrix.observability.tracing import OFF, Tracer
from veltrix.ports.channel import Channel
from veltrix.ports.feed import Feed
from veltrix.ports.notices import WEBHOOK, Notices, NoticeStatus
from veltrix.ports.queries import Queries
from veltrix.ports.system import Clock, Entropy
from veltrix.ports.vault import Vault

_OPEN = (NoticeStatus.PENDING, NoticeStatus.ATTEMPTING, NoticeStatus.UNKNOWN)


async def _no_courtesy() -> None:
    await asyncio.sleep(0)


class NotificationService:
    """Tells people, from ports alone. Channels have different names; each gets its own notice of a fact.
    With `reach` it also posts webhooks, heeds suppressions, keeps breakers and carries out orders.

    `courtesy` is awaited between pieces of at most about 10 ms of work: where other services share the
    event loop it lets them go first. `before_sending` is awaited in its stead before and between sends.
    Ports are closed by whoever made them, after `stop`.
    """

    _planning: list[asyncio.Task[None]]
    _dispatching: asyncio.Task[None] | None

    def __init__(  # noqa: PLR0913 - one keyword a port: who wires it should see each
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
        reach: Reach | None = None,
        courtesy: Callable[[], Awaitable[None]] = _no_courtesy,
        before_sending: Callable[[], Awaitable[None]] | None = None,
        metrics: NotificationMetrics | None = None,
        tracer: Tracer = OFF,
    ) -> None:
        meters = NoMeters() if metrics is None else metrics
        recent, events = Recent(), Events(queries, clock)
        book = OwnBook(None if reach is None else reach.outreach)
        gatherer = Gatherer(queries, vault, events, recent, book)
        self._notices, self._queries, self._texts = notices, queries, shared_texts()
        renderer = Renderer(settings.mail_sender(), settings.signer, self._texts, book)
        choices = None if reach is None else Choices(reach.outreach, reach.secret_key)
        ways = mail_ways(channels, gatherer, renderer, settings, reach)
        maker = NoticeMaker(notices, recent, tuple(ways))
        if reach is not None and choices is not None:
            ways[WEBHOOK] = WebhookWay(choices, gatherer, reach.poster, clock, settings.base_url.rstrip("/"))
        self._dispatcher = Dispatcher(
            notices,
            ways,
            clock,
            entropy,
            meters,
            before_sending or courtesy,
            settings.lease_s,
            settings.in_flight,
            tracer,
            _standing(settings, clock, reach),
            choices,
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
            tracer,
            choices,
        )
        self._ordering = _ordering(reach, clock, self._dispatcher.wake, channels)
        self._planning, self._dispatching = [], None

    async def start(self) -> None:
        """Begin to follow the facts and to deliver what is owed."""
        assert self._dispatching is None, "a service starts once"
        self._texts.load()
        self._dispatching = asyncio.create_task(self._dispatcher.run(), name="notification/dispatcher")
        self._planning = [
            asyncio.create_task(self._planner.run(), name="notification/planner"),
            asyncio.create_task(self._fan_outs.run(), name="notification/fan-out"),
        ]
        if self._ordering is not None:
            self._planning.append(asyncio.create_task(self._ordering.run(), name="notification/orders"))

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
        if self._ordering is not None:
            self._ordering.stop()
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


def mail_ways(
    channels: Sequence[Channel],
    gatherer: Gatherer,
    renderer: Renderer,
    settings: NotificationSettings,
    reach: Reach | None = None,
) -> dict[str, Way]:
    """The ways of mail by the names of their channels."""
    ways: dict[str, Way] = {}
    for channel in channels:
        assert channel.name not in ways, "each channel has a name of its own"
        ways[channel.name] = MailWay(
            gatherer,
            renderer,
            channel,
            settings.hold_unknown,
            None if reach is None else reach.outreach,
            None if reach is None else reach.deliveries,
            secret_key=b"" if reach is None else reach.secret_key,
        )
    return ways


def _ordering(
    reach: Reach | None, clock: Clock, wake: Callable[[], None], channels: Sequence[Channel]
) -> Ordering | None:
    if reach is None:
        return None
    names = tuple(channel.name for channel in channels)
    return Ordering(reach.outreach, reach.fulfilment, clock, wake, names)


def _standing(settings: NotificationSettings, clock: Clock, reach: Reach | None) -> Standing | None:
    if reach is None:
        return None
    rates = (settings.mail_rate_per_s, settings.webhook_rate_per_s)
    return Standing(reach.deliveries, reach.fulfilment, clock, *rates, settings.hold_unknown)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=limits.DRAIN_MAX_S + limits.BACKOFF_MAX_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
