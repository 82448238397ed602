"""What a ledger holds of one partition, judged by itself: decisions, facts, and the order of both.

Nothing of the decider is used here, so that a defect in it is seen and not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from veltrix.domain.commands import KIND_OF, AdoptRules, ContinuePromotions
from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision, Outcome

_ADOPT: Final = KIND_OF[AdoptRules]
_CONTINUE: Final = KIND_OF[ContinuePromotions]
_REPEATED: Final = (Outcome.DUPLICATE, Outcome.KEY_REUSED)


@dataclass(frozen=True, slots=True)
class Book:
    """The decisions and facts of one partition, in their order; `first` is the first offset of its log."""

    partition: int
    decisions: Sequence[Decision]
    facts: Sequence[NumberedFact]
    first: int = 0


def check_book(book: Book) -> Iterator[str]:
    """Everything that a partition's book must be by itself."""
    yield from one_decision_an_offset(book)
    yield from one_first_decision_a_command(book)
    yield from time_goes_forward(book)
    yield from rules_by_the_log(book)
    yield from facts_follow_decisions(book)
    yield from none_quarantined(book)


def one_decision_an_offset(book: Book) -> Iterator[str]:
    """Decisions stand in the order of the log, one for each offset."""
    for index, decision in enumerate(book.decisions, book.first):
        if decision.offset != index:
            yield f"partition {book.partition}: offset {decision.offset} is decided in the place of {index}"
            return


def one_first_decision_a_command(book: Book) -> Iterator[str]:
    """A command is decided once; what comes again names that decision, and is the same request or refused."""
    first: dict[str, Decision] = {}
    for decision in book.decisions:
        where = f"partition {book.partition} offset {decision.offset}"
        if not decision.command:
            continue
        before = first.setdefault(decision.command, decision)
        if decision.outcome not in _REPEATED:
            if before is not decision:
                yield f"{where}: {decision.command} was decided at {before.offset} already"
            continue
        if before is decision or decision.original != before.offset:
            yield f"{where}: repeats {decision.original}, but {decision.command} was first at {before.offset}"
        elif (decision.outcome is Outcome.DUPLICATE) != (decision.fingerprint == before.fingerprint):
            yield f"{where}: {decision.outcome}, which its body is not"


def time_goes_forward(book: Book) -> Iterator[str]:
    """Log time never runs backward."""
    last_ms = 0
    for decision in book.decisions:
        if decision.log_time_ms < last_ms:
            back_ms = last_ms - decision.log_time_ms
            yield f"partition {book.partition} offset {decision.offset}: log time runs back by {back_ms} ms"
        last_ms = decision.log_time_ms


def rules_by_the_log(book: Book) -> Iterator[str]:
    """Another rules version starts behind a command that adopts it, and nowhere else."""
    version, adopting = None, False
    for decision in book.decisions:
        if version is not None and decision.rules_version != version and not adopting:
            yield (
                f"partition {book.partition} offset {decision.offset}: decided by rules "
                f"{decision.rules_version} after {version}, and no command says so"
            )
        version = decision.rules_version
        adopting = decision.kind == _ADOPT and decision.outcome is Outcome.ACCEPTED


def facts_follow_decisions(book: Book) -> Iterator[str]:
    """Facts are numbered without a gap, and each stands where its decision says."""
    for index, fact in enumerate(book.facts, 1):
        if fact.seq != index:
            yield f"partition {book.partition}: fact {fact.seq} stands in the place of {index}"
            return
    seq = 1
    for decision in book.decisions:
        where = f"partition {book.partition} offset {decision.offset}"
        if decision.outcome in _REPEATED and decision.facts:
            yield f"{where}: a {decision.outcome} led to {decision.facts} facts"
        if not decision.facts:
            continue
        if decision.first_seq != seq:
            yield f"{where}: its facts begin at {decision.first_seq}, those before it end at {seq - 1}"
            return
        for fact in book.facts[seq - 1 : seq - 1 + decision.facts]:
            if fact.offset != decision.offset or fact.log_time_ms != decision.log_time_ms:
                yield f"{where}: fact {fact.seq} says offset {fact.offset} at {fact.log_time_ms}"
        seq += decision.facts
    if seq != len(book.facts) + 1:
        yield f"partition {book.partition}: {len(book.facts)} facts, decisions led to {seq - 1}"


def continued(book: Book) -> dict[str, int]:
    """The last offset at which promotions of each event were gone on with."""
    return {decision.event: decision.offset for decision in book.decisions if decision.kind == _CONTINUE}


def none_quarantined(book: Book) -> Iterator[str]:
    """No decision raised, and no constraint refused one; where nobody writes garbage into the log."""
    for decision in book.decisions:
        if decision.outcome is Outcome.QUARANTINED:
            yield f"partition {book.partition} offset {decision.offset}: quarantined: {decision.detail}"
