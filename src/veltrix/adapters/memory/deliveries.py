"""What operators see and order, on notification's store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from veltrix.adapters.memory.notice_rows import Entry, NoticeRows
from veltrix.domain import limits
from veltrix.domain.targets import Target, enabled
from veltrix.ports.deliveries import AttemptRow, Backlog, Bounce, Delivery, Wanted
from veltrix.ports.errors import Fenced
from veltrix.ports.fulfilment import REPLAYED, Progress
from veltrix.ports.notices import Notice, NoticeStatus
from veltrix.ports.outreach import Order, OrderKind


class MemoryDeliveries(NoticeRows):
    """The ports `Deliveries` and `Fulfilment`."""

    async def search(self, wanted: Wanted, before: int | None, limit: int) -> list[Delivery]:
        """Matching notices, the newest first."""
        self._check_open()
        found = [each for each in self._matching(wanted) if before is None or each.place < before]
        return [each.delivery() for each in found[::-1][:limit]]

    async def attempts(self, notice: str) -> list[AttemptRow]:
        """The attempts at a notice."""
        self._check_open()
        entry = self._entries.get(notice)
        return [] if entry is None else list(entry.rows)

    async def targets(self, names: Sequence[str] | None = None) -> list[Target]:
        """How targets stand."""
        self._check_open()
        return [each for name, each in sorted(self._targets.items()) if names is None or name in names]

    async def bounced(self, asked: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these bounced."""
        self._check_open()
        return {each for each in asked if each in self._bounces}

    async def bounces(self, organizer: str, after: str, limit: int) -> list[Bounce]:
        """An organizer's bounced addresses."""
        self._check_open()
        keys = sorted(key for key in self._bounces if key[0] == organizer and key[1] > after)
        return [self._bounces[key] for key in keys[:limit]]

    async def backlog(self) -> list[Backlog]:
        """What waits, by target."""
        self._check_open()
        waiting: dict[str, list[Entry]] = {}
        for entry in self._entries.values():
            if entry.status in (NoticeStatus.PENDING, NoticeStatus.UNKNOWN):
                waiting.setdefault(entry.notice.target, []).append(entry)
        return [
            Backlog(
                target,
                theirs[0].notice.channel,
                len(theirs),
                min((each.notice.created_ms for each in theirs if not each.held), default=None),
                min((each.due_ms for each in theirs if each.due_ms is not None), default=None),
            )
            for target, theirs in sorted(waiting.items())
        ]

    async def progress(self) -> Progress:
        """How far orders are carried out."""
        self._check_open()
        return self._progress

    async def carry_out(
        self, order: Order, at: Progress, now_ms: int, notices: Sequence[Notice] = ()
    ) -> Progress:
        """Carry out an order, or a page of it."""
        self._check_open()
        if self._progress != at or order.seq != at.seq + 1:
            raise Fenced(f"orders are carried out up to {self._progress}, not {at}")
        for notice in notices:
            self._add(notice)
        place = 0
        if order.kind in (OrderKind.REPLAY, OrderKind.RELEASE, OrderKind.DROP):
            place = self._page(order, at.place, now_ms)
        elif order.kind is OrderKind.ENABLE and order.target in self._targets:
            known = self._targets[order.target]
            self._targets[order.target] = replace(enabled(known, now_ms), version=known.version + 1)
        elif order.kind is OrderKind.UNBOUNCE:
            for address in order.addresses:
                self._bounces.pop((order.organizer, address), None)
        self._progress = Progress(at.seq, place) if place else Progress(order.seq)
        return self._progress

    async def rewind(self, at: Progress, seq: int) -> bool:
        """Let orders after this one be the next."""
        self._check_open()
        if self._progress != at:
            return False
        self._progress = Progress(seq)
        return True

    async def change_target(self, target: Target) -> bool:
        """Record how a target stands."""
        self._check_open()
        known = self._targets.get(target.name)
        if (0 if known is None else known.version) != target.version:
            return False
        self._targets[target.name] = replace(target, version=target.version + 1)
        return True

    def _page(self, order: Order, after: int, now_ms: int) -> int:
        """The next notices of an order; returns the place of the last one, 0 when there are no more."""
        wanted = replace(order.wanted or Wanted(), organizer=order.organizer)
        until_ms = order.created_ms + 1
        found = [
            each
            for each in self._matching(wanted)
            if each.place > after and each.notice.created_ms < until_ms
        ]
        page = found[: limits.ORDER_PAGE]
        for entry in page:
            self._carry(order.kind, wanted, entry, now_ms)
        self._advance_lines(now_ms)
        return page[-1].place if len(found) > len(page) else 0

    def _carry(self, kind: OrderKind, wanted: Wanted, entry: Entry, now_ms: int) -> None:
        if kind is OrderKind.REPLAY:
            if entry.status not in (wanted.statuses or REPLAYED) or entry.status is NoticeStatus.SUPPRESSED:
                return
            if entry.status is NoticeStatus.ATTEMPTING:
                return
            entry.status, entry.due_ms, entry.detail = NoticeStatus.PENDING, now_ms, ""
            entry.before = entry.attempts
            entry.fence += 1
            self._live[entry.notice.id] = entry
        elif entry.held:
            if kind is OrderKind.DROP:
                entry.end(NoticeStatus.SUPPRESSED, f"dropped by order {self._progress.seq + 1}")
            else:
                entry.due_ms = now_ms
                entry.fence += 1
