"""One POST, and what became of it.

The line that matters runs where the first byte of a request may have left: before it, nothing arrived
(no name, no connection, no TLS); after it, only an answer tells, and without one the outcome is unknown.
Nothing that the other side does costs more than `limits` say: time, connections, or memory.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from weakref import WeakValueDictionary

import aiohttp
from yarl import URL

from veltrix.adapters.webhook.addresses import Allowed
from veltrix.adapters.webhook.guard import Forbidden, Guard, Names
from veltrix.domain import limits

_LEFT_OUT: Final = ("Accept", "Accept-Encoding")


class NotSent(Exception):
    """Nothing of the request left this machine, or the connection never stood."""


class Unanswered(Exception):
    """The request left, wholly or in part, and no answer came that one could read."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The status of an answer, its `Retry-After`, and the beginning of its body."""

    status: int
    retry_after: str | None
    beginning: bytes


class WebhookClient:
    """Connections to whoever receives webhooks. Makes its sessions at the first request, in that loop."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        names: Names | None = None,
        tls_context: ssl.SSLContext | None = None,
        timeout_s: float = limits.WEBHOOK_TIMEOUT_S,
        connect_s: float = limits.WEBHOOK_CONNECT_S,
    ) -> None:
        self._allowed = allowed
        self._names = names
        self._tls_context = tls_context
        self._timeout_s = timeout_s
        self._connect_s = min(connect_s, timeout_s)
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send the body and wait for the answer. Raises `NotSent` or `Unanswered`, and nothing else."""
        try:
            target = _url(url)
            session = self._sessions.get(target.scheme) or self._session(target.scheme)
        except ValueError as error:
            raise NotSent(f"the URL cannot be used: {error}") from None
        room = await self._room(target.raw_authority)
        try:
            answer = await session.post(target, data=body, headers=headers, allow_redirects=False)
            return Answered(answer.status, answer.headers.get("Retry-After"), await _beginning(answer))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSent(_before(error)) from error
        except TimeoutError as error:
            raise Unanswered(f"no answer within {self._timeout_s:.0f} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unanswered(f"no answer: {type(error).__name__}") from error
        finally:
            room.release()

    async def _room(self, host: str) -> asyncio.Semaphore:
        """One of the connections that a host may have, first come first served.

        aiohttp's own bound is not fair: who asks again at once gets the connection that others wait for.
        """
        room = self._rooms.get(host)
        if room is None:
            room = self._rooms[host] = asyncio.Semaphore(limits.WEBHOOK_CONNECTIONS_PER_HOST)
        if not room.locked():
            await room.acquire()
            return room
        try:
            async with asyncio.timeout(self._connect_s):
                await room.acquire()
        except TimeoutError:
            raise NotSent("every connection to its host stayed busy") from None
        return room

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()
        if self._names is not None:
            await self._names.close()
            self._names = None

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        """The session of a scheme: without TLS, only to networks that an operator lists."""
        if scheme not in ("https", "http"):
            raise ValueError(f"{scheme} is neither https nor http")
        self._names = self._names or Names()
        connector = aiohttp.TCPConnector(
            limit=0,  # `_room` bounds them
            keepalive_timeout=limits.WEBHOOK_CONNECTION_IDLE_S,
            resolver=self._names,
            ttl_dns_cache=limits.WEBHOOK_NAMES_KEPT_S,
            socket_factory=Guard(self._allowed, listed_only=scheme == "http"),
            ssl=self._tls_context or True,
        )
        self._sessions[scheme] = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_LEFT_OUT,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=self._connect_s),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=4 * limits.WEBHOOK_EXCERPT_BYTES,
            max_headers=limits.WEBHOOK_ANSWER_HEADERS_MAX,
        )
        return self._sessions[scheme]


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """The first KiB of the body. What is longer, or comes too slowly, is cut off with its connection."""
    most = limits.WEBHOOK_EXCERPT_BYTES
    content = answer.content
    if content.is_eof() and content.total_bytes <= most:  # all of it is here, as it mostly is
        kept = content.read_nowait() if content.total_bytes else b""
        answer.release()
        return kept
    kept = b""
    try:
        async with asyncio.timeout(limits.WEBHOOK_EXCERPT_S):
            while len(kept) <= most:
                part = await content.read(most + 1 - len(kept))
                if not part:
                    answer.release()
                    return kept
                kept += part
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # the status has been read: how the rest of the answer ends changes nothing
    answer.close()
    return kept[:most]


def _before(error: Exception) -> str:
    """Why no connection came about, without more than that."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name does not resolve"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate does not hold: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"no TLS: {error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        return f"not allowed: {cause.why}" if isinstance(cause, Forbidden) else f"no connection: {cause}"
    return "the URL cannot be used"


@lru_cache(maxsize=1_024)
def _url(text: str) -> URL:
    return URL(text)
