"""How much one client address may ask: a bucket of tokens each, in a bounded table."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from starlette.types import Scope

from veltrix.domain import limits
from veltrix.ports.system import Clock

_HOPS_MAX = 20
_IPV6_PREFIX = 64


class Rates:
    """Token buckets by client address. Forwarded headers are believed only from trusted proxies."""

    def __init__(
        self,
        clock: Clock,
        rate_per_s: float,
        burst: float,
        trusted: Iterable[str],
        most: int = limits.RATE_ADDRESSES_MAX,
    ) -> None:
        self._clock = clock
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]
        self._most = most
        self._buckets: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses are known."""
        return len(self._buckets)

    def limit(self, rate_per_s: float, burst: float) -> None:
        """From now on so much; who has more than the new burst in its bucket keeps the burst."""
        self._rate_per_s = rate_per_s
        self._burst = burst

    def address(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """Whom a request comes from: the last address before our own proxies."""
        client = scope.get("client")
        peer: str = client[0] if client else ""
        if not self._trusted or not self._is_trusted(peer):
            return peer
        hops = forwarded_for(headers)
        for hop in reversed(hops):
            if not self._is_trusted(hop):
                return hop
        return hops[0] if hops else peer

    def take(self, address: str) -> int:
        """Take a token; returns 0, or the seconds after which there is one again."""
        now_s = self._clock.monotonic_s()
        if ":" in address:
            address = self._household(address)
        bucket = self._buckets.get(address)
        if bucket is None:
            if len(self._buckets) >= self._most:
                self._buckets.popitem(last=False)
            bucket = self._buckets[address] = [self._burst, now_s]
        else:
            self._buckets.move_to_end(address)
        tokens = min(self._burst, bucket[0] + (now_s - bucket[1]) * self._rate_per_s)
        bucket[1] = now_s
        if tokens < 1.0:
            bucket[0] = tokens
            return max(1, math.ceil((1.0 - tokens) / self._rate_per_s))
        bucket[0] = tokens - 1.0
        return 0

    @staticmethod
    def _household(address: str) -> str:
        """One household has a whole /64 of IPv6 addresses."""
        try:
            network = ipaddress.ip_network((address.partition("%")[0], _IPV6_PREFIX), strict=False)
        except ValueError:
            return address
        return str(network.network_address)

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def forwarded_for(headers: Mapping[bytes, bytes]) -> list[str]:
    """The addresses that Forwarded (RFC 7239) or X-Forwarded-For names, the client first."""
    forwarded = headers.get(b"forwarded")
    found: list[str] = []
    if forwarded is not None:
        for element in (
            forwarded[-limits.HEADER_VALUE_MAX_CHARS * 4 :].decode("latin-1").split(",")[-_HOPS_MAX:]
        ):
            for pair in element.split(";"):
                name, _, value = pair.strip().partition("=")
                if name.lower() == "for":
                    found.append(bare_address(value.strip().strip('"')))
        return found
    listed = headers.get(b"x-forwarded-for", b"")[-limits.HEADER_VALUE_MAX_CHARS * 4 :].decode("latin-1")
    return [bare_address(hop.strip()) for hop in listed.split(",")[-_HOPS_MAX:] if hop.strip()]


def bare_address(text: str) -> str:
    """An address without brackets and port; what is none stays as it is, bounded."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return text[:64]
