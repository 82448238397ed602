"""How to reach Kafka, and what librdkafka is told about it.

The time-outs are those with which a broker that died or was cut off is noticed in a few seconds; what is
not set here is librdkafka's default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from veltrix.adapters.kafka.figures import KafkaMeters
from veltrix.domain import limits

MESSAGE_MAX_BYTES: Final = limits.READ_BATCH_MAX_BYTES + 64 * 1024
"""A record's value of the largest size, with its headers and Kafka's framing."""
READ_AHEAD_KIB: Final = 16 * 1024

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Brokers, how to be trusted by them, and names. `delivery_timeout_s` bounds an append."""

    bootstrap_servers: tuple[str, ...]
    security: Literal["plaintext", "tls", "sasl", "sasl+tls"] = "plaintext"
    mechanism: str = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    topic_prefix: str = "veltrix"
    client_id: str = "veltrix"
    delivery_timeout_s: float = 10.0
    meters: KafkaMeters | None = field(default=None, repr=False, compare=False)
    """Who wants to know what the clients say of themselves."""

    @property
    def commands(self) -> str:
        """The topic of commands: the log."""
        return f"{self.topic_prefix}.commands"

    @property
    def facts(self) -> str:
        """The topic of published facts."""
        return f"{self.topic_prefix}.facts"

    @property
    def replies(self) -> str:
        """The topic of replies, a partition for each slot."""
        return f"{self.topic_prefix}.replies"


_PROTOCOLS: Final = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl": "SASL_PLAINTEXT", "sasl+tls": "SASL_SSL"}
_NOTICED_MS: Final = 3_000


def client(settings: KafkaSettings) -> Config:
    """What every client is told: where, who, and how soon a silent broker is given up."""
    config: Config = {
        "bootstrap.servers": ",".join(settings.bootstrap_servers),
        "client.id": settings.client_id,
        "security.protocol": _PROTOCOLS[settings.security],
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        "socket.timeout.ms": _NOTICED_MS,
        "socket.connection.setup.timeout.ms": 2_000,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        "retry.backoff.ms": 50,
        "retry.backoff.max.ms": 250,
        "topic.metadata.refresh.interval.ms": 30_000,
        "topic.metadata.refresh.fast.interval.ms": 100,
        "allow.auto.create.topics": False,
        "enable.metrics.push": False,
        "log.connection.close": False,
    }
    if "sasl" in settings.security:
        config |= {
            "sasl.mechanism": settings.mechanism,
            "sasl.username": settings.username or "",
            "sasl.password": settings.password or "",
        }
    if "tls" in settings.security:
        files = {
            "ssl.ca.location": settings.ca_file,
            "ssl.certificate.location": settings.certificate_file,
            "ssl.key.location": settings.key_file,
        }
        config |= {name: str(path) for name, path in files.items() if path is not None}
    return config


def durable_producer(settings: KafkaSettings) -> Config:
    """A producer whose acknowledgement means: on every in-sync replica, once, in order."""
    return client(settings) | {
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": max(1, round(settings.delivery_timeout_s * 1000)),
        "message.max.bytes": MESSAGE_MAX_BYTES,
        "linger.ms": 0,  # `sending` gathers records by itself, and only while others are under way
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 128 * 1024,
    }


def hasty_producer(settings: KafkaSettings) -> Config:
    """A producer of hints: what one replica has is sent, what cannot be sent soon is dropped."""
    return client(settings) | {
        "acks": 1,
        "message.timeout.ms": 2_000,
        "message.max.bytes": MESSAGE_MAX_BYTES,
        "linger.ms": 0,
        "queue.buffering.max.messages": 20_000,
        "queue.buffering.max.kbytes": 64 * 1024,
    }


def consumer(settings: KafkaSettings) -> Config:
    """A consumer of partitions that it is told of: no group, no commits, no guess where to begin."""
    return client(settings) | {
        "group.id": f"{settings.client_id}-no-group",  # librdkafka wants a name; nothing joins or commits
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_uncommitted",  # nobody writes transactions: the end is the high watermark
        "enable.partition.eof": False,
        "fetch.wait.max.ms": 100,  # an assignment waits for the fetch that is under way
        "fetch.min.bytes": 1,
        "fetch.message.max.bytes": limits.READ_BATCH_MAX_BYTES,
        "fetch.max.bytes": 4 * limits.READ_BATCH_MAX_BYTES,
        "receive.message.max.bytes": 8 * limits.READ_BATCH_MAX_BYTES,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": READ_AHEAD_KIB,
        "fetch.error.backoff.ms": 50,
        "fetch.queue.backoff.ms": 10,
    }


def tailing_consumer(settings: KafkaSettings) -> Config:
    """A consumer of hints: where its place is lost it goes on at the end."""
    return consumer(settings) | {"auto.offset.reset": "latest", "fetch.wait.max.ms": 500}
