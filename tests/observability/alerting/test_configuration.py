"""The configuration of Prometheus, Alertmanager and Grafana, read by their own tools where there are some."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.engines import unavailable
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.observability.prometheus import INHIBITIONS, Target, alertmanager_file, prometheus_file
from veltrix.observability.yaml import to_yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"


@pytest.fixture
def amtool(engine_tools: Tools) -> Path:
    """Alertmanager's tool."""
    try:
        return engine_tools.amtool()
    except EngineMissing as missing:
        unavailable(missing)


def said(*command: str | Path) -> str:
    """What a tool prints; it must be content."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_alertmanager_takes_its_configuration(amtool: Path, tmp_path: Path):
    """amtool accepts what is shipped, and what a local cluster is started with."""
    local = tmp_path / "alertmanager.yml"
    local.write_text(
        alertmanager_file([{"name": "nobody"}], critical="nobody", warning="nobody"), encoding="utf-8"
    )
    for path in (ALERTMANAGER, local):
        assert f"{len(INHIBITIONS) + 1} inhibit rules" in said(amtool, "check-config", path)


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "on-call"), ("warning", "working-hours")])
def test_alerts_go_to_whom_they_concern(amtool: Path, severity: str, receiver: str):
    """By the routes that are shipped, a critical alert wakes somebody and a warning does not."""
    route = ["config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}"]
    assert said(amtool, *route).strip() == receiver


def test_prometheus_takes_its_configuration(engine_tools: Tools, tmp_path: Path):
    """promtool accepts what is shipped, and names that need quotes."""
    hostile = tmp_path / "prometheus.yml"
    targets = [Target("registration", 'a "quoted": {name} # 1', "127.0.0.1:1")]
    hostile.write_text(prometheus_file(targets, "/nowhere/rules.yml"), encoding="utf-8")
    try:
        promtool = engine_tools.promtool()
    except EngineMissing as missing:
        unavailable(missing)
    for path in (DEPLOY / "prometheus" / "prometheus.yml", hostile):
        said(promtool, "check", "config", "--syntax-only", path)


@pytest.mark.parametrize(
    "path", sorted((DEPLOY / "grafana" / "provisioning").rglob("*.yml")), ids=lambda path: path.parent.name
)
def test_grafanas_provisioning_is_yaml_of_its_shape(path: Path):
    """Each file of Grafana's provisioning names the version, and one source of data or of dashboards."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["apiVersion"] == 1
    (one,) = document.get("datasources") or document["providers"]
    assert one["type"] in ("prometheus", "file")


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=20)
SCALARS = TEXTS | st.integers(-(10**9), 10**9) | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_what_is_written_is_what_is_read(document):
    """Any mapping of texts, numbers, lists and mappings comes back the same from a parser not ours."""
    assert yaml.safe_load(to_yaml(document)) == document
