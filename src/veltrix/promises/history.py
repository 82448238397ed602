"""What people asked and were told: every request with its answer, and the ledger as it was exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Kind(StrEnum):
    """What a request was for."""

    REGISTER = "register"
    DUPLICATE = "duplicate"
    RETRY = "retry"
    OTHER_BODY = "other body"
    AGAIN = "again"
    CANCEL = "cancel"


REPEATS = frozenset({Kind.DUPLICATE, Kind.RETRY})
"""Same key, same body as an earlier request: the same answer, and no second effect."""


class Outcome(StrEnum):
    """What came back. The first three are final decisions; the rest is "unanswered"."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    KEY_REUSED = "key reused"
    UNDECIDED = "202 undecided"
    THROTTLED = "429 too many"
    UNAVAILABLE = "503 unavailable"
    RESET = "connection reset"
    TIMED_OUT = "timed out"
    WRONG = "wrong answer"


ANSWERED = frozenset({Outcome.ACCEPTED, Outcome.REFUSED, Outcome.KEY_REUSED})


@dataclass(frozen=True, slots=True)
class Seat:
    """One seat of a registration, as an answer or the export shows it."""

    number: int
    category: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision as the client read it. `refusal` is empty when the command was accepted.

    `offset` is the command's place in the log of `partition`: what "came first" means.
    """

    partition: int
    offset: int
    registration: str = ""
    status: str = ""
    arrival: str = ""
    seats: tuple[Seat, ...] = ()
    refusal: str = ""

    @property
    def label(self) -> str:
        """How the report calls it."""
        return self.refusal.replace("_", " ") if self.refusal else self.status


@dataclass(slots=True)
class Attempt:
    """One request on the wire; times are monotonic nanoseconds of the generator's clock.

    `intended_ns` is when an open loop's schedule wanted it. `received_ns` is when the first answer was read
    (also a 202); `answer` is the decision, also one that had to be asked for again after a 202.
    `settled_ns` is when the decision was read: later than `received_ns` where a 202 was followed to it.
    `impatient` ones asked not to be kept waiting for it.
    `tried` counts the same request before this one; `retried` says that another one followed it.
    `target` is the registration that a cancel is about.
    """

    number: int
    person: int
    kind: Kind
    key: str
    email: str
    name: str
    categories: tuple[str, ...]
    sent_ns: int
    outcome: Outcome
    received_ns: int | None = None
    intended_ns: int | None = None
    status_code: int = 0
    answer: Answer | None = None
    target: str = ""
    detail: str = ""
    settled_ns: int | None = None
    tried: int = 0
    retried: bool = False
    impatient: bool = False

    @property
    def latency_ns(self) -> int | None:
        """From the intended start (open loop) or the real one to the final answer; None without one."""
        answered_ns = self.received_ns if self.settled_ns is None else self.settled_ns
        if answered_ns is None or self.outcome not in ANSWERED:
            return None
        return answered_ns - (self.sent_ns if self.intended_ns is None else self.intended_ns)


@dataclass(frozen=True, slots=True)
class Terms:
    """The event's rules as far as a client can see them. `categories` maps each to the pools it draws on.

    `exclusive` says that nobody but this run touched the event, so that a replay can explain everything.
    """

    event: str
    capacities: Mapping[str, int]
    categories: Mapping[str, tuple[str, ...]]
    one_per_email: bool = False
    waitlist: int | None = None
    strict: bool = True
    holds: bool = False
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One registration in the export."""

    id: str
    arrival: str
    status: str
    seats: tuple[Seat, ...]
    email: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool's numbers as the event shows them."""

    key: str
    capacity: int
    taken: int
    free: int


@dataclass(slots=True)
class Asked:
    """All attempts under one key and body: one command, whatever the number of requests.

    `decided` is the attempt whose decision is known first, in the order of sending.
    """

    first: Attempt
    attempts: list[Attempt]
    decided: Attempt | None = None


@dataclass(frozen=True)
class History:
    """All of it. `ledger` and `pools` are None when there was no key to read them with."""

    terms: Terms
    attempts: tuple[Attempt, ...]
    ledger: tuple[Row, ...] | None = None
    pools: tuple[PoolRow, ...] | None = None

    @cached_property
    def commands(self) -> dict[str, Asked]:
        """The commands by key; a used key with another body is no command."""
        commands: dict[str, Asked] = {}
        for attempt in self.attempts:
            if attempt.kind is Kind.OTHER_BODY:
                continue
            asked = commands.get(attempt.key)
            if asked is None:
                asked = commands[attempt.key] = Asked(attempt, [])
            asked.attempts.append(attempt)
            if asked.decided is None and attempt.answer is not None:
                asked.decided = attempt
        return commands
