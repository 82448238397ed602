"""A whole cluster in one process: the real services, each on hosts of its own, on simulated engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from veltrix.adapters.memory import (
    MemoryAccess,
    MemoryMailbox,
    MemoryNotices,
    MemoryVault,
)
from veltrix.domain.credentials import Signer
from veltrix.notification.service import NotificationService
from veltrix.notification.settings import NotificationSettings
from veltrix.observability.metrics import NullMetrics
from veltrix.ports.errors import PortError
from veltrix.ports.ledger import Changes, Term
from veltrix.ports.notices import Result
from veltrix.processing.service import ProcessingService
from veltrix.registration.service import RegistrationService
from veltrix.registration.settings import Settings
from veltrix.simulation.chance import Chance
from veltrix.simulation.coordinator import Elections, SimCoordinator
from veltrix.simulation.difficulties import Difficulties
from veltrix.simulation.engines import Engines, SimLedger, SimLog, SimNotices, SimVault
from veltrix.simulation.guards import guarded
from veltrix.simulation.hints import SimFeed, SimReplies, Topic
from veltrix.simulation.ledger import EngineLedger
from veltrix.simulation.log import LogEngine
from veltrix.simulation.loop import Life, SimulatedLoop
from veltrix.simulation.network import Network, Server
from veltrix.simulation.releases import releases

BEGAN_MS: Final = 1_800_000_000_000
ENGINES: Final = ("log", "ledger", "vault", "notices", "coordinator", "topics")
RESTART_S: Final = 0.5
STOP_S: Final = 3.0
OLD_RELEASE: Final = 1
NEW_RELEASE: Final = 2
SECRET: Final = b"a simulated cluster's secret key"


class SimClock:
    """A host's clock: virtual time, and how far its processes are off.

    The host's own clock may be put elsewhere (`wall_ms`); as the port says, a process notices that only when
    it starts anew.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.wall_ms = 0
        self.offset_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by this host."""
        return BEGAN_MS + self.offset_ms + int(self._loop.time() * 1000)

    def monotonic_s(self) -> float:
        """Virtual seconds."""
        return self._loop.time()


class _Witnessed(EngineLedger):
    """The ledger, and beside it under which terms it was written."""

    def __init__(self, committed: list[tuple[int, Term]], clock: SimClock) -> None:
        super().__init__(clock, replicated=True)
        self._committed = committed

    async def commit(self, changes: Changes) -> None:
        """Commit, and take note."""
        await super().commit(changes)
        self._committed.append((changes.partition, changes.term))


class _WitnessedNotices(MemoryNotices):
    """The notices, and beside them which of them are over."""

    def __init__(self, over: set[str]) -> None:
        super().__init__()
        self._over = over

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results, and take note of those that end a notice."""
        before = {result.notice: self.fence_of(result.notice) for result in results}
        recorded = await super().finish(results)
        for result in results:
            if result.next_ms is None and before[result.notice] == result.fence:
                self._over.add(result.notice)
        return recorded


@dataclass
class Host:
    """A host that runs one service; `life` is its present life, None while it is down."""

    name: str
    kind: str
    chance: Chance
    clock: SimClock
    life: Life | None = None
    service: Any = None
    starts: int = 0
    release: int = OLD_RELEASE
    """Which release its next life is of."""


