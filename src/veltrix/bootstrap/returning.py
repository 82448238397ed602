"""What takes reports of mail that came back, beside a running platform."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from veltrix.adapters.master_key import derive, read_master_key
from veltrix.adapters.sqlite import SqliteLedger, SqliteVault
from veltrix.adapters.system import SystemClock
from veltrix.bootstrap.extra import require_extra
from veltrix.bootstrap.telling import opened_telling
from veltrix.config import Config
from veltrix.domain.credentials import Signer
from veltrix.ports.queries import Queries
from veltrix.ports.vault import Vault
from veltrix.registration.returns import Returns
from veltrix.registration.suppressions import SuppressionBook
from veltrix.registration.telling import Telling
from veltrix.sealing import AddressHashes


def links_signer(config: Config) -> Signer:
    """Makes what a running platform of this configuration makes: links, tokens, hashes of addresses."""
    if config.clustered:
        from veltrix.bootstrap.engines import shared_signer

        return shared_signer(config)
    return Signer(derive(read_master_key(config.secrets.master_key_file), "links"))


def suppression_book(config: Config, telling: Telling) -> SuppressionBook:
    """Suppressions as the API keeps them."""
    return SuppressionBook(telling, AddressHashes.under(links_signer(config).secret), SystemClock())


@asynccontextmanager
async def opened_returns(config: Config) -> AsyncIterator[Returns]:
    """Takes reports into the stores, which a running platform may be using too."""
    async with AsyncExitStack() as stack:
        telling = await stack.enter_async_context(opened_telling(config))
        queries, vault = await _sources(config, stack)
        signer = links_signer(config)
        yield Returns(
            telling.outreach,
            telling.deliveries,
            queries,
            vault,
            signer,
            AddressHashes.under(signer.secret),
            SystemClock(),
        )


async def _sources(config: Config, stack: AsyncExitStack) -> tuple[Queries, Vault]:
    """Where registrations and the keys of their boxes are read."""
    if config.clustered:
        require_extra()
        from veltrix.adapters.postgres import PostgresLedger, PostgresVault
        from veltrix.bootstrap.engines import REGISTRATION_ROLE, opened_postgres

        name = "veltrix-bounce"
        postgres = await opened_postgres(config, name, REGISTRATION_ROLE, stack)
        return PostgresLedger(postgres), PostgresVault(
            await opened_postgres(config, name, REGISTRATION_ROLE, stack, vault=True)
        )
    directory = config.data.directory
    ledger = await SqliteLedger.open(directory / "ledger.db", read_only=True)
    stack.push_async_callback(ledger.close)
    vault = await SqliteVault.open(directory / "vault.db")
    stack.push_async_callback(vault.close)
    return ledger, vault
