"""What commands open beside a running platform: the stores of the data directory, or those of the cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from veltrix.adapters.generations import renumbered
from veltrix.adapters.master_key import derive, read_master_key
from veltrix.adapters.sqlite import SqliteAccess, SqliteLedger, SqliteLog, SqliteNotices
from veltrix.audit import AuditReport
from veltrix.audit import audit as run_audit
from veltrix.bootstrap.extra import require_extra
from veltrix.config import Config
from veltrix.domain.credentials import Signer
from veltrix.ports.access import Access
from veltrix.ports.deliveries import Deliveries
from veltrix.ports.log import Log
from veltrix.ports.queries import Queries


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
async def opened_paths(config: Config) -> AsyncIterator[tuple[Log, Queries, Deliveries, Signer]]:
    """What the path of a registration is read from, and who reads links and tokens."""
    async with AsyncExitStack() as stack:
        if config.clustered:
            require_extra()
            from veltrix.adapters.postgres import PostgresNotices
            from veltrix.bootstrap.engines import AUDIT_ROLE, opened_for_audit, opened_postgres, shared_signer

            log, ledger = await opened_for_audit(config, stack)
            postgres = await opened_postgres(config, "veltrix-trace", AUDIT_ROLE, stack)
            yield log, ledger, PostgresNotices(postgres), shared_signer(config)
            return
        directory = config.data.directory
        own = await SqliteLog.open(directory / "log.db", read_only=True)
        stack.push_async_callback(own.close)
        read = await SqliteLedger.open(directory / "ledger.db", read_only=True)
        stack.push_async_callback(read.close)
        notices = await SqliteNotices.open(directory / "notices.db")
        stack.push_async_callback(notices.close)
        signer = Signer(derive(read_master_key(config.secrets.master_key_file), "links"))
        yield renumbered(own), read, notices, signer


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
