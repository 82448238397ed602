"""How far a partition reaches, when the leader that a client knows is silent."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from veltrix.adapters.kafka import KafkaSettings, topics
from veltrix.ports.errors import Unavailable


class _Client:
    """Knows a leader from when it was made, as a consumer of librdkafka does: `silent` ones never answer."""

    made: list[_Client]
    silent: int

    def __init__(self, config: dict[str, Any]) -> None:
        self.number = len(self.made)
        self.made.append(self)

    def get_watermark_offsets(self, partition: Any, timeout: float) -> tuple[int, int]:
        if self.number < self.silent:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 3, 7


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> type[_Client]:
    """Clients that are made from now on."""

    class Made(_Client):
        made: list[_Client] = []  # noqa: RUF012 - a class a test
        silent = 0

    monkeypatch.setattr(topics, "Consumer", Made)
    return Made


async def test_a_silent_leader_is_looked_for_anew(clients: type[_Client]) -> None:
    """Metadata stay as they are while a leader is silent, so the client that has them is replaced at once."""
    clients.silent = 1
    admin = topics.Admin(KafkaSettings(("127.0.0.1:1",)))
    assert await admin.offsets("veltrix.commands", [0, 1], end=True) == {0: 7, 1: 7}
    assert len(clients.made) == 2, "the second client is kept"


async def test_who_gets_no_answer_twice_is_told(clients: type[_Client]) -> None:
    """Two silent leaders are an outage, and what comes after it begins with a new client."""
    clients.silent = 2
    admin = topics.Admin(KafkaSettings(("127.0.0.1:1",)))
    with pytest.raises(Unavailable):
        await admin.offsets("veltrix.commands", [0], end=True)
    assert await admin.offsets("veltrix.commands", [0], end=False) == {0: 3}
