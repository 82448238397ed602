"""The promises, each as one small function over a `History`: it yields a sentence for every breach.

Pure: no clock, no network. The same functions judge an embedded run, a cluster whose machines are being
killed, and a history that somebody wrote down. A check says nothing where it cannot know: what was not
answered may or may not have happened.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from veltrix.load.history import ANSWERED, REPEATS, Attempt, History, Kind, Outcome, Row
from veltrix.load.model import is_complete, unexplained

_SEATED: Final = frozenset({"confirmed", "held"})
_ACTIVE: Final = _SEATED | {"waitlisted"}
_NO_ROOM: Final = frozenset({"full", "waitlist_full"})
_REGISTERS: Final = frozenset({Kind.REGISTER, Kind.DUPLICATE, Kind.RETRY, Kind.AGAIN})
_BECOMES: Final = {
    "confirmed": {"confirmed"},
    "held": {"held", "confirmed", "expired"},
    "waitlisted": {"waitlisted", "held", "confirmed", "expired"},
}
EXAMPLES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: nothing, or how many breaches with the first few in words."""

    check: str
    breaches: int
    examples: tuple[str, ...]


@dataclass(slots=True)
class Asked:
    """All attempts under one key and body: one command, whatever the number of requests."""

    first: Attempt
    attempts: list[Attempt]

    @property
    def decided(self) -> Attempt | None:
        """The attempt whose decision was read first."""
        return next((each for each in self.attempts if each.answer is not None), None)


def commands_of(history: History) -> dict[str, Asked]:
    """The commands by key; a used key with another body is no command."""
    commands: dict[str, Asked] = {}
    for attempt in history.attempts:
        if attempt.kind is Kind.OTHER_BODY:
            continue
        known = commands.get(attempt.key)
        if known is None:
            commands[attempt.key] = Asked(attempt, [attempt])
        else:
            known.attempts.append(attempt)
    return commands


def oversold(history: History) -> Iterator[str]:
    """No pool has more seats taken than its capacity, and its number of taken seats is its registrations'."""
    terms = history.terms
    if history.ledger is not None:
        taken: Counter[str] = Counter()
        for row in history.ledger:
            if row.status in _SEATED:
                for seat in row.seats:
                    taken.update(terms.categories.get(seat.category, ()) if seat.active else ())
        for pool, capacity in terms.capacities.items():
            if taken[pool] > capacity:
                yield f"pool {pool}: {taken[pool]:,} seats are taken in the export, {capacity:,} exist"
        for shown in history.pools or ():
            if shown.taken != taken[shown.key]:
                yield f"pool {shown.key}: it says {shown.taken:,} taken, the export says {taken[shown.key]:,}"
            if shown.free != max(0, shown.capacity - shown.taken):
                yield f"pool {shown.key}: {shown.free:,} free, {shown.taken:,} of {shown.capacity:,} taken"
    given: Counter[str] = Counter()
    given_back = {each.target for each in history.attempts if each.kind is Kind.CANCEL}
    for asked in commands_of(history).values():
        answer = asked.decided.answer if asked.decided is not None else None
        if answer is not None and answer.status == "confirmed" and answer.registration not in given_back:
            for seat in answer.seats:
                given.update(terms.categories.get(seat.category, ()))
    for pool, capacity in terms.capacities.items():
        if given[pool] > capacity:
            yield f"pool {pool}: {given[pool]:,} seats were confirmed in answers, {capacity:,} exist"


def doubled(history: History) -> Iterator[str]:
    """One command, one registration; a person who may have one has one; a seat has one owner."""
    commands = commands_of(history)
    for asked in commands.values():
        yield from _answers_differ(asked)
    for attempt in history.attempts:
        if attempt.kind is Kind.OTHER_BODY and attempt.outcome in (Outcome.ACCEPTED, Outcome.REFUSED):
            yield f"{_who(attempt)}: a used key with another body was {attempt.outcome}, not refused"
        elif attempt.kind is not Kind.OTHER_BODY and attempt.outcome is Outcome.KEY_REUSED:
            yield f"{_who(attempt)}: the same key and body was refused as another body"
    yield from _seats_doubled(history)
    if history.ledger is None:
        return
    may_have: Counter[str] = Counter()
    for asked in commands.values():
        if asked.first.kind in _REGISTERS and not (
            asked.decided and asked.decided.outcome is Outcome.REFUSED
        ):
            may_have[asked.first.email.casefold()] += 1
    ours = {asked.first.email.casefold() for asked in commands.values()}
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in history.ledger:
        if row.status != "refused":
            rows[row.email.casefold()].append(row)
    for email in ours:
        found = rows.get(email, [])
        if len(found) > may_have[email]:
            names = ", ".join(row.id for row in found)
            yield f"{email}: {len(found)} registrations in the export, {may_have[email]} asked for: {names}"
        active = [row for row in found if row.status in _ACTIVE]
        if history.terms.one_per_email and len(active) > 1:
            yield f"{email}: {len(active)} active registrations where one is allowed"


