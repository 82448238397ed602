"""The ports `Vault` and `Notices`, as one process sees them over the simulated network."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.ports.notices import Claimed, FanOut, Notice, NoticeStatus, Planned, Result, Shares

if TYPE_CHECKING:
    from veltrix.simulation.engines import Engines

T = TypeVar("T")


class _Store:
    """A client of one server."""

    def __init__(self, engines: Engines, server: str) -> None:
        self._network = engines.network
        self._server = engines.servers[server]
        self._closed = False

    async def close(self) -> None:
        """This process asks no more."""
        self._closed = True

    async def _ask(self, effect: Callable[[], Coroutine[Any, Any, T]], *, writes: bool) -> T:
        if self._closed:
            raise Unavailable(f"the {self._server.name} are closed")
        return await self._network.ask(self._server, effect, writes=writes)


class SimVault(_Store):
    """The port `Vault`."""

    def __init__(self, engines: Engines) -> None:
        super().__init__(engines, "vault")
        self._vault = engines.vault

    async def reserve(self, count: int) -> list[tuple[str, bytes]]:
        """New keys; a block whose answer was lost is never used."""
        try:
            return await self._ask(lambda: self._vault.reserve(count), writes=True)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """Keys that still exist."""
        return await self._ask(lambda: self._vault.keys(key_ids), writes=False)

    async def destroy(self, key_ids: Sequence[str]) -> None:
        """Destroy keys."""
        await self._ask(lambda: self._vault.destroy(key_ids), writes=True)


class SimNotices(_Store):
    """The port `Notices`."""

    def __init__(self, engines: Engines) -> None:
        super().__init__(engines, "notices")
        self._notices = engines.notices

    async def position(self, partition: int) -> int:
        """The last fact that was planned."""
        return await self._ask(lambda: self._notices.position(partition), writes=False)

    async def record(self, partition: int, after_seq: int, upto_seq: int, planned: Planned) -> list[str]:
        """Move the inbox and record what is planned."""
        return await self._ask(
            lambda: self._notices.record(partition, after_seq, upto_seq, planned), writes=True
        )

    async def claim(
        self, now_ms: int, limit: int, lease_ms: int, shares: Shares | None = None
    ) -> list[Claimed]:
        """Take due notices."""
        return await self._ask(lambda: self._notices.claim(now_ms, limit, lease_ms, shares), writes=True)

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results."""
        return await self._ask(lambda: self._notices.finish(results), writes=True)

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open jobs."""
        return await self._ask(lambda: self._notices.jobs(limit), writes=False)

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job."""
        await self._ask(lambda: self._notices.advance(job, upto_arrival, notices), writes=True)

    async def of_registration(self, registration: str) -> list[tuple[Notice, NoticeStatus, int, str]]:
        """What is known of a registration's notices."""
        return await self._ask(lambda: self._notices.of_registration(registration), writes=False)

    async def hold(self, partition: int, upto_seq: int) -> int:
        """Hold notices that may have been sent."""
        return await self._ask(lambda: self._notices.hold(partition, upto_seq), writes=True)

    async def release(self, *, send: bool) -> int:
        """Let go what is held."""
        return await self._ask(lambda: self._notices.release(send=send), writes=True)

    async def held(self) -> int:
        """How many are held."""
        return await self._ask(self._notices.held, writes=False)

    async def counts(self) -> dict[NoticeStatus, int]:
        """How many stand in each status."""
        return await self._ask(self._notices.counts, writes=False)
