"""`veltrix cluster prepare`: what the engines must have before the first process starts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from veltrix.adapters.etcd import EtcdClient, prepare_epoch, prepare_log
from veltrix.adapters.kafka import KafkaLog, prepare_topics
from veltrix.adapters.master_key import read_master_key
from veltrix.adapters.postgres import create_roles, migrate
from veltrix.adapters.postgres.roles import OWNER
from veltrix.adapters.system import SystemClock
from veltrix.bootstrap.engines import Patience, kafka_settings, opened_etcd, postgres_settings
from veltrix.config import Config

_NAME = "veltrix-prepare"


async def prepare(config: Config, passwords: Mapping[str, str], *, roles: bool = True) -> dict[str, Any]:
    """Make topics, roles, databases, schemas, the epoch and the master key; what is there already stays.

    `passwords` are by role. With `roles` PostgreSQL is entered as a superuser (`postgres.user`, else
    `postgres`), without as the databases' owner alone. Returns what was done, by engine.
    """
    patience = Patience(SystemClock(), config.operations.start_wait_s)
    async with AsyncExitStack() as stack:
        etcd = await patience.get("etcd", lambda: opened_etcd(config, stack))
        done: dict[str, Any] = {"kafka": await patience.get("Kafka", lambda: _topics(config))}
        done["postgres"] = await patience.get("PostgreSQL", lambda: _databases(config, passwords, roles))
        done["etcd"] = await _identity(config, etcd)
    key = config.secrets.master_key_file
    made = not key.exists()
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    read_master_key(key)
    done["secrets"] = [f"made {key}: copy it to every machine, and keep a copy"] if made else []
    return done


async def _topics(config: Config) -> list[str]:
    kafka = config.kafka
    return await prepare_topics(
        kafka_settings(config, _NAME),
        partitions=config.log.partitions,
        replication=kafka.replication,
        min_insync=kafka.min_insync,
        reply_partitions=kafka.reply_partitions,
    )


async def _databases(config: Config, passwords: Mapping[str, str], roles: bool) -> list[str]:
    done: list[str] = []
    platform = postgres_settings(config, _NAME, "postgres")
    vault = postgres_settings(config, _NAME, "postgres", vault=True)
    if roles:
        done += await create_roles(platform, vault_settings=vault, passwords=passwords)
    for settings, is_vault in ((platform, False), (vault, True)):
        owner = settings
        if roles or config.postgres.user is None:
            owner = replace(settings, user=OWNER, password=passwords.get(OWNER, settings.password))
        steps = await migrate(owner, vault=is_vault)
        done += [f"{settings.database}: {step}" for step in steps]
    return done


async def _identity(config: Config, etcd: EtcdClient) -> list[str]:
    """The epoch, and which log is in use."""
    done = ["epoch 1"] if await etcd.run(prepare_epoch, etcd) else []
    log = await KafkaLog.open(kafka_settings(config, _NAME), write=False)
    try:
        topic_id = log.identity.topic_id
    finally:
        await log.close()
    standing = await etcd.run(prepare_log, etcd, topic_id)
    return [*done, f"log {standing.topic_id}, generation {standing.generation}"]
