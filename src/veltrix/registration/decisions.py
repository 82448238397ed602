"""What became of a command: read with the receipt that its answer gave."""

from __future__ import annotations

import asyncio
from typing import Final

from veltrix.domain.credentials import Receipt
from veltrix.ports.feed import Reply
from veltrix.registration.calls import Answer, Call
from veltrix.registration.core import Core
from veltrix.registration.desk import Queued, Settled
from veltrix.registration.links import OFFSET_UNKNOWN
from veltrix.registration.problems import Problem

_LOOK_AGAIN_S: Final = 0.25
"""A reply may go to another process: then the line's movement tells, as the feed has it."""


class Decisions:
    """Handlers of decisions."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def read(self, call: Call) -> Answer:
        """The decision; waits for it as long as the client likes, else says the place in line."""
        core = self._core
        receipt, printed = self.receipt(call)
        await core.consistent(call.query("consistency"))
        preference = call.preference()
        wait_s = core.settings.wait_default_s if preference.wait_s is None else preference.wait_s
        settled = await self.settled(receipt, printed, wait_s)
        if settled is None:
            progress = core.desk.progress[receipt.partition]
            queued = Queued(receipt.partition, receipt.offset, progress.place(receipt.offset))
            answer = core.undecided(queued, receipt.command, printed)
        else:
            answer = await core.decided(call, settled)
            answer.status = 200
        if preference.applied:
            answer.headers.append((b"preference-applied", preference.applied))
        return answer

    def receipt(self, call: Call) -> tuple[Receipt, str]:
        """The receipt in the path. Raises `Problem` unknown_decision."""
        found = self._core.links.read_receipt(call.params["token"])
        if found is None or found[0].partition >= len(self._core.desk.progress):
            raise Problem("unknown_decision")
        return found

    async def settled(self, receipt: Receipt, printed: str, wait_s: float) -> Settled | None:
        """The decision, waited for; None when the time is over. Raises `Problem`."""
        core = self._core
        reply = core.desk.watch(receipt.command)
        try:
            settled = await self._read(receipt, printed)
            if settled is not None or wait_s <= 0 or core.desk.held >= core.settings.held_requests_max:
                return settled
            core.desk.held += 1
            try:
                await self._passed(receipt, reply, wait_s)
            finally:
                core.desk.held -= 1
            return await self._read(receipt, printed)
        finally:
            core.desk.unwatch(receipt.command, reply)

    async def _passed(self, receipt: Receipt, reply: asyncio.Future[Reply], wait_s: float) -> None:
        """Return once its reply is here, its partition has passed it, or the time is over."""
        clock, progress = self._core.ports.clock, self._core.desk.progress[receipt.partition]
        deadline_s = clock.monotonic_s() + wait_s
        while receipt.offset >= progress.next_offset:
            left_s = deadline_s - clock.monotonic_s()
            done, _ = await asyncio.wait((reply,), timeout=min(_LOOK_AGAIN_S, max(0.0, left_s)))
            if done or left_s <= 0:
                return

    async def _read(self, receipt: Receipt, printed: str) -> Settled | None:
        """What the ledger says now. A command that its partition has passed has a decision, or never came."""
        core = self._core
        settled = await core.desk.original(receipt.command, printed)
        if settled is not None:
            settled.replayed = receipt.offset not in (settled.decision.offset, OFFSET_UNKNOWN)
            return settled
        if receipt.offset < core.desk.progress[receipt.partition].next_offset:
            head = await core.ports.queries.head(receipt.partition)
            settled = await core.desk.original(receipt.command, printed)
            if settled is None and head is not None and head.next_offset > receipt.offset:
                raise Problem("unknown_decision")
        return settled
