"""The ledger after every write: each thing that must hold at each step is broken once, and named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from veltrix.ports.ledger import Head, Term
from veltrix.promises.steps import Pool, Steps

HEAD = Head(0, Term(1, 3), "me", 10, 1_000, 1, 5, 2, "hash", "topic")


def steps() -> Steps:
    """A ledger that stands well."""
    watching = Steps()
    assert list(watching.head(HEAD, 10, 4)) == []
    return watching


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"term": Term(1, 2)}, "the term went back from 1.3 to 1.2"),
        ({"owner": "you"}, "me and you are owners under one term"),
        ({"relayed_seq": 1}, "relayed_seq went back from 2 to 1"),
        ({"log_time_ms": 999}, "log_time_ms went back"),
        ({"relayed_seq": 5}, "published up to 5, and 4 exist"),
        ({"next_offset": 11}, "10 decisions at offset 11: not one transaction"),
        ({"next_seq": 6}, "4 facts at sequence 6: not one transaction"),
    ],
)
def test_a_head_that_cannot_be(changes, said):
    """Terms, offsets, sequences and time only grow; the offset moves with its decisions."""
    assert said in "\n".join(steps().head(replace(HEAD, **changes), 10, 4))


def test_a_write_under_an_old_term():
    """A batch is written by the owner, or not at all."""
    watching = steps()
    assert list(watching.committed(0, Term(1, 3))) == []
    assert "written under 1.2, while 1.3 owns it" in "\n".join(watching.committed(0, Term(1, 2)))


def test_a_pool_above_its_ceiling():
    """No more is taken than the capacity, or than was taken before it was lowered."""
    watching = steps()
    assert list(watching.pools([Pool("evt_1", "main", 5, 5, 5)])) == []
    assert list(watching.pools([Pool("evt_1", "main", 3, 5, 5)])) == []
    assert list(watching.pools([Pool("evt_1", "main", 3, 4, 4)])) == []
    assert "5 taken, 4 allowed" in "\n".join(watching.pools([Pool("evt_1", "main", 3, 5, 5)]))
    assert "its ceiling is 9, not 7" in "\n".join(watching.pools([Pool("evt_2", "main", 7, 1, 9)]))


def test_what_leaves_too_soon():
    """Facts and replies leave after their commit, and are marked after they left."""
    watching = steps()
    assert (
        list(watching.published(0, 4))
        == list(watching.replied(0, 9))
        == list(watching.relayed(0, 2, 2))
        == []
    )
    assert "fact 5 was published, 4 are committed" in "\n".join(watching.published(0, 5))
    assert "offset 10 was answered" in "\n".join(watching.replied(0, 10))
    assert "marked as published up to 3, the topic has 2" in "\n".join(watching.relayed(0, 3, 2))
