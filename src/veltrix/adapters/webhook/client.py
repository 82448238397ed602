"""One POST, and what became of it.

The line that matters runs where the first byte of a request may have left: before it, nothing arrived
(no name, no connection, no TLS); after it, only an answer tells, and without one the outcome is unknown.
Nothing that the other side does costs more than `limits` say: time, connections, or memory.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakValueDictionary

import aiohappyeyeballs
from yarl import URL

from veltrix.adapters.webhook.addresses import Allowed
from veltrix.adapters.webhook.exchange import Answered, Exchange, Unanswered
from veltrix.adapters.webhook.guard import AddrInfo, Forbidden, Guard, Names
from veltrix.domain import limits

__all__ = ["Answered", "NotSent", "Unanswered", "WebhookClient"]

_HAPPY_EYEBALLS_S = 0.25


class NotSent(Exception):
    """Nothing of the request left this machine, or the connection never stood."""


class Target(NamedTuple):
    """Where a URL leads, and the first lines of every request to it."""

    secure: bool
    host: str
    port: int
    head: bytes


class WebhookClient:
    """Connections to whoever receives webhooks: kept for a while, and bounded for each host."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        names: Names | None = None,
        tls_context: ssl.SSLContext | None = None,
        timeout_s: float = limits.WEBHOOK_TIMEOUT_S,
    ) -> None:
        self._guards = {True: Guard(allowed), False: Guard(allowed, listed_only=True)}
        self._names = names
        self._tls_context = tls_context
        self._timeout_s = timeout_s
        self._connect_s = min(limits.WEBHOOK_CONNECT_S, timeout_s)
        self._idle: dict[tuple[bool, str, int], list[Exchange]] = {}
        self._rooms: WeakValueDictionary[tuple[str, int], asyncio.Semaphore] = WeakValueDictionary()
        self._sweeping: asyncio.TimerHandle | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send the body and wait for the answer. Raises `NotSent` or `Unanswered`, and nothing else."""
        try:
            target = _target(url)
        except ValueError as error:
            raise NotSent(f"the URL cannot be used: {error}") from None
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        request = b"%s%scontent-length: %d\r\n\r\n%s" % (
            target.head,
            lines.encode("latin-1"),
            len(body),
            body,
        )
        room = await self._room(target.host, target.port)
        try:
            exchange = self._kept(target) or await self._connected(target)
            answer = await exchange.send(request, self._timeout_s)
            if exchange.reusable:
                self._keep(target, exchange)
            return answer
        finally:
            room.release()

    async def close(self) -> None:
        """Close the connections that are idle; safe to call twice."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for kept in self._idle.values():
            for exchange in kept:
                exchange.close()
        self._idle.clear()
        if self._names is not None:
            await self._names.close()
            self._names = None

    async def _room(self, host: str, port: int) -> asyncio.Semaphore:
        """One of the connections that a host may have, first come first served."""
        room = self._rooms.get((host, port))
        if room is None:
            room = self._rooms[host, port] = asyncio.Semaphore(limits.WEBHOOK_CONNECTIONS_PER_HOST)
        if not room.locked():
            await room.acquire()
            return room
        try:
            async with asyncio.timeout(self._connect_s):
                await room.acquire()
        except TimeoutError:
            raise NotSent("every connection to its host stayed busy") from None
        return room

    def _kept(self, target: Target) -> Exchange | None:
        """A connection that lies idle, the one used last."""
        kept = self._idle.get((target.secure, target.host, target.port))
        oldest_s = asyncio.get_running_loop().time() - limits.WEBHOOK_CONNECTION_IDLE_S
        while kept:
            exchange = kept.pop()
            if exchange.reusable and exchange.idle_since_s > oldest_s:
                return exchange
            exchange.close()
        return None

    def _keep(self, target: Target, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        exchange.idle_since_s = loop.time()
        self._idle.setdefault((target.secure, target.host, target.port), []).append(exchange)
        if self._sweeping is None:
            self._sweeping = loop.call_later(limits.WEBHOOK_CONNECTION_IDLE_S, self._sweep)

    def _sweep(self) -> None:
        """Close what lies idle too long; again later while any is left."""
        loop = asyncio.get_running_loop()
        oldest_s = loop.time() - limits.WEBHOOK_CONNECTION_IDLE_S
        for key, kept in list(self._idle.items()):
            stale = [each for each in kept if each.idle_since_s <= oldest_s or not each.reusable]
            for exchange in stale:
                exchange.close()
            kept[:] = [each for each in kept if each not in stale]
            if not kept:
                del self._idle[key]
        self._sweeping = (
            loop.call_later(limits.WEBHOOK_CONNECTION_IDLE_S, self._sweep) if self._idle else None
        )

    async def _connected(self, target: Target) -> Exchange:
        """A new connection, judged where it goes. Raises `NotSent`."""
        try:
            async with asyncio.timeout(self._connect_s):
                infos = await self._infos(target)
                return await self._connect(target, infos)
        except TimeoutError:
            raise NotSent("no connection in time") from None
        except Forbidden as error:
            raise NotSent(f"not allowed: {error.why}") from None
        except ssl.SSLCertVerificationError as error:
            raise NotSent(f"the certificate does not hold: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise NotSent(f"no TLS: {error.reason or error}") from None
        except (OSError, RuntimeError) as error:  # uvloop has errors of its own for sockets
            raise NotSent(f"no connection: {error}") from None

    async def _infos(self, target: Target) -> list[AddrInfo]:
        """Where the name leads now; raises `Forbidden` when nothing of it may be gone to."""
        self._names = self._names or Names()
        try:
            infos = await self._names.look(target.host, target.port)
        except (OSError, UnicodeError):
            raise NotSent("the name does not resolve") from None
        guard = self._guards[target.secure]
        refusals = [guard.refusal(info[4][0]) for info in infos]
        if infos and all(refusals):  # what is mixed is told apart socket by socket
            raise Forbidden(infos[0][4][0], refusals[0] or "")
        return infos

    async def _connect(self, target: Target, infos: list[AddrInfo]) -> Exchange:
        loop = asyncio.get_running_loop()
        connected = await aiohappyeyeballs.start_connection(
            infos,
            loop=loop,
            happy_eyeballs_delay=_HAPPY_EYEBALLS_S,
            socket_factory=self._guards[target.secure],
        )
        try:
            _, exchange = await loop.create_connection(
                Exchange,
                sock=connected,
                ssl=self._tls() if target.secure else None,
                server_hostname=target.host.rstrip(".") if target.secure else None,
            )
        except BaseException:
            with suppress(OSError):
                connected.close()
            raise
        return exchange

    def _tls(self) -> ssl.SSLContext:
        if self._tls_context is None:
            self._tls_context = ssl.create_default_context()
        return self._tls_context


@lru_cache(maxsize=1_024)
def _target(text: str) -> Target:
    """Raises `ValueError` for a URL that no request can go to."""
    url = URL(text)
    host, port = url.raw_host, url.port
    if url.scheme not in ("https", "http") or not host or not port:
        raise ValueError(f"{url.scheme or 'it'} is neither https nor http with a host")
    named = f"[{host}]" if ":" in host else host
    shown = named if url.is_default_port() else f"{named}:{port}"
    head = f"POST {url.raw_path_qs} HTTP/1.1\r\nhost: {shown}\r\n"
    if any(character in "\r\n" for character in head.replace("\r\n", "", 2)) or not head.isascii():
        raise ValueError("it has characters that no request can have")
    return Target(url.scheme == "https", host, port, head.encode("ascii"))
