"""How a case is written down: what was scraped, when we look, and which alerts fire then.

Values are written as promtool reads them: `1x20` twenty-one times 1, `0+15x20` rising by 15 each time, `_x4`
no sample four times. A step is 15 s unless a case says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from veltrix.observability.rules.groups import alerts
from veltrix.observability.rules.model import RUNBOOKS

STEP_S = 15
STEPS = 480  # two hours


def metrics_of(expr: str) -> set[str]:
    """The names of the metrics that an expression reads, without those that rules record."""
    return set(re.findall(r"\b(?:veltrix_[a-z0-9_]+|process_[a-z0-9_]+|up)\b(?!:)", expr))


class Fires(NamedTuple):
    """An alert that fires: its labels beside the name, and what its description says."""

    labels: Mapping[str, str]
    description: str


@dataclass(frozen=True)
class Case:
    """One look at one alert. `series` stands beside, or in the place of, those of a healthy platform."""

    claim: str
    alert: str
    series: Mapping[str, str]
    at: str
    fires: Sequence[Fires] = ()
    without: Sequence[str] = ()
    step_s: int = STEP_S
    healthy: bool = True

    def document(self) -> dict[str, Any]:
        """A test as promtool reads it."""
        read = {name for rule in alerts() if rule.name == self.alert for name in metrics_of(rule.expr)}
        given = {
            key: value
            for key, value in HEALTHY.items()
            if self.healthy and key not in self.without and key.partition("{")[0] in read
        }
        given |= self.series
        return {
            "name": f"{self.alert}: {self.claim}",
            "interval": f"{self.step_s}s",
            "input_series": [{"series": name, "values": values} for name, values in given.items()],
            "alert_rule_test": [
                {
                    "eval_time": self.at,
                    "alertname": self.alert,
                    "exp_alerts": [self._expected(one) for one in self.fires],
                }
            ],
        }

    def _expected(self, fires: Fires) -> dict[str, Any]:
        summaries = {
            (rule.summary, rule.severity.value)
            for rule in alerts()
            if rule.name == self.alert and rule.severity.value == fires.labels["severity"]
        }
        ((summary, _),) = summaries
        return {
            "exp_labels": dict(fires.labels),
            "exp_annotations": {
                "summary": summary,
                "description": fires.description,
                "runbook_url": f"{RUNBOOKS}#{self.alert.lower()}",
            },
        }


def flat(value: float, steps: int = STEPS) -> str:
    """The same all the time."""
    return f"{value:g}x{steps}"


def rising(per_s: float, steps: int = STEPS, step_s: int = STEP_S) -> str:
    """A counter that rises by so much a second."""
    return f"0+{per_s * step_s:g}x{steps}"


def from_then_on(before: float, after: float, at_step: int = 240, steps: int = STEPS) -> str:
    """One value, and from a step on another."""
    return f"{before:g}x{at_step - 1} {after:g}x{steps - at_step}"


SERVICES = ("registration", "processing", "ticker", "notification")
PROCESSES = [(service, f"{service}-{number}") for service in SERVICES for number in (1, 2)]


def of(service: str, number: int = 1) -> str:
    """The labels of a process."""
    return f'job="veltrix", service="{service}", instance="{service}-{number}"'


def _healthy() -> dict[str, str]:
    start_s = 1_000_000
    series: dict[str, str] = {}
    for service, instance in PROCESSES:
        own = f'job="veltrix", service="{service}", instance="{instance}"'
        series |= {
            f"up{{{own}}}": flat(1),
            f"process_start_time_seconds{{{own}}}": flat(start_s),
            f"process_open_fds{{{own}}}": flat(100),
            f"process_max_fds{{{own}}}": flat(1000),
            f'veltrix_ready{{{own}, check="started"}}': flat(1),
            f'veltrix_build_info{{{own}, version="1.0.0", python="3.13"}}': flat(1),
            f"veltrix_settings_version{{{own}}}": flat(3),
            f'veltrix_log_lines_total{{{own}, level="error"}}': flat(0),
            f'veltrix_event_loop_lag_seconds_bucket{{{own}, le="0.25"}}': rising(10),
            f'veltrix_event_loop_lag_seconds_bucket{{{own}, le="+Inf"}}': rising(10),
            f'veltrix_bound_used{{{own}, bound="something"}}': flat(10),
            f'veltrix_bound_max{{{own}, bound="something"}}': flat(100),
            f'veltrix_certificate_not_after_timestamp_seconds{{{own}, setting="kafka.ca_file"}}': flat(
                90 * 86_400
            ),
            f'veltrix_storage_free_bytes{{{own}, directory="data"}}': flat(100 * 2**30),
            f"veltrix_lease_margin_seconds{{{own}}}": flat(1.5),
        }
        for engine in ("log", "ledger", "etcd"):
            series[f'veltrix_engine_up{{{own}, engine="{engine}"}}'] = flat(1)
        for broker in ("kafka-1", "kafka-2", "kafka-3"):
            series[f'veltrix_kafka_broker_up{{{own}, client="log", broker="{broker}"}}'] = flat(1)
        series |= {
            f'veltrix_postgres_pool_waiting{{{own}, database="ledger"}}': flat(0),
            f'veltrix_postgres_connects_failed_total{{{own}, why="refused"}}': flat(0),
            f'veltrix_postgres_failovers_total{{{own}, database="ledger"}}': flat(1),
        }
    return series | _healthy_services()


def _healthy_services() -> dict[str, str]:
    registration, processing, ticker, notification = (of(service) for service in SERVICES)
    return {
        f'veltrix_http_requests_total{{{registration}, route="/r", method="POST", status="2xx"}}': rising(10),
        f'veltrix_http_requests_total{{{registration}, route="/r", method="POST", status="5xx"}}': flat(0),
        f'veltrix_http_turned_away_total{{{registration}, reason="overloaded"}}': flat(0),
        f'veltrix_http_turned_away_total{{{registration}, reason="too_many_requests"}}': flat(0),
        f'veltrix_commands_accepted_total{{{registration}, kind="register"}}': rising(10),
        f'veltrix_log_appends_failed_total{{{registration}, why="unavailable"}}': flat(0),
        f'veltrix_log_append_seconds_bucket{{{registration}, le="0.05"}}': rising(10),
        f'veltrix_log_append_seconds_bucket{{{registration}, le="+Inf"}}': rising(10),
        f"veltrix_keys_reserved{{{registration}}}": flat(25_000),
        f'veltrix_undecided_estimate{{{registration}, partition="0"}}': flat(0),
        f'veltrix_oldest_undecided_estimate_seconds{{{registration}, partition="0"}}': flat(0),
        f'veltrix_undecided_commands{{{processing}, partition="0"}}': flat(3),
        f'veltrix_oldest_undecided_seconds{{{processing}, partition="0"}}': flat(0.1),
        f'veltrix_decisions_total{{{processing}, outcome="accepted"}}': rising(10),
        f'veltrix_decisions_total{{{processing}, outcome="quarantined"}}': flat(0),
        f'veltrix_decision_seconds_bucket{{{processing}, le="1.0"}}': rising(10),
        f"veltrix_decision_seconds_count{{{processing}}}": rising(10),
        f"veltrix_partitions_failed{{{processing}}}": flat(0),
        f"veltrix_terms_held{{{processing}}}": flat(4),
        f"veltrix_fenced_total{{{processing}}}": flat(0),
        f"veltrix_partition_take_overs_total{{{processing}}}": flat(4),
        f'veltrix_facts_unpublished{{{processing}, partition="0"}}': flat(2),
        f"veltrix_ticks_total{{{ticker}}}": rising(2),
        f'veltrix_invariant_checks_total{{{notification}, invariant="pools_balance"}}': rising(0.1),
        f'veltrix_invariant_violations_total{{{notification}, invariant="pools_balance"}}': flat(0),
        f'veltrix_facts_unplanned{{{notification}, partition="0"}}': flat(0),
        f"veltrix_notice_delivery_seconds_count{{{notification}}}": rising(10),
        f'veltrix_notice_delivery_seconds_bucket{{{notification}, le="60.0"}}': rising(10),
        f"veltrix_notice_oldest_pending_seconds{{{notification}}}": flat(2),
        f'veltrix_notice_attempts_total{{{notification}, channel="email", outcome="accepted"}}': rising(10),
        f'veltrix_notice_attempts_total{{{notification}, channel="email", outcome="refused"}}': rising(0.1),
        f'veltrix_notice_attempts_total{{{notification}, channel="email", outcome="unknown"}}': flat(0),
        f'veltrix_notices{{{notification}, status="dead"}}': flat(5),
        f"veltrix_notices_held{{{notification}}}": flat(0),
        f'veltrix_notices_waiting{{{notification}, channel="email"}}': flat(3),
        f'veltrix_notice_targets{{{notification}, state="closed"}}': flat(2),
        f'veltrix_notice_targets{{{notification}, state="open"}}': flat(0),
    }


HEALTHY = _healthy()
CRITICAL = {"severity": "critical"}
WARNING = {"severity": "warning"}
