"""Which addresses a webhook may go to: those of the public internet, and what an operator allows beside them.

Whoever may save an endpoint makes this machine connect somewhere. Without a judgement of the address that
would be a way into the operator's own network (server-side request forgery). The tables below are the
special-purpose registries of IANA (RFC 6890), read strictly: what is not surely public is refused, and of
IPv6 only global unicast is public at all.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_IPV4: Final = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a provider's customers (CGNAT)"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "set aside for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.31.196.0/24", "set aside for name servers (AS112)"),
    ("192.52.193.0/24", "set aside for multicast tunnels"),
    ("192.88.99.0/24", "a 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "set aside for name servers (AS112)"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_IPV6: Final = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("64:ff9b::/96", "translated to IPv4 (NAT64)"),
    ("64:ff9b:1::/48", "translated to IPv4 (NAT64)"),
    ("100::/64", "discarded"),
    ("100:0:0:1::/64", "reserved"),
    ("2001::/32", "tunnelled (Teredo)"),
    ("2001:2::/48", "for benchmarks"),
    ("2001::/23", "set aside for protocols"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "tunnelled (6to4)"),
    ("2620:4f:8000::/48", "set aside for name servers (AS112)"),
    ("3fff::/20", "for documentation"),
    ("5f00::/16", "for segment routing"),
    ("fc00::/7", "private (ULA)"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_REFUSED_IPV4: Final = tuple((ipaddress.IPv4Network(text), what) for text, what in _IPV4)
_REFUSED_IPV6: Final = tuple((ipaddress.IPv6Network(text), what) for text, what in _IPV6)
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Allowed:
    """The judgement: public addresses, and those of `networks` that an operator allows."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(text) for text in networks]

    def listed(self, host: str) -> bool:
        """Whether an operator allows this very address, public or not."""
        return self._listed(_unwrapped(_parsed(host)))

    def refusal(self, host: str) -> str | None:
        """Why nothing may be sent to the address `host`, in a few words; None when it may.

        `host` is as the operating system has it in a socket's address, perhaps with a zone. Anything that
        is no address raises `ValueError`: a name must be resolved first, and what it resolved to judged.
        """
        address = _unwrapped(_parsed(host))
        if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
            # Allowing the translator's prefix (an operator with DNS64 does) must not open what lies behind.
            behind = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
            if not self._listed(behind) and special_use(behind) is not None:
                return f"translated to {special_use(behind)} (NAT64)"
        return None if self._listed(address) else special_use(address)

    def _listed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


def special_use(address: Address) -> str | None:
    """What an address is set aside for; None for one of the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return next((what for network, what in _REFUSED_IPV4 if address in network), None)
    if address.ipv4_mapped is not None:
        return special_use(address.ipv4_mapped)
    found = next((what for network, what in _REFUSED_IPV6 if address in network), None)
    return found or (None if address in _GLOBAL_UNICAST else "reserved")


def literal(host: str) -> str | None:
    """The address that a URL's host is, however it is written; None when it is a name.

    Resolvers take `0x7f.1`, `0177.1`, `127.1` and `2130706433` for 127.0.0.1, so they are no names here.
    """
    bare = host.strip("[]")
    try:
        return str(_parsed(bare))
    except ValueError:
        pass
    if not bare or not all(part and part[0].isdigit() for part in bare.rstrip(".").split(".")):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(bare.rstrip(".")))
    except (OSError, UnicodeError):
        return None


def _parsed(host: str) -> Address:
    return ipaddress.ip_address(host.partition("%")[0])


def _unwrapped(address: Address) -> Address:
    """An IPv4 address written as IPv6 is that IPv4 address: so the kernel connects to it."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
