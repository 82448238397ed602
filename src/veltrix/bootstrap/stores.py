"""What commands open beside a running platform: the stores of the data directory, or those of the cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from veltrix.adapters.generations import renumbered
from veltrix.adapters.sqlite import SqliteAccess, SqliteLedger, SqliteLog
from veltrix.audit import AuditReport
from veltrix.audit import audit as run_audit
from veltrix.bootstrap.extra import require_extra
from veltrix.config import Config
from veltrix.ports.access import Access


async def audit(config: Config, progress: Callable[[int, int], None]) -> AuditReport:
    """Audit the data directory of `config`, or its cluster; a running platform may be using it."""
    async with AsyncExitStack() as stack:
        if config.clustered:
            require_extra()
            from veltrix.bootstrap.engines import opened_for_audit

            return await run_audit(*await opened_for_audit(config, stack), progress)
        directory = config.data.directory
        log = await SqliteLog.open(directory / "log.db", read_only=True)
        stack.push_async_callback(log.close)
        ledger = await SqliteLedger.open(directory / "ledger.db", read_only=True)
        stack.push_async_callback(ledger.close)
        return await run_audit(renumbered(log), ledger, progress)


@asynccontextmanager
async def api_keys(config: Config) -> AsyncIterator[Access]:
    """The store of API keys, which a running platform may be using too."""
    async with AsyncExitStack() as stack:
        if config.clustered:
            require_extra()
            from veltrix.bootstrap.engines import opened_api_keys

            yield await opened_api_keys(config, stack)
            return
        config.data.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        access = await SqliteAccess.open(config.data.directory / "access.db")
        stack.push_async_callback(access.close)
        yield access
