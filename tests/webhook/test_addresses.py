"""Which addresses webhooks may go to, with the standard library's tables as a second opinion."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from veltrix.adapters.webhook import addresses
from veltrix.adapters.webhook.addresses import Allowed, literal, special_use

PUBLIC = Allowed()
NETWORKS = [
    ipaddress.ip_network(text)
    for text, _ in (*addresses._IPV4, *addresses._IPV6, ("2000::/3", ""), ("::ffff:0:0/96", ""))
]


@st.composite
def near_borders(draw):
    """Addresses at and beside the borders of every network that is set aside, and any others."""
    network = draw(st.sampled_from(NETWORKS))
    top = 2**network.max_prefixlen - 1
    border = draw(st.sampled_from([int(network.network_address), int(network.broadcast_address)]))
    near = min(max(border + draw(st.integers(-2, 2)), 0), top)
    anywhere = st.integers(0, top)
    return (ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address)(
        draw(st.one_of(st.just(near), anywhere))
    )


@given(near_borders())
@example(ipaddress.ip_address("::ffff:10.0.0.1"))
def test_nothing_that_the_standard_library_calls_special_is_public(address):
    """An address of which ipaddress says that it is private, local, multicast or reserved is refused."""
    plain = getattr(address, "ipv4_mapped", None) or address
    special = (
        plain.is_private, plain.is_loopback, plain.is_link_local, plain.is_multicast,
        plain.is_reserved, plain.is_unspecified,
    )  # fmt: skip
    if any(special):
        assert PUBLIC.refusal(str(address)) is not None


@given(near_borders())
@example(ipaddress.ip_address("2606:4700::1111"))
@example(ipaddress.ip_address("::ffff:8.8.8.8"))
def test_what_is_refused_is_refused_for_a_reason(address):
    """An address that ipaddress calls global is refused only as one of the kinds that it does not know."""
    plain = getattr(address, "ipv4_mapped", None) or address
    refusal = PUBLIC.refusal(str(address))
    if plain.is_global and refusal is not None:
        known = ("6to4", "multicast", "NAT64", "AS112", "tunnel", "reserved", "protocols", "IPv4-compatible",
                 "documentation", "segment", "discarded", "site-local")  # fmt: skip
        assert any(word in refusal for word in known), refusal
    if plain.is_global and not plain.is_multicast and plain.version == 4:
        assert refusal is None or "set aside" in refusal or "6to4" in refusal


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("127.0.0.1", "loopback"), ("127.255.255.254", "loopback"), ("0.0.0.0", "this network"),
        ("10.1.2.3", "private"), ("172.31.0.1", "private"), ("192.168.1.1", "private"),
        ("100.64.0.1", "CGNAT"), ("169.254.169.254", "link-local"), ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"), ("198.18.0.1", "benchmarks"), ("203.0.113.7", "documentation"),
        ("192.0.0.8", "protocols"), ("192.88.99.1", "6to4"),
        ("::1", "loopback"), ("::", "unspecified"), ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:7f00:1", "loopback"), ("::127.0.0.1", "IPv4-compatible"), ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"), ("fc00::1", "ULA"), ("fd12:3456::1", "ULA"), ("ff02::1", "multicast"),
        ("64:ff9b::7f00:1", "NAT64"), ("64:ff9b::808:808", "NAT64"), ("64:ff9b:1::1", "NAT64"),
        ("2002:7f00:1::", "6to4"), ("2001::1", "Teredo"), ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"), ("2001:2::1", "benchmarks"), ("fec0::1", "site-local"),
        ("4000::1", "reserved"), ("5f00::1", "segment"), ("100::1", "discarded"),
    ],
)  # fmt: skip
def test_each_kind_is_refused_by_name(host, word):
    """Each kind of special address is refused, and the text says which kind it is."""
    assert word in (PUBLIC.refusal(host) or "")


@pytest.mark.parametrize("host", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "1.1.1.1"])
def test_public_addresses_pass(host):
    """Addresses of the public internet are not refused, written as IPv4 in IPv6 either."""
    assert PUBLIC.refusal(host) is None


def test_an_operator_allows_networks_and_no_more():
    """An allowed network is let through, also written as IPv6, and its neighbours stay refused."""
    allowed = Allowed(["10.1.0.0/16", "fd00:1::/32"])
    assert allowed.refusal("10.1.255.255") is None
    assert allowed.refusal("::ffff:10.1.0.1") is None
    assert allowed.refusal("fd00:1::5") is None
    assert allowed.listed("10.1.0.1")
    assert not allowed.listed("8.8.8.8")
    for host in ("10.2.0.0", "10.0.255.255", "fd00:2::", "::1", "127.0.0.1"):
        assert allowed.refusal(host) is not None


def test_allowing_a_translator_opens_nothing_behind_it():
    """With NAT64's prefix allowed, public addresses behind it pass and private ones do not."""
    allowed = Allowed(["64:ff9b::/96"])
    assert allowed.refusal("64:ff9b::808:808") is None
    assert "private" in (allowed.refusal("64:ff9b::a00:1") or "")
    assert Allowed(["64:ff9b::/96", "10.0.0.0/8"]).refusal("64:ff9b::a00:1") is None


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0x7f.1", "2130706433", "0177.1", "127.1", "0x7f000001", "017700000001", "127.0.0.1."],
)
def test_every_way_to_write_loopback_is_loopback(host):
    """Whatever a resolver would take for 127.0.0.1 is read as that."""
    assert literal(host) == "127.0.0.1"


@pytest.mark.parametrize(("host", "found"), [("[::ffff:127.0.0.1]", "::ffff:7f00:1"), ("::1", "::1")])
def test_literals_of_ipv6_are_read(host, found):
    """An IPv6 address is a literal, in brackets or without."""
    assert ipaddress.ip_address(literal(host) or "") == ipaddress.ip_address(found)


@pytest.mark.parametrize(
    "host", ["example.org", "1.example.org", "0x7f.example", "a1", "dead.beef", "x.1", ""]
)
def test_names_are_no_literals(host):
    """A host that is a name is not taken for an address."""
    assert literal(host) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{0}", "{0:#x}", "{1}.{2}", "0{1:o}.{2:#x}"]))
def test_unusual_literals_are_what_the_system_connects_to(value, form):
    """What is judged for an unusual literal is the address that the system's own resolver makes of it."""
    host = form.format(value, value >> 24, value & 0xFF_FFFF)
    try:
        resolved = socket.getaddrinfo(host, 0, family=socket.AF_INET, flags=socket.AI_NUMERICHOST)[0][4][0]
    except OSError:
        return
    assert literal(host) == resolved


def test_special_use_reads_mapped_addresses():
    """A mapped address is judged as the IPv4 address that it is."""
    assert special_use(ipaddress.ip_address("::ffff:192.168.0.1")) == "private"
    assert special_use(ipaddress.ip_address("::ffff:8.8.4.4")) is None
