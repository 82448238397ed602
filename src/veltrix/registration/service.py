"""The registration service: what starts, runs beside the requests, and stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

from starlette.types import ASGIApp

from veltrix.domain import limits
from veltrix.domain.credentials import Signer
from veltrix.observability.logging import get_logger
from veltrix.observability.tracing import OFF, Tracer
from veltrix.ports.access import Access
from veltrix.ports.errors import PortError
from veltrix.ports.feed import Feed, Published, Replies
from veltrix.ports.ledger import Head
from veltrix.ports.log import Log
from veltrix.ports.queries import Queries
from veltrix.ports.system import Clock, Entropy
from veltrix.ports.vault import Vault
from veltrix.registration.app import App
from veltrix.registration.core import Core, Ports
from veltrix.registration.corrections import Corrections
from veltrix.registration.decisions import Decisions
from veltrix.registration.door import Door
from veltrix.registration.endpoints import Gate
from veltrix.registration.events import Events
from veltrix.registration.facts import Facts
from veltrix.registration.heads import Heads
from veltrix.registration.health import Probes
from veltrix.registration.imports import Imports
from veltrix.registration.intake import Intake
from veltrix.registration.lists import Lists
from veltrix.registration.live import Live
from veltrix.registration.live_changes import Changes
from veltrix.registration.live_routes import change_operations
from veltrix.registration.mail_routes import operations_about_mail
from veltrix.registration.meters import Meters, NoMeters
from veltrix.registration.notices import NoticeDesk
from veltrix.registration.openapi import Description
from veltrix.registration.pages import Pages
from veltrix.registration.person_export import PersonDesk
from veltrix.registration.person_routes import person_operations
from veltrix.registration.registrations import Registrations
from veltrix.registration.results import Results
from veltrix.registration.routes import (
    event_operations,
    intake_operations,
    organizer_operations,
    page_operations,
    probe_operations,
    single_operations,
)
from veltrix.registration.settings import Settings
from veltrix.registration.telling import Telling
from veltrix.registration.telling_routes import notice_operations, webhook_operations
from veltrix.registration.template_routes import template_operations
from veltrix.registration.templates import TemplateDesk
from veltrix.registration.webhooks import Webhooks
from veltrix.sealing import AddressHashes

_log = get_logger("registration")

_RESUBSCRIBE_S: Final = 1.0
_ANSWERING_S: Final = 2.0


class RegistrationService:
    """Takes registrations over HTTP. `app` is the ASGI application; serve it between start and stop."""

    def __init__(  # noqa: PLR0913 - one keyword a port: who wires it should see each
        self,
        *,
        log: Log,
        queries: Queries,
        vault: Vault,
        feed: Feed,
        replies: Replies,
        access: Access,
        clock: Clock,
        entropy: Entropy,
        signer: Signer,
        telling: Telling | None = None,
        settings: Settings | None = None,
        meters: Meters | None = None,
        tracer: Tracer = OFF,
    ) -> None:
        ports = Ports(log, queries, vault, feed, replies, access, clock, entropy)
        self.settings = settings or Settings()
        self.core = Core(ports, signer, self.settings, meters or NoMeters(), tracer)
        Results(self.core)
        self._gate = Gate(self.core)
        self._probes = Probes(self.core)
        self._tasks: list[asyncio.Task[None]] = []
        self._following: dict[int, int] = {}
        self._missing: dict[int, int] = {}
        self._heads = Heads(
            queries, clock, self.core.desk.progress, lambda: self.core.desk.waiting, self._learn
        )
        core, intake, decisions = self.core, Intake(self.core), Decisions(self.core)
        single = Registrations(core)
        pages = Pages(core, intake, decisions, single)
        self._live = Live(core, decisions)
        self._changes = Changes(core, self._live.hub, single, telling.deliveries if telling else None)
        operations = [
            *event_operations(Events(core), self._live),
            *intake_operations(intake, decisions, self._live),
            *single_operations(single, Corrections(core, single)),
            *change_operations(self._changes),
            *organizer_operations(Lists(core), Imports(core, intake), Door(core)),
            *probe_operations(self._probes),
            *page_operations(pages),
        ]
        if telling is not None:
            operations += webhook_operations(Webhooks(core, telling))
            operations += notice_operations(NoticeDesk(core, telling), Facts(core))
            operations += operations_about_mail(core, telling, signer, pages, single)
            hashes = AddressHashes.under(signer.secret)
            operations += person_operations(PersonDesk(core, telling, hashes, single))
            if telling.proofs is not None:
                operations += template_operations(TemplateDesk(core, telling, telling.proofs))
        self._operations = operations
        pages.describe(lambda: self.description)
        self.app: ASGIApp = App(operations, self._gate)

    def readiness(self) -> dict[str, bool]:
        """What must hold for this process to be ready, and whether it does."""
        return self._probes.checks()

    def bounded(self) -> dict[str, tuple[Callable[[], float], Callable[[], float]]]:
        """What is bounded in this process, by name: how much of it is in use, and how much there may be."""
        core = self.core
        return {
            "held_requests": (lambda: core.desk.held, lambda: core.settings.held_requests_max),
            "undecided_commands": (
                lambda: max(progress.undecided for progress in core.desk.progress),
                lambda: core.settings.undecided_max,
            ),
            "stream_clients": (lambda: self._live.hub.count, lambda: core.settings.stream_clients_max),
            "client_addresses": (lambda: len(self._gate.rates), lambda: limits.RATE_ADDRESSES_MAX),
        }

    @cached_property
    def description(self) -> dict[str, Any]:
        """The API's own description; made when somebody asks for it, for most processes are never asked."""
        return Description(self._operations, self.settings.version, self.settings.base_url).build()

    def reconfigure(self, settings: Settings) -> None:
        """Take over, while it runs, what can change: rates, waiting, and what may be held and undecided.

        What was built at the start (addresses, sizes of bodies, streams, keys) stays as it was.
        """
        self.settings = settings
        self.core.reconfigure(settings)
        self._gate.rates.limit(settings.rate_per_address_per_s, settings.rate_burst_per_address)

    async def start(self) -> None:
        """Reserve keys, learn how far the partitions are, and follow the facts."""
        subscription = self.core.ports.feed.subscribe()
        await self.core.reserve.start()
        await self.core.desk.start()
        self._tasks = [
            asyncio.create_task(self._follow(subscription), name="registration/facts"),
            asyncio.create_task(self.core.desk.sweep(), name="registration/sweep"),
            asyncio.create_task(self._heads.run(), name="registration/heads"),
            asyncio.create_task(self._live.hub.beat(), name="registration/heartbeat"),
        ]
        self._probes.started = True

    async def stop(self) -> None:
        """Let nobody in, answer who waits, end streams; bounded in time, safe to call twice."""
        self._probes.stopping = self._gate.stopping = self.core.stopping = True
        await self._live.stop()
        if not await self._idle(self.settings.stop_timeout_s):
            self.core.desk.give_up()
            await self._idle(_ANSWERING_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.core.reserve.stop()

    async def _idle(self, timeout_s: float) -> bool:
        """Whether all requests are answered, within that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._gate.idle.wait()
        return self._gate.idle.is_set()

    async def _follow(self, subscription: AsyncIterator[Published]) -> None:
        """Learn of every published fact; what a gap hides is read from the ledger when it is needed."""
        core = self.core
        while True:
            try:
                async for batch in subscription:
                    self._take(batch)
                    core.desk.advanced(batch.partition, batch.next_offset)
            except PortError as error:
                _log.warning("feed_interrupted", error=str(error))
            await asyncio.sleep(_RESUBSCRIBE_S)
            subscription = core.ports.feed.subscribe()
            for partition in range(core.ports.log.identity.partitions):
                self._forget(partition)

    def _take(self, batch: Published) -> None:
        """Apply facts that were not seen yet; whoever took a partition over may publish some once more."""
        if not batch.facts:
            return
        expected = self._following.get(batch.partition, 0)
        if expected and batch.facts[0].seq > expected:
            self._forget(batch.partition)
        self._following[batch.partition] = max(expected, batch.facts[-1].seq + 1)
        for fact in batch.facts:
            if fact.seq >= expected:
                self.core.apply(fact)
                self._changes.publish(fact)

    def _learn(self, head: Head) -> None:
        """What the ledger itself says of a partition. Facts that were published a while ago and never came
        here are lost: nothing may come after them that would show the gap."""
        self.core.desk.advanced(head.partition, head.next_offset)
        missing = self._missing.get(head.partition, 0)
        if missing and self._following.get(head.partition, 0) <= missing:
            self._forget(head.partition)
            self._following[head.partition] = missing + 1
        behind = head.relayed_seq >= self._following.get(head.partition, 0)
        self._missing[head.partition] = head.relayed_seq if behind else 0

    def _forget(self, partition: int) -> None:
        """Facts went missing: whatever was built from them is built anew."""
        self._following.pop(partition, None)
        self.core.directory.forget(partition)
        self.core.waitlines.forget(partition)
        self._live.forget(partition)
        self._changes.forget(partition)
