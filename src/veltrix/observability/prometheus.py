"""The configuration of Prometheus and Alertmanager: what is scraped, what is loaded, who is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from veltrix.observability.rules.model import JOB
from veltrix.observability.yaml import to_yaml

# A label that somebody could fill at will must not fill Prometheus: far above what a process shows.
SAMPLES_MAX: Final = 50_000


class Target(NamedTuple):
    """A process: what it is, which one, and where its /metrics is ("host:port")."""

    service: str
    instance: str
    address: str


class Inhibition(NamedTuple):
    """While `source` fires, `targets` say nothing new; `equal` labels must be the same of both."""

    source: str
    targets: Sequence[str]
    equal: Sequence[str] = ()


# What follows from what: only the cause is told.
INHIBITIONS: Final = (
    Inhibition("VeltrixServiceGone", ("VeltrixProcessDown",), ("service",)),
    Inhibition(
        "VeltrixKafkaLost",
        (
            "VeltrixAppendsFail",
            "VeltrixAppendsSlow",
            "VeltrixBrokerDown",
            "VeltrixDecidingStopped",
            "VeltrixFactsUnpublished",
            "VeltrixNotReady",
        ),
    ),
    Inhibition(
        "VeltrixPostgresLost",
        (
            "VeltrixConnectsFail",
            "VeltrixDecidingStopped",
            "VeltrixLag",
            "VeltrixNotReady",
            "VeltrixNoticesLate",
            "VeltrixOldestUndecided",
            "VeltrixPoolExhausted",
        ),
    ),
    Inhibition("VeltrixEtcdLost", ("VeltrixLeaseUnsure",)),
    Inhibition("VeltrixDiskFull", ("VeltrixDiskFills", "VeltrixAppendsFail"), ("instance",)),
    Inhibition("VeltrixPartitionFailed", ("VeltrixLag", "VeltrixOldestUndecided")),
)


def prometheus_file(
    targets: Iterable[Target],
    rules: str,
    alertmanagers: Sequence[str] = (),
    interval_s: int = 15,
) -> str:
    """`prometheus.yml`: every process with its labels, the file of rules, and who is told of alerts."""
    document: dict[str, object] = {
        "global": {"scrape_interval": f"{interval_s}s", "evaluation_interval": f"{interval_s}s"},
        "rule_files": [rules],
    }
    if alertmanagers:
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]}
    document["scrape_configs"] = [
        {
            "job_name": JOB,
            "metrics_path": "/metrics",
            "sample_limit": SAMPLES_MAX,
            "static_configs": [
                {
                    "targets": [target.address],
                    "labels": {"service": target.service, "instance": target.instance},
                }
                for target in targets
            ],
        }
    ]
    return to_yaml(document)


def alertmanager_file(receivers: Sequence[object], *, critical: str, warning: str) -> str:
    """`alertmanager.yml`: critical alerts to one receiver, the others to another, causes before effects."""
    return to_yaml(
        {
            "route": {
                "receiver": warning,
                "group_by": ["alertname", "service"],
                "group_wait": "15s",
                "group_interval": "2m",
                "repeat_interval": "4h",
                "routes": [
                    {
                        "matchers": ['severity = "critical"'],
                        "receiver": critical,
                        "repeat_interval": "30m",
                    }
                ],
            },
            "inhibit_rules": [
                {
                    "source_matchers": [f'alertname = "{rule.source}"'],
                    "target_matchers": [f'alertname =~ "{"|".join(rule.targets)}"'],
                }
                | ({"equal": list(rule.equal)} if rule.equal else {})
                for rule in INHIBITIONS
            ]
            + [
                {
                    "source_matchers": ['severity = "critical"', 'alertname =~ "Veltrix.*BudgetBurns"'],
                    "target_matchers": ['severity = "warning"', 'alertname =~ "Veltrix.*BudgetBurns"'],
                    "equal": ["alertname"],
                }
            ],
            "receivers": list(receivers),
        }
    )
