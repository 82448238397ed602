"""A real Prometheus, and every question that the shipped dashboards and rules ask it."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engines import answers_http, free_port, running, unavailable
from tests.observability.alerting.cases import metrics_of
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.observability.catalogue import CATALOGUE, Type
from veltrix.observability.dashboards.boards import BOARDS
from veltrix.observability.prometheus import Target, prometheus_file
from veltrix.observability.provisioning import DASHBOARDS, RULES
from veltrix.observability.rules.groups import alerts, recordings
from veltrix.observability.rules.model import Alert, Recording

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "deploy" / DASHBOARDS).glob("*.json"))
STEP_S = 5


@dataclass(frozen=True)
class Asked:
    """A query of a panel, as Grafana would send it."""

    board: str
    panel: str
    expr: str
    labels: frozenset[str]
    over_time: bool
    may_be_empty: str

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}: {self.expr}"


def queries(rate_interval_s: int) -> Iterator[Asked]:
    """Every query of every panel that is shipped, its variables filled in as for "All"."""
    reasons = {
        (board.uid, panel.heading): panel.empty for board in BOARDS for panel in board.panels() if panel.empty
    }
    for path in SHIPPED:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                expr = target["expr"].replace("$__rate_interval", f"{rate_interval_s}s")
                yield Asked(
                    path.stem,
                    panel["title"],
                    re.sub(r"\$(instance|partition)", ".*", expr),
                    frozenset(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))),
                    bool(target.get("range")),
                    reasons.get((path.stem, panel["title"]), ""),
                )


@dataclass(frozen=True)
class Prometheus:
    """The HTTP API of a Prometheus."""

    url: str

    def get(self, path: str, **parameters: str | float) -> Any:
        """The data of an answer; fails with Prometheus' own words where it refuses."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(address, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        data = self.get("query", query=expr)
        assert data["resultType"] in ("vector", "scalar"), data
        return list(data["result"]) if data["resultType"] == "vector" else [{"metric": {}}]

    def over_time(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression has had within the last minute."""
        now_s = time.time()
        data = self.get("query_range", query=expr, start=now_s - 60, end=now_s, step=STEP_S)
        assert data["resultType"] == "matrix"
        return list(data["result"])

    def unanswered(self, asked: Asked) -> str:
        """Why a query has no good answer; empty where it has one."""
        series = self.over_time(asked.expr) if asked.over_time else self.ask(asked.expr)
        if not series:
            return "" if asked.may_be_empty else f"{asked}: no series"
        lacking = {label for one in series for label in asked.labels - one["metric"].keys()}
        return f"{asked}: no label {sorted(lacking)}" if lacking else ""

    def all_unanswered(self, rate_interval_s: int) -> list[str]:
        """Every query of every panel that has no good answer."""
        return [why for asked in queries(rate_interval_s) if (why := self.unanswered(asked))]

    def unknown(self, groups: frozenset[str]) -> list[str]:
        """Metrics that an alert reads and nobody exposes, of the groups that the processes show."""
        shown = {metric.exposed: metric for metric in CATALOGUE if metric.group in groups}
        return sorted(
            name
            for name in {name for alert in alerts() for name in metrics_of(alert.expr)}
            if (metric := shown.get(re.sub(r"_(bucket|count|sum)$", "", name)))
            and not self.ask(
                f"count({metric.name}_count)" if metric.type is Type.HISTOGRAM else f"count({name})"
            )
        )

    def ill_rules(self) -> dict[str, str]:
        """Rules that Prometheus could not evaluate, and why; it must have loaded all."""
        loaded = self.rules()
        assert loaded.keys() == shipped_rules().keys()
        return {key: str(rule.get("lastError")) for key, rule in loaded.items() if rule["health"] != "ok"}

    def rules(self) -> dict[str, dict[str, Any]]:
        """Each rule that is loaded, by its name and labels, as Prometheus sees it."""
        return {
            rule_key(rule["name"], rule["labels"]): rule
            for group in self.get("rules")["groups"]
            for rule in group["rules"]
        }

    def alert(self, name: str) -> str:
        """The state of an alert: inactive, pending or firing."""
        states = [rule["state"] for rule in self.rules().values() if rule["name"] == name]
        return str(max(states, key=("inactive", "pending", "firing").index))

    def targets(self) -> Mapping[str, str]:
        """The health of each target, by instance."""
        return {one["labels"]["instance"]: one["health"] for one in self.get("targets")["activeTargets"]}


def rule_key(name: str, labels: Mapping[str, str]) -> str:
    """A name for each rule."""
    return f"{name} {sorted(labels.items())}"


def shipped_rules() -> dict[str, Alert | Recording]:
    """Each rule of the code, by the same names."""
    found: dict[str, Alert | Recording] = {
        rule_key(alert.name, {"severity": alert.severity.value} | dict(alert.labels)): alert
        for alert in alerts()
    }
    return found | {rule_key(rule.record, rule.labels): rule for rule in recordings()}


@contextmanager
def prometheus(
    tools: Tools, directory: Path, targets: Sequence[Target], interval_s: int = 1
) -> Iterator[Prometheus]:
    """A Prometheus of its own that scrapes and evaluates the shipped rules more often than they ask for.

    What must last stays as long as it is shipped.
    """
    program = tools.prometheus()
    if program is None:
        unavailable(EngineMissing("Prometheus", "prometheus in PATH"))
    rules = directory / "veltrix.rules.yml"
    shipped = (ROOT / "deploy" / RULES).read_text(encoding="utf-8")
    rules.write_text(re.sub(r'interval: "\d+s"', f'interval: "{interval_s}s"', shipped), encoding="utf-8")
    configuration = directory / "prometheus.yml"
    configuration.write_text(prometheus_file(targets, str(rules), (), interval_s), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(program),
        f"--config.file={configuration}",
        f"--web.listen-address={address}",
        f"--storage.tsdb.path={directory / 'prometheus-data'}",
        "--log.level=warn",
    ]
    with running(command, directory / "prometheus.log") as process:
        process.wait_until(lambda: answers_http(f"http://{address}/-/ready"), "Prometheus")
        yield Prometheus(f"http://{address}")


def until(condition: Callable[[], object], what: Callable[[], str], timeout_s: float = 90.0) -> None:
    """Return once it holds; Prometheus gives no signal when it has scraped."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain: {what()}")
        time.sleep(0.25)
