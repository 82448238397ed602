"""Posts to a real receiver that verifies them, and to receivers that misbehave."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import time
from dataclasses import replace
from email.utils import formatdate

import pytest

from tests.webhook import receiver as acts
from tests.webhook.receiver import SECRET, a_closing_port, a_receiver
from veltrix.adapters.webhook import Names, WebhookDestinations, WebhookPoster
from veltrix.domain import limits
from veltrix.ports.channel import Post, Sent

LOOPBACK = ("127.0.0.0/8", "::1/128")
BODY = b'{"specversion":"1.0","id":"0-1"}'
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_numbers = itertools.count(1)


def a_post(url: str, **changes) -> Post:
    """A finished webhook, another on each call."""
    made = Post(f"ntc_{next(_numbers):032x}", "ep_" + "0" * 32, url, BODY, (SECRET,), int(time.time()), TRACE)
    return replace(made, **changes)


@pytest.fixture
async def poster():
    """A poster that may post to loopback without TLS."""
    made = WebhookPoster(LOOPBACK)
    yield made
    await made.close()


@pytest.fixture
async def hasty():
    """The same, for receivers that never answer: it waits three seconds at the most."""
    made = WebhookPoster(LOOPBACK, timeout_s=3.0)
    yield made
    await made.close()


async def test_a_post_arrives_as_the_standard_says(poster):
    """The receiver verifies the signature, and finds id, timestamp, media type, trace and the very body."""
    async with a_receiver() as receiver:
        post = a_post(receiver.url)
        attempt = await poster.post(post)
    assert (attempt.sent, attempt.code, attempt.gone) == (Sent.ACCEPTED, 204, False)
    assert attempt.latency_s is not None
    headers, body = receiver.requests[0]
    assert receiver.forged == 0
    assert body == BODY
    assert headers["webhook-id"] == post.notice
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["traceparent"] == TRACE
    assert headers["content-length"] == str(len(BODY))
    assert "cookie" not in headers


async def test_the_id_stays_and_the_timestamp_is_the_attempt_s_own(poster):
    """A second attempt carries the same webhook-id with another timestamp, and both verify."""
    async with a_receiver(acts.answer(500)) as receiver:
        post = a_post(receiver.url)
        await poster.post(post)
        await poster.post(replace(post, at_s=post.at_s + 7))
    (first, _), (second, _) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 7
    assert receiver.forged == 0


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (200, Sent.ACCEPTED), (202, Sent.ACCEPTED), (299, Sent.ACCEPTED), (304, Sent.NOT_SENT),
        (400, Sent.NOT_SENT), (401, Sent.NOT_SENT), (404, Sent.NOT_SENT), (409, Sent.NOT_SENT),
        (410, Sent.REFUSED), (429, Sent.NOT_SENT), (500, Sent.NOT_SENT), (503, Sent.NOT_SENT),
    ],
)  # fmt: skip
async def test_a_status_is_a_definite_answer(poster, status, sent):
    """2xx is accepted, 410 refuses for good, and every other answer is a no that may change."""
    async with a_receiver(acts.answer(status, "because")) as receiver:
        attempt = await poster.post(a_post(receiver.url))
    assert (attempt.sent, attempt.code) == (sent, status)
    assert attempt.gone is (status == 410)
    assert attempt.excerpt == ("" if status == 304 else "because")
    assert len(receiver.ids) == 1


async def test_a_redirect_is_not_followed(poster):
    """A redirect is an answer like any no: nothing is sent to where it points."""
    async with a_receiver() as elsewhere, a_receiver(acts.answer(307, location=elsewhere.url)) as receiver:
        attempt = await poster.post(a_post(receiver.url))
    assert (attempt.sent, attempt.code) == (Sent.NOT_SENT, 307)
    assert elsewhere.requests == []


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_understood_both_ways(poster, status):
    """Retry-After is told in seconds, written as a number or as a date; one that is neither is none."""
    told = [("120", 120.0), (formatdate(time.time() + 90, usegmt=True), 90.0), ("soon", None), ("-5", None)]
    for value, wait_s in told:
        async with a_receiver(acts.answer(status, retry_after=value)) as receiver:
            attempt = await poster.post(a_post(receiver.url))
        assert attempt.retry_after_s == (None if wait_s is None else pytest.approx(wait_s, abs=2.0))


async def test_a_receiver_that_says_nothing_leaves_it_unknown(hasty):
    """A receiver that takes the body and hangs: unknown, once the time for an attempt is over."""
    async with a_receiver(acts.hang) as receiver:
        attempt = await hasty.post(a_post(receiver.url))
    assert (attempt.sent, attempt.code) == (Sent.UNKNOWN, None)
    assert len(receiver.ids) == 1


@pytest.mark.parametrize("behaviour", [acts.reset, acts.close_after_body, acts.drip(status_line=True)])
async def test_contact_lost_after_the_body_is_unknown(hasty, behaviour):
    """Reset, closed, or an answer that never gets past its head: it may have been taken, so it is unknown."""
    async with a_receiver(behaviour) as receiver:
        attempt = await hasty.post(a_post(receiver.url))
    assert attempt.sent is Sent.UNKNOWN
    assert len(receiver.ids) == 1


async def test_a_connection_that_closes_at_once_is_never_called_accepted(poster):
    """Whoever closes before reading may still have read: unknown, never accepted."""
    async with a_closing_port() as url:
        attempt = await poster.post(a_post(url))
    assert attempt.sent in (Sent.UNKNOWN, Sent.NOT_SENT)


async def test_garbage_for_an_answer_is_unknown(poster):
    """What is no HTTP says nothing about what became of the body."""

    async def talk(reader, writer):
        await reader.readuntil(b"}")
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        attempt = await poster.post(a_post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert attempt.sent is Sent.UNKNOWN


async def test_endless_headers_are_cut_off(poster):
    """An answer with more headers than anyone needs is not read to its end."""
    taken = 0

    async def talk(reader, writer):
        nonlocal taken
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while taken < 200_000_000:
                block = b"".join(b"x-%d: %s\r\n" % (taken + n, b"y" * 1000) for n in range(64))
                writer.write(block)
                await writer.drain()
                taken += len(block)
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        attempt = await poster.post(a_post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert attempt.sent is Sent.UNKNOWN
    assert taken < 50_000_000


async def test_an_answer_of_a_gigabyte_is_accepted_by_its_head(poster):
    """A 200 with 1 GB: accepted, its first KiB kept, and the rest neither read nor waited for."""
    async with a_receiver() as receiver:
        receiver.behaviour = receiver.endless
        attempt = await poster.post(a_post(receiver.url))
        assert (attempt.sent, attempt.code) == (Sent.ACCEPTED, 200)
        assert attempt.excerpt == "x" * limits.WEBHOOK_EXCERPT_BYTES
    assert receiver.streamed_bytes < 64 * 1024**2


async def test_an_answer_of_ten_megabytes_is_cut_off(poster):
    """A 500 with 10 MB: refused this time, with the first KiB as the reason."""
    async with a_receiver(acts.answer(500, "no" * 5_000_000)) as receiver:
        attempt = await poster.post(a_post(receiver.url))
        assert attempt.sent is Sent.NOT_SENT
        assert attempt.excerpt == "no" * (limits.WEBHOOK_EXCERPT_BYTES // 2)
        assert (await poster.post(a_post(receiver.url))).sent is Sent.NOT_SENT


@pytest.mark.parametrize("behaviour", [acts.drip(status_line=False), acts.half_an_answer])
async def test_a_body_that_drips_or_breaks_changes_nothing(poster, behaviour):
    """Once the status is read the outcome is definite, however the rest of the answer comes."""
    async with a_receiver(behaviour) as receiver:
        attempt = await poster.post(a_post(receiver.url))
    assert (attempt.sent, attempt.code) == (Sent.ACCEPTED, 200)
    assert attempt.excerpt


async def test_connections_are_kept_and_bounded(poster, monkeypatch):
    """Posts in a row share a connection; of many at once each gets its turn, on a bounded number."""
    monkeypatch.setattr(limits, "WEBHOOK_CONNECTIONS_PER_HOST", 4)
    async with a_receiver() as receiver:
        for _ in range(5):
            assert (await poster.post(a_post(receiver.url))).sent is Sent.ACCEPTED
        assert len(receiver.peers) == 1
        it = iter(range(400))

        async def eager() -> set[Sent]:
            """Asks again at once, as often as there is something to post."""
            return {(await poster.post(a_post(receiver.url))).sent for _ in it}

        outcomes = await asyncio.gather(*(eager() for _ in range(40)))
    assert all(outcome == {Sent.ACCEPTED} for outcome in outcomes)
    assert len(receiver.peers) <= 5
    assert receiver.forged == 0


async def test_a_host_that_is_busy_sends_nothing_in_vain(monkeypatch):
    """Who gets no connection in time was not sent; nothing of it arrived."""
    monkeypatch.setattr(limits, "WEBHOOK_CONNECTIONS_PER_HOST", 1)
    poster = WebhookPoster(LOOPBACK, timeout_s=1.0)
    async with a_receiver(acts.hang) as receiver:
        attempts = await asyncio.gather(*(poster.post(a_post(receiver.url)) for _ in range(2)))
    assert [attempt.sent for attempt in attempts] == [Sent.UNKNOWN, Sent.NOT_SENT]
    assert "busy" in attempts[1].detail
    assert len(receiver.ids) == 1
    await poster.close()
    await poster.close()


async def test_what_cannot_be_connected_to_is_not_sent(poster):
    """A closed port and a name that does not resolve: nothing arrived, and the reason is told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    refused = await poster.post(a_post(f"http://127.0.0.1:{port}/"))
    assert refused.sent is Sent.NOT_SENT
    assert "no connection" in refused.detail
    nameless = await poster.post(a_post("https://no-such-name.invalid/"))
    assert (nameless.sent, nameless.detail) == (Sent.NOT_SENT, "the name does not resolve")


