"""Webhooks after Standard Webhooks 1.0: a signed POST for each attempt, and what its answer means."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Final

from veltrix.adapters.webhook.addresses import Allowed
from veltrix.adapters.webhook.answers import excerpt, meaning, retry_after_s
from veltrix.adapters.webhook.client import NotSent, Unanswered, WebhookClient
from veltrix.adapters.webhook.guard import Names
from veltrix.adapters.webhook.signing import BadSecret, signatures
from veltrix.domain import limits
from veltrix.ports.channel import Attempt, Post, Sent

_MEDIA_TYPE: Final = "application/cloudevents+json"
_USER_AGENT: Final = "Veltrix-Webhooks/1"
_GONE: Final = 410
_TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class WebhookPoster:
    """Posts webhooks to the public internet, and to `networks` that an operator allows beside it.

    Without TLS nothing leaves but to those networks. `names` and `tls_context` stand in for the system's
    resolver and trust in tests.
    """

    def __init__(
        self,
        networks: Iterable[str] = (),
        *,
        names: Names | None = None,
        tls_context: ssl.SSLContext | None = None,
        timeout_s: float = limits.WEBHOOK_TIMEOUT_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = WebhookClient(
            Allowed(networks), names=names, tls_context=tls_context, timeout_s=timeout_s
        )
        self._clock_s = clock_s

    async def post(self, post: Post) -> Attempt:
        """Try once. The same notice has the same id in every attempt; its timestamp is the attempt's own."""
        if not post.secrets:
            return Attempt(Sent.NOT_SENT, "the endpoint has no secret to sign with", own_fault=True)
        try:
            signature = signatures(post.secrets, post.notice, post.at_s, post.body)
        except BadSecret as error:
            return Attempt(Sent.NOT_SENT, f"it cannot be signed: {error}", own_fault=True)
        headers = {
            "Content-Type": _MEDIA_TYPE,
            "User-Agent": _USER_AGENT,
            "webhook-id": post.notice,
            "webhook-timestamp": str(post.at_s),
            "webhook-signature": signature,
        }
        if _TRACEPARENT.fullmatch(post.trace):
            headers["traceparent"] = post.trace
        began_s = self._clock_s()
        try:
            answer = await self._client.post(post.url, headers, post.body)
        except NotSent as error:
            return Attempt(Sent.NOT_SENT, str(error), latency_s=self._clock_s() - began_s)
        except Unanswered as error:
            return Attempt(Sent.UNKNOWN, str(error), latency_s=self._clock_s() - began_s)
        sent = meaning(answer.status)
        return Attempt(
            sent,
            "" if sent is Sent.ACCEPTED else f"answered {answer.status}",
            retry_after_s=None if sent is Sent.ACCEPTED else retry_after_s(answer.retry_after, time.time()),
            code=answer.status,
            excerpt=excerpt(answer.beginning),
            latency_s=self._clock_s() - began_s,
            gone=answer.status == _GONE,
        )

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self._client.close()
