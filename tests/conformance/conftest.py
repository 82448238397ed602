"""One fixture a port: each test runs once for every adapter in the registry."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.adapters import (
    ACCESS,
    CHANNELS,
    CLUSTER_SETTINGS,
    COORDINATORS,
    DELIVERIES,
    FEEDS,
    LEDGERS,
    LOGS,
    NOTICES,
    OUTREACH,
    REPLIES,
    VAULTS,
    Entry,
    HandClock,
    Subject,
    WholeLedger,
    WholeNotices,
    opened,
    params,
)
from tests.conformance.on_simulation import ENGINE, Worlds, simulated_loop
from veltrix.ports.access import Access
from veltrix.ports.channel import Channel
from veltrix.ports.coordinator import Coordinator
from veltrix.ports.feed import Feed, Replies
from veltrix.ports.log import Log
from veltrix.ports.notices import Notices
from veltrix.ports.outreach import Outreach
from veltrix.ports.settings import ClusterSettings
from veltrix.ports.vault import Vault


@pytest.fixture
def _asyncio_loop_factory(request: pytest.FixtureRequest) -> Callable[[], AbstractEventLoop] | None:
    """The loop of a test: the simulated one where its adapter is, asyncio's own for all others.

    pytest-asyncio's own hook would run every test on every loop; this is the fixture that the hook sets.
    """
    given: dict[str, Any] = getattr(getattr(request.node, "callspec", None), "params", {})
    simulated = any(isinstance(value, Entry) and value.engine == ENGINE for value in given.values())
    return simulated_loop if simulated else None


@pytest.fixture
def simulated_engines() -> Worlds:
    """The simulated engines of one test, by directory."""
    return {}


@pytest.fixture
def clock() -> HandClock:
    """A clock that stands still until the test moves it."""
    return HandClock()


@pytest.fixture(params=params(LOGS))
async def log(request, tmp_path: Path, clock: HandClock) -> AsyncIterator[Subject[Log]]:
    """A log of two partitions."""
    subject = await opened(request, tmp_path, partitions=2, clock=clock)
    yield subject
    await subject.close()


@pytest.fixture(params=params(LOGS, lasting=True))
async def lasting_log(request, tmp_path: Path) -> AsyncIterator[Subject[Log]]:
    """A log of two partitions that outlives a close."""
    subject = await opened(request, tmp_path, partitions=2)
    yield subject
    await subject.close()


@pytest.fixture(params=params(LEDGERS))
async def ledger(request, tmp_path: Path, clock: HandClock) -> AsyncIterator[Subject[WholeLedger]]:
    """A ledger."""
    subject = await opened(request, tmp_path, clock=clock)
    yield subject
    await subject.close()


@pytest.fixture(params=params(LEDGERS, lasting=True))
async def lasting_ledger(request, tmp_path: Path) -> AsyncIterator[Subject[WholeLedger]]:
    """A ledger that outlives a close."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(VAULTS))
async def vault(request, tmp_path: Path) -> AsyncIterator[Subject[Vault]]:
    """A vault."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(VAULTS, lasting=True))
async def lasting_vault(request, tmp_path: Path) -> AsyncIterator[Subject[Vault]]:
    """A vault that outlives a close."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(COORDINATORS))
async def coordinator(request, tmp_path: Path) -> AsyncIterator[Subject[Coordinator]]:
    """A coordinator."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(CLUSTER_SETTINGS))
async def cluster_settings(request, tmp_path: Path) -> AsyncIterator[Subject[ClusterSettings]]:
    """The settings of a cluster."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(COORDINATORS, lasting=True))
async def lasting_coordinator(request, tmp_path: Path) -> AsyncIterator[Subject[Coordinator]]:
    """A coordinator whose terms outlive a close."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(NOTICES))
async def notices(request, tmp_path: Path) -> AsyncIterator[Subject[Notices]]:
    """A store of notices."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(NOTICES, lasting=True))
async def lasting_notices(request, tmp_path: Path) -> AsyncIterator[Subject[Notices]]:
    """A store of notices that outlives a close."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(DELIVERIES))
async def deliveries(request, tmp_path: Path) -> AsyncIterator[Subject[WholeNotices]]:
    """A store of notices, as operators have it too."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(DELIVERIES, lasting=True))
async def lasting_deliveries(request, tmp_path: Path) -> AsyncIterator[Subject[WholeNotices]]:
    """The same, outliving a close."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(OUTREACH))
async def outreach(request, tmp_path: Path) -> AsyncIterator[Subject[Outreach]]:
    """A store of what organizers chose."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(OUTREACH, lasting=True))
async def lasting_outreach(request, tmp_path: Path) -> AsyncIterator[Subject[Outreach]]:
    """The same, outliving a close."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(ACCESS))
async def access(request, tmp_path: Path) -> AsyncIterator[Subject[Access]]:
    """A store of API keys."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(ACCESS, lasting=True))
async def lasting_access(request, tmp_path: Path) -> AsyncIterator[Subject[Access]]:
    """A store of API keys that outlives a close."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(CHANNELS))
async def channel(request, tmp_path: Path) -> AsyncIterator[Subject[Channel]]:
    """A channel that carries mail, and whose other side accepts it."""
    subject = await opened(request, tmp_path)
    yield subject
    await subject.close()


@pytest.fixture(params=params(FEEDS))
async def feed(request, tmp_path: Path) -> AsyncIterator[Feed]:
    """A feed."""
    subject = await opened(request, tmp_path)
    yield subject.it
    await subject.close()


@pytest.fixture(params=params(REPLIES))
async def replies(request, tmp_path: Path) -> AsyncIterator[Replies]:
    """The way back."""
    subject = await opened(request, tmp_path)
    yield subject.it
    await subject.close()
