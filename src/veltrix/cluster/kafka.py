"""Kafka's nodes: each is broker and controller (KRaft), so that three of them outlive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from veltrix.cluster.tools import Tools


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """One node: where it listens and where its data lies."""

    id: int
    host: str
    port: int
    controller_port: int
    directory: Path

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{self.host}:{self.port}"


def properties(node: KafkaNode, nodes: Sequence[KafkaNode]) -> dict[str, str]:
    """The configuration of one node among all."""
    replicas = str(min(3, len(nodes)))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{n.id}@{n.host}:{n.controller_port}" for n in nodes),
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "listeners": f"CLIENT://{node.address},CONTROLLER://{node.host}:{node.controller_port}",
        "advertised.listeners": f"CLIENT://{node.address}",
        "log.dirs": str(node.directory / "data"),
        # What is acknowledged is on a majority, and stays: an out-of-sync replica never leads.
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": str(min(2, len(nodes))),
        "min.insync.replicas": str(min(2, len(nodes))),
        "unclean.leader.election.enable": "false",
        "auto.create.topics.enable": "false",
        # How soon a dead node is noticed (Kafka's own: 9 s). An active controller that dies costs more: an
        # election comes first, and then all sessions begin anew.
        "broker.session.timeout.ms": "1500",
        "broker.heartbeat.interval.ms": "250",
        "controller.quorum.election.timeout.ms": "400",
        "controller.quorum.election.backoff.max.ms": "300",
        "controller.quorum.fetch.timeout.ms": "800",
        "controller.quorum.request.timeout.ms": "1000",
        "replica.lag.time.max.ms": "5000",
        "controlled.shutdown.enable": "true",
        # One machine carries them all, and nobody here keeps positions or transactions in Kafka.
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": "4194304",
        "group.initial.rebalance.delay.ms": "0",
    }


def write_properties(node: KafkaNode, nodes: Sequence[KafkaNode]) -> Path:
    """Write the node's configuration file."""
    path = node.directory / "server.properties"
    lines = [f"{name}={value}" for name, value in properties(node, nodes).items()]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def format_command(tools: Tools, configuration: Path, cluster_id: str) -> list[str]:
    """Make a node's storage; harmless on storage that was made."""
    return [
        *_java(tools, ["-Xmx128m"]),
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        "--cluster-id",
        cluster_id,
        "--config",
        str(configuration),
    ]


def start_command(tools: Tools, configuration: Path, *, heap_mib: int = 384) -> list[str]:
    """Run a node in the foreground; its log goes to standard error."""
    options = [f"-Xms{heap_mib}m", f"-Xmx{heap_mib}m", "-XX:+ExitOnOutOfMemoryError"]
    return [*_java(tools, options), "kafka.Kafka", str(configuration)]


def _java(tools: Tools, options: Sequence[str]) -> list[str]:
    java, *classpath = tools.kafka()
    # Nodes share few cores, and are killed often: what starts soon and has few threads serves best.
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *options]
    logging: Mapping[str, str] = {
        "showDateTime": "true",
        "dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSS",
        "log.org.apache.kafka.common.config.AbstractConfig": "warn",  # hundreds of lines at each start
    }
    settings = [f"-Dorg.slf4j.simpleLogger.{name}={value}" for name, value in logging.items()]
    return [java, *options, *settings, *classpath]
