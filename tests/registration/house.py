"""A whole house for the tests: registration over memory adapters, and processing that can be stopped."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx

from veltrix.adapters.memory import (
    MemoryAccess,
    MemoryCluster,
    MemoryCoordinator,
    MemoryFeed,
    MemoryLedger,
    MemoryLog,
    MemoryNotices,
    MemoryOutreach,
    MemoryReplies,
    MemoryVault,
)
from veltrix.adapters.system import SystemClock, SystemEntropy
from veltrix.domain.credentials import Signer
from veltrix.notification.letters import Sender
from veltrix.notification.proofs import LetterProofs
from veltrix.notification.texts import shared_texts
from veltrix.observability.metrics import NullMetrics
from veltrix.ports.access import Scope
from veltrix.ports.destinations import Finding, Unfit
from veltrix.ports.log import Appended, LogRecord, Record
from veltrix.processing.service import ProcessingService
from veltrix.registration.access import new_api_key
from veltrix.registration.service import RegistrationService
from veltrix.registration.settings import Settings
from veltrix.registration.telling import Telling

EVENT: dict[str, Any] = {
    "slug": "party",
    "title": {"default": "en", "values": {"en": "Party", "de": "Feier"}},
    "time_zone": "Europe/Berlin",
    "starts_at": "2031-05-01T10:00",
    "ends_at": "2031-05-01T18:00",
    "pools": [{"key": "main", "capacity": 3}],
    "categories": [
        {"key": "std", "title": "Standard", "price": {"amount_minor": 2500, "currency": "EUR"}},
        {"key": "vip", "title": "VIP", "price": {"amount_minor": 9900, "currency": "EUR"}},
    ],
    "waitlist": {"size": 2, "mode": "strict"},
}
QUICK = Settings(key_block=50, keys_reserved_low=50, wait_default_s=5.0, stop_timeout_s=5.0)

_numbers = itertools.count(1)


def strong_key() -> str:
    """An Idempotency-Key that the public may use; another on each call."""
    return f"key-{next(_numbers):032d}"


def person(name: str = "Ada", seats: int = 1, category: str = "std", **more: Any) -> dict[str, Any]:
    """The body of a registration."""
    return {
        "contact": {"name": name, "email": f"{name.lower()}@example.org"},
        "seats": [{"category": category}] * seats,
        **more,
    }


class QuickLog(MemoryLog):
    """A log whose readers look up often, so that processing stops at once.

    `fault` is raised by every append; with `keeps`, after the record was appended all the same.
    """

    fault: Exception | None = None
    keeps = False

    async def append(self, partition: int, record: Record) -> Appended:
        """As the log appends, unless it has a fault."""
        if self.fault is None:
            return await super().append(partition, record)
        if self.keeps:
            await super().append(partition, record)
        raise self.fault

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """As the log reads, but never waits long."""
        return await super().read(partition, offset, max_records, min(wait_s, 0.01))


class Inside:
    """Takes every URL for a good one but those that name this machine."""

    async def judge(self, url: str) -> Finding | None:
        """What is wrong with a URL."""
        return Finding(Unfit.NOT_PUBLIC, "127.0.0.1 (loopback)") if "127.0.0.1" in url else None


class House:
    """The services with their ports, and clients for them."""

    def __init__(self, settings: Settings = QUICK, partitions: int = 1, **changes: Any) -> None:
        self.clock, self.entropy = SystemClock(), SystemEntropy()
        self.log: Any = changes.pop("log", None) or QuickLog(partitions, clock=self.clock)
        self.ledger: Any = MemoryLedger()
        self.vault: Any = changes.pop("vault", None) or MemoryVault()
        self.feed = MemoryFeed()
        self.replies: Any = changes.pop("replies", None) or MemoryReplies()
        self.access = MemoryAccess()
        self.signer = Signer(b"s" * 32)
        self.outreach, self.notices = MemoryOutreach(), MemoryNotices()
        self.telling = Telling(
            self.outreach,
            self.notices,
            changes.pop("destinations", None) or Inside(),
            b"t" * 32,
            LetterProofs(Sender("Acme", "acme@example.org", "http://house"), shared_texts()),
        )
        self.service: Any = RegistrationService(
            log=self.log,
            queries=changes.pop("queries", None) or self.ledger,
            vault=self.vault,
            feed=self.feed,
            replies=self.replies,
            access=self.access,
            clock=self.clock,
            entropy=self.entropy,
            signer=self.signer,
            telling=self.telling,
            settings=settings,
            **changes,
        )
        self._processing: ProcessingService | None = None
        self._cluster = MemoryCluster()
        self.public = self.client()
        self.organizer = self.public
        self.key = ""

    def client(self, key: str = "", **headers: str) -> httpx.AsyncClient:
        """A client, of an organizer where there is a key."""
        if key:
            headers["authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(self.service.app, raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url="http://house", headers=headers)

    async def new_key(self, *scopes: str, organizer: str = "acme") -> str:
        """A new API key."""
        key, text = new_api_key(organizer, [Scope(scope) for scope in scopes], self.entropy, self.clock)
        await self.access.add(key)
        return text

    async def decide(self) -> None:
        """Begin to decide commands."""
        assert self._processing is None
        self._processing = ProcessingService(
            log=self.log,
            ledger=self.ledger,
            feed=self.feed,
            replies=self.replies,
            vault=self.vault,
            coordinator=MemoryCoordinator(self._cluster),
            clock=self.clock,
            metrics=NullMetrics(),
        )
        await self._processing.start()

    async def pause(self) -> None:
        """Stop deciding commands."""
        if self._processing is not None:
            processing, self._processing = self._processing, None
            await processing.stop()

    async def open_event(self, **changes: Any) -> str:
        """A new open event; its id."""
        body = EVENT | {"slug": f"party-{next(_numbers)}"} | changes
        made = await self.organizer.post("/v1/events", json=body)
        assert made.status_code == 201, made.text
        event: str = made.json()["id"]
        opened = await self.organizer.post(f"/v1/events/{event}/open")
        assert opened.status_code == 200, opened.text
        return event

    async def register(self, event: str, body: Any = None, **headers: str) -> httpx.Response:
        """A registration of the public."""
        sent = {"idempotency-key": strong_key()} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return await self.public.post(
            f"/v1/events/{event}/registrations", json=body or person(), headers=sent
        )


@asynccontextmanager
async def a_house(
    settings: Settings = QUICK, *, deciding: bool = True, **changes: Any
) -> AsyncIterator[House]:
    """A house that is started, with an organizer who may do everything."""
    house = House(settings, **changes)
    if deciding:
        await house.decide()
    await house.service.start()
    house.key = await house.new_key("read", "write", "check-in")
    house.organizer = house.client(house.key)
    try:
        yield house
    finally:
        await house.service.stop()
        await house.pause()


def quick(**changes: Any) -> Settings:
    """The tests' settings with some changed."""
    return replace(QUICK, **changes)


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    """Give way to other tasks until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)


def lines(text: str) -> list[Any]:
    """NDJSON as values."""
    return [json.loads(line) for line in text.splitlines() if line]
