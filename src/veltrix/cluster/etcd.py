"""etcd's members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veltrix.cluster.tools import Tools


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """One member: where it listens and where its data lies."""

    name: str
    host: str
    port: int
    peer_port: int
    directory: Path

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{self.host}:{self.port}"


def start_command(tools: Tools, member: EtcdMember, members: Sequence[EtcdMember], token: str) -> list[str]:
    """Run a member in the foreground; its log goes to standard error."""
    client = f"http://{member.address}"
    peer = f"http://{member.host}:{member.peer_port}"
    return [
        str(tools.etcd()),
        f"--name={member.name}",
        f"--data-dir={member.directory / 'data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={','.join(f'{m.name}=http://{m.host}:{m.peer_port}' for m in members)}",
        f"--initial-cluster-token={token}",
        # Read at the first start only: a member that has data goes on with it.
        "--initial-cluster-state=new",
        "--heartbeat-interval=50",
        "--election-timeout=500",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=1h",
        "--logger=zap",
        "--log-level=warn",
    ]
