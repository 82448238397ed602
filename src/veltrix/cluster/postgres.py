"""PostgreSQL: a server that stands alone, or nodes under Patroni, which elects the primary through etcd."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from veltrix.cluster.tools import Tools

SUPERUSER: Final = "postgres"
REPLICATION: Final = "replicator"
SCOPE: Final = "veltrix"
# How soon a server that is cut off from another notices: the system's own two hours would hold up a failover.
_SILENCE: Final = {
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5s",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "500ms",
}


@dataclass(frozen=True, slots=True)
class PostgresNode:
    """One node: where it listens and where its data lies."""

    name: str
    host: str
    port: int
    directory: Path
    rest_port: int = 0  # Patroni's

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{self.host}:{self.port}"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"


def parameters() -> dict[str, str]:
    """The settings of a server on a machine that it shares."""
    return {
        "unix_socket_directories": "",
        "max_connections": "200",  # eight processes with two pools of eight, and as many again
        "shared_buffers": "128MB",
        "max_wal_size": "1GB",
        "jit": "off",  # a compiler costs more than it saves on short statements
        "timezone": "GMT",
        "log_timezone": "GMT",
        "lc_messages": "C",
        "log_line_prefix": "%m [%p] %a %u ",
    }


def trusted(networks: Sequence[str]) -> list[str]:
    """Who may connect: whoever is on these networks, which are this machine's own. Not for production."""
    lines = [
        f"host {database} all {network} trust" for network in networks for database in ("all", "replication")
    ]
    return ["local all all trust", *lines]


def init_command(tools: Tools, node: PostgresNode) -> list[str]:
    """Make the data directory of a server that stands alone."""
    return [
        str(tools.postgres("initdb")),
        f"--pgdata={node.data}",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--locale=C",
        "--auth=trust",
        "--data-checksums",
        "--no-instructions",
    ]


def start_command(tools: Tools, node: PostgresNode, more: Mapping[str, str] | None = None) -> list[str]:
    """Run a server in the foreground; its log goes to standard error."""
    listening = {"listen_addresses": node.host, "port": str(node.port)}
    settings = parameters() | listening | dict(more or {})
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(tools.postgres()), "-D", str(node.data), *options]


def patroni_settings(
    tools: Tools, node: PostgresNode, etcd: Sequence[str], networks: Sequence[str]
) -> dict[str, Any]:
    """The configuration of one node's agent."""
    rest = f"{node.host}:{node.rest_port}"
    return {
        "scope": SCOPE,
        "name": node.name,
        "restapi": {"listen": rest, "connect_address": rest},
        "etcd3": {"hosts": list(etcd)},
        "log": {"level": "INFO"},
        "bootstrap": {
            "dcs": _agreed(),
            "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
        },
        "postgresql": {
            "listen": node.address,
            "connect_address": node.address,
            "data_dir": str(node.data),
            "bin_dir": str(tools.postgres_programs()),
            "pgpass": str(node.directory / "pgpass"),
            "authentication": {
                "superuser": {"username": SUPERUSER, "password": SUPERUSER},
                "replication": {"username": REPLICATION, "password": REPLICATION},
            },
            "pg_hba": trusted(networks),
            "parameters": {"unix_socket_directories": ""},
            # A primary that was cut off may hold commits that nobody was told of: it starts as a copy again.
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
        "watchdog": {"mode": "off"},
    }


def _agreed() -> dict[str, Any]:
    """What all nodes agree on, kept in etcd."""
    return {
        "ttl": 20,
        "loop_wait": 1,  # how long a new primary waits to see its first synchronous standby
        "retry_timeout": 5,
        "primary_start_timeout": 0,
        "maximum_lag_on_failover": 1_048_576,
        "synchronous_mode": "quorum",
        "synchronous_mode_strict": True,
        "synchronous_node_count": 1,
        "failsafe_mode": True,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                **parameters(),
                **_SILENCE,
                "synchronous_commit": "on",
                "wal_level": "replica",
                "hot_standby": "on",
                "wal_log_hints": "on",
                "max_wal_senders": "10",
                "max_replication_slots": "10",
                "wal_keep_size": "256MB",
            },
        },
    }


def write_patroni(path: Path, settings: Mapping[str, Any]) -> None:
    """Write an agent's configuration: JSON, which is YAML too."""
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    path.chmod(0o600)


def patroni_command(tools: Tools, configuration: Path) -> list[str]:
    """Run an agent in the foreground. The server that it starts outlives it."""
    return [str(tools.patroni()), str(configuration)]


def postmaster_pid(node: PostgresNode) -> int | None:
    """The id that a server has written down; whether it still runs is another question."""
    try:
        return int((node.data / "postmaster.pid").read_text(encoding="utf-8").split(maxsplit=1)[0])
    except (OSError, ValueError, IndexError):
        return None


def forget_postmaster(node: PostgresNode) -> None:
    """Remove what a server left that is known to be dead: another process may have its id by now."""
    (node.data / "postmaster.pid").unlink(missing_ok=True)
