"""PostgreSQL: a server of its own, or nodes under Patroni."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from veltrix.cluster.tools import Tools

SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True)
class PostgresNode:
    """One node: where it listens and where its data lies."""

    name: str
    host: str
    port: int
    directory: Path

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{self.host}:{self.port}"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"


def parameters(node: PostgresNode) -> dict[str, str]:
    """The settings of a server on a machine that it shares."""
    return {
        "listen_addresses": node.host,
        "port": str(node.port),
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "max_wal_size": "1GB",
        "jit": "off",  # a compiler costs more than it saves on short statements
        "timezone": "GMT",
        "log_timezone": "GMT",
        "lc_messages": "C",
    }


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
    settings = parameters(node) | dict(more or {})
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(tools.postgres()), "-D", str(node.data), *options]
