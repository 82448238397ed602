"""Dashboards and rules: that they are what the code says, ask for what exists, and lead to a runbook."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel
from grafana_foundation_sdk.models.prometheus import Dataquery

from tests.observability import promql
from veltrix.observability.dashboards.boards import BOARDS
from veltrix.observability.dashboards.model import COLUMNS, Grid
from veltrix.observability.prometheus import INHIBITIONS
from veltrix.observability.provisioning import DASHBOARDS, files
from veltrix.observability.rules.groups import alerts, recordings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SHIPPED = sorted((DEPLOY / DASHBOARDS).glob("*.json"))
# What Grafana itself puts in.
BUILT_IN = {"__rate_interval", "__interval", "__range"}
NAMES = {alert.name for alert in alerts()}

register_default_plugins()


def decoded(path: Path) -> Dashboard:
    """A dashboard as Grafana's SDK understands it."""
    return Dashboard.from_json(json.loads(path.read_text(encoding="utf-8")))


def panels(board: Dashboard) -> list[Panel]:
    """Its panels without the headings of rows."""
    return [panel for panel in board.panels or [] if isinstance(panel, Panel)]


def places(board: Dashboard) -> list[tuple[str, int, int, int, int]]:
    """Everything on the grid: what, left, top, right, bottom."""
    found = []
    for panel in board.panels or []:
        at = panel.grid_pos
        assert at is not None
        found.append((panel.title or "", at.x, at.y, at.x + at.w, at.y + at.h))
    return found


def test_what_is_shipped_is_what_the_code_says():
    """deploy/ holds exactly what `make provisioning` writes, beside its README."""
    written = files()
    there = {
        path.relative_to(DEPLOY).as_posix(): path.read_text(encoding="utf-8")
        for path in DEPLOY.rglob("*")
        if path.is_file() and path.suffix != ".md"
    }
    assert there.keys() == written.keys(), "run: make provisioning"
    assert [name for name in written if there[name] != written[name]] == [], "run: make provisioning"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_sdk_reads_what_it_wrote(path):
    """Decoding and encoding a dashboard by the SDK gives the same document: nothing is strange to it."""
    document = json.loads(path.read_text(encoding="utf-8"))
    again = json.loads(json.dumps(Dashboard.from_json(document), cls=JSONEncoder))
    assert again == document
    for panel in panels(decoded(path)):
        assert all(isinstance(target, Dataquery) for target in panel.targets or [])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_panels_overlap(path):
    """Every two things on the grid have places of their own, within its columns."""
    found = places(decoded(path))
    assert all(0 <= left < right <= COLUMNS for _, left, _, right, _ in found)
    for (one, l1, t1, r1, b1), (two, l2, t2, r2, b2) in combinations(found, 2):
        assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1, f"{one} lies on {two}"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_variables_are_defined_and_used(path):
    """Each variable that a dashboard uses is one of its own, and each of its own is used."""
    board = decoded(path)
    assert board.templating is not None
    defined = {variable.name for variable in board.templating.list_val or []}
    used = set(
        re.findall(r"\$\{?(\w+)\}?", json.dumps(json.loads(path.read_text(encoding="utf-8"))["panels"]))
    )
    assert used - BUILT_IN == defined


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_panel_says_what_is_good_and_where_help_is(path):
    """Each panel has a title that says what is good, a unit, a query, and a link to a runbook that exists."""
    ids = set()
    for panel in panels(decoded(path)):
        assert re.fullmatch(r".+ — good: .+", panel.title or ""), panel.title
        assert panel.field_config is not None
        assert panel.field_config.defaults is not None
        assert panel.field_config.defaults.unit, panel.title
        assert panel.targets, panel.title
        ids.add(panel.id_val)
    assert len(ids) == len(panels(decoded(path)))
    for document in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        if document["type"] != "row":
            (link,) = document["links"]
            assert link["url"].removeprefix("${runbooks}#") in {name.lower() for name in NAMES}, link


def test_every_query_names_what_is_exposed():
    """Panels, recording rules and alerts name metrics of the catalogue, with labels that these have."""
    exprs = {f"{board.uid}: {panel.title}": panel.queries for board in BOARDS for panel in board.panels()}
    asked = {name: [query.expr for query in queries] for name, queries in exprs.items()}
    asked |= {f"{alert.name} ({alert.hold})": [alert.expr] for alert in alerts()}
    asked |= {f"{rule.record} {dict(rule.labels)}": [rule.expr] for rule in recordings()}
    found = [f"{name}: {it}" for name, exprs in asked.items() for expr in exprs for it in promql.wrong(expr)]
    assert found == []


def test_the_look_for_wrong_names_finds_them():
    """A metric, a label in braces and a label to group by that do not exist are each found."""
    assert list(promql.wrong("rate(veltrix_no_such_total[5m])")) == ["nothing exposes veltrix_no_such_total"]
    assert list(promql.wrong('veltrix_undecided_commands{partitoin="0"}')) == [
        "veltrix_undecided_commands has no label partitoin"
    ]
    assert list(promql.wrong("sum by (person) (veltrix_undecided_commands)")) == [
        "nothing here has the label person"
    ]


def test_whatever_says_less_names_alerts_that_exist():
    """Each inhibition is between alerts of ours, and its equal labels are in both."""
    for rule in INHIBITIONS:
        assert {rule.source, *rule.targets} <= NAMES
        assert rule.source not in rule.targets


def test_a_grid_breaks_where_the_line_is_full():
    """What does not fit beside the last panel begins below the highest one of its line."""
    grid = Grid()
    assert grid.heading() == (0, 0, 24, 1)
    assert [grid.panel(12, 8), grid.panel(8, 4), grid.panel(8, 4)] == [
        (0, 1, 12, 8),
        (12, 1, 8, 4),
        (0, 9, 8, 4),
    ]
    assert grid.heading() == (0, 13, 24, 1)


def test_rows_are_headings():
    """A row's heading is a row panel of the SDK, so that Grafana can fold it."""
    for path in SHIPPED:
        rows = [panel for panel in decoded(path).panels or [] if isinstance(panel, RowPanel)]
        assert [row.title for row in rows] == [
            row.title for board in BOARDS if board.uid == path.stem for row in board.rows
        ]
