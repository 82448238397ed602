"""What is Kafka's own: topics and their shapes, the bridge's bounds, other logs under the same name."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.conformance.on_kafka import kafka_replies, prepared, settings_for
from tests.conformance.test_feed import Listener, fact, reply, take
from tests.conformance.test_log import records, values
from veltrix.adapters.kafka import (
    KafkaFeed,
    KafkaLog,
    KafkaReplies,
    KafkaSettings,
    appending,
    inspect_topics,
    prepare_topics,
    window,
)
from veltrix.adapters.kafka.settings import MESSAGE_MAX_BYTES, client, consumer
from veltrix.adapters.kafka.window import Window
from veltrix.ports.errors import Mismatch, OutcomeUnknown, Unavailable
from veltrix.ports.log import LogRecord, Record


@pytest.fixture
async def settings(kafka_broker: str, tmp_path: Path) -> KafkaSettings:
    """Settings with topics of the test's own."""
    return await prepared(tmp_path, kafka_broker)


@pytest.fixture
async def log(settings: KafkaSettings) -> AsyncIterator[KafkaLog]:
    """A log of two partitions."""
    log = await KafkaLog.open(settings)
    yield log
    await log.close()


@pytest.fixture
def admin(kafka_broker: str) -> AdminClient:
    """An operator's client."""
    return AdminClient({"bootstrap.servers": kafka_broker})


async def test_topics_are_made_once_and_in_shape(kafka_broker: str, tmp_path: Path):
    """The first call makes the topics as the promises need them, the second finds nothing to do."""
    settings = settings_for(tmp_path, kafka_broker)
    shape = {"partitions": 3, "replication": 1, "min_insync": 1, "reply_partitions": 4}
    assert len(await prepare_topics(settings, **shape)) == 3
    assert await prepare_topics(settings, **shape) == []
    found = await inspect_topics(settings)
    assert found.cluster_id and [broker.id for broker in found.brokers] == [1]
    assert [(each.exists, each.partitions, each.replicas) for each in (found.commands, found.facts)] == [
        (True, 3, 1)
    ] * 2
    assert found.replies.partitions == 4
    for name, value in {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "unclean.leader.election.enable": "false",
        "min.insync.replicas": "1",
        "max.message.bytes": str(MESSAGE_MAX_BYTES),
        "cleanup.policy": "delete",
    }.items():
        assert found.commands.settings[name] == value
    assert int(found.facts.settings["retention.ms"]) > int(found.replies.settings["retention.ms"]) > 0


async def test_topics_grow_and_settings_are_put_right(settings: KafkaSettings, admin: AdminClient):
    """Partitions are added and foreign settings set back; it says what it did, then has nothing to do."""
    await prepare_topics(settings, partitions=2, replication=1, min_insync=1, reply_partitions=2)
    wrong = await inspect_topics(settings)
    assert wrong.commands.partitions == 2
    did = await prepare_topics(settings, partitions=3, replication=1, min_insync=1, reply_partitions=2)
    assert len(did) == 2 and all("from 2 to 3 partitions" in line for line in did)
    log = await KafkaLog.open(settings, partitions=3)
    try:
        assert (await log.append(2, Record(b"new"))).offset == 0
    finally:
        await log.close()


async def test_another_shape_is_refused_with_the_remedy(settings: KafkaSettings):
    """Fewer partitions, another replication, more replicas than brokers: each says what to do instead."""
    shape = {"partitions": 2, "replication": 1, "min_insync": 1, "reply_partitions": 2}
    with pytest.raises(Mismatch, match="set at least 2"):
        await prepare_topics(settings, **(shape | {"partitions": 1}))
    with pytest.raises(Mismatch, match="kafka-reassign-partitions"):
        await prepare_topics(settings, **(shape | {"replication": 3}))
    other = KafkaSettings(settings.bootstrap_servers, topic_prefix=settings.topic_prefix + "-other")
    with pytest.raises(Mismatch, match="start more brokers"):
        await prepare_topics(other, **(shape | {"replication": 3}))
    with pytest.raises(Mismatch, match=r"set log\.partitions to 2"):
        await KafkaLog.open(settings, partitions=5)
    for opening in (KafkaLog.open(other), KafkaFeed.open(other), KafkaReplies.open(other, slot=0)):
        with pytest.raises(Mismatch, match="veltrix cluster prepare"):
            await opening
    with pytest.raises(Mismatch, match="reply_partitions"):
        await KafkaReplies.open(settings, slot=2)


