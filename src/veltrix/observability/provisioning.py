"""Writes what operators copy: rules, dashboards and examples of configuration, below deploy/.

``python -m veltrix.observability.provisioning deploy [ADDRESS OF THE RUNBOOKS]``
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from veltrix.observability.prometheus import Target, alertmanager_file, prometheus_file
from veltrix.observability.rules.groups import rules_file
from veltrix.observability.rules.model import RUNBOOKS
from veltrix.observability.yaml import to_yaml

RULES: Final = "prometheus/veltrix.rules.yml"
DASHBOARDS: Final = "grafana/dashboards"
_WRITTEN: Final = "# Written by `make provisioning`; change the source, not this file.\n"
_EXAMPLE: Final = "# An example: put your own addresses in.\n"

# Three machines with one process of each kind, as docs/operations.md lays a cluster out.
_EXAMPLE_PORTS: Final = {"registration": 8080, "processing": 9101, "ticker": 9102, "notification": 9103}
_EXAMPLE_TARGETS: Final = tuple(
    Target(service, f"{service}-{number}", f"veltrix-{number}.example.org:{port}")
    for service, port in _EXAMPLE_PORTS.items()
    for number in (1, 2, 3)
    if service != "ticker" or number < 3
)
_EXAMPLE_RECEIVERS: Final = (
    {
        "name": "on-call",
        "webhook_configs": [{"url": "https://pager.example.org/veltrix", "send_resolved": True}],
    },
    {
        "name": "working-hours",
        "email_configs": [
            {
                "to": "operators@example.org",
                "from": "alerts@example.org",
                "smarthost": "mail.example.org:587",
                "send_resolved": True,
            }
        ],
    },
)


def grafana_source(url: str) -> str:
    """How Grafana finds Prometheus."""
    source = {"name": "Prometheus", "type": "prometheus", "access": "proxy", "url": url, "isDefault": True}
    return to_yaml({"apiVersion": 1, "datasources": [source]})


def grafana_dashboards(directory: str) -> str:
    """Where Grafana finds the dashboards."""
    provider = {
        "name": "veltrix",
        "folder": "Veltrix",
        "type": "file",
        "allowUiUpdates": False,
        "options": {"path": directory},
    }
    return to_yaml({"apiVersion": 1, "providers": [provider]})


def files(runbooks: str = RUNBOOKS) -> Mapping[str, str]:
    """Every file that is written, by its path below deploy/. Needs Grafana's SDK."""
    from veltrix.observability.dashboards.boards import BOARDS
    from veltrix.observability.dashboards.grafana import to_json

    rules = "/etc/prometheus/veltrix.rules.yml"
    written = {
        RULES: _WRITTEN + rules_file(runbooks),
        "prometheus/prometheus.yml": _EXAMPLE
        + _WRITTEN
        + prometheus_file(_EXAMPLE_TARGETS, rules, ["alertmanager.example.org:9093"]),
        "alertmanager/alertmanager.yml": _EXAMPLE
        + _WRITTEN
        + alertmanager_file(_EXAMPLE_RECEIVERS, critical="on-call", warning="working-hours"),
        "grafana/provisioning/datasources/veltrix.yml": _EXAMPLE
        + _WRITTEN
        + grafana_source("http://prometheus.example.org:9090"),
        "grafana/provisioning/dashboards/veltrix.yml": _EXAMPLE
        + _WRITTEN
        + grafana_dashboards("/var/lib/grafana/dashboards/veltrix"),
    }
    return written | {f"{DASHBOARDS}/{board.uid}.json": to_json(board, runbooks) for board in BOARDS}


def write(directory: Path, runbooks: str = RUNBOOKS) -> None:
    """Write them all."""
    for name, content in files(runbooks).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), *sys.argv[2:3])
