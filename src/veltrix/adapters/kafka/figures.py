"""What librdkafka's clients say of themselves every few seconds, reduced to what an operator looks at.

https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import msgspec

from veltrix.ports.figures import BrokerFigures, ClientFigures

INTERVAL_MS: Final = 5_000
Tell = Callable[[ClientFigures], None]


class KafkaMeters(Protocol):
    """Called on the event loop; must not block and must not raise."""

    def kafka_client(self, client: str, figures: ClientFigures) -> None:
        """What one client of this process says of itself."""
        ...


class _Window(msgspec.Struct):
    """Round trips in µs, over the time since the last figures."""

    p50: int = 0
    max: int = 0
    cnt: int = 0


class _Broker(msgspec.Struct):
    nodeid: int = -1
    state: str = ""
    txerrs: int = 0
    rxerrs: int = 0
    txretries: int = 0
    req_timeouts: int = 0
    rtt: _Window = msgspec.field(default_factory=_Window)


class _Statistics(msgspec.Struct):
    msg_cnt: int = 0
    msg_size: int = 0
    txmsgs: int = 0
    tx_bytes: int = 0
    rxmsgs: int = 0
    rx_bytes: int = 0
    brokers: dict[str, _Broker] = {}


_decode = msgspec.json.Decoder(_Statistics).decode
_US: Final = 1_000_000


def figures_of(text: str) -> ClientFigures:
    """The figures in a document of librdkafka's. Brokers are named by their number; addresses that are only
    there to begin with are left out."""
    found = _decode(text)
    brokers = {
        str(broker.nodeid): BrokerFigures(
            broker.state == "UP",
            broker.rtt.p50 / _US,
            broker.rtt.max / _US,
            broker.txerrs + broker.rxerrs,
            broker.req_timeouts,
            broker.txretries,
        )
        for broker in found.brokers.values()
        if broker.nodeid >= 0
    }
    return ClientFigures(
        found.msg_cnt,
        found.msg_size,
        found.txmsgs,
        found.tx_bytes,
        found.rxmsgs,
        found.rx_bytes,
        brokers,
    )


def tell_of(meters: KafkaMeters | None, client: str) -> Tell | None:
    """What to call with the figures of this client; None when nobody wants them."""
    return None if meters is None else partial(meters.kafka_client, client)