async def test_a_topic_made_anew_is_another_log(
    settings: KafkaSettings, log: KafkaLog, admin: AdminClient, monkeypatch: pytest.MonkeyPatch
):
    """Deleted and made again under the same name: reading says so for good, nothing is taken any more."""
    monkeypatch.setattr("veltrix.adapters.kafka.log._CHECK_S", 0.05)
    identity = log.identity
    await asyncio.gather(*(log.append(0, record) for record in records(5)))
    assert len(await values(log)) == 5
    await asyncio.wrap_future(admin.delete_topics([settings.commands])[settings.commands])
    shape = {"partitions": 2, "replication": 1, "min_insync": 1, "reply_partitions": 2}
    while not await prepare_topics(settings, **shape):  # until it is really gone
        pass
    with pytest.raises(Mismatch, match="restore"):
        async with asyncio.timeout(30):
            while True:
                try:
                    await log.read(0, 5, 10, 0.1)
                except Unavailable:  # while there is no topic
                    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await log._watching  # reading may see it before the watch does, which ends then
    with pytest.raises(Mismatch, match="Stop, restore"):
        await log.read(0, 0, 10, 0)
    with pytest.raises(Unavailable, match="Stop, restore"):
        await log.append(0, Record(b"for the old one"))
    with pytest.raises(Mismatch, match=re.escape(identity.topic_id)):
        await KafkaLog.open(settings, topic_id=identity.topic_id)
    again = await KafkaLog.open(settings)
    assert again.identity != identity
    await again.close()


async def test_records_that_were_deleted_are_missed(
    log: KafkaLog, settings: KafkaSettings, admin: AdminClient
):
    """Below the first offset that is left there is nothing to read, and it says why."""
    await asyncio.gather(*(log.append(0, record) for record in records(5)))
    await asyncio.wrap_future(
        next(iter(admin.delete_records([TopicPartition(settings.commands, 0, 3)]).values()))
    )
    assert await log.bounds(0) == (3, 5)
    assert await values(log, 0, 3) == [b"record 3", b"record 4"]
    with pytest.raises(Mismatch, match="holds the offsets 3 to 5, not 2"):
        await log.read(0, 2, 10, 0)


def consumers() -> int:
    """How many threads fetch."""
    return sum(thread.name == "kafka-consumer" for thread in threading.enumerate())


async def test_reading_on_needs_no_broker_and_few_threads(log: KafkaLog):
    """Reads in sequence are served from what was fetched; all partitions share one thread."""
    await asyncio.gather(*(log.append(at % 2, record) for at, record in enumerate(records(400))))
    before = consumers()
    reader = log._reading(0)
    assigned: list[int] = []
    assign = reader._assign

    async def counting(partition: int, offset: int, gaps: int = 0) -> None:
        assigned.append(partition)
        await assign(partition, offset, gaps)

    reader._assign = counting  # type: ignore[method-assign] # counted, and done as before
    for partition in (0, 1):
        for offset in range(0, 200, 10):
            found = await log.read(partition, offset, 10, 0)
            assert [record.offset for record in found] == list(range(offset, offset + 10))
        assert [record.offset for record in await log.read(partition, 190, 5, 0)] == list(range(190, 195))
    assert assigned == [0, 1]
    assert consumers() <= before + 1


async def test_fetching_pauses_while_nobody_reads(log: KafkaLog, monkeypatch: pytest.MonkeyPatch):
    """What is fetched ahead is bounded; a slow reader gets everything, in order, and fetching goes on."""
    monkeypatch.setattr(window, "AHEAD_MAX_RECORDS", 50)
    paused: list[bool] = []
    reader = log._reading(0)
    pause = reader._pause

    def noting(which: Window, *, paused: bool) -> None:
        paused_each.append(paused)
        pause(which, paused=paused)

    paused_each = paused
    monkeypatch.setattr(reader, "_pause", noting)
    expected = [record.value for record in records(2_000)]
    got: list[bytes] = []
    for start in range(0, 2_000, 500):
        await asyncio.gather(*(log.append(0, record) for record in records(500, start)))
        while len(got) < start + 250:
            got += [record.value for record in await log.read(0, len(got), 7, 1)]
    while len(got) < 2_000:
        got += [record.value for record in await log.read(0, len(got), 7, 1)]
    assert got == expected
    assert True in paused and False in paused


async def test_a_full_queue_is_unavailable(log: KafkaLog, monkeypatch: pytest.MonkeyPatch):
    """Past the bound appends are refused at once, surely not appended; those before it go through."""
    monkeypatch.setattr(appending, "QUEUE_MAX_RECORDS", 10)
    results = await asyncio.gather(*(log.append(0, record) for record in records(15)), return_exceptions=True)
    assert [isinstance(result, Unavailable) for result in results] == [False] * 10 + [True] * 5
    assert await values(log) == [record.value for record in records(10)]
    await log.append(0, Record(b"later"))


async def test_a_fatal_error_makes_a_new_producer(log: KafkaLog):
    """librdkafka's producer ends for good: what was under way is unknown, the next append goes through."""
    await log.append(0, Record(b"before"))
    appender = log._appender
    assert appender is not None
    first = appender._client
    fatal = KafkaError(KafkaError._FATAL, "the test says so", fatal=True)
    first._on_error(fatal)
    results = await asyncio.gather(*(log.append(0, record) for record in records(20)), return_exceptions=True)
    assert all(
        not isinstance(result, BaseException) or isinstance(result, OutcomeUnknown) for result in results
    )
    await log.append(0, Record(b"after"))
    assert appender._client is not first
    found = await values(log)
    assert (found[0], found[-1]) == (b"before", b"after")


