"""All stores of a deployment, open for an operator's work, with nobody else at work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from veltrix.adapters.memory import MemoryFeed
from veltrix.adapters.sqlite import (
    DataDirectoryLock,
    SqliteCoordinator,
    SqliteLedger,
    SqliteLog,
    SqliteNotices,
    SqliteVault,
)
from veltrix.bootstrap.forgetting import RESTORING
from veltrix.config import Config
from veltrix.ports.coordinator import Coordinator
from veltrix.ports.errors import Mismatch
from veltrix.ports.feed import Feed
from veltrix.ports.ledger import Ledger, LedgerRows
from veltrix.ports.log import Log, LogIdentity
from veltrix.ports.notices import Notices
from veltrix.ports.vault import Vault

NAME: Final = "veltrix-restore"


class WholeLedger(Ledger, LedgerRows, Protocol):
    """A ledger with its rows."""


class Published(Protocol):
    """What the feed remembers of a partition's facts, by sequence number."""

    async def __call__(self, partition: int, after_seq: int) -> dict[int, bytes]:
        """Those past `after_seq`, as they were published."""


@dataclass(slots=True)
class Stores:
    """The stores. `log` is not renumbered. `marker`, where there is one, stands while a restore goes on."""

    log: Log
    ledger: WholeLedger
    notices: Notices
    vault: Vault
    coordinator: Coordinator
    feed: Feed
    published: Published
    marker: Path | None = None

    @property
    def partitions(self) -> range:
        """The numbers of the partitions."""
        return range(self.log.identity.partitions)


async def _nothing(partition: int, after_seq: int) -> dict[int, bytes]:
    return {}


@asynccontextmanager
async def opened(config: Config, *, new_log: bool = False) -> AsyncIterator[Stores]:
    """The stores of `config`. Raises `Mismatch` while anybody else is at work."""
    async with AsyncExitStack() as stack:
        if config.clustered:
            yield await _cluster(config, stack, new_log)
        else:
            yield await _embedded(config, stack, new_log)


@asynccontextmanager
async def opened_notices(config: Config) -> AsyncIterator[Notices]:
    """The notices alone; a cluster may be running meanwhile."""
    async with AsyncExitStack() as stack:
        if config.clustered:
            from veltrix.adapters.postgres import PostgresNotices
            from veltrix.bootstrap.engines import opened_postgres

            yield PostgresNotices(await opened_postgres(config, NAME, "veltrix_notification", stack))
            return
        stack.enter_context(DataDirectoryLock(config.data.directory))
        notices = await SqliteNotices.open(config.data.directory / "notices.db")
        stack.push_async_callback(notices.close)
        yield notices


async def _embedded(config: Config, stack: AsyncExitStack, new_log: bool) -> Stores:
    directory = config.data.directory
    stack.enter_context(DataDirectoryLock(directory))
    if not new_log and not (directory / "log.db").is_file():
        raise Mismatch(
            f"{directory / 'log.db'} is missing. Put it back; if it is lost, run: veltrix restore --new-log"
        )
    log = await SqliteLog.open(directory / "log.db", partitions=config.log.partitions)
    stack.push_async_callback(log.close)
    ledger = await SqliteLedger.open(directory / "ledger.db")
    stack.push_async_callback(ledger.close)
    notices = await SqliteNotices.open(directory / "notices.db")
    stack.push_async_callback(notices.close)
    vault = await SqliteVault.open(directory / "vault.db")
    stack.push_async_callback(vault.close)
    coordinator = await SqliteCoordinator.open(directory / "coordinator.db")
    stack.push_async_callback(coordinator.close)
    return Stores(log, ledger, notices, vault, coordinator, MemoryFeed(), _nothing, directory / RESTORING)


async def _cluster(config: Config, stack: AsyncExitStack, new_log: bool) -> Stores:
    from functools import partial

    from veltrix.adapters.etcd import EtcdCoordinator
    from veltrix.adapters.etcd.epoch import read_log
    from veltrix.adapters.etcd.names import Names
    from veltrix.adapters.kafka import KafkaFeed, KafkaLog
    from veltrix.adapters.kafka.published import published_facts
    from veltrix.adapters.postgres import PostgresLedger, PostgresNotices, PostgresVault
    from veltrix.bootstrap import engines

    etcd = await engines.opened_etcd(config, stack)
    living = await etcd.run(etcd.list, Names(etcd.prefix).members)
    if living.entries:
        raise Mismatch(
            f"{len(living.entries)} process(es) of the cluster are running; stop them first, of every kind"
        )
    settings = engines.kafka_settings(config, NAME)
    known = await etcd.run(read_log, etcd)
    log = await KafkaLog.open(
        settings,
        generation=known.generation if known is not None else 0,
        partitions=config.log.partitions,
        topic_id=None if new_log or known is None else known.topic_id,
    )
    stack.push_async_callback(log.close)
    feed = await KafkaFeed.open(settings, listen=False)
    stack.push_async_callback(feed.close)
    ledger = await engines.opened_postgres(config, NAME, "veltrix_processing", stack)
    notices = await engines.opened_postgres(config, NAME, "veltrix_notification", stack)
    vault = await engines.opened_postgres(config, NAME, "veltrix_processing", stack, vault=True)
    coordinator = await EtcdCoordinator.open(etcd, group="processing")
    stack.push_async_callback(coordinator.close)
    return Stores(
        log,
        PostgresLedger(ledger),
        PostgresNotices(notices),
        PostgresVault(vault),
        coordinator,
        feed,
        partial(published_facts, settings),
    )


async def declared(config: Config, stores: Stores, at_least: int) -> LogIdentity:
    """Declare the log that is there to be the one in use, under a generation of its own."""
    identity = stores.log.identity
    if not config.clustered:
        from veltrix.adapters.sqlite.log import set_generation

        generation = max(at_least, identity.generation)
        set_generation(config.data.directory / "log.db", generation)
        return LogIdentity(identity.topic_id, identity.partitions, generation)
    from veltrix.adapters.etcd import EtcdClient
    from veltrix.adapters.etcd.epoch import LogGeneration, adopt_log, raise_log
    from veltrix.bootstrap.engines import etcd_settings

    etcd = await EtcdClient.open(etcd_settings(config))
    try:
        raised = await etcd.run(raise_log, etcd, identity.topic_id)
        if raised.generation < at_least:
            raised = LogGeneration(identity.topic_id, at_least)
            await etcd.run(adopt_log, etcd, raised)
    finally:
        await etcd.close()
    return LogIdentity(identity.topic_id, identity.partitions, raised.generation)
