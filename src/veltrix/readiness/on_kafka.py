"""What Kafka's brokers and topics show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from veltrix.adapters.kafka.inspection import Cluster, Node
from veltrix.adapters.kafka.settings import KafkaSettings
from veltrix.adapters.kafka.topics import Topic, wanted_settings
from veltrix.config import Config
from veltrix.readiness.configured import beyond
from veltrix.readiness.findings import Finding, advice, danger, unknown

BROKERS: Final = 3
SESSION_MAX_MS: Final = 6_000
PREPARE: Final = "run veltrix cluster prepare"

_SETTINGS: Final = {
    "unclean.leader.election.enable": (
        "unclean_election",
        "a broker without the newest records may become leader: what was acknowledged is lost, and decided "
        "offsets get other records",
    ),
    "cleanup.policy": ("topic_compacted", "compaction removes commands: the log cannot be replayed"),
    "retention.ms": ("topic_retention", "old commands are deleted: the log cannot be replayed or audited"),
    "retention.bytes": ("topic_retention", "old commands are deleted: the log cannot be replayed or audited"),
    "message.timestamp.type": (
        "topic_timestamps",
        "a command's time is then whatever its sender says, and windows are judged by it",
    ),
    "max.message.bytes": ("topic_sizes", "records that Veltrix allows are refused"),
    "min.insync.replicas": (
        "min_insync",
        "a registration that was acknowledged is lost with one broker's disk",
    ),
}


def judge_kafka(config: Config, settings: KafkaSettings, cluster: Cluster) -> Iterator[Finding]:
    """Everything that is wrong with the brokers and the topics."""
    for address, why in cluster.silent:
        yield danger(
            "kafka_unreachable",
            f"the bootstrap server {address}",
            why,
            "it cannot be used from here",
            "start it, or correct kafka.bootstrap_servers",
        )
    if cluster.topics is None:
        yield unknown(
            "kafka_unreachable",
            "Kafka",
            cluster.error,
            "nothing could be made sure of about topics and brokers",
            "start it, or correct kafka.bootstrap_servers, kafka.security and the login; then look again",
        )
        return
    yield from _brokers(cluster)
    for node in cluster.nodes:
        yield from _node(config, node)
    found = cluster.topics
    wanted = wanted_settings(settings, config.kafka.min_insync)
    for topic in (found.commands, found.facts, found.replies):
        yield from _topic(config, topic, wanted[topic.name], log=topic is found.commands)
    yield from _counts(config, found.commands, found.facts, found.replies)


def _brokers(cluster: Cluster) -> Iterator[Finding]:
    assert cluster.topics is not None
    count = len(cluster.topics.brokers)
    if count < BROKERS:
        yield danger(
            "kafka_brokers",
            "brokers of Kafka",
            count,
            "with fewer than three the end of one stops intake or loses what was acknowledged",
            "run three, each on a machine, a disk and a power supply of its own",
        )


def _node(config: Config, node: Node) -> Iterator[Finding]:
    name = f"broker {node.id} ({node.address})"
    if not node.settings:
        yield unknown(
            "kafka_unreachable",
            name,
            node.error or "its configuration is not told",
            "the cluster names it, and it cannot be used or judged from here",
            "start it, correct its advertised.listeners, or allow this user to describe configurations",
        )
        return
    told = node.settings
    if "inter.broker.protocol.version" in told or "zookeeper.connect" in told:
        yield danger(
            "kafka_version",
            name,
            "older than 4.0",
            "Veltrix is tested with Kafka 4 (KRaft) alone",
            "upgrade it",
        )
    if told.get("auto.create.topics.enable") == "true":
        yield danger(
            "auto_create",
            f"auto.create.topics.enable of {name}",
            "true",
            "a topic that was deleted or misspelt comes into being by itself, in a shape that loses records",
            "set it to false, and restart the broker",
        )
    if told.get("unclean.leader.election.enable") == "true":
        yield danger(
            "unclean_election",
            f"unclean.leader.election.enable of {name}",
            "true",
            _SETTINGS["unclean.leader.election.enable"][1],
            "set it to false",
        )
    if int(told.get("min.insync.replicas", "1")) < min(2, config.kafka.min_insync):
        yield advice(
            "min_insync_default",
            f"min.insync.replicas of {name}",
            told.get("min.insync.replicas", "1"),
            "a topic that is made again without Veltrix has this, and loses what one broker acknowledged",
            "set it to 2 on all brokers; Veltrix' topics have their own",
        )
    yield from _noticing(config, node, name)
    yield from _open(node, name)


def _noticing(config: Config, node: Node, name: str) -> Iterator[Finding]:
    """How soon the others notice that a broker is gone."""
    session_ms = int(node.settings.get("broker.session.timeout.ms", "9000"))
    if session_ms > SESSION_MAX_MS:
        yield advice(
            "kafka_session",
            f"broker.session.timeout.ms of {name}",
            session_ms,
            "so long nothing can be appended to the partitions of a broker that died",
            "set it to 1500, and broker.heartbeat.interval.ms to 250 (docs/operations.md)",
        )
    if session_ms >= config.kafka.delivery_timeout_s * 1000:
        yield danger(
            "delivery_timeout",
            f"broker.session.timeout.ms of {name} against kafka.delivery_timeout",
            f"{session_ms} ms against {config.kafka.delivery_timeout_s:g} s",
            "appends are given up before Kafka notices that a broker died: each failure is seen by people",
            "shorten the session or lengthen the delivery",
        )


def _open(node: Node, name: str) -> Iterator[Finding]:
    """Listeners in clear, and nobody who asks what a client may do."""
    told = node.settings
    protocols = dict(
        entry.split(":", 1) for entry in told.get("listener.security.protocol.map", "").split(",") if entry
    )
    plain = []
    for listener in told.get("listeners", "").split(","):
        protocol, _, where = listener.partition("://")
        if "SSL" not in protocols.get(protocol, protocol).replace("SASL_SSL", "SSL") and (
            beyond([where]) or where.startswith(":")
        ):
            plain.append(listener)
    if plain:
        yield danger(
            "kafka_listener",
            f"listeners of {name}",
            ", ".join(plain),
            "whoever is on the network reads every command there",
            "give them TLS (SSL or SASL_SSL), the controllers' too, or let them listen on the loopback",
        )
    if not told.get("authorizer.class.name") and beyond([node.address]):
        yield danger(
            "kafka_authorizer",
            f"authorizer.class.name of {name}",
            "none",
            "everybody who reaches the broker may append commands, and delete the log",
            "set org.apache.kafka.metadata.authorizer.StandardAuthorizer, and allow Veltrix its topics",
        )


def _topic(config: Config, topic: Topic, wanted: dict[str, str], *, log: bool) -> Iterator[Finding]:
    if not topic.exists:
        yield danger(
            "topic_missing", f"the topic {topic.name}", "missing", "no process can start without it", PREPARE
        )
        return
    durable = topic.name != f"{config.kafka.topic_prefix}.replies"
    if topic.replicas < 2 and durable:
        yield danger(
            "replication",
            f"copies of {topic.name}",
            topic.replicas,
            "it is lost with one broker's disk",
            "run three brokers and spread it over them (kafka-reassign-partitions)",
        )
    elif topic.replicas != config.kafka.replication:
        yield advice(
            "topic_shape",
            f"copies of {topic.name}",
            f"{topic.replicas}; kafka.replication is {config.kafka.replication}",
            "it does not outlive the failures that the configuration speaks of",
            "spread it over more brokers (kafka-reassign-partitions), or correct kafka.replication",
        )
    if topic.in_sync < topic.replicas:
        yield danger(
            "under_replicated",
            f"copies in sync of {topic.name}",
            f"{topic.in_sync} of {topic.replicas}",
            "a broker is down or behind: one more failure, and intake stops",
            "bring the broker back, and look at its log",
        )
    for setting, value in wanted.items():
        present = topic.settings.get(setting)
        if setting not in _SETTINGS or present == value:
            continue
        if setting in ("retention.ms", "retention.bytes") and not log:
            continue
        if setting == "min.insync.replicas" and int(present or "1") >= int(value):
            continue
        code, why = _SETTINGS[setting]
        yield danger(code, f"{setting} of {topic.name}", f"{present}; should be {value}", why, PREPARE)


def _counts(config: Config, commands: Topic, facts: Topic, replies: Topic) -> Iterator[Finding]:
    wanted = (
        (commands, config.log.partitions),
        (facts, config.log.partitions),
        (replies, config.kafka.reply_partitions),
    )
    for topic, count in wanted:
        if topic.exists and topic.partitions != count:
            yield danger(
                "topic_shape",
                f"partitions of {topic.name}",
                f"{topic.partitions}; the configuration says {count}",
                "processes refuse to start" if topic is not replies else "slots and partitions do not match",
                f"{PREPARE}, which adds partitions"
                if topic.partitions < count
                else "correct the configuration",
            )
