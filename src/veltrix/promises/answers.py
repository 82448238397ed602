"""The promises, each as one small function over a `History`: it yields a sentence for every breach.

Pure: no clock, no network. The same functions judge an embedded run, a cluster whose machines are being
killed, and a history that somebody wrote down. A check says nothing where it cannot know: what was not
answered may or may not have happened.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from veltrix.promises.clerk import is_complete, unexplained
from veltrix.promises.history import ANSWERED, REPEATS, Attempt, History, Kind, Outcome, Row

_SEATED: Final = frozenset({"confirmed", "held"})
_ACTIVE: Final = _SEATED | {"waitlisted"}
_NO_ROOM: Final = frozenset({"full", "waitlist_full"})
_REGISTERS: Final = frozenset({Kind.REGISTER, Kind.DUPLICATE, Kind.RETRY, Kind.AGAIN})
_BECOMES: Final = {
    "confirmed": {"confirmed"},
    "held": {"held", "confirmed", "expired"},
    "waitlisted": {"waitlisted", "held", "confirmed", "expired"},
}
EXAMPLES_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: nothing, or how many breaches with the first few in words."""

    check: str
    breaches: int
    examples: tuple[str, ...]

    @classmethod
    def of(cls, check: str, *texts: Iterable[str]) -> Finding:
        """What these sentences say, the first few different ones as examples."""
        breaches, examples = 0, []
        for promise in texts:
            counted = Counter(promise)
            breaches += counted.total()
            for text, count in islice(counted.items(), EXAMPLES_MAX):
                examples.append(f"{text} (x{count:,})" if count > 1 else text)
        return cls(check, breaches, tuple(examples))


def oversold_in_ledger(history: History) -> Iterator[str]:
    """No pool has more seats taken than it has."""
    if history.ledger is None:
        return
    taken = _taken(history)
    for pool, capacity in history.terms.capacities.items():
        if taken[pool] > capacity:
            yield f"pool {pool}: {taken[pool]:,} seats are taken in the export, {capacity:,} exist"


def oversold_in_answers(history: History) -> Iterator[str]:
    """Answers alone never confirm more seats than there are; what may have been given back is left out."""
    terms = history.terms
    given: Counter[str] = Counter()
    given_back = {each.target for each in history.attempts if each.kind is Kind.CANCEL}
    for asked in history.commands.values():
        answer = asked.decided.answer if asked.decided is not None else None
        if answer is not None and answer.status == "confirmed" and answer.registration not in given_back:
            for seat in answer.seats:
                given.update(terms.categories.get(seat.category, ()))
    for pool, capacity in terms.capacities.items():
        if given[pool] > capacity:
            yield f"pool {pool}: {given[pool]:,} seats were confirmed in answers, {capacity:,} exist"


def pools_untrue(history: History) -> Iterator[str]:
    """A pool says as many taken seats as its registrations hold, and as many free ones as are left."""
    if history.ledger is None or history.pools is None:
        return
    taken = _taken(history)
    for pool in history.pools:
        if pool.taken != taken[pool.key]:
            yield f"pool {pool.key}: it says {pool.taken:,} taken, the export says {taken[pool.key]:,}"
        if pool.free != max(0, pool.capacity - pool.taken):
            yield f"pool {pool.key}: {pool.free:,} free, {pool.taken:,} of {pool.capacity:,} taken"


def _taken(history: History) -> Counter[str]:
    taken: Counter[str] = Counter()
    for row in history.ledger or ():
        for seat in row.seats if row.status in _SEATED else ():
            taken.update(history.terms.categories.get(seat.category, ()) if seat.active else ())
    return taken


def answers_differ(history: History) -> Iterator[str]:
    """The same request twice has the same answer."""
    for asked in history.commands.values():
        decided = [each for each in asked.attempts if each.answer is not None]
        for other in decided[1:]:
            if other.answer != decided[0].answer:
                said = f"{_said(decided[0])} and {_said(other)}"
                yield f"{_who(other)}: the same request twice was answered {said}"


def keys_reused(history: History) -> Iterator[str]:
    """A used key is good for the same request and for no other."""
    for attempt in history.attempts:
        if attempt.kind is Kind.OTHER_BODY and attempt.outcome in (Outcome.ACCEPTED, Outcome.REFUSED):
            yield f"{_who(attempt)}: a used key with another body was {attempt.outcome}, not refused"
        elif attempt.kind is not Kind.OTHER_BODY and attempt.outcome is Outcome.KEY_REUSED:
            yield f"{_who(attempt)}: the same key and body was refused as another body"


