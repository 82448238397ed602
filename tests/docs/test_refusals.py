"""docs/api.md has every problem with its status and what to do."""

from __future__ import annotations

import pytest

from tests.docs import pages
from veltrix.domain.outcomes import Refusal
from veltrix.registration.catalogue import EDGE_STATUS, REFUSAL_STATUS

LISTS = {
    "Refusals": {refusal.value: REFUSAL_STATUS[refusal] for refusal in Refusal},
    "What the edge turns away": EDGE_STATUS,
}


@pytest.mark.parametrize("heading", LISTS)
def test_every_problem_is_explained(heading):
    """The table has every code in the order of precedence, each with its status and a remedy."""
    table = list(pages.rows(pages.section(pages.read(pages.DOCS / "api.md"), heading)))
    assert [(pages.code(row[0]), int(row[1])) for row in table] == list(LISTS[heading].items())
    assert all(row[2].endswith(".") for row in table)
