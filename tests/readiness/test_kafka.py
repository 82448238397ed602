"""Findings about a real broker, and about brokers that this machine cannot have."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import replace

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.engines import directory_for, free_port, listens, running, unavailable
from tests.readiness.fitting import about, codes, configured
from veltrix.adapters.kafka import prepare_topics
from veltrix.adapters.kafka.inspection import Cluster, Node, inspect_kafka
from veltrix.adapters.kafka.topics import Admin, Broker, Inspection, Topic, wanted_settings
from veltrix.bootstrap.engines import kafka_settings
from veltrix.cluster import kafka
from veltrix.cluster.tools import EngineMissing
from veltrix.readiness.on_kafka import judge_kafka

LOOK_S = 10.0
ONE_BROKER = {"kafka_brokers", "min_insync_default", "replication"}


def near(broker, **variables):
    """A configuration that leads to a broker on this machine."""
    plain = {"kafka_security": "plaintext", "kafka_username": None, "kafka_password": None}
    one = {"kafka_replication": "1", "kafka_min_insync": "1", "log_partitions": "3"}
    few = {"kafka_reply_partitions": "2"}
    return configured(**(plain | one | few | {"kafka_bootstrap_servers": broker} | variables)).config


async def found_at(config):
    """What an examination of this configuration's Kafka finds."""
    settings = kafka_settings(config, "veltrix-test")
    return list(judge_kafka(config, settings, await inspect_kafka(settings, LOOK_S)))


async def prepared(config):
    """The topics of this configuration, made as `veltrix cluster prepare` makes them."""
    await prepare_topics(
        kafka_settings(config, "veltrix-test"),
        partitions=3,
        replication=1,
        min_insync=1,
        reply_partitions=2,
    )


async def test_prepared_topics_are_in_shape(kafka_broker):
    """A single broker is told to be one; of the topics that were prepared there is nothing else to say."""
    config = near(kafka_broker, kafka_topic_prefix="fit")
    await prepared(config)
    assert codes(await found_at(config)) <= ONE_BROKER
    assert "kafka_brokers" in codes(await found_at(config))


async def test_missing_topics_are_told(kafka_broker):
    """Each topic that is not there is a finding with the command that makes it."""
    found = await found_at(near(kafka_broker, kafka_topic_prefix="nowhere"))
    assert len(about(found, "topic_missing")) == 3
    assert "veltrix cluster prepare" in next(f.remedy for f in found if f.code == "topic_missing")


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("cleanup.policy", "compact", "topic_compacted"),
        ("retention.ms", "604800000", "topic_retention"),
        ("retention.bytes", "1000000", "topic_retention"),
        ("message.timestamp.type", "CreateTime", "topic_timestamps"),
        ("unclean.leader.election.enable", "true", "unclean_election"),
        ("max.message.bytes", "1000", "topic_sizes"),
    ],
)
async def test_a_setting_of_the_log_that_was_changed_is_found(kafka_broker, setting, value, code):
    """A topic of commands that would lose, alter or refuse them is found, with the present value."""
    config = near(kafka_broker, kafka_topic_prefix=f"odd-{code}-{len(value)}")
    settings = kafka_settings(config, "veltrix-test")
    wanted = wanted_settings(settings, 1)[settings.commands] | {setting: value}
    admin = Admin(settings)
    counts = {settings.commands: 3, settings.facts: 3, settings.replies: 2}
    for name, config_of_it in (wanted_settings(settings, 1) | {settings.commands: wanted}).items():
        await admin.create(name, counts[name], 1, config_of_it)
    await admin.settled(counts)
    found = await found_at(config)
    assert codes(found) - ONE_BROKER == {code}
    assert about(found, code)[0].startswith(f"{setting} of {settings.commands}: {value}")


async def test_another_number_of_partitions_is_found(kafka_broker):
    """A log with fewer partitions than configured, or with more, is another log."""
    config = near(kafka_broker, kafka_topic_prefix="counted")
    await prepared(config)
    fewer = near(kafka_broker, kafka_topic_prefix="counted", log_partitions="4")
    assert about(await found_at(fewer), "topic_shape") == [
        "partitions of counted.commands: 3; the configuration says 4",
        "partitions of counted.facts: 3; the configuration says 4",
    ]
    more = near(kafka_broker, kafka_topic_prefix="counted", kafka_reply_partitions="1")
    assert len(about(await found_at(more), "topic_shape")) == 1


async def test_one_copy_acknowledged_by_one_broker_is_found(kafka_broker):
    """The topics that a single broker can have are not those that the configuration asks for."""
    config = near(kafka_broker, kafka_topic_prefix="alone")
    await prepared(config)
    asked = near(kafka_broker, kafka_topic_prefix="alone", kafka_replication="3", kafka_min_insync="2")
    found = await found_at(asked)
    assert "min.insync.replicas of alone.commands: 1; should be 2" in about(found, "min_insync")
    assert "copies of alone.commands: 1" in about(found, "replication")
    assert len(about(found, "min_insync_default")) == 1


