"""Looks at everything, within a few seconds, whatever answers and whatever does not."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from typing import Final

from veltrix.config import Config, Loaded
from veltrix.ports.errors import PortError
from veltrix.readiness.configured import judge_configuration, judge_open_files
from veltrix.readiness.files import judge_files
from veltrix.readiness.findings import Finding, Level, Verdict, unknown

LOOK_S: Final = 4.0
"""How long one step of looking at one engine may take."""

_GRAVITY: Final = {level: place for place, level in enumerate(Level)}


async def examine(loaded: Loaded, *, processes: int | None = None) -> Verdict:
    """Judge a configuration, its files and the engines that it names.

    `processes` is how many processes of Veltrix there will be; without it those that are connected count.
    """
    config = loaded.config
    findings = [
        *judge_configuration(config),
        *judge_open_files(config, _open_files()),
        *judge_files(loaded),
    ]
    if config.clustered:
        findings += await examine_engines(config, processes)
    once = dict.fromkeys(findings)
    return Verdict(tuple(sorted(once, key=lambda finding: _GRAVITY[finding.level])))


def _open_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return -1 if soft == resource.RLIM_INFINITY else soft


async def examine_engines(config: Config, processes: int | None) -> list[Finding]:
    """What Kafka, PostgreSQL and etcd show as they run."""
    from veltrix.bootstrap.extra import require_extra

    try:
        require_extra()
    except PortError as error:
        return [
            unknown(
                "clients_missing",
                "the engines' clients",
                "not installed",
                "nothing could be made sure of about Kafka, PostgreSQL and etcd",
                str(error),
            )
        ]
    looks = (_kafka(config), _postgres(config, processes), _etcd(config))
    return [finding for findings in await asyncio.gather(*looks) for finding in findings]


async def _kafka(config: Config) -> list[Finding]:
    from veltrix.adapters.kafka.inspection import inspect_kafka
    from veltrix.bootstrap.engines import kafka_settings
    from veltrix.readiness.on_kafka import judge_kafka

    settings = kafka_settings(config, "veltrix-check")
    return list(judge_kafka(config, settings, await inspect_kafka(settings, LOOK_S)))


async def _postgres(config: Config, processes: int | None) -> list[Finding]:
    from veltrix.adapters.postgres.inspection import inspect_servers
    from veltrix.bootstrap.engines import AUDIT_ROLE, REGISTRATION_ROLE, postgres_settings
    from veltrix.readiness.on_postgres import judge_pools, judge_postgres

    platform, vault = await asyncio.gather(
        inspect_servers(postgres_settings(config, "veltrix-check", AUDIT_ROLE), LOOK_S),
        inspect_servers(postgres_settings(config, "veltrix-check", REGISTRATION_ROLE, vault=True), LOOK_S),
    )

    def judged() -> Iterator[Finding]:
        yield from judge_postgres(platform, "ledger")
        same = config.postgres.vault_hosts == config.postgres.hosts
        yield from judge_postgres(vault, "vault", judged_already=same)
        yield from judge_pools(config, platform, vault, processes)

    return list(judged())


async def _etcd(config: Config) -> list[Finding]:
    from veltrix.adapters.etcd.inspection import inspect_etcd
    from veltrix.bootstrap.engines import etcd_settings
    from veltrix.readiness.on_etcd import judge_etcd
    from veltrix.readiness.on_patroni import judge_patroni

    found = await inspect_etcd(etcd_settings(config))
    return [*judge_etcd(config, found), *judge_patroni(config, found)]
