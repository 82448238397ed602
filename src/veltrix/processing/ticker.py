"""Appends work whose time has come, as commands: holds that expire, events that end, reminders.

One ticks at a time. Ticking decides nothing. A command that comes twice is a duplicate or has no effect any
more, one that comes too early is refused, and one that comes late finds that the hold no longer stands.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from veltrix.domain import limits
from veltrix.domain.commands import Actor, AdoptRules, Command, EndEvent, Envelope, ExpireHold, Remind
from veltrix.domain.decider import NEWEST_RULES, REMINDING_RULES
from veltrix.domain.identifiers import command_id
from veltrix.observability.logging import get_logger
from veltrix.ports.coordinator import Coordinator, Grant
from veltrix.ports.errors import PortError
from veltrix.ports.ledger import Due, Head, Ledger
from veltrix.ports.log import Log, Record
from veltrix.ports.simulated import buggify
from veltrix.ports.system import Clock
from veltrix.ports.vault import Vault
from veltrix.wire import encode_command

_log = get_logger("ticker")
_DAY_MS = 24 * 3600 * 1000


class TickerMetrics(Protocol):
    """What the ticker tells about itself."""

    def ticked(self, appended: int) -> None:
        """A round ended; so many commands were appended."""


@dataclass(slots=True)
class Ticker:
    """Runs rounds over all partitions while it holds the grant `ticker`.

    `rules_version`: what every process knows, so that a partition may be brought under it. That is done where
    there is something to do that needs it, and not before.
    """

    log: Log
    ledger: Ledger
    vault: Vault
    coordinator: Coordinator
    clock: Clock
    metrics: TickerMetrics
    interval_s: float = limits.TICK_INTERVAL_S
    refused_keys_days: int = limits.REFUSED_KEYS_DAYS
    rules_version: int = NEWEST_RULES
    _swept_day: int = -1

    async def run(self) -> None:
        """Wait for the grant and tick; start again when it is lost. Ends by cancellation."""
        while True:
            try:
                grant = await self.coordinator.acquire("ticker")
                _log.info("ticker_elected", term=str(grant.term))
                try:
                    await self._tick_while(grant)
                finally:
                    await self.coordinator.release(grant)
            except PortError as error:
                _log.warning("tick_failed", error=str(error))
                await asyncio.sleep(limits.BACKOFF_MAX_S)

    async def _tick_while(self, grant: Grant) -> None:
        """Tick until the grant is lost, or for so long nothing worked that others had better try."""
        failing_s: float | None = None
        while not grant.lost.is_set():
            try:
                await self.tick()
                failing_s = None
            except PortError as error:
                _log.warning("tick_failed", error=str(error))
                now_s = self.clock.monotonic_s()
                failing_s = now_s if failing_s is None else failing_s
                if now_s - failing_s > limits.KEEP_GRANT_S:
                    return
            except Exception:  # a defect; holds must go on expiring where they can
                _log.exception("ticking_failed")
            await asyncio.sleep(limits.BACKOFF_MIN_S if buggify("ticker.early") else self.interval_s)

    async def tick(self) -> int:
        """One round; returns how many commands were appended."""
        appended = 0
        now_ms = self.clock.now_ms()
        for partition in range(self.log.identity.partitions):
            reminders = self.rules_version >= REMINDING_RULES
            found = await self.ledger.due(partition, now_ms, limits.DUE_PER_TICK, reminders=reminders)
            if not found:  # the log is asked only where it matters
                continue
            head = await self.ledger.head(partition)
            if head is None or await self._lags(head):
                continue
            records = [Record(encode_command(each)) for each in _commands(found, head, now_ms)]
            # Together, so that they share the log's cost; among holds that are due the order is nobody's.
            await asyncio.gather(*(self.log.append(partition, record) for record in records))
            appended += len(records)
        self.metrics.ticked(appended)
        if now_ms // _DAY_MS != self._swept_day:
            await self._sweep_keys(now_ms)
            self._swept_day = now_ms // _DAY_MS
        return appended

    async def _lags(self, head: Head) -> bool:
        """While much is undecided, a confirmation may already stand in the log before the expiry."""
        _, high = await self.log.bounds(head.partition)
        return high - head.next_offset > limits.TICK_LAG_MAX

    async def _sweep_keys(self, now_ms: int) -> None:
        """Destroy the keys of boxes that came to nothing, once refusals are old enough."""
        before_ms = now_ms - self.refused_keys_days * _DAY_MS
        for partition in range(self.log.identity.partitions):
            offset = -1
            while page := await self.ledger.unused_keys(partition, offset, before_ms, limits.DUE_PER_TICK):
                await self.vault.destroy([key_id for _, key_id in page])
                offset = page[-1][0]


def _commands(found: list[Due], head: Head, now_ms: int) -> list[Envelope]:
    """The work as commands. Where the rules know no reminders yet they are adopted first: the next round
    finds the reminders again."""
    reminding = head.rules_version >= REMINDING_RULES
    commands = [_command(due, now_ms) for due in found if reminding or not due.remind]
    if len(commands) < len(found):
        name = f"{head.partition}/{REMINDING_RULES}/{now_ms // 1000}"
        identity = command_id(["", "adopt", "", "system", name])
        body = AdoptRules(REMINDING_RULES)
        commands.append(Envelope(identity, "", "", body, Actor.SYSTEM, now_ms, ""))
    return commands


def _command(due: Due, now_ms: int) -> Envelope:
    body: Command
    if due.remind:
        body, route, name = Remind(), "remind", str(due.due_ms)
    elif due.hold_number:
        body = ExpireHold(due.registration, due.hold_number)
        route, name = "expire", f"{due.registration}/{due.hold_number}"
    else:
        body, route, name = EndEvent(), "end", str(due.due_ms)
    # The stamp's second is in the id: should log time lag behind the clock, the next round asks again.
    identity = command_id([due.organizer, route, due.event, "system", f"{name}/{now_ms // 1000}"])
    return Envelope(identity, due.organizer, due.event, body, Actor.SYSTEM, now_ms, "")
