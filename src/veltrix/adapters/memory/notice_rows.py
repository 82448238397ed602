"""The rows behind notification's store in memory, and what several of its operations do to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.domain.targets import Target
from veltrix.ports.channel import Sent
from veltrix.ports.deliveries import AttemptRow, Bounce, Delivery, Wanted
from veltrix.ports.errors import Unavailable
from veltrix.ports.fulfilment import Progress
from veltrix.ports.notices import HELD, HELD_UNKNOWN, LEASE_LOST, OPEN, FanOut, Notice, NoticeStatus

WAITING = (NoticeStatus.PENDING, NoticeStatus.UNKNOWN)


@dataclass(slots=True)
class Entry:
    """A notice and where it stands. `due_ms` is its next try, or the end of its lease; None: it is over,
    held, or behind another. `before` are the attempts made before it was last opened."""

    place: int
    notice: Notice
    status: NoticeStatus = NoticeStatus.PENDING
    due_ms: int | None = None
    attempts: int = 0
    before: int = 0
    fence: int = 0
    detail: str = ""
    tried_ms: int | None = None
    rows: list[AttemptRow] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether it waits for an operator."""
        return self.status is NoticeStatus.UNKNOWN and self.due_ms is None

    def is_due(self, now_ms: int) -> bool:
        """Whether its time has come."""
        return self.due_ms is not None and self.due_ms <= now_ms

    def hold(self, detail: str = HELD) -> None:
        """Keep it until an operator says."""
        self.status, self.due_ms, self.detail = NoticeStatus.UNKNOWN, None, detail
        self.fence += 1

    def end(self, status: NoticeStatus, detail: str = "") -> None:
        """It is over."""
        self.status, self.due_ms = status, None
        self.detail = detail or self.detail
        self.fence += 1

    def add_row(self, row: AttemptRow) -> None:
        """Keep an attempt."""
        self.rows = [*self.rows, row][-limits.ATTEMPTS_KEPT_MAX :]

    def delivery(self) -> Delivery:
        """What operators see of it."""
        return Delivery(
            self.place, self.notice, self.status, self.attempts, self.detail, self.due_ms, self.tried_ms
        )


class NoticeRows:
    """The tables: inbox, notices, jobs, targets, bounces, and how far orders are carried out."""

    def __init__(self) -> None:
        self._positions: dict[int, int] = {}
        self._entries: dict[str, Entry] = {}
        self._live: dict[str, Entry] = {}  # all that are not over, and some that are
        self._keys: set[tuple[str, int, int, str, str]] = set()
        self._jobs: dict[tuple[int, int], FanOut] = {}
        self._held: dict[int, int] = {}
        self._targets: dict[str, Target] = {}
        self._paced: dict[str, float] = {}
        self._bounces: dict[tuple[str, str], Bounce] = {}
        self._progress = Progress()
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of notices is closed")

    def _add(self, notice: Notice) -> None:
        key = (notice.organizer, notice.partition, notice.seq, notice.recipient, notice.channel)
        if notice.id in self._entries or key in self._keys:
            return
        self._keys.add(key)
        entry = Entry(len(self._entries) + 1, notice, due_ms=notice.created_ms)
        self._entries[notice.id] = self._live[notice.id] = entry
        if notice.seq <= self._held.get(notice.partition, 0):
            entry.hold()

    def _suppress(self, event: str, person: str) -> list[str]:
        theirs: list[str] = []
        for entry in self._entries.values():
            if entry.notice.event != event or entry.notice.recipient != person:
                continue
            theirs.append(entry.notice.id)
            if entry.status in OPEN:
                entry.end(NoticeStatus.SUPPRESSED)
        return theirs

    def _lose(self, entry: Entry, now_ms: int, *, hold: bool) -> None:
        """Its lease ran out: whoever had it may have transmitted it."""
        started_ms = entry.tried_ms if entry.tried_ms is not None else now_ms
        entry.add_row(AttemptRow(entry.attempts, started_ms, now_ms, Sent.UNKNOWN, None, LEASE_LOST))
        entry.status = NoticeStatus.UNKNOWN
        if hold:
            entry.hold(HELD_UNKNOWN)

    def _behind(self, entry: Entry) -> bool:
        """Whether an earlier notice of its line is not over."""
        notice = entry.notice
        return notice.ordered and any(
            each.notice.ordered
            and each.notice.target == notice.target
            and each.notice.event == notice.event
            and each.notice.seq < notice.seq
            and each.status in OPEN
            for each in self._entries.values()
        )

    def _advance_lines(self, now_ms: int) -> None:
        """Let go those that nobody is before any more."""
        for entry in self._entries.values():
            if (
                entry.notice.ordered
                and entry.status is NoticeStatus.PENDING
                and entry.due_ms is None
                and not self._behind(entry)
            ):
                entry.due_ms = now_ms

    def _matching(self, wanted: Wanted) -> Iterator[Entry]:
        return (entry for entry in self._entries.values() if matches(wanted, entry))


def matches(wanted: Wanted, entry: Entry) -> bool:
    """Whether a notice is one of those that are wanted."""
    notice = entry.notice
    return (
        wanted.organizer in (None, notice.organizer)
        and (not wanted.ids or notice.id in wanted.ids)
        and wanted.event in (None, notice.event)
        and wanted.registration in (None, notice.registration)
        and (not wanted.statuses or entry.status in wanted.statuses)
        and wanted.channel in (None, notice.channel)
        and wanted.target in (None, notice.target)
        and wanted.kind in (None, notice.kind)
        and (wanted.since_ms is None or notice.created_ms >= wanted.since_ms)
        and (wanted.until_ms is None or notice.created_ms < wanted.until_ms)
        and (not wanted.held or entry.held)
    )
