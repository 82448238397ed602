"""What lets organizers choose, and operators see, how people and systems are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from veltrix.adapters.master_key import derive, read_master_key
from veltrix.adapters.sqlite import SqliteNotices, SqliteOutreach
from veltrix.adapters.webhook import WebhookDestinations, WebhookPoster
from veltrix.bootstrap.extra import require_extra
from veltrix.config import Config
from veltrix.notification.proofs import LetterProofs
from veltrix.notification.reach import Reach
from veltrix.notification.settings import NotificationSettings
from veltrix.notification.texts import shared_texts
from veltrix.ports.deliveries import Deliveries
from veltrix.ports.outreach import Outreach
from veltrix.registration.telling import Telling

if TYPE_CHECKING:
    from veltrix.adapters.postgres import PostgresNotices  # the base install has no asyncpg


def secret_key(config: Config) -> bytes:
    """The key under which registration seals what organizers entrust, and notification opens it."""
    return derive(read_master_key(config.secrets.master_key_file), "outreach")


def destinations_of(config: Config) -> WebhookDestinations:
    """Judges URLs as the deployment has it."""
    return WebhookDestinations(config.webhooks.allow_networks)


def poster_of(config: Config) -> WebhookPoster:
    """Posts webhooks to where the deployment lets them go."""
    return WebhookPoster(config.webhooks.allow_networks)


def telling_of(
    config: Config,
    settings: NotificationSettings,
    outreach: Outreach,
    notices: Deliveries,
    stack: AsyncExitStack,
) -> Telling:
    """What registration is told for it; `settings` are notification's, which writes the proofs of texts."""
    destinations = destinations_of(config)
    stack.push_async_callback(destinations.close)
    proofs = LetterProofs(settings.mail_sender(), shared_texts())
    return Telling(outreach, notices, destinations, secret_key(config), proofs)


def reach_of(
    config: Config, outreach: Outreach, notices: SqliteNotices | PostgresNotices, stack: AsyncExitStack
) -> Reach:
    """What notification has beside mail."""
    poster = poster_of(config)
    stack.push_async_callback(poster.close)
    return Reach(outreach, notices, notices, poster, secret_key(config))


@asynccontextmanager
async def opened_telling(config: Config) -> AsyncIterator[Telling]:
    """The stores of endpoints and notices, which a running platform may be using too."""
    async with AsyncExitStack() as stack:
        destinations = destinations_of(config)
        stack.push_async_callback(destinations.close)
        if config.clustered:
            require_extra()
            from veltrix.adapters.postgres import PostgresNotices, PostgresOutreach
            from veltrix.bootstrap.engines import REGISTRATION_ROLE, opened_postgres

            postgres = await opened_postgres(config, "veltrix-telling", REGISTRATION_ROLE, stack)
            yield Telling(
                PostgresOutreach(postgres), PostgresNotices(postgres), destinations, secret_key(config)
            )
            return
        directory = config.data.directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        outreach = await SqliteOutreach.open(directory / "outreach.db")
        stack.push_async_callback(outreach.close)
        notices = await SqliteNotices.open(directory / "notices.db")
        stack.push_async_callback(notices.close)
        yield Telling(outreach, notices, destinations, secret_key(config))
