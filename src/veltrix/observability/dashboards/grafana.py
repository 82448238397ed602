"""Writes a dashboard as Grafana reads it, by its own SDK. Development alone needs the SDK."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from veltrix.observability.dashboards.model import Board, Grid, Kind, Panel, Place, Query, Variable
from veltrix.observability.rules.model import RUNBOOKS

TAG: Final = "veltrix"
SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_PanelBuilder = stat.Panel | table.Panel | timeseries.Panel


def to_json(board: Board, runbooks: str = RUNBOOKS) -> str:
    """The file that Grafana is provisioned with; `runbooks` is where people read docs/runbooks.md."""
    register_default_plugins()
    built = json.loads(json.dumps(_dashboard(board, runbooks).build(), cls=JSONEncoder))
    # Once more there and back: what the SDK fills in when it reads is then in the file.
    again = model.Dashboard.from_json(built)
    return json.dumps(again, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _dashboard(board: Board, runbooks: str) -> builder.Dashboard:
    it = (
        builder.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .refresh(board.refresh)
        .time(board.since, "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_other_dashboards())
        .with_variable(builder.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(builder.ConstantVariable("runbooks").value(runbooks))
    )
    for variable in board.variables:
        it = it.with_variable(_variable(variable))
    grid, number = Grid(), 0
    for row in board.rows:
        number += 1
        it = it.with_row(builder.Row(row.title).id(number).grid_pos(_position(grid.heading())))
        for panel in row.panels:
            number += 1
            it = it.with_panel(_panel(panel, number, grid.panel(*panel.size)))
    return it


def _other_dashboards() -> builder.DashboardLink:
    return (
        builder.DashboardLink("Veltrix")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
    )


def _variable(variable: Variable) -> builder.QueryVariable:
    return (
        builder.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query(variable.values)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel, number: int, place: Place) -> _PanelBuilder:
    built = _SHOWN[panel.kind](panel)
    built.id(number).title(panel.heading).unit(panel.unit.value).datasource(SOURCE)
    built.grid_pos(_position(place)).description(_description(panel))
    built.links(
        [
            builder.DashboardLink(f"Runbook: {panel.runbook}")
            .type(model.DashboardLinkType.LINK)
            .url(f"${{runbooks}}#{panel.runbook.lower()}")
            .target_blank(True)
        ]
    )
    built.thresholds(builder.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(_steps(panel)))
    if panel.empty:
        built.no_value("none")
    for index, query in enumerate(panel.queries):
        built.with_target(_query(panel, query, chr(ord("A") + index)))
    return built


def _description(panel: Panel) -> str:
    parts = [panel.description, f"Empty: {panel.empty}" if panel.empty else ""]
    return "\n\n".join(filter(None, parts))


def _steps(panel: Panel) -> list[model.Threshold]:
    levels = [model.Threshold(value=level.value, color=level.colour) for level in panel.levels]
    return levels or [model.Threshold(value=None, color="text")]


def _query(panel: Panel, query: Query, ref: str) -> prometheus.Dataquery:
    built = prometheus.Dataquery().expr(query.expr).ref_id(ref).datasource(SOURCE)
    if query.legend:
        built = built.legend_format(query.legend)
    if panel.kind is Kind.TABLE:
        built = built.instant().format(PromQueryFormat.TABLE)
    elif panel.kind is Kind.STAT:
        built = built.instant()
    else:
        built = built.range()
    return built


def _position(place: Place) -> model.GridPos:
    return model.GridPos(h=place.height, w=place.width, x=place.x, y=place.y)


def _stat(panel: Panel) -> stat.Panel:
    calculation = common_builder.ReduceDataOptions().calcs(["lastNotNull"])
    mode = common.BigValueColorMode.BACKGROUND if panel.levels else common.BigValueColorMode.VALUE
    return (
        stat.Panel()
        .reduce_options(calculation)
        .color_mode(mode)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.AUTO)
    )


def _table(_: Panel) -> table.Panel:
    return table.Panel()


def _lines(panel: Panel) -> timeseries.Panel:
    legend = (
        common_builder.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    built = (
        timeseries.Panel()
        .legend(legend)
        .tooltip(common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .line_width(1)
        .fill_opacity(40 if panel.stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .axis_soft_min(0)
    )
    if panel.stacked:
        built = built.stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.levels:
        style = common_builder.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        built = built.thresholds_style(style)
    return built


_SHOWN: Final[dict[Kind, Callable[[Panel], _PanelBuilder]]] = {
    Kind.STAT: _stat,
    Kind.LINES: _lines,
    Kind.TABLE: _table,
}