def _answers_differ(asked: Asked) -> Iterator[str]:
    decided = [each for each in asked.attempts if each.answer is not None]
    for other in decided[1:]:
        if other.answer != decided[0].answer:
            yield (
                f"{_who(other)}: the same request twice was answered {_said(decided[0])} and {_said(other)}"
            )


def _seats_doubled(history: History) -> Iterator[str]:
    owner: dict[int, str] = {}
    claims = [(row.id, row.seats) for row in history.ledger or ()]
    for asked in commands_of(history).values():
        decided = asked.decided
        if decided is not None and decided.answer is not None and asked.first.kind in _REGISTERS:
            claims.append((decided.answer.registration, decided.answer.seats))
    for registration, seats in claims:
        for seat in seats:
            other = owner.setdefault(seat.number, registration)
            if other != registration:
                yield f"seat {seat.number} belongs to {other} and to {registration}"


def lost(history: History) -> Iterator[str]:
    """What was answered stands in the ledger, and stands there as it was answered."""
    if history.ledger is None:
        return
    rows = {row.id: row for row in history.ledger}
    cancels = {each.target: each for each in history.attempts if each.kind is Kind.CANCEL}
    for asked in commands_of(history).values():
        attempt = asked.decided
        if attempt is None or attempt.answer is None or attempt.answer.refusal:
            continue
        answer = attempt.answer
        row = rows.get(answer.registration)
        if row is None:
            yield f"{_who(attempt)}: answered {_said(attempt)}, but the export has no {answer.registration}"
        elif attempt.kind is not Kind.CANCEL:
            yield from _differs(attempt, row, cancels.get(row.id))


def _differs(attempt: Attempt, row: Row, cancel: Attempt | None) -> Iterator[str]:
    answer = attempt.answer
    assert answer is not None
    if row.email.casefold() != attempt.email.casefold() or row.name != attempt.name:
        yield f"{row.id}: registered by {_who(attempt)}, exported as {row.name} <{row.email}>"
    if row.arrival != answer.arrival:
        yield f"{row.id}: answered with arrival {answer.arrival}, exported with {row.arrival}"
    if sorted(seat.category for seat in row.seats) != sorted(attempt.categories):
        yield f"{row.id}: asked for {', '.join(attempt.categories)}, exported with other categories"
    if {seat.number for seat in row.seats} != {seat.number for seat in answer.seats}:
        yield f"{row.id}: answered with other seats than it was exported with"
    possible = set(_BECOMES.get(answer.status, {answer.status}))
    if cancel is not None and cancel.outcome is Outcome.ACCEPTED:
        possible = {"cancelled"}
    elif cancel is not None and cancel.answer is None:
        possible.add("cancelled")  # nobody knows whether it happened
    if row.status not in possible:
        was = f"{answer.status}, then asked to cancel ({cancel.outcome})" if cancel else answer.status
        yield f"{row.id}: answered {was}; exported as {row.status}"


def out_of_order(history: History) -> Iterator[str]:
    """First come, first served: by arrival number, and by the clock where the clock says who was first."""
    yield from _arrivals_apart(history)
    yield from _against_the_clock(history)
    yield from _overtaken(history)
    if is_complete(history):
        yield from unexplained(history)


def _arrivals_apart(history: History) -> Iterator[str]:
    """An arrival number belongs to one command; an event has one partition."""
    owner: dict[int, str] = {}
    partitions: set[int] = set()
    for key, asked in commands_of(history).items():
        answer = asked.decided.answer if asked.decided is not None else None
        if answer is None:
            continue
        partitions.add(answer.partition)
        if owner.setdefault(answer.offset, key) != key:
            yield f"offset {answer.offset} was given to two commands, one of {_who(asked.first)}"
        if answer.arrival and asked.first.kind is not Kind.CANCEL:
            offset = answer.arrival.rpartition(".")[2]
            if offset != str(answer.offset):
                yield f"{answer.registration}: arrival {answer.arrival}, decided at offset {answer.offset}"
    if len(partitions) > 1:
        yield f"one event was decided on {len(partitions)} partitions"


