"""Puts adapters into services: the only place that knows both. Here: everything in one process, on SQLite."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from veltrix import __version__
from veltrix.adapters.master_key import derive, read_master_key
from veltrix.adapters.memory import MemoryFeed, MemoryReplies
from veltrix.adapters.smtp import Security, SmtpChannel
from veltrix.adapters.spool import Spool
from veltrix.adapters.sqlite import (
    DataDirectoryLock,
    SqliteAccess,
    SqliteCoordinator,
    SqliteLedger,
    SqliteLog,
    SqliteNotices,
    SqliteVault,
)
from veltrix.adapters.system import SystemClock, SystemEntropy
from veltrix.audit import AuditReport
from veltrix.audit import audit as run_audit
from veltrix.config import Config
from veltrix.domain import limits
from veltrix.domain.credentials import Signer
from veltrix.notification.service import NotificationService
from veltrix.notification.settings import NotificationSettings
from veltrix.observability.logging import get_logger
from veltrix.observability.looplag import watch_event_loop
from veltrix.observability.metrics import Metrics
from veltrix.ports.access import Access
from veltrix.ports.channel import Channel
from veltrix.ports.errors import Unavailable
from veltrix.ports.system import Clock
from veltrix.processing.service import ProcessingService
from veltrix.registration.service import RegistrationService
from veltrix.registration.settings import Settings

_log = get_logger("serve")

# A stampede makes millions of short-lived objects and few cycles: collect rarely, and never what is here
# before the first request.
_GC_THRESHOLD: Final = (50_000, 20, 100)
_COURTESY_ROUND_S: Final = 0.005
_COURTESY_STEP_S: Final = 0.02
_COURTESY_STEPS_MAX: Final = 50
_KEEP_ALIVE_S: Final = 75
_SHUTDOWN_S: Final = 10
_STARTED_POLL_S: Final = 0.005


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

    async def start(self) -> None:
        """Start from the back, so that whoever is asked first has somebody to ask."""
        core = self.registration.core
        self.metrics.reads("held_requests", lambda: core.desk.held)
        self.metrics.reads("keys_reserved", lambda: len(core.reserve))
        await self.notification.start()
        await self.processing.start()
        await self.registration.start()

    async def stop(self) -> None:
        """Stop from the front: answer who waits, decide what was accepted, deliver what is under way."""
        await self.registration.stop()
        await self.processing.drained()
        await self.processing.stop()
        await self.notification.stop()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the command line decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(slots=True)
class _Stores:
    """The files of a data directory, open."""

    log: SqliteLog
    ledger: SqliteLedger
    notices: SqliteNotices
    vault: SqliteVault
    access: SqliteAccess
    coordinator: SqliteCoordinator

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
        vault = await SqliteVault.open(directory / "vault.db")
        stack.push_async_callback(vault.close)
        access = await SqliteAccess.open(directory / "access.db")
        stack.push_async_callback(access.close)
        coordinator = await SqliteCoordinator.open(directory / "coordinator.db")
        stack.push_async_callback(coordinator.close)
        return cls(log, ledger, notices, vault, access, coordinator)


@asynccontextmanager
async def embedded(config: Config, port: int) -> AsyncIterator[Platform]:
    """The whole platform on the data directory of `config`, reached at `port`; closed at the end.

    Raises `Mismatch` when the directory is in use or its files do not belong together.
    """
    directory = config.data.directory
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        stack.enter_context(DataDirectoryLock(directory))
        signer = Signer(derive(read_master_key(directory / "master.key"), "links"))
        clock, entropy, metrics = SystemClock(), SystemEntropy(), Metrics(__version__)
        stores = await _Stores.open(stack, config, clock)
        channel = _channel(config)
        stack.push_async_callback(channel.close)
        feed, replies = MemoryFeed(), MemoryReplies()
        processing = ProcessingService(
            stores.log,
            stores.ledger,
            feed,
            replies,
            stores.vault,
            stores.coordinator,
            clock,
            metrics,
            config.processing.batch_max,
            config.processing.tick_interval_s,
        )
        registration = RegistrationService(
            log=stores.log,
            queries=stores.ledger,
            vault=stores.vault,
            feed=feed,
            replies=replies,
            access=stores.access,
            clock=clock,
            entropy=entropy,
            signer=signer,
            settings=_registration_settings(config, port, metrics, processing.failed),
            meters=metrics,
        )
        notification = NotificationService(
            notices=stores.notices,
            queries=stores.ledger,
            feed=feed,
            vault=stores.vault,
            channels=[channel],
            clock=clock,
            entropy=entropy,
            settings=_notification_settings(config, port, signer),
            courtesy=_courtesy(clock),
            metrics=metrics,
        )
        yield Platform(registration, processing, notification, metrics)


async def serve(config: Config, *, ready: Callable[[Started], None] | None = None) -> None:
    """Serve until cancelled, then stop in order and return. `ready` is called once requests are taken.

    Raises `Unavailable` when the address cannot be listened on, and what `embedded` raises.
    """
    with closing(_listen(config)) as listener:
        port = listener.getsockname()[1]
        async with embedded(config, port) as platform:
            await platform.start()
            server = _Server(_server_config(config, platform.registration.app))
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
            sampling = asyncio.create_task(watch_event_loop(platform.metrics.loop_lag), name="loop-lag")
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLD)
            try:
                await _started(server, serving)
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
                _uncancel()
            finally:
                await platform.registration.stop()
                server.should_exit = True
                await asyncio.gather(serving, return_exceptions=True)
                await platform.stop()
                sampling.cancel()
                await asyncio.gather(sampling, return_exceptions=True)


async def audit(config: Config, progress: Callable[[int, int], None]) -> AuditReport:
    """Audit the data directory of `config`, which a running platform may be using."""
    directory = config.data.directory
    async with AsyncExitStack() as stack:
        log = await SqliteLog.open(directory / "log.db", read_only=True)
        stack.push_async_callback(log.close)
        ledger = await SqliteLedger.open(directory / "ledger.db", read_only=True)
        stack.push_async_callback(ledger.close)
        return await run_audit(log, ledger, progress)


@asynccontextmanager
async def api_keys(config: Config) -> AsyncIterator[Access]:
    """The store of API keys, which a running platform may be using too."""
    config.data.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    access = await SqliteAccess.open(config.data.directory / "access.db")
    try:
        yield access
    finally:
        await access.close()


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.http.host else socket.AF_INET
    try:
        return socket.create_server(
            (config.http.host, config.http.port), family=family, backlog=config.http.backlog
        )
    except OSError as error:
        raise Unavailable(
            f"http.host {config.http.host!r} with http.port {config.http.port} cannot be listened on: "
            f"{error.strerror or error}; stop what uses it, or choose another port (0 takes a free one)"
        ) from error


def _server_config(config: Config, app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        backlog=config.http.backlog,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )


async def _started(server: _Server, serving: asyncio.Task[None]) -> None:
    while not server.started:  # uvicorn gives no signal
        if serving.done():
            await serving
            raise Unavailable("the HTTP server ended before it had started")
        await asyncio.sleep(_STARTED_POLL_S)


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _registration_settings(
    config: Config, port: int, metrics: Metrics, halted: Mapping[int, str]
) -> Settings:
    http, imports = config.http, config.imports
    return Settings(
        base_url=http.url(port),
        version=__version__,
        trusted_proxies=http.trusted_proxies,
        body_max_bytes=http.body_max_bytes,
        wait_default_s=http.wait_default_s,
        held_requests_max=http.held_requests_max,
        undecided_max=config.log.undecided_max,
        rate_per_address_per_s=http.rate_per_address,
        rate_burst_per_address=http.rate_burst,
        import_max_bytes=imports.body_max_bytes,
        import_max_rows=imports.rows_max,
        import_in_flight=imports.in_flight,
        halted=halted,
        metrics_page=metrics.page,
    )


def _notification_settings(config: Config, port: int, signer: Signer) -> NotificationSettings:
    sends = config.notification.channel == "smtp"
    return NotificationSettings(
        base_url=config.http.url(port),
        sender=config.notification.sender,
        signer=signer,
        partitions=config.log.partitions,
        reply_to=config.notification.reply_to,
        lease_s=config.notification.lease_s,
        in_flight=2 * config.smtp.connections if sends else limits.NOTICE_IN_FLIGHT_MAX,
    )


def _channel(config: Config) -> Channel:
    smtp = config.smtp
    if config.notification.channel == "spool":
        return Spool(config.notification.spool_directory)
    assert smtp.host is not None, "the configuration was checked"
    return SmtpChannel(
        smtp.host,
        smtp.port,
        Security(smtp.security),
        username=smtp.username,
        password=smtp.password.reveal() if smtp.password is not None else None,
        connections=smtp.connections,
        timeout_s=smtp.timeout_s,
    )


def _courtesy(clock: Clock) -> Callable[[], Awaitable[None]]:
    """Lets notification give way while the event loop is busy, for a second at the most.

    How long a round of the loop takes says so: it is short at any load that leaves time for mail.
    """

    async def give_way() -> None:
        for _ in range(_COURTESY_STEPS_MAX):
            began_s = clock.monotonic_s()
            await asyncio.sleep(0)
            if clock.monotonic_s() - began_s < _COURTESY_ROUND_S:
                return
            await asyncio.sleep(_COURTESY_STEP_S)

    return give_way
