"""The naive model: what a clerk with paper and pencil would have decided, in order of arrival.

It is written for reading, from the promises and not from the decider's code, so that the two can disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from veltrix.domain import limits
from veltrix.promises.history import Attempt, History, Kind, Terms

_SEATED: Final = "seated"
_WAITS: Final = "waitlisted"


@dataclass(slots=True)
class _Party:
    """Somebody with a seat or a place on the waitlist."""

    registration: str
    email: str
    need: Counter[str]
    where: str


@dataclass(slots=True)
class _Clerk:
    """The book that the clerk keeps; `waiting` is in order of arrival."""

    terms: Terms
    free: Counter[str]
    parties: dict[str, _Party] = field(default_factory=dict)
    waiting: dict[str, _Party] = field(default_factory=dict)
    waited_for: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)

    def fits(self, need: Counter[str]) -> bool:
        return all(self.free[pool] >= seats for pool, seats in need.items())

    def decide(self, email: str, need: Counter[str]) -> str:
        """What a newcomer is told."""
        if self.terms.one_per_email and self.people[email]:
            return "already_registered"
        if self.fits(need) and not self.stands_behind(need):
            return _SEATED
        could_ever = all(self.terms.capacities[pool] >= seats for pool, seats in need.items())
        if self.terms.waitlist is None or not could_ever:
            return "full"
        return _WAITS if len(self.waiting) < self.terms.waitlist else "waitlist_full"

    def stands_behind(self, need: Counter[str]) -> bool:
        """Strict: whoever needs a pool that somebody waits for. Skip: only while a waiting party fits."""
        if self.terms.strict:
            return any(self.waited_for[pool] for pool in need)
        return any(self.fits(party.need) for party in self.waiting.values())

    def admit(self, party: _Party) -> None:
        self.parties[party.registration] = party
        self.people[party.email] += 1
        if party.where == _WAITS:
            self.waiting[party.registration] = party
            self.waited_for.update(party.need.keys())
        else:
            self.free.subtract(party.need)

    def leave(self, registration: str) -> None:
        party = self.parties.pop(registration, None)
        if party is None:
            return
        self.people[party.email] -= 1
        if self.waiting.pop(registration, None) is not None:
            self.waited_for.subtract(party.need.keys())
        else:
            self.free.update(party.need)

    def promote(self) -> int:
        """Something was given back: offer what is free in order of arrival, to whoever fits. How many are."""
        before = len(self.waiting)
        for party in list(self.waiting.values()):
            if not any(self.free[pool] > 0 for pool in self.terms.capacities):
                break
            if self.fits(party.need):
                del self.waiting[party.registration]
                self.waited_for.subtract(party.need.keys())
                self.free.subtract(party.need)
                party.where = _SEATED
        return before - len(self.waiting)


def is_complete(history: History) -> bool:
    """Whether every command that touched the event is known with its place, and no hold ended unseen."""
    return (
        history.terms.exclusive
        and not history.terms.holds
        and all(
            each.answer is not None or each.retried
            for each in history.attempts
            if each.kind is not Kind.OTHER_BODY
        )
        and all(asked.decided is not None for asked in history.commands.values())
    )


def unexplained(history: History) -> Iterator[str]:
    """Decisions that differ from the clerk's, then places in the export that do.

    One decision promotes only so many; the rest of a larger offer follows with a command of Veltrix's own,
    whose place nobody outside knows. From there on the clerk says nothing.
    """
    clerk = _Clerk(history.terms, Counter(history.terms.capacities))
    differed = False
    for offset, attempt in _by_arrival(history):
        answer = attempt.answer
        assert answer is not None
        if attempt.kind is Kind.CANCEL:
            clerk.leave(attempt.target if not answer.refusal else "")
            if clerk.promote() > limits.PROMOTIONS_PER_DECISION:
                return
            continue
        need: Counter[str] = Counter()
        for category in attempt.categories:
            need.update(history.terms.categories[category])
        expected = clerk.decide(attempt.email, need)
        told = answer.refusal or (_WAITS if answer.status == _WAITS else _SEATED)
        if told != expected:
            differed = True
            yield f"offset {offset}, {attempt.email}: told {told}; in order of arrival it is {expected}"
        if not answer.refusal:
            clerk.admit(_Party(answer.registration, attempt.email, need, told))
    if differed:
        return  # what follows from a wrong decision is not counted again
    for row in history.ledger or ():
        party = clerk.parties.get(row.id)
        where = None if party is None else party.where
        stands = {"confirmed": _SEATED, "held": _SEATED, "waitlisted": _WAITS}.get(row.status)
        if where != stands:
            yield f"{row.id}: exported as {row.status}; in order of arrival it is {where or 'gone'}"


def _by_arrival(history: History) -> list[tuple[int, Attempt]]:
    """One attempt for each command, in the order of the log."""
    known: dict[str, tuple[int, Attempt]] = {}
    for attempt in history.attempts:
        if attempt.answer is not None and attempt.kind is not Kind.OTHER_BODY:
            known.setdefault(attempt.key, (attempt.answer.offset, attempt))
    return sorted(known.values(), key=lambda each: each[0])