async def test_a_port_that_speaks_no_tls_is_not_sent(poster):
    """TLS that fails lets nothing of the post out."""
    async with a_receiver() as receiver:
        attempt = await poster.post(a_post(receiver.url.replace("http:", "https:")))
    assert attempt.sent is Sent.NOT_SENT
    assert receiver.requests == []


async def test_certificates_are_verified(poster, tls_receiver):
    """A certificate that nobody trusts keeps the post back; trusted, the same receiver gets it."""
    url, authority, arrived = tls_receiver
    attempt = await poster.post(a_post(url))
    assert attempt.sent is Sent.NOT_SENT
    assert "certificate" in attempt.detail
    assert arrived == []
    trusting = WebhookPoster(LOOPBACK, tls_context=ssl.create_default_context(cafile=authority))
    assert (await trusting.post(a_post(url))).sent is Sent.ACCEPTED
    wrong_name = await trusting.post(a_post(url.replace("127.0.0.1", "localhost")))
    assert wrong_name.sent is Sent.NOT_SENT
    assert len(arrived) == 1
    await trusting.close()


async def test_without_a_secret_nothing_is_posted(poster):
    """An endpoint without a secret, or with one that signs nothing, gets no unsigned post."""
    async with a_receiver() as receiver:
        for secrets in ((), ("whsec_***",)):
            attempt = await poster.post(a_post(receiver.url, secrets=secrets))
            assert attempt.sent is Sent.NOT_SENT
            assert attempt.own_fault
    assert receiver.requests == []


