"""The whole way of a webhook: facts, the real notification service on real stores, posts to a receiver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.notification.stage import ORGANIZER, Dice, Stage, settings
from tests.webhook.receiver import SECRET
from veltrix.adapters.webhook import WebhookPoster
from veltrix.notification.reach import Reach
from veltrix.notification.service import NotificationService
from veltrix.ports.channel import Sent
from veltrix.ports.deliveries import AttemptRow, Delivery, Wanted
from veltrix.ports.notices import OPEN, WEBHOOK, NoticeStatus
from veltrix.ports.outreach import Endpoint, Order, OrderKind, Scheme, SigningSecret
from veltrix.sealing import NONCE_BYTES, seal_secret

KEY = b"k" * 32
LOOPBACK = ("127.0.0.0/8",)
PATIENCE_S = 60.0
HOUR_MS = 3_600_000


@dataclass
class Delivering:
    """A stage whose facts are posted. `stores` are notification's own and what organizers chose."""

    notices: Any
    outreach: Any
    timeout_s: float = 15.0
    stage: Stage = field(default_factory=Stage)
    service: Any = None

    async def start(self) -> None:
        """Begin, or begin again as another process would."""
        self.stage.notices = self.notices
        poster = WebhookPoster(LOOPBACK, timeout_s=self.timeout_s)
        self.service = NotificationService(
            notices=self.notices,
            queries=self.stage.ledger,
            feed=self.stage.feed,
            vault=self.stage.vault,
            channels=[self.stage.mailbox],
            clock=self.stage.clock,
            entropy=Dice(),
            settings=settings(),
            reach=Reach(self.outreach, self.notices, self.notices, poster, KEY),
        )
        self.poster = poster
        await self.service.start()

    async def stop(self) -> None:
        """Stop in order."""
        await self.service.stop()
        await self.poster.close()

    async def endpoint(self, url: str, name: str = "ep_" + "1" * 32, **more: Any) -> Endpoint:
        """An endpoint with the secret that the receiver knows."""
        now_ms = self.stage.clock.now_ms()
        made = Endpoint(name, ORGANIZER, url, created_ms=now_ms, changed_ms=now_ms, **more)
        await self.outreach.put_endpoint(made)
        sealed = seal_secret(SECRET.encode(), KEY, b"n" * NONCE_BYTES, name, f"sgn_{name[3:]}")
        await self.outreach.add_secret(SigningSecret(f"sgn_{name[3:]}", name, Scheme.V1, sealed, now_ms))
        return made

    async def order(self, kind: OrderKind, **more: Any) -> int:
        """What an operator asks for, after the facts so far."""
        number: int = await self.outreach.give(Order(kind, ORGANIZER, self.stage.clock.now_ms() + 1, **more))
        return number

    async def webhooks(self, **wanted: Any) -> list[Delivery]:
        """The notices to endpoints, oldest first."""
        found = await self.notices.search(Wanted(ORGANIZER, channel=WEBHOOK, **wanted), None, 1_000)
        return list(reversed(found))

    async def attempts(self, delivery: Delivery) -> list[AttemptRow]:
        """What was tried."""
        rows: list[AttemptRow] = await self.notices.attempts(delivery.notice.id)
        return rows

    async def unknown(self) -> int:
        """How many attempts ended unknown."""
        rows = [row for each in await self.webhooks() for row in await self.attempts(each)]
        return sum(row.outcome == Sent.UNKNOWN for row in rows)

    async def until_over(self, count: int, *, also: Sequence[NoticeStatus] = ()) -> list[Delivery]:
        """Let time pass until that many notices to endpoints are recorded and none is open any more."""
        over = set(NoticeStatus) - OPEN | set(also)

        async def done() -> bool:
            found = await self.webhooks()
            return len(found) >= count and all(each.status in over for each in found)

        await self.until(done)
        return await self.webhooks()

    @property
    def idle(self) -> bool:
        """Whether nothing is claimed or in hand: only then may time leap, for leases are short."""
        dispatcher = self.service._dispatcher
        return not dispatcher.busy and bool(dispatcher._wake._waiters)

    async def until(self, condition: Any) -> None:
        """Let time pass, an hour at a step, until the condition holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():
                if self.idle:
                    self.stage.clock.ms += HOUR_MS
                    self.service._planner._wake.set()
                    self.service._dispatcher.wake()
                await asyncio.sleep(0)


@asynccontextmanager
async def delivering(notices: Any, outreach: Any, timeout_s: float = 15.0) -> AsyncIterator[Delivering]:
    """A service that delivers; closed at the end, but for the stores."""
    made = Delivering(notices, outreach, timeout_s)
    await made.stage.begin()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
