"""Every word of the code's closed lists stands in docs/vocabulary.md, in order, with a meaning."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.docs import pages
from veltrix.domain.commands import KINDS
from veltrix.domain.event import EventStatus
from veltrix.domain.facts import FactKind
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.domain.registration import RegistrationStatus
from veltrix.ports.notices import NoticeStatus

LISTS: list[tuple[str, Iterable[str]]] = [
    ("Of an event", EventStatus),
    ("Of a registration", RegistrationStatus),
    ("Of a notice", NoticeStatus),
    ("Of a record", Outcome),
    ("Commands", KINDS),
    ("Facts", FactKind),
    ("Refusals", Refusal),
]


@pytest.mark.parametrize(("heading", "words"), LISTS, ids=[heading for heading, _ in LISTS])
def test_every_word_has_a_meaning(heading, words):
    """The table below the heading has exactly the code's words, in the code's order, each with a meaning."""
    text = pages.section(pages.read(pages.DOCS / "vocabulary.md"), heading)
    table = {pages.code(row[0]): row[1] for row in pages.rows(text)}
    assert list(table) == [str(word) for word in words]
    assert all(len(meaning.split()) >= 2 for meaning in table.values())


def test_no_word_is_explained_twice():
    """A word of the first column stands in one row of the tables of things."""
    text = pages.read(pages.DOCS / "vocabulary.md").partition("\n## States")[0]
    words = [word.strip() for row in pages.rows(text) for word in row[0].split(",")]
    assert len(words) == len(set(words))
    assert all(len(row) == 3 and row[1][-1] in ".…" for row in pages.rows(text))
