"""URLs that somebody wants to save: refused at once, and with the reason, where that can be seen already."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Final

from yarl import URL

from veltrix.adapters.webhook.addresses import Allowed, literal
from veltrix.adapters.webhook.guard import Names
from veltrix.domain import limits
from veltrix.ports.destinations import Finding, Unfit

_LOCAL: Final = re.compile(r"(?:.*\.)?(?:localhost|local|internal|localdomain)\.?", re.IGNORECASE)
_UNWRITABLE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_PORT_MAX: Final = 65_535


class WebhookDestinations:
    """Judges as the guard of the connections will; the URL is read by the very code that will send to it."""

    def __init__(self, networks: Iterable[str] = (), *, names: Names | None = None) -> None:
        self._allowed = Allowed(networks)
        self._names = names

    async def judge(self, url: str) -> Finding | None:
        """What is wrong with a URL, None when nothing is."""
        if _UNWRITABLE.search(url):
            return Finding(Unfit.NO_URL)
        try:
            parsed = URL(url)
            host, port = parsed.host, parsed.port
        except ValueError:
            return Finding(Unfit.NO_URL)
        if parsed.scheme not in ("https", "http") or not host or not 0 < (port or 0) <= _PORT_MAX:
            return Finding(Unfit.NO_URL)
        if parsed.user is not None or parsed.password is not None:
            return Finding(Unfit.CREDENTIALS)
        if "#" in url:
            return Finding(Unfit.FRAGMENT)
        addresses = await self._addresses(host)
        for address in addresses:
            why = self._allowed.refusal(address)
            if why is not None:
                return Finding(Unfit.NOT_PUBLIC, f"{address} ({why})")
        listed = bool(addresses) and all(self._allowed.listed(address) for address in addresses)
        if parsed.scheme == "http" and not listed:
            return Finding(Unfit.NOT_HTTPS)
        if not addresses and _LOCAL.fullmatch(host):
            return Finding(Unfit.NOT_PUBLIC, f"{host} (a name of this machine or its network)")
        return None

    async def close(self) -> None:
        """Stop looking names up; safe to call twice."""
        if self._names is not None:
            await self._names.close()
            self._names = None

    async def _addresses(self, host: str) -> list[str]:
        """What the host is, or resolves to now; empty when nobody can say in time."""
        written = literal(host)
        if written is not None:
            return [written]
        self._names = self._names or Names()
        try:
            async with asyncio.timeout(limits.WEBHOOK_LOOKUP_S):
                return await self._names.addresses(host)
        except (OSError, TimeoutError, UnicodeError):
            return []
