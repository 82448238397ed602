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
from typing import Any

from veltrix.adapters.webhook.addresses import Allowed
from veltrix.domain import limits

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
Look = Callable[[str, int], Awaitable[list[AddrInfo]]]


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
        why = self.refusal(address[0])
        if why is not None:
            raise Forbidden(address[0], why)
        return socket.socket(family, kind, protocol)

    def refusal(self, host: str) -> str | None:
        """Why no socket is made for an address; None when one is."""
        why = self._allowed.refusal(host)
        if why is None and self._listed_only and not self._allowed.listed(host):
            return "reached without TLS, which is for networks in webhooks.allow_networks only"
        return why


class Names:
    """Resolves names on threads of its own: a name server that hangs keeps nobody else's threads.

    What it says is kept for `limits.WEBHOOK_NAMES_KEPT_S`, and many who ask at once ask once. `ask` stands in
    for the operating system's resolver in tests.
    """

    def __init__(self, ask: Look | None = None) -> None:
        self._threads = ThreadPoolExecutor(limits.WEBHOOK_LOOKUPS_MAX, "webhook-names")
        self._ask = ask or self._ask_system
        self._asked: dict[tuple[str, int], tuple[float, asyncio.Task[list[AddrInfo]]]] = {}

    async def look(self, host: str, port: int) -> list[AddrInfo]:
        """Where a name leads, or an address as it is. Raises `OSError` when it leads nowhere."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        known = self._asked.get((host, port))
        if known is None or known[0] < now_s:
            self._forget(now_s)
            task = loop.create_task(self._looked(host, port), name=f"webhook-name/{host}")
            task.add_done_callback(_seen)
            known = self._asked[host, port] = (now_s + limits.WEBHOOK_NAMES_KEPT_S, task)
        try:
            return await asyncio.shield(known[1])
        except (OSError, UnicodeError):
            self._asked.pop((host, port), None)
            raise

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a name, as text, asked anew. Raises `OSError` when it has none."""
        return [info[4][0] for info in await self._looked(host, 0)]

    async def close(self) -> None:
        """Take no more questions; those that hang are left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for _, task in self._asked.values():
            task.cancel()
        self._asked.clear()

    async def _looked(self, host: str, port: int) -> list[AddrInfo]:
        infos = await self._ask(host, port)
        if not infos:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        return infos

    def _forget(self, now_s: float) -> None:
        for key, (until_s, task) in list(self._asked.items()):
            if until_s < now_s and task.done():
                del self._asked[key]

    async def _ask_system(self, host: str, port: int) -> list[AddrInfo]:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG),
        )


def _seen(task: asyncio.Task[list[AddrInfo]]) -> None:
    """An error is told to whoever asked; where nobody waits any more, that is nobody's loss."""
    if not task.cancelled():
        task.exception()
