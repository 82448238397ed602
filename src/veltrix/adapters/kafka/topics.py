"""The three topics: made with the shape that the promises need, looked at, and refused in another shape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
    TopicDescription,
)

from veltrix.adapters.kafka.errors import error_of, unavailable
from veltrix.adapters.kafka.settings import MESSAGE_MAX_BYTES, KafkaSettings, client, consumer
from veltrix.domain import limits
from veltrix.ports.errors import Mismatch, Unavailable

_ASK_S: Final = 10.0
_SOON_S: Final = 1.0
_OFFSETS_S: Final = 3.0
_CRITICAL: Final = 2  # nobody polls an admin client's log, and what fails is raised
_SETTLED_POLL_S: Final = 0.05
_DAY_MS: Final = 24 * 3600 * 1000
_FACTS_KEPT_DAYS: Final = 7
_REPLIES_KEPT_MS: Final = 10 * 60 * 1000
_REPLIES_KEPT_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker as the cluster names it."""

    id: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's shape. `replicas` and `in_sync`: the fewest that a partition has; -1 without a topic."""

    name: str
    exists: bool
    topic_id: str = ""
    partitions: int = 0
    replicas: int = -1
    in_sync: int = -1
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect_topics` found: plain data to be judged elsewhere."""

    cluster_id: str
    brokers: tuple[Broker, ...]
    commands: Topic
    facts: Topic
    replies: Topic


def wanted_settings(settings: KafkaSettings, min_insync: int) -> dict[str, dict[str, str]]:
    """The settings of each topic that the promises rest on.

    Commands are kept for ever and judged by the broker's clock. Facts are kept for a while: they are a
    hint, the ledger has them. Replies are of use for seconds, and one replica that has them is enough.
    """
    common = {
        "unclean.leader.election.enable": "false",
        "cleanup.policy": "delete",
        "max.message.bytes": str(MESSAGE_MAX_BYTES),
    }
    durable = common | {"min.insync.replicas": str(min_insync)}
    return {
        settings.commands: durable
        | {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1", "retention.bytes": "-1"},
        settings.facts: durable | {"retention.ms": str(_FACTS_KEPT_DAYS * _DAY_MS)},
        settings.replies: common
        | {
            "min.insync.replicas": "1",
            "retention.ms": str(_REPLIES_KEPT_MS),
            "retention.bytes": str(_REPLIES_KEPT_BYTES),
            "segment.bytes": str(_REPLIES_KEPT_BYTES // 4),
        },
    }


async def prepare_topics(
    settings: KafkaSettings, *, partitions: int, replication: int, min_insync: int, reply_partitions: int
) -> list[str]:
    """Make the topics, or bring them to this shape; safe to repeat. Returns what it did, a line each.

    Partitions are added, never removed. Raises `Mismatch` with the remedy for a topic with more
    partitions or another replication, `Unavailable` when the brokers cannot be asked.
    """
    assert 1 <= partitions <= limits.PARTITIONS_MAX
    assert 1 <= min_insync <= replication
    counts = {
        settings.commands: partitions,
        settings.facts: partitions,
        settings.replies: reply_partitions,
    }
    admin = Admin(settings)
    found = await admin.topics(counts)
    wanted = wanted_settings(settings, min_insync)
    for name, count in counts.items():
        if (topic := found[name]).exists:
            _check_shape(topic, count, replication)
    did: list[str] = []
    for name, count in counts.items():
        topic = found[name]
        if not topic.exists:
            await admin.create(name, count, replication, wanted[name])
            did.append(f"made {name}: {count} partitions, replication {replication}")
            continue
        if topic.partitions < count:
            await admin.add_partitions(name, count)
            did.append(f"raised {name} from {topic.partitions} to {count} partitions")
        other = {key: value for key, value in wanted[name].items() if topic.settings.get(key) != value}
        if other:
            await admin.alter(name, other)
            did.append(f"set {', '.join(f'{key}={value}' for key, value in other.items())} on {name}")
    if did:
        await admin.settled(counts)
    return did


async def inspect_topics(settings: KafkaSettings) -> Inspection:
    """The cluster and the topics as they are. Raises `Unavailable` when the brokers cannot be asked."""
    admin = Admin(settings)
    cluster_id, brokers = await admin.cluster()
    names = (settings.commands, settings.facts, settings.replies)
    found = await admin.topics(names)
    return Inspection(cluster_id, brokers, *(found[name] for name in names))


def _check_shape(topic: Topic, partitions: int, replication: int) -> None:
    if topic.partitions > partitions:
        raise Mismatch(
            f"{topic.name} has {topic.partitions} partitions, {partitions} were asked for; partitions can be "
            f"added but not removed, set at least {topic.partitions}"
        )
    if topic.replicas != replication:
        raise Mismatch(
            f"{topic.name} has replication {topic.replicas}, {replication} was asked for; move "
            "its partitions with Kafka's kafka-reassign-partitions, or ask for what it has"
        )


class Admin:
    """Questions to the cluster, awaited. One that is dropped closes its connections by itself."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = AdminClient(client(settings) | {"log_level": _CRITICAL})
        self._asking: Consumer | None = None

    async def cluster(self) -> tuple[str, tuple[Broker, ...]]:
        """(cluster id, brokers)."""
        found = await self._answer("the cluster", self._admin.describe_cluster(request_timeout=_ASK_S))
        brokers = [Broker(node.id, node.host, node.port) for node in found.nodes]
        return found.cluster_id, tuple(sorted(brokers, key=lambda broker: broker.id))

    async def shape(self, name: str) -> Topic:
        """A topic's id, partitions and replicas, without its settings."""
        asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=_ASK_S)
        try:
            found: TopicDescription = await asyncio.wrap_future(asked[name])
        except KafkaException as exception:
            if error_of(exception).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return Topic(name, exists=False)
            raise unavailable(f"the topic {name}", exception) from None
        return Topic(
            name,
            True,
            str(found.topic_id).replace("+", "-").replace("/", "_"),  # as Kafka's own tools show it
            len(found.partitions),
            min((len(partition.replicas) for partition in found.partitions), default=0),
            min((len(partition.isr) for partition in found.partitions), default=0),
        )

    async def offsets(self, name: str, partitions: Iterable[int], *, end: bool) -> dict[int, int]:
        """First offsets, or those beyond the last, of partitions, from their leaders.

        Asked by a consumer: the library's `list_offsets` ends the process (an assertion in librdkafka 2.x's
        rdkafka_admin.c) when a leader answers for a partition with an error, as after an election.
        """
        return {
            partition: (await self._bounds(TopicPartition(name, partition)))[1 if end else 0]
            for partition in partitions
        }

    async def _bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """What a client knows of leaders it keeps for up to 30 s while they are silent: cut off, not dead.
        So one that gets no answer soon is replaced by one that has to look."""
        failed = Unavailable(
            f"no broker says how far partition {partition.partition} of {partition.topic} reaches"
        )
        for patience_s in (_SOON_S, _OFFSETS_S):
            if self._asking is None:
                self._asking = Consumer(consumer(self._settings) | {"log_level": _CRITICAL})
            asking = self._asking
            try:
                bounds: tuple[int, int] | None = await asyncio.to_thread(
                    asking.get_watermark_offsets, partition, timeout=patience_s
                )
            except KafkaException as exception:
                failed = unavailable(f"{partition.topic} cannot be read", exception)
            else:
                if bounds is not None and bounds[1] >= 0:  # None: no answer in time
                    return bounds
            if self._asking is asking:
                self._asking = None
        raise failed

    async def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Shape and settings of each."""
        shapes = {name: await self.shape(name) for name in names}
        return {
            name: _with_settings(shape, await self._settings_of(name)) if shape.exists else shape
            for name, shape in shapes.items()
        }

    async def create(self, name: str, partitions: int, replication: int, config: dict[str, str]) -> None:
        """Make a topic; one that another process made just now is as good."""
        new = NewTopic(name, partitions, replication, config=config)
        made = self._admin.create_topics([new], operation_timeout=_ASK_S, request_timeout=_ASK_S)
        try:
            await asyncio.wrap_future(made[name])
        except KafkaException as exception:
            error = error_of(exception)
            if error.code() == KafkaError.INVALID_REPLICATION_FACTOR:
                raise Mismatch(
                    f"{name} cannot have {replication} replicas ({error.str()}); start more brokers, or ask "
                    "for fewer"
                ) from None
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise unavailable(f"{name} cannot be made", exception) from None

    async def add_partitions(self, name: str, count: int) -> None:
        """Raise a topic to so many partitions."""
        added = self._admin.create_partitions([NewPartitions(name, count)], request_timeout=_ASK_S)
        await self._answer(f"{name} cannot be given more partitions", added[name])

    async def alter(self, name: str, config: dict[str, str]) -> None:
        """Set these settings, and leave the others."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        altered = self._admin.incremental_alter_configs([resource], request_timeout=_ASK_S)
        await self._answer(f"{name} cannot be given its settings", altered[resource])

    async def settled(self, counts: dict[str, int]) -> None:
        """Return once every partition has a leader: what is made is not there at once."""
        async with asyncio.timeout(_ASK_S):
            for name, count in counts.items():
                while not await self._led(name, count):  # noqa: ASYNC110 - Kafka gives no signal
                    await asyncio.sleep(_SETTLED_POLL_S)

    async def _led(self, name: str, count: int) -> bool:
        asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=_ASK_S)
        try:
            found: TopicDescription = await asyncio.wrap_future(asked[name])
        except KafkaException:
            return False
        return len(found.partitions) >= count and all(
            partition.leader.id >= 0 for partition in found.partitions
        )

    async def _settings_of(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, name)
        asked = self._admin.describe_configs([resource], request_timeout=_ASK_S)
        found = await self._answer(f"the settings of {name}", asked[resource])
        return {key: str(entry.value) for key, entry in found.items()}

    async def _answer(self, what: str, future: Future[Any]) -> Any:
        try:
            return await asyncio.wrap_future(future)
        except KafkaException as exception:
            raise unavailable(what, exception) from None


def _with_settings(shape: Topic, config: dict[str, str]) -> Topic:
    return Topic(shape.name, True, shape.topic_id, shape.partitions, shape.replicas, shape.in_sync, config)
