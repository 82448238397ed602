"""Notification's store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from veltrix.adapters.memory.deliveries import MemoryDeliveries
from veltrix.adapters.memory.notice_rows import WAITING, Entry
from veltrix.domain.targets import Target, TargetState, disabled_detail, paced, probing, room
from veltrix.ports.deliveries import AttemptRow, Bounce
from veltrix.ports.errors import Fenced
from veltrix.ports.notices import (
    OPEN,
    Claimed,
    FanOut,
    Notice,
    NoticeStatus,
    Planned,
    Result,
    Share,
    Shares,
)


class MemoryNotices(MemoryDeliveries):
    """The inbox, the notices and the jobs as dictionaries, in the order in which they were recorded."""

    async def position(self, partition: int) -> int:
        """The last fact that was planned."""
        self._check_open()
        return self._positions.get(partition, 0)

    async def record(self, partition: int, after_seq: int, upto_seq: int, planned: Planned) -> list[str]:
        """Move the inbox and record what is planned."""
        self._check_open()
        at = self._positions.get(partition, 0)
        if at != after_seq:
            raise Fenced(f"the inbox of partition {partition} is at {at}, not {after_seq}")
        self._positions[partition] = upto_seq
        for notice in planned.notices:
            self._add(notice)
        for job in planned.jobs:
            self._jobs.setdefault((job.partition, job.seq), replace(job))
        return [notice for event, person in planned.erased for notice in self._suppress(event, person)]

    async def claim(
        self, now_ms: int, limit: int, lease_ms: int, shares: Shares | None = None
    ) -> list[Claimed]:
        """Take due notices, the one due longest first."""
        self._check_open()
        shares = Shares(Share(limit)) if shares is None else shares
        self._look_after(now_ms, shares)
        due: list[Entry] = []
        for target, theirs in self._waiting().items():
            due += self._allowed(target, theirs, now_ms, shares.of(target))
        due.sort(key=lambda entry: (entry.due_ms or 0, entry.place))
        claimed = [self._take(entry, now_ms, lease_ms) for entry in due[:limit]]
        taken: dict[str, int] = {}
        for each in claimed:
            taken[each.notice.target] = taken.get(each.notice.target, 0) + 1
        for target, count in taken.items():
            self._went(target, count, now_ms, now_ms + lease_ms, shares.of(target))
        return claimed

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds; each does so once."""
        self._check_open()
        recorded = 0
        for result in results:
            entry = self._entries.get(result.notice)
            if entry is None or entry.fence != result.fence or entry.status not in OPEN:
                continue
            if result.outcome:
                started_ms = result.at_ms if result.started_ms is None else result.started_ms
                row = (result.outcome, result.code, result.detail, result.excerpt)
                entry.add_row(AttemptRow(entry.attempts, started_ms, result.at_ms, *row))
                entry.tried_ms = result.at_ms
            else:
                entry.attempts -= 1
            entry.status = result.status
            entry.due_ms = result.next_ms
            entry.detail = result.detail
            entry.fence += 1
            if result.bounced:
                key = (entry.notice.organizer, result.bounced)
                self._bounces.setdefault(key, Bounce(*key, result.at_ms, result.detail))
            if entry.notice.ordered and result.status not in OPEN:
                self._advance_lines(result.at_ms)
            recorded += 1
        return recorded

    def fence_of(self, notice: str) -> int:
        """The fence that a notice stands under, 0 for none; for witnesses in a simulation."""
        entry = self._entries.get(notice)
        return 0 if entry is None else entry.fence

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open jobs, oldest first."""
        self._check_open()
        return [replace(job) for job in list(self._jobs.values())[:limit]]

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job and move it on."""
        self._check_open()
        standing = self._jobs.get((job.partition, job.seq))
        if standing is None or standing.after_arrival != job.after_arrival:
            raise Fenced(f"job {job.partition}/{job.seq} is not at arrival {job.after_arrival} any more")
        for notice in notices:
            self._add(notice)
        if upto_arrival is None:
            del self._jobs[job.partition, job.seq]
        else:
            standing.after_arrival = upto_arrival

    async def of_registration(self, registration: str) -> list[tuple[Notice, NoticeStatus, int, str]]:
        """What is known of a registration's notices."""
        self._check_open()
        return [
            (entry.notice, entry.status, entry.attempts, entry.detail)
            for entry in self._entries.values()
            if entry.notice.registration == registration
        ]

    async def hold(self, partition: int, upto_seq: int) -> int:
        """Hold the notices of facts up to this one."""
        self._check_open()
        self._held[partition] = max(upto_seq, self._held.get(partition, 0))
        theirs = [
            entry
            for entry in self._entries.values()
            if entry.notice.partition == partition
            and entry.notice.seq <= upto_seq
            and entry.status in OPEN
            and not entry.held
        ]
        for entry in theirs:
            entry.hold()
        return len(theirs)

    async def release(self, *, send: bool) -> int:
        """Let go what is held."""
        self._check_open()
        held = [entry for entry in self._entries.values() if entry.held]
        for entry in held:
            if send:
                entry.fence += 1
                entry.due_ms = entry.notice.created_ms
            else:
                entry.end(NoticeStatus.SUPPRESSED)
        if held and not send:
            self._advance_lines(max(entry.notice.created_ms for entry in held))
        return len(held)

    async def held(self) -> int:
        """How many are held."""
        self._check_open()
        return sum(entry.held for entry in self._entries.values())

    async def counts(self) -> dict[NoticeStatus, int]:
        """How many stand in each status."""
        self._check_open()
        counts = dict.fromkeys(NoticeStatus, 0)
        for entry in self._entries.values():
            counts[entry.status] += 1
        return counts

    async def close(self) -> None:
        """Close."""
        self._closed = True

    def _look_after(self, now_ms: int, shares: Shares) -> None:
        """End leases that ran out, and notices whose time is over; forget those that are over."""
        self._live = {notice: entry for notice, entry in self._live.items() if entry.status in OPEN}
        for entry in self._live.values():
            if entry.status is NoticeStatus.ATTEMPTING and entry.is_due(now_ms):
                self._lose(entry, now_ms, hold=shares.of(entry.notice.target).hold)
            expires_ms = entry.notice.expires_ms
            if entry.status in WAITING and expires_ms is not None and expires_ms <= now_ms:
                entry.end(NoticeStatus.EXPIRED)
                self._advance_lines(now_ms)

    def _waiting(self) -> dict[str, list[Entry]]:
        """What waits for each target, held or not."""
        waiting: dict[str, list[Entry]] = {}
        for entry in self._live.values():
            if entry.status in WAITING:
                waiting.setdefault(entry.notice.target, []).append(entry)
        return waiting

    def _allowed(self, name: str, waiting: list[Entry], now_ms: int, share: Share) -> list[Entry]:
        """Which of these may go now. Those that must wait behind another are put aside."""
        target = self._targets.get(name, Target(name))
        if target.state is TargetState.DISABLED:
            for entry in waiting:
                if not entry.held:
                    entry.end(NoticeStatus.DEAD, disabled_detail(target.why))
            self._advance_lines(now_ms)
            return []
        if target.blocked_until_ms > now_ms:
            return []
        most = share.most if target.state is TargetState.CLOSED else min(1, share.most)
        if share.rate_per_s:
            most = min(most, room(self._paced.get(name, 0.0), now_ms, share.rate_per_s, share.burst))
        due: list[Entry] = []
        for entry in waiting:
            if not entry.is_due(now_ms):
                continue
            if entry.status is NoticeStatus.PENDING and self._behind(entry):
                entry.due_ms = None
            else:
                due.append(entry)
        due.sort(key=lambda entry: (entry.due_ms or 0, entry.place))
        return due[: max(0, most)]

    def _take(self, entry: Entry, now_ms: int, lease_ms: int) -> Claimed:
        entry.status = NoticeStatus.ATTEMPTING
        entry.due_ms = now_ms + lease_ms
        entry.tried_ms = now_ms
        entry.attempts += 1
        entry.fence += 1
        return Claimed(entry.notice, entry.attempts - entry.before, entry.fence)

    def _went(self, name: str, count: int, now_ms: int, until_ms: int, share: Share) -> None:
        """Note that so many went to a target, and that this was a probe."""
        if share.rate_per_s:
            self._paced[name] = paced(self._paced.get(name, 0.0), now_ms, share.rate_per_s, count)
        target = self._targets.get(name)
        if target is not None and target.state is not TargetState.CLOSED:
            self._targets[name] = replace(probing(target, until_ms), version=target.version + 1)
