"""What tests of moves and restores share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.running import Platform
from tests.engines import PostgresServer
from tests.moving.prepared import Cluster, clusters


@pytest.fixture
async def cluster(
    tmp_path: Path, kafka_broker: str, postgres_server: PostgresServer, etcd_server: str
) -> AsyncIterator[Cluster]:
    """A prepared cluster that nobody has used."""
    async with clusters(tmp_path / "cluster", kafka_broker, postgres_server, etcd_server) as made:
        yield made


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """An embedded platform that runs, stopped at the end whatever happened."""
    running = Platform(tmp_path / "data")
    await running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.returncode is None:
            await running.stop()
