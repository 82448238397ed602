"""What can be seen of Kafka's brokers from outside: plain data, to be judged elsewhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from veltrix.adapters.kafka.errors import error_of
from veltrix.adapters.kafka.settings import KafkaSettings, client
from veltrix.adapters.kafka.topics import Inspection, inspect_topics
from veltrix.ports.errors import Mismatch, PortError

_CRITICAL: Final = 2  # nobody polls an admin client's log, and what fails is told


@dataclass(frozen=True, slots=True)
class Node:
    """A broker: where the cluster says it is, whether something answers there, and its configuration.

    `settings` is empty where the broker did not tell them; `error` says why, or why it is not reached.
    """

    id: int
    address: str
    error: str = ""
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What `inspect_kafka` found. `silent` are the bootstrap servers that nobody answers at, with why."""

    error: str = ""
    topics: Inspection | None = None
    nodes: tuple[Node, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()


async def inspect_kafka(settings: KafkaSettings, timeout_s: float) -> Cluster:
    """Look at the cluster, its topics and each broker, at most so long for each of these two steps."""
    silent = tuple(
        (address, why) for address, why in await _reached(settings.bootstrap_servers, timeout_s / 2) if why
    )
    if len(silent) == len(settings.bootstrap_servers):
        return Cluster(error="; ".join(f"{address}: {why}" for address, why in silent), silent=silent)
    try:
        async with asyncio.timeout(timeout_s):
            topics = await inspect_topics(settings)
    except TimeoutError:
        return Cluster(error="the brokers did not answer in time", silent=silent)
    except (PortError, Mismatch, KafkaException, ValueError) as error:
        return Cluster(error=str(error), silent=silent)
    ids = [broker.id for broker in topics.brokers]
    addresses = [f"{broker.host}:{broker.port}" for broker in topics.brokers]
    reached = await _reached(addresses, timeout_s / 2)
    admin = AdminClient(client(settings) | {"log_level": _CRITICAL})
    nodes = await asyncio.gather(
        *(
            _node(admin, id_, address, why, timeout_s)
            for id_, (address, why) in zip(ids, reached, strict=True)
        )
    )
    return Cluster("", topics, tuple(nodes), silent)


async def _node(admin: AdminClient, id_: int, address: str, why: str, timeout_s: float) -> Node:
    if why:
        return Node(id_, address, why)
    resource = ConfigResource(ResourceType.BROKER, str(id_))
    try:
        async with asyncio.timeout(timeout_s):
            asked = admin.describe_configs([resource], request_timeout=timeout_s)[resource]
            found = await asyncio.wrap_future(asked)
    except TimeoutError:
        return Node(id_, address, "did not answer in time")
    except KafkaException as exception:
        return Node(id_, address, error_of(exception).str())
    return Node(id_, address, "", {name: str(entry.value) for name, entry in found.items()})


async def _reached(addresses: Iterable[str], timeout_s: float) -> list[tuple[str, str]]:
    """Each address with why nothing accepts connections there; an empty text where something does."""
    chosen = list(addresses)
    return list(zip(chosen, await asyncio.gather(*(_knock(each, timeout_s) for each in chosen)), strict=True))


async def _knock(address: str, timeout_s: float) -> str:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        return "did not answer in time"
    except OSError as error:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    except ValueError as error:
        return str(error)
    writer.close()
    return ""
