"""Carries out what operators order, each order once, in the order in which they were given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from veltrix.domain import limits
from veltrix.domain.identifiers import notice_id
from veltrix.notification.trials import TRIAL, trial_notice
from veltrix.observability.logging import get_logger
from veltrix.ports.errors import Fenced, PortError
from veltrix.ports.fulfilment import ORDERED, Fulfilment, Progress
from veltrix.ports.notices import WEBHOOK, Notice
from veltrix.ports.outreach import Order, OrderKind, Outreach
from veltrix.ports.system import Clock

_log = get_logger("notification")
PING: Final = "ping"
"""The kind of a notice that an operator asked for to see whether an endpoint is reached."""


@dataclass(slots=True)
class Ordering:
    """Looks for orders every `limits.ORDER_POLL_S`. `wake` tells of notices that are due now.
    `channels` carry mail."""

    outreach: Outreach
    fulfilment: Fulfilment
    clock: Clock
    wake: Callable[[], None]
    channels: tuple[str, ...] = ()
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _checked: bool = False

    def stop(self) -> None:
        """Let `run` end after the page at hand."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped; errors are tried again."""
        delay_s = limits.ORDER_POLL_S
        while not self._stopping:
            try:
                while await self.step() and not self._stopping:
                    pass
                delay_s = limits.ORDER_POLL_S
            except Fenced as error:  # another process carries it out
                _log.debug("orders_moved", error=str(error))
            except PortError as error:
                _log.warning("ordering_interrupted", error=str(error))
                delay_s = min(delay_s * 2, 10 * limits.ORDER_POLL_S)
            except Exception:
                _log.exception("ordering_failed")
                delay_s = 10 * limits.ORDER_POLL_S
            await self._wait(delay_s)

    async def step(self) -> bool:
        """A page of the next order; False when there is none."""
        at = await self.fulfilment.progress()
        orders = await self.outreach.orders(at.seq, 1)
        if not orders:
            return await self._rewound(at)
        order = orders[0]
        after = await self.fulfilment.carry_out(order, at, self.clock.now_ms(), self._notices(order))
        if after.seq == order.seq:
            _log.info("order_carried_out", order=order.seq, kind=order.kind.value, by=order.by)
        self.wake()
        return True

    async def _rewound(self, at: Progress) -> bool:
        """Whether the orders begin before what was carried out: they were restored from an older state. Then
        all that there are were carried out, and the next one is to be; its number was used before."""
        if self._checked:
            return False
        given = (await self.outreach.counts())["orders"]
        self._checked = True
        if given >= at.seq or not await self.fulfilment.rewind(at, given):
            return False
        _log.warning("orders_restored", given=given, carried_out=at.seq)
        return True

    def _notices(self, order: Order) -> Sequence[Notice]:
        if order.kind is OrderKind.TEST_MAIL:
            return [
                trial_notice(order, notice_id(ORDERED, order.seq, TRIAL, channel), channel)
                for channel in self.channels
            ]
        if order.kind is not OrderKind.PING:
            return ()
        return [
            Notice(
                id=notice_id(ORDERED, order.seq, order.target, WEBHOOK),
                organizer=order.organizer,
                event="",
                partition=ORDERED,
                seq=order.seq,
                kind=PING,
                registration="",
                recipient=order.target,
                channel=WEBHOOK,
                key_id="",
                created_ms=order.created_ms,
            )
        ]

    async def _wait(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            pass
