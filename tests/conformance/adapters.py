"""The adapters of each port. A new adapter is one entry here, and every test of its port asks it too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pytest

from tests.conformance.on_etcd import etcd_coordinator, etcd_settings
from tests.conformance.on_kafka import kafka_feed, kafka_log, kafka_replies
from tests.conformance.on_postgres import (
    postgres_access,
    postgres_ledger,
    postgres_notices,
    postgres_outreach,
    postgres_vault,
)
from tests.conformance.on_simulation import (
    ENGINE,
    simulated_coordinator,
    simulated_feed,
    simulated_ledger,
    simulated_log,
    simulated_notices,
    simulated_replies,
    simulated_vault,
)
from tests.conformance.served_smtp import ServedSmtp
from veltrix.adapters.memory import (
    MemoryAccess,
    MemoryClusterSettings,
    MemoryCoordinator,
    MemoryFeed,
    MemoryLedger,
    MemoryLog,
    MemoryMailbox,
    MemoryNotices,
    MemoryOutreach,
    MemoryReplies,
    MemorySettingsStore,
    MemoryVault,
)
from veltrix.adapters.spool import Spool
from veltrix.adapters.sqlite import (
    SqliteAccess,
    SqliteCoordinator,
    SqliteLedger,
    SqliteLog,
    SqliteNotices,
    SqliteOutreach,
    SqliteVault,
)
from veltrix.ports.access import Access
from veltrix.ports.channel import Channel
from veltrix.ports.coordinator import Coordinator
from veltrix.ports.deliveries import Deliveries
from veltrix.ports.feed import Feed, Replies
from veltrix.ports.fulfilment import Fulfilment
from veltrix.ports.ledger import Ledger, LedgerRows
from veltrix.ports.log import Log
from veltrix.ports.notices import Notices
from veltrix.ports.outreach import Outreach
from veltrix.ports.queries import Queries
from veltrix.ports.settings import ClusterSettings
from veltrix.ports.vault import Vault


class Closable(Protocol):
    """Whatever an adapter is besides."""

    async def close(self) -> None:
        """Close."""


class ClosableFeed(Feed, Closable, Protocol):
    """A feed that may hold connections."""


class ClosableReplies(Replies, Closable, Protocol):
    """A way back that may hold connections."""


class WholeLedger(Ledger, Queries, LedgerRows, Protocol):
    """The three views of one ledger, as each adapter has them."""


class WholeNotices(Notices, Deliveries, Fulfilment, Protocol):
    """The three views of notification's store, as each adapter has them."""


Port = TypeVar("Port", bound=Closable)


