"""The adapters of Kafka, opened for a test on the broker that all tests of a run share."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from veltrix.adapters.kafka import KafkaFeed, KafkaLog, KafkaReplies, KafkaSettings, prepare_topics


def settings_for(directory: Path, engine: str, **others: Any) -> KafkaSettings:
    """Settings with topics of the test's own."""
    prefix = "test-" + hashlib.sha256(str(directory).encode()).hexdigest()[:16]
    return KafkaSettings((engine,), topic_prefix=prefix, **others)


async def prepared(directory: Path, engine: str, partitions: int = 2, **others: Any) -> KafkaSettings:
    """Settings whose topics are there."""
    settings = settings_for(directory, engine, **others)
    await prepare_topics(settings, partitions=partitions, replication=1, min_insync=1, reply_partitions=2)
    return settings


async def kafka_log(directory: Path, *, engine: str, partitions: int = 1, clock: object = None) -> KafkaLog:
    """The log on topics of the test's own; its append times are the broker's."""
    return await KafkaLog.open(await prepared(directory, engine, partitions))


async def kafka_feed(directory: Path, *, engine: str) -> KafkaFeed:
    """The feed on a topic of the test's own."""
    return await KafkaFeed.open(await prepared(directory, engine))


async def kafka_replies(directory: Path, *, engine: str, slot: int = 1) -> KafkaReplies:
    """The way back through a slot of a topic of the test's own."""
    return await KafkaReplies.open(await prepared(directory, engine), slot=slot)
