"""The settings of a cluster: its engines, what processes tell their operators, and shared secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from veltrix.config.addresses import Endpoints, Name
from veltrix.config.defining import certificate_file, key_file, password, password_file, setting
from veltrix.config.kinds import (
    Choice,
    Duration,
    FilePath,
    Integer,
    Secret,
    Text,
)

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class Kafka:
    """Apache Kafka, which carries commands, facts and replies between processes (`veltrix run`)."""

    bootstrap_servers: tuple[str, ...] = setting(
        Endpoints('"kafka-1:9092", "kafka-2:9092"'),
        (),
        "Brokers to begin with; the others are learned from them.",
    )
    security: str = setting(
        Choice(("plaintext", "tls", "sasl", "sasl+tls")),
        "plaintext",
        "How connections are made: in clear or by TLS, and with a login (`sasl`) or without.",
    )
    mechanism: str = setting(Choice(MECHANISMS), "SCRAM-SHA-512", "How to log in, with `sasl`.")
    username: str | None = setting(Text(), None, "User name, with `sasl`.", derived="no login")
    password: Secret | None = password()
    password_file: Path | None = password_file()
    ca_file: Path | None = setting(
        FilePath(), None, "Certificates of who signs the brokers' (PEM).", derived="the system's"
    )
    certificate_file: Path | None = certificate_file()
    key_file: Path | None = key_file()
    topic_prefix: str = setting(
        Name(), "veltrix", "How the topics' names begin: `veltrix.commands`, `.facts`, `.replies`."
    )
    replication: int = setting(Integer(1, 9), 3, "Copies of each record; `veltrix cluster prepare` wants it.")
    min_insync: int = setting(
        Integer(1, 9), 2, "Copies that must exist before an append is acknowledged (`min.insync.replicas`)."
    )
    reply_partitions: int = setting(
        Integer(1, 10_000),
        64,
        "Registration processes that can run at once: each needs one to be answered on.",
    )
    delivery_timeout_s: float = setting(
        Duration(1.0, 60.0),
        10.0,
        "How long an append is tried before its client gets 503 with `Retry-After`.",
    )


@dataclass(frozen=True, slots=True)
class Postgres:
    """PostgreSQL, which holds the ledger, the notices, the API keys and, in a database apart, the vault."""

    hosts: tuple[str, ...] = setting(
        Endpoints('"pg-1:5432", "pg-2:5432"'), (), "All servers; whichever is the primary is found and used."
    )
    database: str = setting(Name(), "veltrix", "Database of the ledger, the notices and the API keys.")
    vault_hosts: tuple[str, ...] = setting(
        Endpoints('"vault-1:5432"'), None, "Servers of the vault, when they are others.", derived="`hosts`"
    )
    vault_database: str = setting(Name(), "veltrix_vault", "Database of the vault. Back it up apart.")
    user: str | None = setting(
        Text(),
        None,
        "Role to log in as.",
        derived="the role of the process: `veltrix_registration`, `veltrix_processing` (ticker too), "
        "`veltrix_notification`, `veltrix_audit`",
    )
    password: Secret | None = password("none: the server must not ask for one")
    password_file: Path | None = password_file()
    tls: str = setting(
        Choice(("disable", "require", "verify-full")),
        "disable",
        "`require` encrypts, `verify-full` also makes sure who answers.",
    )
    ca_file: Path | None = setting(
        FilePath(), None, "Certificates of who signs the servers' (PEM).", derived="the system's"
    )
    certificate_file: Path | None = certificate_file()
    key_file: Path | None = key_file()
    pool_max: int = setting(Integer(2, 500), 8, "Most connections of a process to each of its databases.")
    connect_timeout_s: float = setting(
        Duration(0.1, 60.0), 1.0, "Longest time that making a connection may take."
    )
    statement_timeout_s: float = setting(
        Duration(0.5, 600.0), 5.0, "Longest time that a statement may take; then the connection is dropped."
    )
    lock_timeout_s: float = setting(
        Duration(0.1, 600.0), 2.0, "Longest wait for a lock, such as at the take-over of a partition."
    )


@dataclass(frozen=True, slots=True)
class Etcd:
    """etcd, which says who owns which partition and who ticks, and keeps the settings of the cluster."""

    endpoints: tuple[str, ...] = setting(
        Endpoints('"etcd-1:2379", "etcd-2:2379"'), (), "All members; whichever answers is used."
    )
    prefix: str = setting(
        Name(
            pattern=r"(/[A-Za-z0-9._-]{1,60}){1,4}",
            remedy='write it like "/veltrix"',
            description='path, such as "/veltrix"',
        ),
        "/veltrix",
        "How all keys begin. Each cluster has its own.",
    )
    username: str | None = setting(Text(), None, "User name, when etcd wants one.", derived="no login")
    password: Secret | None = password()
    password_file: Path | None = password_file()
    ca_file: Path | None = setting(
        FilePath(), None, "Certificates of who signs the members' (PEM); TLS is used.", derived="no TLS"
    )
    certificate_file: Path | None = certificate_file("; TLS is used")
    key_file: Path | None = key_file()
    lease_ttl_s: float = setting(
        Duration(1.0, 60.0),
        2.0,
        "How long after its last sign of life a process loses its partitions. etcd rounds it up to seconds.",
    )
    call_timeout_s: float = setting(Duration(0.1, 30.0), 1.0, "Longest wait for an answer of one member.")


@dataclass(frozen=True, slots=True)
class Operations:
    """Where processes without an API answer `/livez`, `/readyz` and `/metrics`; and their start."""

    host: str = setting(Text(), "127.0.0.1", "Address to listen on.")
    port: int = setting(Integer(0, 65_535), 9090, "Port to listen on; 0 takes a free one.")
    start_wait_s: float = setting(
        Duration(0.0, 3600.0),
        60.0,
        "How long `veltrix run` waits at its start for engines that are not up yet.",
    )


@dataclass(frozen=True, slots=True)
class Secrets:
    """What all processes of a deployment share and nobody else may read."""

    master_key_file: Path = setting(
        FilePath(),
        None,
        "The key that links, tickets and cursors are signed with. The same on every machine; keep a copy.",
        derived="`master.key` below the data directory",
    )
