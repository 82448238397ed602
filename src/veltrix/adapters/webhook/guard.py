"""Sockets that go only where webhooks may go, and the names that lead there.

The judgement is made of the very address that a socket is about to be connected to, after the name was
resolved: a name that meant something else when the endpoint was saved does not help, and neither does an
address that is written in an unusual way.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from veltrix.adapters.webhook.addresses import Allowed
from veltrix.domain import limits

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
Look = Callable[[str, int, socket.AddressFamily], Awaitable[list[AddrInfo]]]
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Forbidden(OSError):
    """The address must not be connected to. Its text names the address and why."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(errno.EACCES, f"{host} is {why}")
        self.why = f"{host} is {why}"


class Guard:
    """Makes sockets for addresses that are allowed. With `listed_only`, for those an operator lists."""

    def __init__(self, allowed: Allowed, *, listed_only: bool = False) -> None:
        self._allowed = allowed
        self._listed_only = listed_only

    def __call__(self, info: AddrInfo) -> socket.socket:
        """A socket for this address; raises `Forbidden`."""
        family, kind, protocol, _, address = info
        host = address[0]
        why = self._allowed.refusal(host)
        if why is None and self._listed_only and not self._allowed.listed(host):
            why = "reached without TLS, which is for networks in webhooks.allow_networks only"
        if why is not None:
            raise Forbidden(host, why)
        return socket.socket(family, kind, protocol)


class Names(AbstractResolver):
    """Resolves names on threads of its own: a name server that hangs keeps nobody else's threads.

    `look` stands in for the operating system's resolver in tests.
    """

    def __init__(self, look: Look | None = None) -> None:
        self._threads = ThreadPoolExecutor(limits.WEBHOOK_LOOKUPS_MAX, "webhook-names")
        self._look = look or self._ask_system

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises `OSError` when it has none."""
        return [
            ResolveResult(
                hostname=host, host=address[0], port=port, family=found, proto=protocol, flags=_NUMERIC
            )
            for found, _, protocol, _, address in await self._look(host, port, family)
        ]

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a name, as text. Raises `OSError` when it has none."""
        return [info[4][0] for info in await self._look(host, 0, socket.AF_UNSPEC)]

    async def close(self) -> None:
        """Take no more questions; those that hang are left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_system(self, host: str, port: int, family: socket.AddressFamily) -> list[AddrInfo]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(
                host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            ),
        )
