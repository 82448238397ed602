"""How each process of a cluster is started: its directory, its files, what is run before, its command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from veltrix.cluster import etcd, kafka, postgres, services
from veltrix.cluster.plan import LOOPBACK, Kind, Node, Plan
from veltrix.cluster.tools import Account, Tools, unprivileged

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUTSIDE: Final = Path("/var/tmp")  # noqa: S108 - of a name that is only this cluster's, owned by its user


@dataclass(frozen=True, slots=True)
class Launch:
    """What starting a process takes."""

    command: Sequence[str]
    directory: Path
    first: Sequence[Sequence[str]] = ()  # run one after the other before it, when there is no data yet
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM
    patience_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Starter:
    """Makes directories and files below a cluster's directory, and the commands that use them."""

    plan: Plan
    directory: Path
    tools: Tools

    def check(self) -> None:
        """Raises `EngineMissing` unless every engine that the plan needs is there."""
        self.tools.kafka()
        self.tools.etcd()
        self.tools.postgres_programs()
        unprivileged()
        if self.plan.under_patroni:
            self.tools.patroni()

    def launch(self, node: Node) -> Launch:
        """Prepare a node's directory and say how to start it."""
        if node.kind is Kind.KAFKA:
            return self._kafka(node)
        if node.kind is Kind.ETCD:
            return self._etcd(node)
        if node.kind is Kind.POSTGRES:
            return self._patroni(node) if self.plan.under_patroni else self._postgres(node)
        return self._service(node)

    def postgres_node(self, node: Node) -> postgres.PostgresNode:
        """A node of PostgreSQL as its own module sees it."""
        where = self._for_account(node.name, unprivileged())
        return postgres.PostgresNode(
            node.name, node.address, node.ports["client"], where, node.ports.get("rest", 0)
        )

    def kafka_node(self, node: Node) -> kafka.KafkaNode:
        """A node of Kafka as its own module sees it."""
        ports = node.ports
        where = self.directory / node.name
        return kafka.KafkaNode(node.number, node.address, ports["client"], ports["controller"], where)

    def _kafka(self, node: Node) -> Launch:
        nodes = [self.kafka_node(other) for other in self.plan.of(Kind.KAFKA)]
        it = nodes[node.number - 1]
        it.directory.mkdir(exist_ok=True)
        configuration = kafka.write_properties(it, nodes)
        made = (it.directory / "data" / "meta.properties").exists()
        cluster_id = f"Veltrix-{self.plan.identity}".ljust(22, "A")
        first = [] if made else [kafka.format_command(self.tools, configuration, cluster_id)]
        return Launch(kafka.start_command(self.tools, configuration), it.directory, first)

    def _etcd(self, node: Node) -> Launch:
        members = [
            etcd.EtcdMember(n.name, n.address, n.ports["client"], n.ports["peer"], self.directory / n.name)
            for n in self.plan.of(Kind.ETCD)
        ]
        it = members[node.number - 1]
        it.directory.mkdir(exist_ok=True, mode=0o700)
        return Launch(etcd.start_command(self.tools, it, members, self.plan.identity), it.directory)

    def _postgres(self, node: Node) -> Launch:
        it, account = self.postgres_node(node), unprivileged()
        hba = it.directory / "pg_hba.conf"
        hba.write_text("\n".join([*postgres.trusted(self._networks()), ""]), encoding="utf-8")
        account.own(hba)
        made = (it.data / "PG_VERSION").exists()
        first = [] if made else [account.run(postgres.init_command(self.tools, it))]
        command = account.run(postgres.start_command(self.tools, it, {"hba_file": str(hba)}))
        return Launch(command, it.directory, first, self._environment(it.directory), signal.SIGINT)

    def _patroni(self, node: Node) -> Launch:
        it, account = self.postgres_node(node), unprivileged()
        settings = postgres.patroni_settings(self.tools, it, self.plan.endpoints(Kind.ETCD), self._networks())
        path = it.directory / "patroni.yml"
        postgres.write_patroni(path, settings)
        account.own(path)
        command = account.run(postgres.patroni_command(self.tools, path))
        return Launch(command, it.directory, (), self._environment(it.directory))

    def _service(self, node: Node) -> Launch:
        where = self.directory / node.name
        command = [
            sys.executable,
            "-m",
            "veltrix",
            "run",
            node.kind.value,
            "--config",
            str(where / "veltrix.toml"),
        ]
        return Launch(command, where, (), dict(os.environ))

    def write_configuration(self) -> None:
        """Write the configuration of Veltrix' own processes and commands."""
        services.write_all(self.plan, self.directory)

    def prepare_command(self) -> list[str]:
        """Make topics, roles and schemas; may be repeated."""
        configuration = str(self.directory / "veltrix.toml")
        return [sys.executable, "-m", "veltrix", "cluster", "prepare", "--config", configuration, "--json"]

    def _networks(self) -> list[str]:
        if not self.plan.hosts:
            return [f"{LOOPBACK}/32"]
        return [f"{self.plan.gateway}/24", f"{LOOPBACK}/32"]

    def _for_account(self, name: str, account: Account) -> Path:
        """A directory that an account can reach and write: elsewhere, where it cannot enter the cluster's."""
        own = self.directory / name
        if not own.exists():
            if account.can_enter(self.directory):
                own.mkdir(mode=0o700)
            else:
                away = _OUTSIDE / f"veltrix-cluster-{self.plan.identity}"
                away.mkdir(exist_ok=True, mode=0o755)
                away.joinpath(name).mkdir(mode=0o700)
                own.symlink_to(away / name)
            account.own(own.resolve())
        return own.resolve()

    def outside(self) -> Path:
        """Where data lies that could not lie in the cluster's directory."""
        return _OUTSIDE / f"veltrix-cluster-{self.plan.identity}"

    def _environment(self, home: Path) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", _PATH), "HOME": str(home), "LANG": "C.UTF-8", "TZ": "GMT"}


def run_first(launch: Launch, log: Path) -> None:
    """Run what comes before a process; its output goes to the process's log. Raises `CalledProcessError`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    for command in launch.first:
        with log.open("ab") as output:
            subprocess.run(
                command,
                cwd=launch.directory,
                env=dict(launch.environment) or None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
