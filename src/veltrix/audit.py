"""The audit: replay the log with the rules it was decided by, and compare the result with the ledger.

Replay runs the very code of processing on an empty ledger in memory. What it finds in common with the
real one is then a fact about the log, not about any process that happened to run. Keys are not needed:
erased persons change nothing here. It reads one snapshot, so the platform may go on running.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from veltrix.adapters.memory import MemoryLedger
from veltrix.domain import limits
from veltrix.domain.state import PartitionState
from veltrix.ports.errors import Mismatch
from veltrix.ports.ledger import LedgerRows, Term
from veltrix.ports.log import Log
from veltrix.processing.batch import decide_batch, forget_touched, merge, needs_of, read_entries

Row = tuple[str, tuple[object, ...]]
_TERM = Term(0, 1)


class _NoTime:
    """A replay has no commit times: nothing that is compared reads the ledger's clock."""

    def now_ms(self) -> int:
        """Never."""
        return 0

    def monotonic_s(self) -> float:
        """Never."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where ledger and replay part: a row that only one has, or that they have otherwise."""

    table: str
    ledger: str | None
    replay: str | None


@dataclass(slots=True)
class AuditReport:
    """What was read, and the verdict: PASS, or FAIL with the first difference or a broken promise."""

    partitions: int = 0
    commands: int = 0
    quarantined: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    difference: Difference | None = None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the ledger is what the log leads to."""
        return self.difference is None and not self.reason

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"verdict": "PASS" if self.passed else "FAIL", **asdict(self)}


async def audit(log: Log, ledger: LedgerRows, progress: Callable[[int, int], None]) -> AuditReport:
    """Replay and compare; `progress(done, total)` is told about commands as they are replayed.

    Raises `Mismatch` when the log does not hold what the ledger says it decided.
    """
    report = AuditReport()
    replayed = MemoryLedger(clock=_NoTime())
    theirs = ledger.rows()
    row = await anext(theirs, None)
    heads: list[Row] = []
    while row is not None and row[0] == "partitions":
        heads.append(row)
        row = await anext(theirs, None)
    ends = {_int(values[0]): _int(values[2]) for _, values in heads}
    total = sum(ends.values())
    for partition, end in ends.items():
        quarantined = await ledger.quarantined(partition)
        report.quarantined += sum(offset < end for offset in quarantined)
        done = report.commands
        await _replay(log, replayed, partition, end, quarantined, _offset_by(progress, done, total))
        report.commands += end
    report.partitions = len(ends)
    ours = replayed.rows()
    for head in heads:
        if not _compare(report, head, await anext(ours, None)):
            return report
    await _compare_all(report, row, theirs, ours)
    return report


def _offset_by(progress: Callable[[int, int], None], done: int, total: int) -> Callable[[int], None]:
    return lambda count: progress(done + count, total)


async def _replay(
    log: Log,
    ledger: MemoryLedger,
    partition: int,
    end: int,
    quarantined: dict[int, str],
    progress: Callable[[int], None],
) -> None:
    """Decide a partition's records up to `end` into `ledger`."""
    head = await ledger.take_over(partition, _TERM, "audit", log.identity)
    state = PartitionState(partition, log.identity.generation, next_seq=head.next_seq)
    while state.next_offset < end:
        most = min(limits.READ_BATCH_MAX, end - state.next_offset)
        records = await log.read(partition, state.next_offset, most, limits.READ_WAIT_S)
        if not records:
            raise Mismatch(
                f"partition {partition}: the ledger decided up to offset {end}, but the log ends at "
                f"{state.next_offset}; restore both from the same time"
            )
        entries = read_entries(records)
        merge(state, entries, await ledger.load(partition, needs_of(state, entries)))
        outcome = decide_batch(state, entries, _TERM, quarantined)
        await ledger.commit(outcome.changes)
        forget_touched(state, limits.EVENTS_CACHED)
        progress(state.next_offset)


async def _compare_all(
    report: AuditReport, first: Row | None, theirs: AsyncIterator[Row], ours: AsyncIterator[Row]
) -> None:
    row = first
    while True:
        other = await anext(ours, None)
        if row is None and other is None:
            return
        if not _compare(report, row, other):
            return
        row = await anext(theirs, None)


def _compare(report: AuditReport, theirs: Row | None, ours: Row | None) -> bool:
    if theirs == ours:
        assert theirs is not None
        report.rows[theirs[0]] = report.rows.get(theirs[0], 0) + 1
        return True
    table = theirs[0] if theirs is not None else ours[0] if ours is not None else ""
    report.difference = Difference(table, _show(theirs), _show(ours))
    report.reason = f"ledger and replay differ in table {table}"
    return False


def _show(row: Row | None) -> str | None:
    return None if row is None else f"{row[0]}{row[1]!r}"


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
