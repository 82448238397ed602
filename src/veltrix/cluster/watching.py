"""Prometheus beside a local cluster, with Alertmanager and Grafana where they are installed.

They watch the cluster and are no part of it: it works without them, and none of them is waited for in vain.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from veltrix.cluster.local import ClusterError, LocalCluster
from veltrix.cluster.plan import LOOPBACK, SERVICES, Kind, Plan, free_ports
from veltrix.cluster.processes import stop_all
from veltrix.cluster.tools import CHECKOUT, Tools
from veltrix.observability.prometheus import Target, alertmanager_file, prometheus_file
from veltrix.observability.provisioning import DASHBOARDS, grafana_dashboards, grafana_source
from veltrix.observability.rules.groups import rules_file

PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "alertmanager"
GRAFANA: Final = "grafana"
WATCHERS: Final = (PROMETHEUS, ALERTMANAGER, GRAFANA)

# Often enough to see a fault of seconds; cheap enough for a machine that runs everything else, too.
SCRAPE_S: Final = 5
RETENTION: Final = "2d"
READY_S: Final = 30.0
STOP_S: Final = 20.0
_PORTS_FILE: Final = "watching.json"
_DIRECTORY: Final = "watching"
_READY_PATHS: Final = {PROMETHEUS: "/-/ready", ALERTMANAGER: "/-/ready", GRAFANA: "/api/health"}
_POLL_S: Final = 0.2

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Watcher:
    """One of them as `veltrix cluster status` shows it.

    `state` is "ready", "starting", "dead" (it ended and nobody asked it to), "down" or "not installed".
    """

    name: str
    pid: int | None
    state: str
    url: str


def targets(plan: Plan) -> list[Target]:
    """Every process of Veltrix in a plan."""
    return [
        Target(
            node.kind.value,
            node.name,
            node.endpoint("http" if node.kind is Kind.REGISTRATION else "operations"),
        )
        for node in plan.of(*SERVICES)
    ]


def deployed() -> Path:
    """The folder deploy/: of this checkout, or as it is installed."""
    installed = Path(__file__).parents[1] / "deploy"
    return installed if installed.is_dir() else CHECKOUT / "deploy"


@dataclass(frozen=True, slots=True)
class Watching:
    """What watches a cluster, below the cluster's directory."""

    cluster: LocalCluster

    @property
    def directory(self) -> Path:
        """Where configuration and data are."""
        return self.cluster.directory / _DIRECTORY

    def up(self, tell: Tell) -> list[str]:
        """Start what is installed and does not run, and wait until it answers. Returns what went wrong."""
        with self.cluster.alone():
            programs = self._programs()
            ports = self._ports()
            self._write(ports, programs)
            wrong = [] if programs[PROMETHEUS] else ["Prometheus is not installed (make engines gets it)"]
            started = [(name, program) for name, program in programs.items() if program]
            for name, program in started:
                if self.cluster.registry.find(name) is None:
                    self._start(name, program, ports[name])
            for number, (name, _) in enumerate(started):
                tell(f"waiting for {name}", number, len(started))
                wrong += self._wait(name, ports[name])
        return wrong

    def down(self) -> None:
        """Stop all of them. The data stays."""
        registry = self.cluster.registry
        running = [registry.find(name) for name in WATCHERS]
        stop_all([process for process in running if process], signal.SIGTERM, STOP_S)
        for name in WATCHERS:
            registry.forget(name)

    def remove(self) -> None:
        """Delete what they kept."""
        shutil.rmtree(self.directory, ignore_errors=True)
        (self.cluster.directory / _PORTS_FILE).unlink(missing_ok=True)

    def status(self) -> list[Watcher]:
        """How they are, asked just now; empty where none was ever started."""
        kept = self._kept_ports()
        if not kept:
            return []
        programs = self._programs()
        return [self._look(name, kept[name], bool(programs.get(name))) for name in WATCHERS]

    def _look(self, name: str, port: int, installed: bool) -> Watcher:
        process = self.cluster.registry.find(name)
        if process is not None:
            state = "ready" if _answers(name, port) else "starting"
            return Watcher(name, process.pid, state, _url(port))
        if installed and self.cluster.registry.expected(name):
            return Watcher(name, None, "dead", _url(port))
        return Watcher(name, None, "down" if installed else "not installed", "")

    def _programs(self) -> Mapping[str, Path | None]:
        tools: Tools = self.cluster.tools
        return {
            PROMETHEUS: tools.prometheus(),
            ALERTMANAGER: tools.alertmanager(),
            GRAFANA: tools.grafana(),
        }

    def _kept_ports(self) -> dict[str, int]:
        try:
            kept = json.loads((self.cluster.directory / _PORTS_FILE).read_text(encoding="utf-8"))
            return {name: int(kept[name]) for name in WATCHERS}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _ports(self) -> dict[str, int]:
        """The same ones as long as the cluster exists: bookmarks go on working."""
        kept = self._kept_ports()
        if not kept:
            kept = dict(zip(WATCHERS, free_ports(len(WATCHERS)), strict=True))
            (self.cluster.directory / _PORTS_FILE).write_text(json.dumps(kept) + "\n", encoding="utf-8")
        return kept

    def _write(self, ports: Mapping[str, int], programs: Mapping[str, Path | None]) -> None:
        runbooks = CHECKOUT / "docs" / "runbooks.md"
        where = self.directory
        alertmanagers = [f"{LOOPBACK}:{ports[ALERTMANAGER]}"] if programs.get(ALERTMANAGER) else []
        rules = where / "veltrix.rules.yml"
        silent = [{"name": "nobody"}]
        written = {
            rules: rules_file(runbooks.as_uri()),
            where / "prometheus.yml": prometheus_file(
                targets(self.cluster.plan), str(rules), alertmanagers, SCRAPE_S
            ),
            where / "alertmanager.yml": alertmanager_file(silent, critical="nobody", warning="nobody"),
            where / "grafana/datasources/veltrix.yml": grafana_source(_url(ports[PROMETHEUS])),
            where / "grafana/dashboards/veltrix.yml": grafana_dashboards(str(deployed() / DASHBOARDS)),
        }
        for path, content in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    def _start(self, name: str, program: Path, port: int) -> None:
        address, where = f"{LOOPBACK}:{port}", self.directory
        environment: Mapping[str, str] | None = None
        command: Sequence[str] = [
            str(program),
            f"--config.file={where / f'{name}.yml'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        if name == PROMETHEUS:
            data = where / "prometheus"
            command = [
                *command,
                f"--storage.tsdb.path={data}",
                f"--storage.tsdb.retention.time={RETENTION}",
            ]
        elif name == ALERTMANAGER:
            # One alone: it is not to look for others.
            command = [*command, f"--storage.path={where / 'alertmanager'}", "--cluster.listen-address="]
        else:
            command, environment = grafana_command(program, where, port)
        try:
            self.cluster.registry.start(name, command, where, environment)
        except OSError as error:
            raise ClusterError(
                f"{name} cannot be started: {error}", f"see {self.cluster.registry.log(name)}"
            ) from error

    def _wait(self, name: str, port: int) -> list[str]:
        """Wait until it answers; says so where it does not."""
        registry = self.cluster.registry
        deadline_s = time.monotonic() + READY_S
        while not _answers(name, port):
            ended = registry.find(name) is None
            if ended or time.monotonic() > deadline_s:
                what = "ended" if ended else f"does not answer after {READY_S:.0f} s"
                return [f"{name} {what}, see {registry.log(name)}:\n{registry.last_words(name, 3)}"]
            time.sleep(_POLL_S)
        return []


def grafana_command(program: Path, directory: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """How Grafana is started, with which environment: provisioned, for this machine only, without login."""
    modern = program.name == "grafana"
    command = [str(program), *(["server"] if modern else [])]
    homes = (Path("/usr/share/grafana"), program.resolve().parents[1])
    home = next((path for path in homes if (path / "public").is_dir()), None)
    if home is not None:
        command.append(f"--homepath={home}")
    settings = {
        "GF_SERVER_HTTP_ADDR": LOOPBACK,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(directory / "grafana" / "data"),
        "GF_PATHS_LOGS": str(directory / "grafana" / "logs"),
        "GF_PATHS_PROVISIONING": str(directory / "grafana"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }
    return command, dict(os.environ) | settings


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def _answers(name: str, port: int) -> bool:
    request = urllib.request.Request(_url(port) + _READY_PATHS[name])  # noqa: S310 - this machine's loopback
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
