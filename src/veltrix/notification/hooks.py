"""Webhooks: the fact as outsiders get it, signed anew for each attempt, to where the endpoint is now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from veltrix.domain.facts import NumberedFact
from veltrix.notification.attempts import WEBHOOKS, Schedule
from veltrix.notification.choices import Choices
from veltrix.notification.gather import Gatherer, Verdict
from veltrix.notification.outgoing import Outgoing
from veltrix.ports.channel import Attempt, Post, Poster, Sent
from veltrix.ports.fulfilment import ORDERED
from veltrix.ports.notices import Claimed, Notice, NoticeStatus
from veltrix.ports.outreach import Endpoint, OnUnknown
from veltrix.ports.system import Clock
from veltrix.public import encode_ping, encode_public_fact
from veltrix.sealing import BoxBroken


@dataclass(slots=True)
class WebhookWay:
    """Posts to endpoints. What organizers chose is read again before each claim is sent."""

    choices: Choices
    gatherer: Gatherer
    poster: Poster
    clock: Clock
    base_url: str
    schedule: Schedule = WEBHOOKS

    async def ready(self, claimed: Sequence[Claimed]) -> list[Callable[[], Outgoing | Verdict]]:
        """Read the facts, and the endpoints if they changed."""
        await self.choices.refresh()
        facts = await self.gatherer.facts(
            [each.notice for each in claimed if each.notice.partition != ORDERED]
        )
        return [partial(self._make, each.notice, facts.get(each.notice.id)) for each in claimed]

    def holds(self, target: str) -> bool:
        """As the organizer chose for the endpoint."""
        endpoint = self.choices.endpoints.get(target)
        return endpoint is not None and endpoint.on_unknown is OnUnknown.HOLD

    async def forget(self, notices: list[str]) -> None:
        """Nothing is kept."""

    def _make(self, notice: Notice, numbered: NumberedFact | None) -> Outgoing | Verdict:
        endpoint = self.choices.endpoints.get(notice.recipient)
        if endpoint is None:
            return Verdict(NoticeStatus.SUPPRESSED, "the organizer removed the endpoint")
        if not endpoint.enabled:
            return Verdict(NoticeStatus.SUPPRESSED, "the organizer disabled the endpoint")
        if notice.partition == ORDERED:
            body = encode_ping(notice.id, notice.organizer, endpoint.id, notice.created_ms, self.base_url)
        elif numbered is None:
            return Verdict(NoticeStatus.PENDING, f"fact {notice.partition}/{notice.seq} cannot be read")
        else:
            body = encode_public_fact(numbered, self.base_url)
        return Outgoing(partial(self._post, notice, endpoint, body))

    async def _post(self, notice: Notice, endpoint: Endpoint, body: bytes) -> Attempt:
        now_ms = self.clock.now_ms()
        try:
            secrets = self.choices.secrets(endpoint.id, now_ms)
        except BoxBroken as error:
            return Attempt(Sent.NOT_SENT, f"it cannot be signed: {error}", own_fault=True)
        return await self.poster.post(
            Post(notice.id, endpoint.id, endpoint.url, body, secrets, now_ms // 1000, notice.trace)
        )