@pytest.fixture(scope="module")
def careless_broker(engine_tools):
    """A broker that makes topics by itself, elects anyone, notices late, and listens everywhere in clear."""
    with directory_for("kafka") as directory:
        node = kafka.KafkaNode(1, "127.0.0.1", free_port(), free_port(), directory)
        careless = kafka.properties(node, [node]) | {
            "listeners": f"CLIENT://0.0.0.0:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
            "auto.create.topics.enable": "true",
            "unclean.leader.election.enable": "true",
            "broker.session.timeout.ms": "9000",
            "broker.heartbeat.interval.ms": "2000",
        }
        path = directory / "server.properties"
        path.write_text("\n".join(f"{name}={value}" for name, value in careless.items()), encoding="utf-8")
        try:
            made = kafka.format_command(engine_tools, path, "VeltrixTestsAAAAAAAAAA")
            start = kafka.start_command(engine_tools, path, heap_mib=256)
        except EngineMissing as missing:
            unavailable(missing)
        subprocess.run(made, check=True, capture_output=True)

        def ready():
            if not listens(node.host, node.port):
                return False
            with suppress(KafkaException):
                admin = AdminClient({"bootstrap.servers": node.address})
                return bool(admin.list_topics(timeout=2).brokers)
            return False

        with running(start, directory / "log") as broker:
            broker.wait_until(ready, "Kafka")
            yield node.address


async def test_a_careless_broker_is_found_out(careless_broker):
    """Topics that make themselves, unclean election, a late session and an open listener, from the broker."""
    config = near(careless_broker)
    await prepared(config)
    found = await found_at(config)
    assert codes(found) - ONE_BROKER == {
        "auto_create",
        "unclean_election",
        "kafka_session",
        "kafka_listener",
    }
    assert "CLIENT://0.0.0.0:" in about(found, "kafka_listener")[0]
    assert "CONTROLLER" not in about(found, "kafka_listener")[0]
    late = near(careless_broker, kafka_delivery_timeout="8 s")
    assert "9000 ms against 8 s" in about(await found_at(late), "delivery_timeout")[0]


def cluster_of(config, **node):
    """Three flawless brokers far away, with prepared topics; `node` changes the first one's settings."""
    settings = kafka_settings(config, "veltrix-test")
    wanted = wanted_settings(settings, 2)
    names = (settings.commands, settings.facts, settings.replies)
    counts = (config.log.partitions, config.log.partitions, config.kafka.reply_partitions)
    topics = [
        Topic(name, True, "id", count, 3, 3, wanted[name]) for name, count in zip(names, counts, strict=True)
    ]
    told = {
        "listeners": "TLS://:9092,CONTROLLER://10.0.0.1:9093",
        "listener.security.protocol.map": "TLS:SASL_SSL,CONTROLLER:SSL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "broker.session.timeout.ms": "2000",
        "min.insync.replicas": "2",
    }
    nodes = [Node(at, f"kafka-{at}:9092", "", told) for at in (1, 2, 3)]
    nodes[0] = replace(nodes[0], settings=told | node)
    brokers = tuple(Broker(at, f"kafka-{at}", 9092) for at in (1, 2, 3))
    return Cluster("", Inspection("id", brokers, *topics), tuple(nodes))


def judged(cluster):
    """What is found of a cluster that is as told."""
    config = configured().config
    return list(judge_kafka(config, kafka_settings(config, "veltrix-test"), cluster))


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("authorizer.class.name", "", "kafka_authorizer"),
        ("listener.security.protocol.map", "TLS:SASL_SSL,CONTROLLER:PLAINTEXT", "kafka_listener"),
        ("listener.security.protocol.map", "TLS:SASL_PLAINTEXT,CONTROLLER:SSL", "kafka_listener"),
        ("inter.broker.protocol.version", "3.9-IV0", "kafka_version"),
    ],
)
def test_brokers_beyond_this_machine_are_guarded(setting, value, code):
    """Controllers' listeners too are encrypted, somebody asks what a client may do, and brokers are new."""
    config = configured().config
    assert judged(cluster_of(config)) == []
    assert codes(judged(cluster_of(config, **{setting: value}))) == {code}


def test_a_copy_that_lags_is_found():
    """A topic with fewer copies in sync than it has is one failure from the end of intake."""
    cluster = cluster_of(configured().config)
    assert cluster.topics is not None
    lagging = replace(cluster.topics.commands, in_sync=2)
    found = judged(replace(cluster, topics=replace(cluster.topics, commands=lagging)))
    assert about(found, "under_replicated") == ["copies in sync of veltrix.commands: 2 of 3"]


def test_a_broker_that_cannot_be_reached_from_here_is_found():
    """A broker that the cluster names at an address that leads nowhere is named with the reason."""
    cluster = cluster_of(configured().config)
    nodes = (Node(1, "internal:9092", "Connection refused"), *cluster.nodes[1:])
    found = judged(replace(cluster, nodes=nodes))
    assert about(found, "kafka_unreachable") == ["broker 1 (internal:9092): Connection refused"]