@dataclass(frozen=True)
class Entry(Generic[Port]):
    """How to open an adapter in a directory, and whether its state outlives a close.

    `engine` names a fixture of tests/engines.py, asked for only when a test needs the adapter; `open` then
    gets its value as the option `engine`. All tests of a run share an engine: what the adapter makes there
    has a name of its own, derived from the directory, which is the same at each reopening.
    `own_clock`: append times are its engine's, not those of the test's clock.
    """

    open: Callable[..., Awaitable[Port]]
    lasting: bool = False
    engine: str = ""
    own_clock: bool = False

    def options(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        """What `open` needs besides a test's own options; skips the test where the engine cannot be had."""
        return {"engine": request.getfixturevalue(self.engine)} if self.engine else {}


@dataclass
class Subject(Generic[Port]):
    """An open adapter under test, and how to open it again."""

    entry: Entry[Port]
    directory: Path
    options: dict[str, Any]
    it: Port
    _opened: list[Port] = field(default_factory=list)

    @classmethod
    async def open(cls, entry: Entry[Port], directory: Path, **options: Any) -> Subject[Port]:
        """Open the adapter; `options` go to each opening."""
        return cls(entry, directory, options, await entry.open(directory, **options))

    async def reopen(self, **options: Any) -> Port:
        """Close it and open it again on what it left."""
        await self.it.close()
        self.it = await self.entry.open(self.directory, **(self.options | options))
        return self.it

    async def another(self) -> Port:
        """A second instance on the same state, as another process would have it."""
        opened = await self.entry.open(self.directory, **self.options)
        self._opened.append(opened)
        return opened

    async def close(self) -> None:
        """Close all."""
        for opened in (self.it, *self._opened):
            await opened.close()


async def opened(request: pytest.FixtureRequest, directory: Path, **options: Any) -> Subject[Any]:
    """The adapter that a parametrized fixture asks for."""
    entry: Entry[Any] = request.param
    return await Subject.open(entry, directory, **entry.options(request), **options)


def params(registry: dict[str, Entry[Any]], *, lasting: bool = False) -> list[Any]:
    """The entries as parameters of a fixture; on request only those whose state outlives a close."""
    return [pytest.param(entry, id=name) for name, entry in registry.items() if entry.lasting or not lasting]


@dataclass
class HandClock:
    """A clock that a test moves by hand."""

    ms: int = 1_800_000_000_000

    def now_ms(self) -> int:
        """What the test says."""
        return self.ms

    def monotonic_s(self) -> float:
        """The same in seconds."""
        return self.ms / 1000


def _in_memory(make: Callable[..., Port]) -> Entry[Port]:
    async def open_it(_: Path, **options: Any) -> Port:
        return make(**options)

    return Entry(open_it)


def _in_file(open_it: Callable[..., Awaitable[Port]], name: str) -> Entry[Port]:
    async def open_file(directory: Path, **options: Any) -> Port:
        return await open_it(directory / name, **options)

    return Entry(open_file, lasting=True)


LOGS: dict[str, Entry[Log]] = {
    "memory": _in_memory(MemoryLog),
    "sqlite": _in_file(SqliteLog.open, "log.db"),
    "kafka": Entry(kafka_log, lasting=True, engine="kafka_broker", own_clock=True),
    "simulated": Entry(simulated_log, lasting=True, engine=ENGINE),
}
LEDGERS: dict[str, Entry[WholeLedger]] = {
    "memory": _in_memory(MemoryLedger),
    "sqlite": _in_file(SqliteLedger.open, "ledger.db"),
    "postgres": Entry(postgres_ledger, lasting=True, engine="postgres_server"),
    "simulated": Entry(simulated_ledger, lasting=True, engine=ENGINE),
}
VAULTS: dict[str, Entry[Vault]] = {
    "memory": _in_memory(MemoryVault),
    "sqlite": _in_file(SqliteVault.open, "vault.db"),
    "postgres": Entry(postgres_vault, lasting=True, engine="postgres_server"),
    "simulated": Entry(simulated_vault, lasting=True, engine=ENGINE),
}
COORDINATORS: dict[str, Entry[Coordinator]] = {
    "memory": _in_memory(MemoryCoordinator),
    "sqlite": _in_file(SqliteCoordinator.open, "coordinator.db"),
    "etcd": Entry(etcd_coordinator, lasting=True, engine="etcd_server"),
    "simulated": Entry(simulated_coordinator, lasting=True, engine=ENGINE),
}
_stores: dict[Path, MemorySettingsStore] = {}


async def _memory_settings(directory: Path) -> ClusterSettings:
    return MemoryClusterSettings(_stores.setdefault(directory, MemorySettingsStore()))


CLUSTER_SETTINGS: dict[str, Entry[ClusterSettings]] = {
    "memory": Entry(_memory_settings),
    "etcd": Entry(etcd_settings, engine="etcd_server"),
}
NOTICES: dict[str, Entry[Notices]] = {
    "memory": _in_memory(MemoryNotices),
    "sqlite": _in_file(SqliteNotices.open, "notices.db"),
    "postgres": Entry(postgres_notices, lasting=True, engine="postgres_server"),
    "simulated": Entry(simulated_notices, lasting=True, engine=ENGINE),
}
DELIVERIES: dict[str, Entry[WholeNotices]] = {
    "memory": _in_memory(MemoryNotices),
    "sqlite": _in_file(SqliteNotices.open, "notices.db"),
    "postgres": Entry(postgres_notices, lasting=True, engine="postgres_server"),
}
OUTREACH: dict[str, Entry[Outreach]] = {
    "memory": _in_memory(MemoryOutreach),
    "sqlite": _in_file(SqliteOutreach.open, "outreach.db"),
    "postgres": Entry(postgres_outreach, lasting=True, engine="postgres_server"),
}
ACCESS: dict[str, Entry[Access]] = {
    "memory": _in_memory(MemoryAccess),
    "sqlite": _in_file(SqliteAccess.open, "access.db"),
    "postgres": Entry(postgres_access, lasting=True, engine="postgres_server"),
}


async def _spool(directory: Path) -> Channel:
    return Spool(directory / "spool")


async def _synced_spool(directory: Path) -> Channel:
    return Spool(directory / "spool", sync=True)


CHANNELS: dict[str, Entry[Channel]] = {
    "memory": _in_memory(MemoryMailbox),
    "spool": Entry(_spool),
    "spool, synced": Entry(_synced_spool),
    "smtp": Entry(ServedSmtp.open),
}


class _OpenFeed(MemoryFeed):
    async def close(self) -> None:
        pass


class _OpenReplies(MemoryReplies):
    async def close(self) -> None:
        pass


FEEDS: dict[str, Entry[ClosableFeed]] = {
    "memory": _in_memory(_OpenFeed),
    "kafka": Entry(kafka_feed, engine="kafka_broker"),
    "simulated": Entry(simulated_feed, engine=ENGINE),
}
REPLIES: dict[str, Entry[ClosableReplies]] = {
    "memory": _in_memory(_OpenReplies),
    "kafka": Entry(kafka_replies, engine="kafka_broker"),
    "simulated": Entry(simulated_replies, engine=ENGINE),
}