def _against_the_clock(history: History) -> Iterator[str]:
    """An answer that was read before another request was sent: then its arrival number is the lower one."""
    known: list[tuple[int, int, int, Attempt]] = []
    for asked in commands_of(history).values():
        answer = asked.decided.answer if asked.decided is not None else None
        read = [each.received_ns for each in asked.attempts if each.received_ns is not None and each.answer]
        if answer is not None and read:
            known.append((answer.offset, asked.first.sent_ns, min(read), asked.first))
    known.sort(key=lambda each: each[0], reverse=True)
    earliest_read, earlier = None, None
    for offset, sent_ns, read_ns, attempt in known:
        if earliest_read is not None and earliest_read < sent_ns and earlier is not None:
            lead_ms = (sent_ns - earliest_read) / 1e6
            yield (
                f"{_who(earlier[1])} had the answer {lead_ms:.3f} ms before {_who(attempt)} asked, "
                f"but arrival {earlier[0]} is behind {offset}"
            )
        if earliest_read is None or read_ns < earliest_read:
            earliest_read, earlier = read_ns, (offset, attempt)


def _overtaken(history: History) -> Iterator[str]:
    """Nobody gets what an earlier party of the same need was denied, unless something was freed since."""
    cancels = [each for each in history.attempts if each.kind is Kind.CANCEL]
    freed_unseen = not history.terms.exclusive or any(each.answer is None for each in cancels)
    decided = [asked.decided for asked in commands_of(history).values()]
    known = sorted(
        (each.answer.offset, each) for each in decided if each is not None and each.answer is not None
    )
    denied: dict[tuple[str, ...], tuple[int, Attempt]] = {}
    last = {row.id: row.status for row in history.ledger or ()}
    waits: dict[tuple[str, ...], Attempt] = {}
    for offset, attempt in known:
        answer, need = attempt.answer, tuple(sorted(attempt.categories))
        assert answer is not None
        if attempt.kind is Kind.CANCEL:
            denied.clear()
            continue
        if answer.refusal and answer.refusal not in _NO_ROOM:
            continue
        rank = 2 if answer.refusal else 0 if answer.status in _SEATED else 1
        worst = denied.get(need)
        if worst is not None and rank < worst[0] and not freed_unseen:
            yield f"{_said(attempt)}, although {_who(worst[1])} with the same need was {_said(worst[1])}"
        if rank and (worst is None or rank > worst[0]):
            denied[need] = (rank, attempt)
        status = last.get(answer.registration, "")
        if need in waits and (rank == 0 or status in _SEATED):
            earlier = waits[need].answer
            assert earlier is not None
            yield f"offset {offset} has a seat, while offset {earlier.offset} with the same need waits"
        elif status == "waitlisted":
            waits.setdefault(need, attempt)


def unanswered(history: History) -> Iterator[str]:
    """Every request got its final decision, or the refusal that it had to get."""
    counts = Counter(
        f"{attempt.outcome}{': ' + attempt.detail if attempt.detail else ''}"
        for attempt in history.attempts
        if attempt.outcome not in ANSWERED
    )
    for what, count in counts.most_common():
        yield from (what for _ in range(count))


CHECKS: Final[dict[str, Callable[[History], Iterator[str]]]] = {
    "oversold": oversold,
    "doubled": doubled,
    "lost": lost,
    "out of order": out_of_order,
    "unanswered": unanswered,
}


def check(history: History) -> tuple[Finding, ...]:
    """All checks; a finding for each, also where nothing was found."""
    return tuple(_find(name, breaches(history)) for name, breaches in CHECKS.items())


def _find(name: str, breaches: Iterator[str]) -> Finding:
    counted: Counter[str] = Counter(breaches)
    examples = tuple(
        f"{text} (x{count:,})" if count > 1 else text for text, count in islice(counted.items(), EXAMPLES_MAX)
    )
    return Finding(name, counted.total(), examples)


def _who(attempt: Attempt) -> str:
    repeat = f", {attempt.kind}" if attempt.kind in REPEATS else ""
    return f"{attempt.email} (person {attempt.person}{repeat})"


def _said(attempt: Attempt) -> str:
    answer = attempt.answer
    assert answer is not None
    return f"{answer.label} at offset {answer.offset}"
