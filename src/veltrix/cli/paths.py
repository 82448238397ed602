"""The path of one registration: what its commands, decisions, facts and notices have kept of it, by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from veltrix.domain import limits
from veltrix.domain.commands import Envelope
from veltrix.domain.identifiers import REGISTRATION, partition_of
from veltrix.domain.outcomes import Decision
from veltrix.observability.tracing import trace_id_of
from veltrix.ports.deliveries import AttemptRow, Deliveries, Delivery, Wanted
from veltrix.ports.errors import Mismatch
from veltrix.ports.ledger import Head
from veltrix.ports.log import Log, LogRecord
from veltrix.ports.queries import Queries
from veltrix.wire import WireError, decode_command

NOTICES_MAX: Final = 200


@dataclass(slots=True)
class Step:
    """Something that happened. `at_ms` None: nobody kept when; `detail` is for people."""

    name: str
    at_ms: int | None
    detail: str


@dataclass(slots=True)
class Told:
    """A notice and the attempts to deliver it."""

    notice: str
    kind: str
    channel: str
    status: str
    detail: str
    attempts: list[AttemptRow]


@dataclass(slots=True)
class Walk:
    """One command on its way. `undecided_before`: how many commands are decided before it; None: it is."""

    offset: int
    kind: str
    command: str
    trace_id: str
    stamp_ms: int | None
    append_ms: int | None
    decision: Decision | None
    published: bool
    told: list[Told] = field(default_factory=list)
    undecided_before: int | None = None

    def steps(self) -> list[Step]:
        """What happened, in order."""
        found = []
        if self.stamp_ms:
            found.append(Step("asked", self.stamp_ms, f"{self.kind}, by the clock of who took it in"))
        if self.append_ms is None:
            found.append(Step("appended", None, f"offset {self.offset}; the log keeps it no more"))
        else:
            found.append(Step("appended", self.append_ms, f"offset {self.offset}"))
        if self.decision is None:
            found.append(Step("undecided", None, f"{self.undecided_before} before it in the line"))
            return found
        found.append(Step("decided", None, _outcome(self.decision)))
        if self.decision.facts:
            found.append(Step("published" if self.published else "unpublished", None, _facts(self.decision)))
        for told in self.told:
            found.append(Step("planned", None, f"{told.kind} by {told.channel}: {told.notice}"))
            for attempt in told.attempts:
                said = f"{attempt.outcome}{_code(attempt)}{f': {attempt.detail}' if attempt.detail else ''}"
                found.append(Step("sending", attempt.started_ms, f"attempt {attempt.number}"))
                found.append(Step("sent", attempt.ended_ms, said))
            if not told.attempts or told.status not in ("accepted", "refused"):
                found.append(
                    Step("stands", None, f"{told.status}{f': {told.detail}' if told.detail else ''}")
                )
        return found


def _outcome(decision: Decision) -> str:
    why = f": {decision.refusal.value}" if decision.refusal is not None else ""
    return f"{decision.outcome.value}{why}, by rules version {decision.rules_version}"


def _facts(decision: Decision) -> str:
    last = decision.first_seq + decision.facts - 1
    one = decision.facts == 1
    return f"fact {last}" if one else f"facts {decision.first_seq} to {last}"


def _code(attempt: AttemptRow) -> str:
    return "" if attempt.code is None else f" ({attempt.code})"


@dataclass(slots=True)
class Path:
    """All commands of a registration that something is known of; for one that is none yet, its command."""

    registration: str
    status: str
    event: str
    partition: int
    walks: list[Walk]

    def to_json(self) -> dict[str, Any]:
        """For `--json`: every step with the milliseconds since the one before that has a time."""
        return {
            "registration": self.registration,
            "status": self.status,
            "event": self.event,
            "partition": self.partition,
            "commands": [
                {
                    "offset": walk.offset,
                    "kind": walk.kind,
                    "command": walk.command,
                    "trace_id": walk.trace_id,
                    "steps": [
                        {"step": step.name, "at_ms": step.at_ms, "after_ms": after_ms, "detail": step.detail}
                        for step, after_ms in timed(walk.steps())
                    ],
                }
                for walk in self.walks
            ],
        }


def timed(steps: Sequence[Step]) -> list[tuple[Step, int | None]]:
    """Each step with the milliseconds since the last one before it that has a time."""
    found: list[tuple[Step, int | None]] = []
    before_ms: int | None = None
    for step in steps:
        known = step.at_ms is not None and before_ms is not None
        found.append((step, step.at_ms - before_ms if known else None))  # type: ignore[operator] # known
        before_ms = step.at_ms if step.at_ms is not None else before_ms
    return found


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a path is read from; nothing is written."""

    log: Log
    queries: Queries
    deliveries: Deliveries


