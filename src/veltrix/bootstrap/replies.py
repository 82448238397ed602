"""The way back to a registration process: a reply partition by an etcd slot, another one when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from veltrix.adapters.kafka import KafkaReplies, KafkaSettings
from veltrix.observability.logging import get_logger
from veltrix.ports.coordinator import Coordinator, Grant
from veltrix.ports.errors import PortError, Unavailable
from veltrix.ports.feed import Reply

_log = get_logger("registration")

_AGAIN_S: Final = 1.0
_SLOT = "reply/"


class SlotReplies:
    """Replies to a slot. While there is none nobody can answer here: then the ledger does."""

    def __init__(self, settings: KafkaSettings, coordinator: Coordinator, slots: int) -> None:
        self._settings = settings
        self._coordinator = coordinator
        self._slots = [f"{_SLOT}{number}" for number in range(slots)]
        self._receive: Callable[[Sequence[Reply]], None] = lambda replies: None
        self._replies: KafkaReplies | None = None
        self._grant: Grant | None = None
        self._address = ""
        self._holding: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """What this process writes into its records; empty while it holds no slot."""
        return self._address

    @property
    def held(self) -> bool:
        """Whether replies can come."""
        return bool(self._address)

    async def open(self, wait_s: float) -> None:
        """Take a slot and see that a reply comes back through it. Raises `Unavailable`."""
        try:
            async with asyncio.timeout(max(wait_s, _AGAIN_S)):
                await self._take()
        except TimeoutError:
            raise Unavailable(
                f"none of the {len(self._slots)} reply partitions became free; stop a registration process, "
                "or raise kafka.reply_partitions and run `veltrix cluster prepare`"
            ) from None
        self._holding = asyncio.create_task(self._hold(), name="reply-slot")

    def send(self, reply_to: str, replies: Sequence[Reply]) -> None:
        """Send; what cannot be sent is dropped."""
        if self._replies is not None:
            self._replies.send(reply_to, replies)

    def listen(self, receive: Callable[[Sequence[Reply]], None]) -> None:
        """Hand every reply to `receive` from now on, whichever slot it comes by."""
        self._receive = receive

    async def close(self) -> None:
        """Give the slot back; safe to call twice."""
        if self._holding is not None:
            self._holding.cancel()
            await asyncio.gather(self._holding, return_exceptions=True)
        await self._drop()

    async def _hold(self) -> None:
        """Take another slot whenever the one at hand is lost."""
        while True:
            try:
                if self._grant is None:
                    await self._take()
                assert self._grant is not None
                await self._grant.lost.wait()
                _log.warning("reply_slot_lost", slot=self._grant.resource)
            except PortError as error:
                _log.warning("no_reply_slot", error=str(error))
                await asyncio.sleep(_AGAIN_S)
            await self._drop()

    async def _take(self) -> None:
        grant = await self._coordinator.acquire_any(self._slots)
        try:
            replies = await KafkaReplies.open(self._settings, slot=int(grant.resource.removeprefix(_SLOT)))
        except BaseException:
            with suppress(PortError):
                await self._coordinator.release(grant)
            raise
        replies.listen(self._hand_on)
        self._grant, self._replies, self._address = grant, replies, replies.address
        _log.info("reply_slot_taken", slot=grant.resource)

    def _hand_on(self, replies: Sequence[Reply]) -> None:
        self._receive(replies)

    async def _drop(self) -> None:
        grant, replies = self._grant, self._replies
        self._grant, self._replies, self._address = None, None, ""
        if replies is not None:
            await replies.close()
        if grant is not None:
            with suppress(PortError):
                await self._coordinator.release(grant)
