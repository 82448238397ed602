"""Opens the engines of one process of a cluster: each waited for, each closed at the end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Final

from veltrix.adapters.etcd import EtcdClient, EtcdClusterSettings, EtcdCoordinator
from veltrix.adapters.kafka import KafkaFeed
from veltrix.adapters.postgres import Postgres
from veltrix.adapters.system import SystemClock, SystemEntropy
from veltrix.bootstrap.engines import (
    REGISTRATION_ROLE,
    Patience,
    etcd_settings,
    kafka_settings,
    opened_etcd,
    opened_log,
    opened_postgres,
)
from veltrix.bootstrap.tracing import tracer_of
from veltrix.config import Config
from veltrix.observability.metrics import Metrics
from veltrix.ports.errors import PortError
from veltrix.ports.log import Log

_AGAIN_S: Final = 5.0


class Kind(StrEnum):
    """The kinds of processes."""

    REGISTRATION = "registration"
    PROCESSING = "processing"
    NOTIFICATION = "notification"
    TICKER = "ticker"


ROLES: Final = {
    Kind.REGISTRATION: REGISTRATION_ROLE,
    Kind.PROCESSING: "veltrix_processing",
    Kind.TICKER: "veltrix_processing",
    Kind.NOTIFICATION: "veltrix_notification",
}


class Opening:
    """Opens the engines for one process; `stack` closes them, the last one first."""

    def __init__(
        self, kind: Kind, config: Config, metrics: Metrics, clock: SystemClock, stack: AsyncExitStack
    ) -> None:
        self.kind = kind
        self.config = config
        self.metrics = metrics
        self.stack = stack
        self.name = f"veltrix-{kind}"
        self.clock = clock
        self.entropy = SystemEntropy()
        self.tracer = tracer_of(config, kind.value, clock, self.entropy, metrics, stack)
        self.patience = Patience(self.clock, config.operations.start_wait_s)
        self.settings = kafka_settings(config, self.name, metrics)
        self._etcd: EtcdClient | None = None

    async def etcd(self) -> EtcdClient:
        self._etcd = await self.patience.get("etcd", lambda: opened_etcd(self.config, self.stack))
        return self._etcd

    def cluster_settings(self) -> EtcdClusterSettings:
        """The settings of the whole cluster; a service that does without etcd does not wait for it here."""
        if self._etcd is None:
            self._etcd = EtcdClient(etcd_settings(self.config))
            self.stack.push_async_callback(self._etcd.close)
        return EtcdClusterSettings(self._etcd)

    async def coordinator(self, etcd: EtcdClient) -> EtcdCoordinator:
        group = self.kind.value
        opened = await self.patience.get("etcd", lambda: EtcdCoordinator.open(etcd, group=group))
        self.stack.push_async_callback(opened.close)
        return opened

    async def coordinator_when_there(self, group: str) -> EtcdCoordinator:
        """A coordinator for what can wait until etcd is up, however long."""
        while True:
            try:
                if self._etcd is None:
                    self._etcd = await opened_etcd(self.config, self.stack)
                opened = await EtcdCoordinator.open(self._etcd, group=group)
            except PortError:
                await asyncio.sleep(_AGAIN_S)
                continue
            self.stack.push_async_callback(opened.close)
            return opened

    async def log(self, etcd: EtcdClient) -> Log:
        return await self.patience.get(
            "Kafka", lambda: opened_log(self.config, self.name, etcd, self.stack, metrics=self.metrics)
        )

    async def feed(self, *, listen: bool) -> KafkaFeed:
        feed = await self.patience.get("Kafka", lambda: KafkaFeed.open(self.settings, listen=listen))
        self.stack.push_async_callback(feed.close)
        return feed

    async def postgres(self, *, vault: bool = False) -> Postgres:
        what = "PostgreSQL (vault)" if vault else "PostgreSQL"
        return await self.patience.get(
            what,
            lambda: opened_postgres(
                self.config, self.name, ROLES[self.kind], self.stack, vault=vault, metrics=self.metrics
            ),
        )
