"""Everything in one process, on SQLite: what `veltrix serve` runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from veltrix.adapters.generations import renumbered
from veltrix.adapters.master_key import derive, read_master_key
from veltrix.adapters.memory import MemoryFeed, MemoryReplies
from veltrix.adapters.sqlite import (
    DataDirectoryLock,
    SqliteAccess,
    SqliteCoordinator,
    SqliteLedger,
    SqliteLog,
    SqliteNotices,
    SqliteOutreach,
    SqliteVault,
)
from veltrix.adapters.sqlite.samples import SqliteSamples
from veltrix.adapters.system import SystemClock, SystemEntropy
from veltrix.bootstrap.courtesy import Courtesy
from veltrix.bootstrap.forgetting import RESTORING, Forgetting
from veltrix.bootstrap.mapping import channel_of, notification_settings, registration_settings
from veltrix.bootstrap.observing import embedded_metrics, watch_registration, watch_storage
from veltrix.bootstrap.serving import listen_on, served, uncancel
from veltrix.bootstrap.telling import reach_of, telling_of
from veltrix.bootstrap.tracing import tracer_of
from veltrix.config import Config
from veltrix.domain.credentials import Signer
from veltrix.notification.service import NotificationService
from veltrix.observability.checker import Checker
from veltrix.observability.metrics import Metrics
from veltrix.observability.tracing import Tracer
from veltrix.ports.errors import Mismatch
from veltrix.ports.log import Log
from veltrix.processing.service import ProcessingService
from veltrix.registration.service import RegistrationService


@dataclass(frozen=True, slots=True)
class Started:
    """What a platform that serves tells about itself."""

    url: str
    local_url: str
    data: Path
    channel: str


@dataclass(slots=True)
class Platform:
    """The three services over their adapters, in one process."""

    registration: RegistrationService
    processing: ProcessingService
    notification: NotificationService
    metrics: Metrics
    forgetting: Forgetting
    checking: Callable[[], Coroutine[Any, Any, None]]
    _checking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start from the back, so that whoever is asked first has somebody to ask."""
        watch_registration(self.metrics, self.registration)
        started = await self.forgetting.before_reading()
        await self.notification.start()
        if not started:
            await self.processing.start()
        await self.registration.start()
        self._checking = asyncio.create_task(self.checking(), name="checker")

    async def stop(self) -> None:
        """Stop from the front: answer who waits, decide what was accepted, deliver what is under way."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        await self.registration.stop()
        await self.processing.drained()
        await self.processing.stop()
        await self.notification.stop()


@dataclass(slots=True)
class _Stores:
    """The files of a data directory, open."""

    log: SqliteLog
    ledger: SqliteLedger
    notices: SqliteNotices
    outreach: SqliteOutreach
    vault: SqliteVault
    access: SqliteAccess
    coordinator: SqliteCoordinator
    samples: SqliteSamples

    @classmethod
    async def open(cls, stack: AsyncExitStack, config: Config, clock: SystemClock) -> _Stores:
        """Open them all; `stack` closes them, the last one first."""
        directory = config.data.directory
        log = await SqliteLog.open(directory / "log.db", partitions=config.log.partitions, clock=clock)
        stack.push_async_callback(log.close)
        ledger = await SqliteLedger.open(directory / "ledger.db", clock=clock)
        stack.push_async_callback(ledger.close)
        notices = await SqliteNotices.open(directory / "notices.db")
        stack.push_async_callback(notices.close)
        outreach = await SqliteOutreach.open(directory / "outreach.db")
        stack.push_async_callback(outreach.close)
        vault = await SqliteVault.open(directory / "vault.db")
        stack.push_async_callback(vault.close)
        access = await SqliteAccess.open(directory / "access.db")
        stack.push_async_callback(access.close)
        coordinator = await SqliteCoordinator.open(directory / "coordinator.db")
        stack.push_async_callback(coordinator.close)
        samples = await SqliteSamples.open(directory / "ledger.db")
        stack.push_async_callback(samples.close)
        return cls(log, ledger, notices, outreach, vault, access, coordinator, samples)


@asynccontextmanager
async def embedded(config: Config, port: int) -> AsyncIterator[Platform]:
    """The whole platform on the data directory of `config`, reached at `port`; closed at the end.

    Raises `Mismatch` when the directory is in use or its files do not belong together.
    """
    directory = config.data.directory
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        stack.enter_context(DataDirectoryLock(directory))
        signer = Signer(derive(read_master_key(config.secrets.master_key_file), "links"))
        clock, entropy = SystemClock(), SystemEntropy()
        metrics = embedded_metrics(clock)
        watch_storage(metrics, config)
        if (directory / RESTORING).exists():
            raise Mismatch(f"a restore of {directory} has begun and not ended; run: veltrix restore")
        tracer = tracer_of(config, "embedded", clock, entropy, metrics, stack)
        stores = await _Stores.open(stack, config, clock)
        log = renumbered(stores.log)
        channel = channel_of(config)
        stack.push_async_callback(channel.close)
        feed, replies = MemoryFeed(), MemoryReplies()
        processing = _processing(config, stores, log, feed, replies, clock, metrics, tracer)
        settings = notification_settings(config, port, signer)
        registration = RegistrationService(
            log=log,
            queries=stores.ledger,
            vault=stores.vault,
            feed=feed,
            replies=replies,
            access=stores.access,
            clock=clock,
            entropy=entropy,
            signer=signer,
            settings=registration_settings(config, port, metrics, processing.failed),
            telling=telling_of(config, settings, stores.outreach, stores.notices, stack),
            meters=metrics,
            tracer=tracer,
        )
        courtesy = Courtesy(clock, lambda: registration.core.desk.held)
        notification = NotificationService(
            notices=stores.notices,
            queries=stores.ledger,
            feed=feed,
            vault=stores.vault,
            channels=[channel],
            clock=clock,
            entropy=entropy,
            settings=settings,
            reach=reach_of(config, stores.outreach, stores.notices, stack),
            courtesy=courtesy.between,
            before_sending=courtesy.before_sending,
            metrics=metrics,
            tracer=tracer,
        )
        forgetting = Forgetting(log, stores.ledger, stores.vault, processing)
        checking = _checking(stores, clock, metrics, log.identity.partitions)
        yield Platform(registration, processing, notification, metrics, forgetting, checking)


def _checking(
    stores: _Stores, clock: SystemClock, metrics: Metrics, partitions: int
) -> Callable[[], Coroutine[Any, Any, None]]:
    checker = Checker(stores.samples, stores.ledger, stores.notices, clock, metrics, partitions)
    return partial(checker.run, stores.coordinator)


def _processing(
    config: Config,
    stores: _Stores,
    log: Log,
    feed: MemoryFeed,
    replies: MemoryReplies,
    clock: SystemClock,
    metrics: Metrics,
    tracer: Tracer,
) -> ProcessingService:
    return ProcessingService(
        log,
        stores.ledger,
        feed,
        replies,
        stores.vault,
        stores.coordinator,
        clock,
        metrics,
        config.processing.batch_max,
        config.processing.tick_interval_s,
        rules_version=config.processing.rules_version,
        tracer=tracer,
    )


async def serve(config: Config, *, ready: Callable[[Started], None] | None = None) -> None:
    """Serve until cancelled, then stop in order and return. `ready` is called once requests are taken.

    Raises `Unavailable` when the address cannot be listened on, and what `embedded` raises.
    """
    with closing(listen_on("http", config.http.host, config.http.port, config.http.backlog)) as listener:
        port = listener.getsockname()[1]
        async with embedded(config, port) as platform:
            await platform.start()
            try:
                async with served(
                    platform.registration.app, listener, config.http.backlog, platform.metrics
                ) as serving:
                    try:
                        if ready is not None:
                            ready(
                                Started(
                                    config.http.url(port),
                                    config.http.local_url(port),
                                    config.data.directory,
                                    config.notification.channel,
                                )
                            )
                        await asyncio.shield(serving)
                    except asyncio.CancelledError:
                        uncancel()
                    finally:
                        await platform.registration.stop()
            finally:
                await platform.stop()
