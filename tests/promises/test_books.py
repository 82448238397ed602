"""A partition's book: each promise is broken once, and the breach is named."""

from __future__ import annotations

from dataclasses import replace

from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.outcomes import Decision, Outcome
from veltrix.promises.books import Book, check_book


def decision(offset: int, **changes: object) -> Decision:
    """An accepted command that led to one fact."""
    plain = Decision(
        partition=0,
        offset=offset,
        outcome=Outcome.ACCEPTED,
        log_time_ms=1_000 + offset,
        rules_version=1,
        command=f"cmd_{offset}",
        kind="register",
        fingerprint="f",
        first_seq=offset + 1,
        facts=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # fields are checked by the dataclass


def fact(seq: int) -> NumberedFact:
    """The fact of the decision before it."""
    said = Fact(FactKind.RULES_ADOPTED, "", "acme")
    return NumberedFact(0, seq, seq - 1, f"cmd_{seq - 1}", 1_000 + seq - 1, "", said)


def complaints(decisions: list[Decision], facts: int) -> str:
    """What is wrong with such a book."""
    return "\n".join(check_book(Book(0, decisions, [fact(seq) for seq in range(1, facts + 1)])))


def test_a_good_book_is_good():
    """Decisions in order, a repeat of each kind, facts without a gap: nothing to say."""
    repeated = decision(2, outcome=Outcome.DUPLICATE, command="cmd_0", original=0, facts=0, first_seq=0)
    reused = decision(3, outcome=Outcome.KEY_REUSED, command="cmd_0", original=0, facts=0, first_seq=0)
    assert complaints([decision(0), decision(1), repeated, replace(reused, fingerprint="g")], 2) == ""


def test_an_offset_without_a_decision():
    """Offsets are decided one by one."""
    assert "decided in the place of 1" in complaints([decision(0), decision(2)], 2)


def test_a_command_that_is_decided_twice():
    """The second decision of a command must be a repeat."""
    assert "was decided at 0 already" in complaints([decision(0), decision(1, command="cmd_0")], 2)


def test_repeats_that_are_none():
    """A repeat names the first decision; its body is what makes it a duplicate or a reused key."""
    wrong = decision(1, outcome=Outcome.DUPLICATE, command="cmd_0", original=7, facts=0)
    assert "repeats 7" in complaints([decision(0), wrong], 1)
    other = decision(1, outcome=Outcome.DUPLICATE, command="cmd_0", original=0, facts=0, fingerprint="g")
    assert "duplicate, which its body is not" in complaints([decision(0), other], 1)
    late = decision(1, outcome=Outcome.DUPLICATE, command="cmd_0", original=0)
    assert "led to 1 facts" in complaints([decision(0), late], 2)


def test_time_that_runs_back():
    """Log time only goes forward."""
    assert "runs back by 501 ms" in complaints([decision(0), decision(1, log_time_ms=499)], 2)


def test_rules_that_change_by_themselves():
    """Another rules version needs a command that adopts it."""
    adopts = decision(0, kind="adopt_rules")
    assert complaints([adopts, decision(1, rules_version=2)], 2).count("rules") == 0
    assert "rules 2 after 1" in complaints([decision(0), decision(1, rules_version=2)], 2)


def test_facts_that_do_not_belong():
    """Too few, too many, or not where the decision says."""
    assert "1 facts, decisions led to 2" in complaints([decision(0), decision(1)], 1)
    assert "its facts begin at 3" in complaints([decision(0), decision(1, first_seq=3)], 2)
    gap = Book(0, [decision(0)], [fact(2)])
    assert "stands in the place of 1" in "\n".join(check_book(gap))


def test_what_is_quarantined_is_told():
    """No decision raises where nobody writes garbage."""
    aside = decision(0, outcome=Outcome.QUARANTINED, facts=0, detail="KeyError: 'x'")
    assert "KeyError" in complaints([aside], 0)
