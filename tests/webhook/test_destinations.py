"""URLs that are saved: what is refused at once, and why."""

from __future__ import annotations

import socket

import pytest

from veltrix.adapters.webhook import Names, WebhookDestinations
from veltrix.ports.destinations import Unfit

KNOWN = {
    "public.example": "93.184.216.34",
    "inside.example": "10.0.0.5",
    "mixed.example": "93.184.216.34 ::1",
}


async def look(host, port):
    """A resolver that knows three names."""
    if host not in KNOWN:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [
        (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
        for each in KNOWN[host].split()
    ]


@pytest.fixture
async def destinations():
    """Destinations that look names up in the table above, and allow one network."""
    made = WebhookDestinations(["10.9.0.0/16"], names=Names(look))
    yield made
    await made.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://public.example/hooks?tenant=1", "https://public.example:8443/", "https://8.8.8.8/",
        "https://[2606:4700::1111]/x", "https://not-there-yet.example/", "https://bücher.example/",
        "http://10.9.1.2/hooks", "https://10.9.1.2/",
    ],
)  # fmt: skip
async def test_what_is_public_or_allowed_passes(destinations, url):
    """Public addresses by https pass, names that do not resolve yet too, and an allowed network by http."""
    assert await destinations.judge(url) is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://127.0.0.1/", "127.0.0.1"), ("https://0x7f.1/", "127.0.0.1"),
        ("https://2130706433/", "127.0.0.1"), ("https://0177.1/", "127.0.0.1"),
        ("https://[::ffff:127.0.0.1]/", "loopback"), ("https://[::1]:9000/", "::1"),
        ("https://inside.example/", "10.0.0.5"), ("https://mixed.example/", "::1"),
        ("https://169.254.169.254/latest/meta-data", "link-local"), ("https://localhost/", "localhost"),
        ("https://api.localhost/", "localhost"), ("https://printer.local/", "printer.local"),
        ("http://127.0.0.1/", "127.0.0.1"), ("https://127。0。0。1/", "127.0.0.1"),
        ("https://１２７.0.0.1/", "127.0.0.1"), ("https://10.10.0.1/", "private"),
    ],
)  # fmt: skip
async def test_what_leads_inside_is_refused_with_the_address(destinations, url, address):
    """A URL whose host is, or resolves to, an address that is not public says which and why."""
    finding = await destinations.judge(url)
    assert finding is not None
    assert finding.unfit is Unfit.NOT_PUBLIC
    assert address in finding.shown


@pytest.mark.parametrize(
    ("url", "unfit"),
    [
        ("", Unfit.NO_URL), ("crm.example.org", Unfit.NO_URL), ("https://", Unfit.NO_URL),
        ("ftp://public.example/", Unfit.NO_URL), ("javascript:alert(1)", Unfit.NO_URL),
        ("https://public.example:0/", Unfit.NO_URL), ("https://public.example:99999/", Unfit.NO_URL),
        ("https://public.example/\r\nX: y", Unfit.NO_URL), ("https://a b/", Unfit.NO_URL),
        ("https://[::1", Unfit.NO_URL), ("https://public.example\\@127.0.0.1/", Unfit.NO_URL),
        ("https://user:secret@public.example/", Unfit.CREDENTIALS),
        ("https://user@public.example/", Unfit.CREDENTIALS),
        ("https://public.example/#top", Unfit.FRAGMENT), ("https://public.example/#", Unfit.FRAGMENT),
        ("http://public.example/", Unfit.NOT_HTTPS), ("http://not-there-yet.example/", Unfit.NOT_HTTPS),
        ("http://8.8.8.8/", Unfit.NOT_HTTPS),
    ],
)  # fmt: skip
async def test_what_is_no_url_to_post_to_is_refused_by_kind(destinations, url, unfit):
    """Each kind of URL that cannot be used is told apart."""
    finding = await destinations.judge(url)
    assert finding is not None
    assert finding.unfit is unfit
