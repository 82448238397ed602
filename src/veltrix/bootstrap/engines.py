"""The engines of a cluster, opened by the configuration. Needs the extra `cluster` (see `extra`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, cast

from veltrix.adapters.etcd import EtcdClient, EtcdSettings, read_log
from veltrix.adapters.generations import renumbered
from veltrix.adapters.kafka import KafkaLog, KafkaSettings
from veltrix.adapters.kafka.appending import QUEUE_MAX_BYTES, QUEUE_MAX_RECORDS
from veltrix.adapters.kafka.figures import KafkaMeters
from veltrix.adapters.master_key import derive, read_master_key
from veltrix.adapters.postgres import (
    Postgres,
    PostgresAccess,
    PostgresLedger,
    PostgresSettings,
)
from veltrix.config import Config, Secret
from veltrix.domain.credentials import Signer
from veltrix.observability.logging import get_logger
from veltrix.observability.metrics import Metrics
from veltrix.ports.errors import Mismatch, OutcomeUnknown, PortError, Unavailable
from veltrix.ports.log import Log
from veltrix.ports.system import Clock

_log = get_logger("cluster")
T = TypeVar("T")

AUDIT_ROLE: Final = "veltrix_audit"
REGISTRATION_ROLE: Final = "veltrix_registration"
_AGAIN_MIN_S: Final = 0.25
_AGAIN_MAX_S: Final = 5.0
_CHECK_S: Final = 2.0


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def kafka_settings(config: Config, name: str, meters: KafkaMeters | None = None) -> KafkaSettings:
    """How a process of this name reaches Kafka."""
    kafka = config.kafka
    return KafkaSettings(
        kafka.bootstrap_servers,
        security=cast(Literal["plaintext", "tls", "sasl", "sasl+tls"], kafka.security),
        mechanism=kafka.mechanism,
        username=kafka.username,
        password=_revealed(kafka.password),
        ca_file=kafka.ca_file,
        certificate_file=kafka.certificate_file,
        key_file=kafka.key_file,
        topic_prefix=kafka.topic_prefix,
        client_id=name,
        delivery_timeout_s=kafka.delivery_timeout_s,
        meters=meters,
    )


def postgres_settings(config: Config, name: str, role: str, *, vault: bool = False) -> PostgresSettings:
    """How a process of this name reaches a database, as `postgres.user` or else in the role of its kind."""
    postgres = config.postgres
    return PostgresSettings(
        postgres.vault_hosts if vault else postgres.hosts,
        postgres.vault_database if vault else postgres.database,
        postgres.user or role,
        _revealed(postgres.password),
        tls=cast(Literal["disable", "require", "verify-full"], postgres.tls),
        ca_file=postgres.ca_file,
        certificate_file=postgres.certificate_file,
        key_file=postgres.key_file,
        pool_max=postgres.pool_max,
        connect_timeout_s=postgres.connect_timeout_s,
        statement_timeout_s=postgres.statement_timeout_s,
        lock_timeout_s=postgres.lock_timeout_s,
        application=name,
    )


def etcd_settings(config: Config) -> EtcdSettings:
    """How etcd is reached."""
    etcd = config.etcd
    return EtcdSettings(
        etcd.endpoints,
        prefix=etcd.prefix,
        username=etcd.username,
        password=_revealed(etcd.password),
        ca_file=etcd.ca_file,
        certificate_file=etcd.certificate_file,
        key_file=etcd.key_file,
        lease_ttl_s=etcd.lease_ttl_s,
        call_timeout_s=etcd.call_timeout_s,
    )


def shared_signer(config: Config) -> Signer:
    """Signs links as every other process does. Raises `Mismatch` where the shared key is missing."""
    path = config.secrets.master_key_file
    if not path.exists():
        raise Mismatch(
            f"secrets.master_key_file {path} is not there. `veltrix cluster prepare` makes one; put the same "
            "file on every machine"
        )
    return Signer(derive(read_master_key(path), "links"))


@dataclass(slots=True)
class Patience:
    """Waits at the start for engines that are not up yet, all together for a bounded time."""

    clock: Clock
    wait_s: float
    deadline_s: float = 0.0

    def __post_init__(self) -> None:
        self.deadline_s = self.clock.monotonic_s() + self.wait_s

    async def get(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` returns, as soon as it does. Raises `Unavailable` when the time is over."""
        again_s, told = _AGAIN_MIN_S, ""
        while True:
            try:
                return await attempt()
            except (Unavailable, OutcomeUnknown) as error:
                left_s = self.deadline_s - self.clock.monotonic_s()
                if left_s <= 0:
                    raise Unavailable(
                        f"{what} could not be reached within {self.wait_s:g} s (operations.start_wait): "
                        f"{error}"
                    ) from error
                if told != str(error) or again_s == _AGAIN_MAX_S:
                    told = str(error)
                    _log.warning("waiting_for_engine", engine=what, left_s=round(left_s), error=told)
                await asyncio.sleep(min(again_s, max(left_s, 0.01)))
                again_s = min(again_s * 2, _AGAIN_MAX_S)