async def path_of(sources: Sources, registration: str) -> Path | None:
    """The path of a registration; None when the ledger does not know it."""
    found = await sources.queries.registration(registration)
    if found is None:
        return None
    partition = partition_of(registration)
    wanted = Wanted(registration=registration)
    notices = await sources.deliveries.search(wanted, None, NOTICES_MAX)
    offsets = {found.arrival}
    by_offset: dict[int, list[Delivery]] = {}
    for delivery in reversed(notices):
        seq = delivery.notice.seq
        facts = await sources.queries.facts(partition, seq - 1, 1)
        if facts and facts[0].seq == seq:
            offsets.add(facts[0].offset)
            by_offset.setdefault(facts[0].offset, []).append(delivery)
    head = await sources.queries.head(partition)
    walks = [
        await _walk(sources, partition, offset, head, by_offset.get(offset, ())) for offset in sorted(offsets)
    ]
    return Path(registration, found.status.value, found.event, partition, walks)


async def path_of_command(sources: Sources, command: str, partition: int, offset: int) -> Path:
    """The path of a command by its place in the log; of its registration, once there is one."""
    decided = await sources.queries.decision(command)
    if decided is not None and decided[0].subject.startswith(REGISTRATION):
        path = await path_of(sources, decided[0].subject)
        if path is not None:
            return path
    head = await sources.queries.head(partition)
    at = offset if decided is None else decided[0].offset
    walk = await _walk(sources, partition, at, head, ())
    event = "" if decided is None else decided[0].event
    return Path("", "undecided" if walk.decision is None else "no registration", event, partition, [walk])


async def _walk(
    sources: Sources, partition: int, offset: int, head: Head | None, notices: Sequence[Delivery]
) -> Walk:
    record = await _record(sources.log, partition, offset)
    said: Envelope | None = None
    if record is not None:
        try:
            said = decode_command(record.value)
        except WireError:
            said = None
    decided = await sources.queries.decision(said.id) if said is not None else None
    decision = decided[0] if decided is not None else None
    relayed = head.relayed_seq if head is not None else 0
    walk = Walk(
        offset,
        said.kind if said is not None else "",
        said.id if said is not None else "",
        trace_id_of(record.trace) if record is not None else "",
        said.stamp_ms if said is not None else None,
        record.append_ms if record is not None else None,
        decision,
        decision is not None and relayed >= decision.first_seq + decision.facts - 1,
    )
    if decision is None:
        walk.undecided_before = max(0, offset - (head.next_offset if head is not None else 0))
    for delivery in notices:
        notice = delivery.notice
        attempts = await sources.deliveries.attempts(notice.id)
        walk.told.append(
            Told(notice.id, notice.kind, notice.channel, delivery.status.value, delivery.detail, attempts)
        )
    return walk


async def _record(log: Log, partition: int, offset: int) -> LogRecord | None:
    """The record, if the log has it: one that was replaced, or not appended yet, has not."""
    try:
        low, high = await log.bounds(partition)
        if not low <= offset < high:
            return None
        records = await log.read(partition, offset, 1, limits.READ_WAIT_S)
    except Mismatch:
        return None
    return records[0] if records and records[0].offset == offset else None