@dataclass
class Cluster:
    """The hosts, the engines behind the network, and what people's mailboxes hold."""

    loop: SimulatedLoop
    chance: Chance
    partitions: int = 2
    hosts: dict[str, Host] = field(default_factory=dict)
    access: MemoryAccess = field(default_factory=MemoryAccess)
    mailbox: MemoryMailbox = field(default_factory=MemoryMailbox)
    quarrels: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    committed: list[tuple[int, Term]] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    old: set[str] = field(default_factory=set)
    """Hosts whose present life is of the old release."""
    channel: Any = None

    def __post_init__(self) -> None:
        loop = self.loop
        self.difficulties = Difficulties(self.chance.stream("difficulties"))
        loop.surroundings += [guarded, lambda: releases(self.old), self.difficulties.installed]
        self.network = Network(loop, self.chance.stream("network"))
        servers = {name: Server(name, loop.begin(name)) for name in ENGINES}
        clock = SimClock(loop)
        self.engines = Engines(
            self.network,
            LogEngine(self.partitions, clock, loop, servers["log"], self.chance.stream("log")),
            _Witnessed(self.committed, clock),
            MemoryVault(self.chance.of("vault")),
            _WitnessedNotices(self.over),
            servers,
            self.chance.stream("engines"),
        )
        self.topic = Topic(self.network, servers["topics"])
        self.elections = Elections(self.network, servers["coordinator"])
        self.clock = clock

    def add(self, name: str, kind: str) -> Host:
        """A host for one service; it is down until it is started."""
        host = Host(name, kind, self.chance.of(name), SimClock(self.loop))
        self.hosts[name] = host
        return host

    def ensure(self, host: Host) -> Life:
        """The host's life; a new one begins where it has none: its service starts, as by a supervisor."""
        if host.life is None:
            host.starts += 1
            host.clock.offset_ms = host.clock.wall_ms
            (self.old.add if host.release == OLD_RELEASE else self.old.discard)(host.name)
            host.life = self.loop.begin(host.name)
            _ = self.loop.spawn(host.life, self._serve(host))
        return host.life

    def crash(self, host: Host) -> None:
        """End the host's life."""
        assert host.life is not None, "only who lives can crash"
        self.loop.crash(host.life)
        host.life = host.service = None

    @property
    def upgraded(self) -> bool:
        """Whether every host runs the new release, or will when it is back."""
        return not self.old and all(host.release == NEW_RELEASE for host in self.hosts.values())

    async def restart(self, host: Host) -> None:
        """Stop the host's service in order, as long as that takes not too long, and start it again."""
        life, service = host.life, host.service
        if life is not None and not life.paused and service is not None:
            stopping = self.loop.spawn(life, service.stop())
            try:
                await asyncio.wait([stopping], timeout=STOP_S)
            finally:  # also when calm comes first: a service that has stopped would never do anything again
                if host.life is life:
                    self.crash(host)
                self.ensure(host)
            return
        if host.life is life and life is not None:
            self.crash(host)
        self.ensure(host)

    async def _serve(self, host: Host) -> None:
        while True:
            try:
                host.service = await self._start_service(host)
            except PortError as error:
                self.quarrels.append(f"{self.loop.time():.3f} {host.name} does not start: {error}")
            except Exception as error:
                self.defects.append(f"{host.name} cannot be started: {type(error).__name__}: {error}")
                raise
            else:
                return
            await asyncio.sleep(RESTART_S)

    async def _start_service(self, host: Host) -> Any:
        service = await getattr(self, f"_{host.kind}")(host)
        await service.start()
        return service

    async def _registration(self, host: Host) -> RegistrationService:
        engines = self.engines
        return RegistrationService(
            log=SimLog(engines),
            queries=SimLedger(engines),
            vault=SimVault(engines),
            feed=SimFeed(self.topic),
            replies=SimReplies(self.topic, f"{host.name}.{host.starts}"),
            access=self.access,
            clock=host.clock,
            entropy=host.chance,
            signer=Signer(SECRET),
            settings=Settings(key_block=200, keys_reserved_low=100),
        )

    async def _processing(self, host: Host) -> ProcessingService:
        engines = self.engines
        coordinator = SimCoordinator(self.elections, f"{host.name}.{host.starts}")
        return ProcessingService(
            SimLog(engines),
            SimLedger(engines),
            SimFeed(self.topic),
            SimReplies(self.topic, ""),
            SimVault(engines),
            coordinator,
            host.clock,
            NullMetrics(),
        )

    async def _notification(self, host: Host) -> NotificationService:
        engines = self.engines
        settings = NotificationSettings(
            "http://veltrix.example", "Veltrix <veltrix@example.org>", Signer(SECRET), self.partitions
        )
        return NotificationService(
            notices=SimNotices(engines),
            queries=SimLedger(engines),
            feed=SimFeed(self.topic),
            vault=SimVault(engines),
            channels=[self.channel],
            clock=host.clock,
            entropy=host.chance,
            settings=settings,
        )

    async def request(
        self,
        client: str,
        host: Host,
        method: str,
        path: str,
        body: object,
        headers: dict[str, str],
        patience_s: float,
    ) -> tuple[int, Any] | None:
        """An HTTP request over the network; None when nothing came back in time."""
        answer: asyncio.Future[tuple[int, Any]] = self.loop.create_future()
        life = host.life
        if life is not None and host.service is not None:
            raw = b"" if body is None else msgspec.json.encode(body)
            self.network.send(
                client, life, self._take, client, host, _scope(method, path, raw, headers), raw, answer
            )
        try:
            async with asyncio.timeout(patience_s):
                return await answer
        except TimeoutError:
            return None

    def _take(
        self,
        client: str,
        host: Host,
        scope: dict[str, Any],
        raw: bytes,
        answer: asyncio.Future[tuple[int, Any]],
    ) -> None:
        """A request has come to the host."""
        if host.service is not None and host.life is not None:
            _ = self.loop.spawn(host.life, self._answer(client, host, host.service.app, scope, raw, answer))

    async def _answer(
        self,
        client: str,
        host: Host,
        app: Callable[..., Any],
        scope: dict[str, Any],
        raw: bytes,
        answer: asyncio.Future[tuple[int, Any]],
    ) -> None:
        messages = [{"type": "http.request", "body": raw, "more_body": False}]
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await self.loop.create_future()
            raise AssertionError("nobody ends this future")

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await app(scope, receive, send)
        said = b"".join(parts)
        value = (status, msgspec.json.decode(said) if said else None)
        self.network.send(host.name, self.loop.outside, _settle, answer, value)


def _scope(method: str, path: str, raw: bytes, headers: dict[str, str]) -> dict[str, Any]:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": pairs,
        "client": ("192.0.2.1", 1),
        "server": ("veltrix.example", 80),
        "scheme": "http",
        "root_path": "",
    }


def _settle(answer: asyncio.Future[tuple[int, Any]], value: tuple[int, Any]) -> None:
    if not answer.done():
        answer.set_result(value)