async def test_another_process_sees_and_wakes(settings: KafkaSettings, log: KafkaLog):
    """Who waits in another process is woken by an append, and the bounds are the same for both."""
    other = await KafkaLog.open(settings, write=False)
    try:
        assert await other.read(0, 0, 10, 0) == []
        waiting = asyncio.create_task(other.read(0, 0, 10, 60))
        appended = await log.append(0, Record(b"now"))
        assert [record.append_ms for record in await waiting] == [appended.append_ms]
        assert await other.bounds(0) == await log.bounds(0) == (0, 1)
        with pytest.raises(Unavailable, match="for reading only"):
            await other.append(0, Record(b"mine"))
    finally:
        await other.close()


def test_a_window_notices_what_is_missing():
    """What follows is taken, what is there already is ignored, and a hole is not read over."""

    def run(*offsets: int) -> list[LogRecord]:
        return [LogRecord(offset, 0, b"%d" % offset) for offset in offsets]

    held = Window(0, 10, 10, 0)
    assert held.take(run(10, 11)) and held.next_offset == 12
    assert held.take(run(10, 11, 12)) and held.next_offset == 13
    assert held.take(run(11)) and held.next_offset == 13
    assert not held.take(run(14)) and held.next_offset == 13
    assert not held.take(run(13, 15)) and held.next_offset == 14
    assert [record.offset for record in held.page(10, 10)[0]] == [10, 11, 12, 13]
    assert held.holds(14) and not held.holds(15) and not held.holds(9)


async def test_facts_reach_other_processes(settings: KafkaSettings):
    """What one process publishes, another one's subscribers get as whole batches, as it was."""
    publisher = await KafkaFeed.open(settings, listen=False)
    listener = await KafkaFeed.open(settings)
    try:
        batches = listener.subscribe()
        await publisher.publish(1, [fact(1), fact(2)], 5)
        await publisher.publish(1, [], 9)
        first, second = await take(batches, 2)
        assert (first.partition, list(first.facts), first.next_offset) == (1, [fact(1), fact(2)], 5)
        assert (second.partition, list(second.facts), second.next_offset) == (1, [], 9)
        await listener.close()
        with pytest.raises(StopAsyncIteration):
            await anext(batches)
        await publisher.close()
        with pytest.raises(Unavailable):
            await publisher.publish(1, [fact(3)], 10)
    finally:
        await listener.close()
        await publisher.close()


async def test_replies_to_an_earlier_incarnation_are_ignored(kafka_broker: str, tmp_path: Path):
    """Who takes a slot over does not get what was meant for whoever had it before."""
    earlier = await kafka_replies(tmp_path, engine=kafka_broker)
    address = earlier.address
    await earlier.close()
    later = await kafka_replies(tmp_path, engine=kafka_broker)
    sender = await KafkaReplies.open(settings_for(tmp_path, kafka_broker), slot=None)
    try:
        assert later.address.split(".")[0] == address.split(".")[0] == "1"
        listener = Listener()
        later.listen(listener)
        sender.send(address, [reply(1)])
        sender.send(later.address, [reply(2)])
        assert await listener.has(1) == [reply(2)]
        sender.send(later.address, [reply(3)])
        assert await listener.has(2) == [reply(2), reply(3)]
    finally:
        await sender.close()
        await later.close()
    later.send(address, [reply(4)])


def test_clients_are_told_how_to_be_trusted(tmp_path: Path):
    """Files and credentials go to librdkafka only where the security asks for them; no secret is shown."""
    plain = KafkaSettings(("one:9092", "two:9092"), username="me", password="hidden", ca_file=tmp_path / "ca")
    assert "hidden" not in repr(plain)
    config = client(plain)
    assert config["bootstrap.servers"] == "one:9092,two:9092"
    assert config["security.protocol"] == "PLAINTEXT"
    assert not any(name.startswith(("sasl.", "ssl.")) for name in config)
    full = KafkaSettings(
        ("one:9092",),
        "sasl+tls",
        username="me",
        password="hidden",
        ca_file=tmp_path / "ca",
        certificate_file=tmp_path / "certificate",
        key_file=tmp_path / "key",
    )
    wanted = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "hidden",
        "ssl.ca.location": str(tmp_path / "ca"),
        "ssl.certificate.location": str(tmp_path / "certificate"),
        "ssl.key.location": str(tmp_path / "key"),
    }
    told = client(full)
    assert {name: told.get(name) for name in wanted} == wanted
    assert consumer(full)["auto.offset.reset"] == "error"