@pytest.mark.parametrize("url", ["ftp://example.org/", "https://", "http://[::1", "https://a b/", "mailto:x"])
async def test_a_url_that_is_none_raises_nothing(poster, url):
    """A URL that should never have been saved is an attempt that was not sent."""
    assert (await poster.post(a_post(url))).sent is Sent.NOT_SENT


async def test_control_characters_do_not_reach_headers(poster):
    """A trace that is none is left out."""
    async with a_receiver() as receiver:
        attempt = await poster.post(a_post(receiver.url, trace="00-abc\r\nX-Evil: 1"))
    assert attempt.sent is Sent.ACCEPTED
    assert "traceparent" not in receiver.requests[0][0]
    assert "x-evil" not in receiver.requests[0][0]


class Changing:
    """A resolver whose answers are given one after the other; the last one stays."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def look(self, host, port):
        """The next answer."""
        self.asked += 1
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(kind, socket.SOCK_STREAM, 6, "", (address, port))]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "10.0.0.1"])
async def test_a_name_that_leads_inside_is_refused_at_the_connection(address):
    """Whatever a name resolves to is judged as the address that the socket would go to."""
    poster = WebhookPoster(names=Names(Changing(address).look))
    attempt = await poster.post(a_post("https://rebinding.example/"))
    assert attempt.sent is Sent.NOT_SENT
    assert attempt.detail.startswith("not allowed: ")
    await poster.close()


async def test_a_name_that_rebinds_between_check_and_connection_is_refused():
    """A name that was public when its endpoint was saved and leads inside now gets nothing."""
    names = Names(Changing("93.184.216.34", "127.0.0.1").look)
    assert await WebhookDestinations(names=names).judge("https://rebinding.example/hooks") is None
    async with a_receiver() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        poster = WebhookPoster(names=names)
        attempt = await poster.post(a_post(f"https://rebinding.example:{port}/hooks"))
        await poster.close()
    assert attempt.sent is Sent.NOT_SENT
    assert attempt.detail == "not allowed: 127.0.0.1 is loopback"
    assert receiver.peers == set()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0x7f.1", "2130706433", "0177.1", "127.1", "[::ffff:127.0.0.1]", "[::1]", "localhost"],
)
async def test_no_way_to_write_loopback_reaches_it(host):
    """Literals in every writing, and localhost, are refused by a poster that allows nothing inside."""
    async with a_receiver() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        poster = WebhookPoster()
        for scheme in ("http", "https"):
            attempt = await poster.post(a_post(f"{scheme}://{host}:{port}/"))
            assert attempt.sent is Sent.NOT_SENT, (scheme, host)
        await poster.close()
    assert receiver.requests == []


async def test_plain_http_goes_to_allowed_networks_only():
    """Without TLS a public address is refused too; only what an operator lists is posted to."""
    poster = WebhookPoster(LOOPBACK, names=Names(Changing("93.184.216.34").look))
    attempt = await poster.post(a_post("http://public.example/"))
    assert attempt.sent is Sent.NOT_SENT
    assert "without TLS" in attempt.detail
    await poster.close()
