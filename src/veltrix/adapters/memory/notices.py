"""Notification's store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from veltrix.ports.errors import Fenced, Unavailable
from veltrix.ports.notices import HELD, Claimed, FanOut, Notice, NoticeStatus, Planned, Result

_WAITING = (NoticeStatus.PENDING, NoticeStatus.UNKNOWN)
_OPEN = (*_WAITING, NoticeStatus.ATTEMPTING)


@dataclass(slots=True)
class _Entry:
    """A notice and where it stands. `due_ms` is its next try, or the end of its lease; None: it is over."""

    notice: Notice
    status: NoticeStatus = NoticeStatus.PENDING
    due_ms: int | None = None
    attempts: int = 0
    fence: int = 0
    detail: str = ""


class MemoryNotices:
    """The inbox, the notices and the jobs as dictionaries, in the order in which they were recorded."""

    def __init__(self) -> None:
        self._positions: dict[int, int] = {}
        self._entries: dict[str, _Entry] = {}
        self._keys: set[tuple[str, int, int, str, str]] = set()
        self._jobs: dict[tuple[int, int], FanOut] = {}
        self._held: dict[int, int] = {}
        self._closed = False

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

    async def claim(self, now_ms: int, limit: int, lease_ms: int) -> list[Claimed]:
        """Take due notices, the one due longest first."""
        self._check_open()
        for entry in self._entries.values():
            if entry.status is NoticeStatus.ATTEMPTING and _is_due(entry, now_ms):
                entry.status = NoticeStatus.UNKNOWN
        due = [
            entry for entry in self._entries.values() if entry.status in _WAITING and _is_due(entry, now_ms)
        ]
        due.sort(key=lambda entry: entry.due_ms or 0)
        claimed: list[Claimed] = []
        for entry in due[:limit]:
            entry.status = NoticeStatus.ATTEMPTING
            entry.due_ms = now_ms + lease_ms
            entry.attempts += 1
            entry.fence += 1
            claimed.append(Claimed(entry.notice, entry.attempts, entry.fence))
        return claimed

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds; each does so once."""
        self._check_open()
        recorded = 0
        for result in results:
            entry = self._entries.get(result.notice)
            if entry is None or entry.fence != result.fence or entry.status not in _OPEN:
                continue
            entry.status = result.status
            entry.due_ms = result.next_ms
            entry.detail = result.detail
            entry.fence += 1
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
            and entry.status in _OPEN
            and not _is_held(entry)
        ]
        for entry in theirs:
            _hold(entry)
        return len(theirs)

    async def release(self, *, send: bool) -> int:
        """Let go what is held."""
        self._check_open()
        held = [entry for entry in self._entries.values() if _is_held(entry)]
        for entry in held:
            entry.fence += 1
            if send:
                entry.due_ms = entry.notice.created_ms
            else:
                entry.status = NoticeStatus.SUPPRESSED
        return len(held)

    async def held(self) -> int:
        """How many are held."""
        self._check_open()
        return sum(map(_is_held, self._entries.values()))

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

    def _add(self, notice: Notice) -> None:
        key = (notice.organizer, notice.partition, notice.seq, notice.recipient, notice.channel)
        if notice.id in self._entries or key in self._keys:
            return
        self._keys.add(key)
        self._entries[notice.id] = _Entry(notice, due_ms=notice.created_ms)
        if notice.seq <= self._held.get(notice.partition, 0):
            _hold(self._entries[notice.id])

    def _suppress(self, event: str, person: str) -> list[str]:
        theirs: list[str] = []
        for entry in self._entries.values():
            if entry.notice.event != event or entry.notice.recipient != person:
                continue
            theirs.append(entry.notice.id)
            if entry.status in _OPEN:
                entry.status = NoticeStatus.SUPPRESSED
                entry.due_ms = None
                entry.fence += 1
        return theirs

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of notices is closed")


def _is_due(entry: _Entry, now_ms: int) -> bool:
    return entry.due_ms is not None and entry.due_ms <= now_ms


def _hold(entry: _Entry) -> None:
    entry.status, entry.due_ms, entry.detail = NoticeStatus.UNKNOWN, None, HELD
    entry.fence += 1


def _is_held(entry: _Entry) -> bool:
    return entry.status is NoticeStatus.UNKNOWN and entry.due_ms is None
