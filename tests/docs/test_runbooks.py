"""docs/runbooks.md has a section for each alert, and each section says what an operator needs."""

from __future__ import annotations

import re

import pytest

from tests.docs import pages
from tests.observability import promql
from veltrix.observability.rules.groups import alerts

RUNBOOKS = pages.DOCS / "runbooks.md"
NAMES = sorted({alert.name for alert in alerts()})
PARTS = ["Means", "Since when, for whom", "First look", "Remedy"]


def sections() -> dict[str, str]:
    """Each section of the third level by its heading."""
    found = re.split(r"^### (.+)$", pages.read(RUNBOOKS), flags=re.MULTILINE)[1:]
    return {heading: text.split("\n## ")[0] for heading, text in zip(found[::2], found[1::2], strict=True)}


def test_each_alert_has_its_section_and_no_other_is_there():
    """One section an alert, none more, and none twice."""
    headings = re.findall(r"^### (.+)$", pages.read(RUNBOOKS), re.MULTILINE)
    assert sorted(headings) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_section_says_what_where_and_what_to_do(name):
    """Each section has its four parts in order, and each of them says something."""
    found = re.findall(r"^- \*\*(.+?)\*\*: (.+)", sections()[name], re.MULTILINE)
    assert [part for part, _ in found] == PARTS
    assert all(len(text) > 10 for _, text in found)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_section_asks_prometheus_exists(name):
    """Metrics and labels that a section names are exposed."""
    asked = [text for text in re.findall(r"`([^`]+)`", sections()[name]) if "veltrix_" in text]
    assert [it for text in asked for it in promql.wrong(text)] == []


def test_the_links_of_alerts_lead_to_headings():
    """The anchor in an alert's runbook_url is that of its heading."""
    assert {alert.anchor for alert in alerts()} <= set(pages.headings(pages.read(RUNBOOKS)))