async def opened_etcd(config: Config, stack: AsyncExitStack) -> EtcdClient:
    """etcd, which answers."""
    client = await EtcdClient.open(etcd_settings(config))
    stack.push_async_callback(client.close)
    return client


async def opened_log(
    config: Config,
    name: str,
    etcd: EtcdClient,
    stack: AsyncExitStack,
    *,
    write: bool = True,
    metrics: Metrics | None = None,
) -> Log:
    """The log that is in use, as etcd has it. Raises `Mismatch` for any other."""
    known = await etcd.run(read_log, etcd)
    if known is None:
        raise Mismatch("etcd knows of no log; run: veltrix cluster prepare")
    log = await KafkaLog.open(
        kafka_settings(config, name, metrics),
        generation=known.generation,
        write=write,
        partitions=config.log.partitions,
        topic_id=known.topic_id,
    )
    stack.push_async_callback(log.close)
    if metrics is not None and write:
        metrics.bound("append_queue_records", lambda: log.waiting[0], QUEUE_MAX_RECORDS)
        metrics.bound("append_queue_bytes", lambda: log.waiting[1], QUEUE_MAX_BYTES)
    return renumbered(log)


async def opened_postgres(
    config: Config,
    name: str,
    role: str,
    stack: AsyncExitStack,
    *,
    vault: bool = False,
    metrics: Metrics | None = None,
) -> Postgres:
    """Connections to the ledger's database or the vault's, whose primary answers."""
    postgres = await Postgres.open(postgres_settings(config, name, role, vault=vault), meters=metrics)
    try:
        await postgres.check()
    except BaseException:
        await postgres.close()
        raise
    stack.push_async_callback(postgres.close)
    if metrics is not None:
        database = "vault" if vault else "ledger"
        metrics.pool(database, lambda: postgres.figures, config.postgres.pool_max)
    return postgres


async def opened_for_audit(config: Config, stack: AsyncExitStack) -> tuple[Log, PostgresLedger]:
    """Log and ledger of the cluster, to be read alone."""
    etcd = await opened_etcd(config, stack)
    log = await opened_log(config, "veltrix-audit", etcd, stack, write=False)
    return log, PostgresLedger(await opened_postgres(config, "veltrix-audit", AUDIT_ROLE, stack))


async def opened_api_keys(config: Config, stack: AsyncExitStack) -> PostgresAccess:
    """The cluster's API keys."""
    return PostgresAccess(await opened_postgres(config, "veltrix-keys", REGISTRATION_ROLE, stack))


class EngineChecks:
    """Asks engines every two seconds whether they answer: what a process says when asked if it is ready."""

    def __init__(self, probes: dict[str, Callable[[], Awaitable[object]]]) -> None:
        self._probes = probes
        self.answers: dict[str, bool] = dict.fromkeys(probes, True)  # they were reached just now

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_S)
            await asyncio.gather(*(self._ask(name) for name in self._probes))

    async def _ask(self, name: str) -> None:
        try:
            async with asyncio.timeout(_CHECK_S):
                await self._probes[name]()
        except (PortError, TimeoutError) as error:
            if self.answers[name]:
                _log.warning("engine_silent", engine=name, error=str(error) or "no answer in time")
            self.answers[name] = False
        else:
            if not self.answers[name]:
                _log.info("engine_answers", engine=name)
            self.answers[name] = True
