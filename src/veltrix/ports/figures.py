"""What the clients of engines tell about themselves, as figures; observability makes metrics of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class BrokerFigures(NamedTuple):
    """A broker as one client of Kafka sees it. Counts are since the client began; times in seconds."""

    up: bool
    rtt_s: float
    rtt_max_s: float
    errors: int
    timeouts: int
    retries: int


class ClientFigures(NamedTuple):
    """A client of Kafka: what waits in it, what it has moved, and its brokers by name."""

    queue_messages: int
    queue_bytes: int
    sent_messages: int
    sent_bytes: int
    received_messages: int
    received_bytes: int
    brokers: Mapping[str, BrokerFigures]


class PoolFigures(NamedTuple):
    """A pool of connections as it is now."""

    in_use: int
    idle: int
    waiting: int
    failovers: int