def people_doubled(history: History) -> Iterator[str]:
    """Nobody has more registrations than they asked for, or more active ones than the event allows."""
    if history.ledger is None:
        return
    may_have: Counter[str] = Counter()
    ours: set[str] = set()
    for asked in history.commands.values():
        email, decided = asked.first.email.casefold(), asked.decided
        ours.add(email)
        if asked.first.kind in _REGISTERS and not (decided and decided.outcome is Outcome.REFUSED):
            may_have[email] += 1
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in history.ledger:
        if row.status != "refused":
            rows[row.email.casefold()].append(row)
    for email in sorted(ours):
        found = rows.get(email, [])
        if len(found) > may_have[email]:
            names = ", ".join(row.id for row in found)
            yield f"{email}: {len(found)} registrations in the export, {may_have[email]} asked for: {names}"
        active = [row for row in found if row.status in _ACTIVE]
        if history.terms.one_per_email and len(active) > 1:
            yield f"{email}: {len(active)} active registrations where one is allowed"


def seats_doubled(history: History) -> Iterator[str]:
    """A seat's number belongs to one registration."""
    owner: dict[int, str] = {}
    claims = [(row.id, row.seats) for row in history.ledger or ()]
    for asked in history.commands.values():
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
    cancels: dict[str, list[Attempt]] = defaultdict(list)
    for each in history.attempts:
        if each.kind is Kind.CANCEL:
            cancels[each.target].append(each)
    for asked in history.commands.values():
        attempt = asked.decided
        if attempt is None or attempt.answer is None or attempt.answer.refusal:
            continue
        answer = attempt.answer
        row = rows.get(answer.registration)
        if row is None:
            yield f"{_who(attempt)}: answered {_said(attempt)}, but the export has no {answer.registration}"
        elif attempt.kind is not Kind.CANCEL:
            yield from _differs(attempt, row, cancels.get(row.id, []))


def _differs(attempt: Attempt, row: Row, cancels: Sequence[Attempt]) -> Iterator[str]:
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
    if any(cancel.answer is not None and not cancel.answer.refusal for cancel in cancels):
        possible = {"cancelled"}
    elif any(cancel.answer is None for cancel in cancels):
        possible.add("cancelled")  # nobody knows whether it happened
    if row.status not in possible:
        told = ", ".join(cancel.outcome for cancel in cancels)
        was = f"{answer.status}, then asked to cancel ({told})" if cancels else answer.status
        yield f"{row.id}: answered {was}; exported as {row.status}"


def arrivals_apart(history: History) -> Iterator[str]:
    """An arrival number belongs to one command; an event has one partition."""
    owner: dict[int, str] = {}
    partitions: set[int] = set()
    for key, asked in history.commands.items():
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


def against_the_clock(history: History) -> Iterator[str]:
    """An answer that was read before another request was sent: then its arrival number is the lower one."""
    known: list[tuple[int, int, int, Attempt]] = []
    for asked in history.commands.values():
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


def overtaken(history: History) -> Iterator[str]:
    """Nobody gets what an earlier party of the same need was denied, unless something was freed since."""
    cancels = [each for each in history.attempts if each.kind is Kind.CANCEL]
    freed_unseen = not history.terms.exclusive or any(each.answer is None for each in cancels)
    decided = [asked.decided for asked in history.commands.values()]
    known = [(each.answer.offset, each) for each in decided if each is not None and each.answer]
    known.sort(key=lambda each: each[0])
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


def decided_otherwise(history: History) -> Iterator[str]:
    """Every decision is the one that the order of arrival leads to; where every command is known."""
    return unexplained(history) if is_complete(history) else iter(())


def unanswered(history: History) -> Iterator[str]:
    """Every request got its final decision, or the refusal that it had to get; perhaps when repeated."""
    counts = Counter(
        f"{attempt.outcome}{': ' + attempt.detail if attempt.detail else ''}"
        for attempt in history.attempts
        if attempt.outcome not in ANSWERED and not attempt.retried
    )
    for what, count in counts.most_common():
        yield from (what for _ in range(count))


CHECKS: Final[dict[str, tuple[Callable[[History], Iterator[str]], ...]]] = {
    "oversold": (oversold_in_ledger, oversold_in_answers, pools_untrue),
    "doubled": (answers_differ, keys_reused, people_doubled, seats_doubled),
    "lost": (lost,),
    "out of order": (arrivals_apart, against_the_clock, overtaken, decided_otherwise),
    "unanswered": (unanswered,),
}


def check(history: History) -> tuple[Finding, ...]:
    """All checks; a finding for each, also where nothing was found."""
    return tuple(
        Finding.of(name, *(promise(history) for promise in promises)) for name, promises in CHECKS.items()
    )


def _who(attempt: Attempt) -> str:
    repeat = f", {attempt.kind}" if attempt.kind in REPEATS else ""
    return f"{attempt.email} (person {attempt.person}{repeat})"


def _said(attempt: Attempt) -> str:
    answer = attempt.answer
    assert answer is not None
    return f"{answer.label} at offset {answer.offset}"
