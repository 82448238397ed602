"""Each service as a process of its own, on Kafka, PostgreSQL and etcd. Any number of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import ASGIApp

from veltrix.adapters.etcd import EtcdCoordinator
from veltrix.adapters.kafka import KafkaReplies
from veltrix.adapters.postgres import (
    Postgres,
    PostgresAccess,
    PostgresLedger,
    PostgresNotices,
    PostgresOutreach,
    PostgresVault,
)
from veltrix.adapters.postgres.samples import PostgresSamples
from veltrix.adapters.system import SystemClock
from veltrix.bootstrap.engines import (
    EngineChecks,
    shared_signer,
)
from veltrix.bootstrap.forgetting import refuse_remembered
from veltrix.bootstrap.mapping import channel_of, notification_settings, registration_settings
from veltrix.bootstrap.observing import (
    metrics_of,
    watch_certificates,
    watch_engines,
    watch_registration,
)
from veltrix.bootstrap.opening import Kind, Opening
from veltrix.bootstrap.operations import OperationsApp, Status
from veltrix.bootstrap.replies import SlotReplies
from veltrix.bootstrap.serving import listen_on, served, uncancel
from veltrix.bootstrap.soundness import Soundness
from veltrix.bootstrap.telling import reach_of, telling_of
from veltrix.bootstrap.tuning import apply_logging, following_settings
from veltrix.config import Config
from veltrix.domain import limits
from veltrix.notification.service import NotificationService
from veltrix.observability.checker import RESOURCE, Checker
from veltrix.observability.logging import get_logger
from veltrix.observability.metrics import Metrics
from veltrix.ports.errors import Unavailable
from veltrix.ports.log import Log
from veltrix.processing.service import ProcessingService
from veltrix.processing.ticker import Ticker
from veltrix.registration.service import RegistrationService
from veltrix.registration.settings import Settings

_log = get_logger("cluster")


@dataclass(frozen=True, slots=True)
class Running:
    """What a process that runs tells about itself. `watch` is where it answers /readyz and /metrics."""

    kind: Kind
    member: str
    watch: str
    url: str
    engines: Mapping[str, str]


class _Service(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(slots=True)
class _Process:
    """A service over its engines. `app` answers HTTP once it has started; `beside` runs with it. `apply`
    takes over a configuration that the cluster settings changed."""

    service: _Service
    member: str
    checks: dict[str, Callable[[], bool]]
    app: ASGIApp | None = None
    beside: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    apply: Callable[[Config], None] = apply_logging


@dataclass(slots=True)
class _TickerService:
    """The ticker with a beginning and an end."""

    ticker: Ticker
    task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.task = asyncio.create_task(self.ticker.run(), name="ticker")

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def ticks(self) -> bool:
        """Whether it ticks, or waits for its turn."""
        return self.task is not None and not self.task.done()


async def _registration(to: Opening, port: int) -> _Process:
    signer = shared_signer(to.config)
    etcd = await to.etcd()
    coordinator = await to.coordinator(etcd)
    log = await to.log(etcd)
    feed = await to.feed(listen=True)
    replies = SlotReplies(to.settings, coordinator, to.config.kafka.reply_partitions)
    to.stack.push_async_callback(replies.close)
    await to.patience.get("a reply partition", lambda: replies.open(to.config.operations.start_wait_s))
    postgres, vault = await to.postgres(), await to.postgres(vault=True)
    ledger = PostgresLedger(postgres)
    keys = PostgresVault(vault)
    await refuse_remembered(ledger, keys, log.identity.partitions)
    soundness = Soundness(log, ledger, feed)
    await soundness.check()

    def settings(config: Config) -> Settings:
        ready_checks = {"reply_slot_held": lambda: replies.held}
        return registration_settings(config, port, to.metrics, soundness.halted, ready_checks)

    service = RegistrationService(
        log=log,
        queries=ledger,
        vault=keys,
        feed=feed,
        replies=replies,
        access=PostgresAccess(postgres),
        clock=to.clock,
        entropy=to.entropy,
        signer=signer,
        settings=settings(to.config),
        telling=telling_of(
            to.config,
            notification_settings(to.config, port, signer),
            PostgresOutreach(postgres),
            PostgresNotices(postgres),
            to.stack,
        ),
        meters=to.metrics,
        tracer=to.tracer,
    )
    watch_registration(to.metrics, service)
    answers = EngineChecks({"ledger": postgres.check, "log": lambda: log.bounds(0)})
    watch_engines(to.metrics, answers, coordinator)

    def apply(config: Config) -> None:
        apply_logging(config)
        service.reconfigure(settings(config))

    return _Process(service, coordinator.member, {}, service.app, [soundness.run, answers.run], apply)


async def _processing(to: Opening) -> _Process:
    etcd = await to.etcd()
    log = await to.log(etcd)
    feed = await to.feed(listen=False)
    replies = await to.patience.get("Kafka", lambda: KafkaReplies.open(to.settings, slot=None))
    to.stack.push_async_callback(replies.close)
    postgres, vault = await to.postgres(), await to.postgres(vault=True)
    coordinator = await to.coordinator(etcd)  # last: who is a member is given partitions
    service = ProcessingService(
        log,
        PostgresLedger(postgres),
        feed,
        replies,
        PostgresVault(vault),
        coordinator,
        to.clock,
        to.metrics,
        to.config.processing.batch_max,
        to.config.processing.tick_interval_s,
        ticks=False,
        tracer=to.tracer,
    )
    checks = {"campaigning": lambda: service.campaigning, "partitions_sound": lambda: not service.failed}
    process = _with_engines(to.metrics, service, coordinator, log, postgres, checks)

    def apply(config: Config) -> None:
        apply_logging(config)
        service.reconfigure(config.processing.batch_max, config.processing.tick_interval_s)

    process.apply = apply
    return process


async def _ticker(to: Opening) -> _Process:
    etcd = await to.etcd()
    log = await to.log(etcd)
    postgres, vault = await to.postgres(), await to.postgres(vault=True)
    coordinator = await to.coordinator(etcd)
    ticker = Ticker(
        log,
        PostgresLedger(postgres),
        PostgresVault(vault),
        coordinator,
        to.clock,
        to.metrics,
        to.config.processing.tick_interval_s,
        rules_version=to.config.processing.rules_version,
    )
    service = _TickerService(ticker)
    process = _with_engines(to.metrics, service, coordinator, log, postgres, {"campaigning": service.ticks})

    def apply(config: Config) -> None:
        apply_logging(config)
        ticker.interval_s = config.processing.tick_interval_s
        ticker.rules_version = config.processing.rules_version

    process.apply = apply
    return process


async def _notification(to: Opening) -> _Process:
    signer = shared_signer(to.config)
    feed = await to.feed(listen=True)
    postgres, vault = await to.postgres(), await to.postgres(vault=True)
    ledger, keys = PostgresLedger(postgres), PostgresVault(vault)
    await refuse_remembered(ledger, keys, to.config.log.partitions)
    channel, notices = channel_of(to.config), PostgresNotices(postgres)
    to.stack.push_async_callback(channel.close)
    service = NotificationService(
        notices=notices,
        queries=ledger,
        feed=feed,
        vault=keys,
        channels=[channel],
        clock=to.clock,
        entropy=to.entropy,
        settings=notification_settings(to.config, None, signer),
        reach=reach_of(to.config, PostgresOutreach(postgres), notices, to.stack),
        metrics=to.metrics,
        tracer=to.tracer,
    )
    answers = EngineChecks({"ledger": postgres.check})
    watch_engines(to.metrics, answers, None)
    checker = Checker(
        PostgresSamples(postgres), ledger, notices, to.clock, to.metrics, to.config.log.partitions
    )

    async def check() -> None:
        await checker.run(await to.coordinator_when_there(RESOURCE))

    checks = {"running": lambda: service.ready, "ledger_answers": lambda: answers.answers["ledger"]}
    return _Process(service, postgres.session, checks, beside=[answers.run, check])


def _with_engines(
    metrics: Metrics,
    service: _Service,
    coordinator: EtcdCoordinator,
    log: Log,
    postgres: Postgres,
    checks: dict[str, Callable[[], bool]],
) -> _Process:
    """A process that is ready while its engines answer, and it is sure of what it owns."""
    answers = EngineChecks({"ledger": postgres.check, "log": lambda: log.bounds(0)})
    checks = checks | {
        "ledger_answers": lambda: answers.answers["ledger"],
        "log_answers": lambda: answers.answers["log"],
        "lease_held": lambda: not coordinator.unsure,
    }
    watch_engines(metrics, answers, coordinator)
    return _Process(service, coordinator.member, checks, beside=[answers.run])


async def _opened(to: Opening, port: int) -> _Process:
    if to.kind is Kind.REGISTRATION:
        return await _registration(to, port)
    if to.kind is Kind.PROCESSING:
        return await _processing(to)
    if to.kind is Kind.NOTIFICATION:
        return await _notification(to)
    return await _ticker(to)


async def run(kind: Kind, config: Config, *, ready: Callable[[Running], None] | None = None) -> None:
    """Run a process of this kind until cancelled, then stop in order and return.

    `ready` is called once it does its work. Engines that are not up yet are waited for; raises
    `Unavailable` when they are not in time, `Mismatch` for what an operator must repair.
    """
    if not config.clustered:
        raise Unavailable(
            f"`veltrix run {kind}` needs a cluster, and the configuration names none; set "
            "kafka.bootstrap_servers, postgres.hosts and etcd.endpoints, or run `veltrix serve`"
        )
    is_api = kind is Kind.REGISTRATION
    section = config.http if is_api else config.operations
    backlog = config.http.backlog if is_api else limits.OPERATIONS_BACKLOG
    clock = SystemClock()
    metrics, status = metrics_of(kind.value, clock), Status()
    if not is_api:
        metrics.readiness(status.read)
    watch_certificates(metrics, config)
    app = OperationsApp(status, metrics)
    with closing(
        listen_on("http" if is_api else "operations", section.host, section.port, backlog)
    ) as listener:
        port = listener.getsockname()[1]
        async with served(app, listener, backlog, metrics) as serving, AsyncExitStack() as stack:
            to = Opening(kind, config, metrics, clock, stack)
            process = await _opened(to, port)
            await stack.enter_async_context(
                following_settings(to.cluster_settings(), config, process.apply, metrics.settings_applied)
            )
            status.checks = process.checks
            await process.service.start()
            beside = [asyncio.ensure_future(run()) for run in process.beside]
            app.app = process.app
            status.started = True
            try:
                if ready is not None:
                    ready(_running(kind, config, process, section.host, port))
                await asyncio.shield(serving)
            except asyncio.CancelledError:
                uncancel()
            finally:
                status.stopping = True
                await process.service.stop()
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)


def _running(kind: Kind, config: Config, process: _Process, host: str, port: int) -> Running:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compares only
    watch = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    return Running(
        kind,
        process.member,
        watch,
        config.http.url(port) if kind is Kind.REGISTRATION else "",
        {
            "kafka": ", ".join(config.kafka.bootstrap_servers),
            "postgres": ", ".join(config.postgres.hosts),
            "etcd": ", ".join(config.etcd.endpoints),
        },
    )
