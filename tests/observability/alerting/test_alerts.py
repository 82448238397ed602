"""Each alert fires when it should and is silent when not, as promtool says of the file that is shipped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engines import unavailable
from tests.observability.alerting import engines, objectives, processes, serving
from tests.observability.alerting.cases import HEALTHY, STEP_S, Case, flat, metrics_of, of, rising
from tests.observability.asking import queries
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.observability.catalogue import CATALOGUE, Metric, Type
from veltrix.observability.rules.deciding import DECIDING
from veltrix.observability.rules.engines import ENGINES
from veltrix.observability.rules.groups import GROUPS, alerts
from veltrix.observability.rules.intake import INTAKE
from veltrix.observability.rules.model import RUNBOOKS, Group
from veltrix.observability.rules.notices import NOTICES
from veltrix.observability.rules.objectives import OBJECTIVE_ALERTS, OBJECTIVE_RECORDINGS
from veltrix.observability.rules.processes import PROCESSES

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "veltrix.rules.yml"
CASES: dict[str, tuple[list[Group], list[Case]]] = {
    "objectives": ([OBJECTIVE_RECORDINGS, OBJECTIVE_ALERTS], objectives.CASES),
    "processes": ([PROCESSES], processes.CASES),
    "intake": ([INTAKE], serving.INTAKE),
    "deciding": ([DECIDING], serving.DECIDING),
    "notices": ([NOTICES], serving.NOTICES),
    "engines": ([ENGINES], engines.CASES),
}
ALL = [case for _, cases in CASES.values() for case in cases]
NAMES = sorted({alert.name for alert in alerts()})


@pytest.fixture
def promtool(engine_tools: Tools) -> Path:
    """Prometheus' tool."""
    try:
        return engine_tools.promtool()
    except EngineMissing as missing:
        unavailable(missing)


def written(directory: Path, name: str, document: Mapping[str, object]) -> str:
    """A file that promtool reads: JSON is YAML."""
    path = directory / name
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return str(path)


def run(promtool: Path, *arguments: str) -> None:
    """Ask promtool; fails with what it says."""
    command = [str(promtool), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", CASES)
def test_alerts_fire_when_they_should_and_not_otherwise(name: str, promtool: Path, tmp_path: Path):
    """In each case exactly those alerts fire that it names, with their labels and their words."""
    groups, cases = CASES[name]
    rules = written(tmp_path, "rules.yml", {"groups": [group.document(RUNBOOKS) for group in groups]})
    document = {
        "rule_files": [rules],
        "group_eval_order": [group.name for group in groups],
        "evaluation_interval": f"{cases[0].step_s}s",
        "tests": [case.document() for case in cases],
    }
    assert {case.step_s for case in cases} == {cases[0].step_s}
    run(promtool, "test", "rules", written(tmp_path, "tests.yml", document))


def test_a_healthy_platform_is_silent(promtool: Path, tmp_path: Path):
    """No alert of the file that is shipped fires where all is well."""
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{STEP_S}s",
        "tests": [
            {
                "interval": f"{STEP_S}s",
                "input_series": [{"series": name, "values": values} for name, values in HEALTHY.items()],
                "alert_rule_test": [
                    {"eval_time": "30m", "alertname": name, "exp_alerts": []} for name in NAMES
                ],
            }
        ],
    }
    run(promtool, "test", "rules", written(tmp_path, "tests.yml", document))


def test_every_alert_has_a_case_in_which_it_fires():
    """No alert is shipped that was never seen to fire, in each of its severities and windows."""
    fired = {
        (case.alert, fires.labels["severity"], fires.labels.get("window", ""))
        for case in ALL
        for fires in case.fires
    }
    shipped = {(alert.name, alert.severity.value, alert.labels.get("window", "")) for alert in alerts()}
    windows = {name for name in shipped if name[2] and name[0] != "VeltrixAcceptedBudgetBurns"}
    assert shipped - windows - fired == set()
    assert {name for name, *_ in shipped} == {name for name, *_ in fired}


def test_every_alert_is_silent_for_a_reason():
    """The healthy platform has every metric that an alert reads: none is silent for want of a series."""
    named = {name.partition("{")[0] for name in HEALTHY}
    missing = {}
    for alert in alerts():
        read = metrics_of(alert.expr) - named
        if read:
            missing[alert.name] = read
    assert missing == {}


def test_every_group_has_cases():
    """No group of rules is left out above."""
    asked = [group.name for groups, _ in CASES.values() for group in groups]
    assert sorted(asked) == sorted(group.name for group in GROUPS)


def test_promtool_finds_nothing_wrong(promtool: Path):
    """`promtool check rules` passes on the file that is shipped."""
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def anything(metric: Metric) -> dict[str, str]:
    """Series of a metric with a value for each of its labels, as if something had happened."""
    labels = 'job="veltrix", service="registration", instance="registration-1"'
    labels += "".join(f', {label}="something"' for label in metric.labels if f"{label}=" not in labels)
    if metric.type is Type.HISTOGRAM:
        buckets = {f'{metric.name}_bucket{{{labels}, le="{le}"}}': rising(10) for le in ("1.0", "+Inf")}
        return buckets | {f"{metric.name}_{end}{{{labels}}}": rising(10) for end in ("sum", "count")}
    return {f"{metric.exposed}{{{labels}}}": rising(10)}


def test_what_may_be_empty_is_not_when_something_happens(promtool: Path, tmp_path: Path):
    """Every query of a panel that says that a healthy platform gives no series gives some otherwise."""
    series = {"up{" + of("processing") + "}": flat(0)}  # an alert fires
    for metric in CATALOGUE:
        series |= anything(metric)
    exprs = [asked.expr for asked in queries(60) if asked.may_be_empty]
    assert len(exprs) > 5
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "60s",
        "tests": [
            {
                "interval": f"{STEP_S}s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"count({expr}) > bool 0",
                        "eval_time": "10m",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                    for expr in exprs
                ],
            }
        ],
    }
    run(promtool, "test", "rules", written(tmp_path, "tests.yml", document))
