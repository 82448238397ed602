"""Alerts about taking commands in."""

from __future__ import annotations

from typing import Final

from veltrix.domain import limits
from veltrix.observability.rules.model import Alert, Group, Severity

# Half a minute of one process' intake at full rate: what is left to do something in.
_KEYS_LEAST: Final = limits.KEYS_RESERVED_LOW // 4

INTAKE: Final = Group(
    "veltrix-intake",
    "15s",
    [
        Alert(
            name="VeltrixTurnedAway",
            severity=Severity.CRITICAL,
            expr=(
                "sum by (reason) (rate(veltrix_http_turned_away_total"
                '{reason=~"overloaded|event_busy|imports_busy|too_many_streams"}[5m])) > 0'
            ),
            hold="1m",
            summary="People are turned away because a bound of the platform is reached.",
            description='{{ printf "%.2f" $value }} requests a second are refused: {{ $labels.reason }}.',
        ),
        Alert(
            name="VeltrixRateLimited",
            severity=Severity.WARNING,
            expr=(
                'sum by (instance) (rate(veltrix_http_turned_away_total{reason="too_many_requests"}[5m])) > 1'
            ),
            hold="5m",
            summary="Addresses ask more often than the rate limit allows.",
            description='{{ $labels.instance }} refuses {{ printf "%.1f" $value }} requests a second.',
        ),
        Alert(
            name="VeltrixAppendsFail",
            severity=Severity.CRITICAL,
            expr="sum by (why) (rate(veltrix_log_appends_failed_total[2m])) > 0",
            hold="1m",
            summary="Commands cannot be appended to the log: people get 503.",
            description='{{ printf "%.2f" $value }} commands a second fail: {{ $labels.why }}.',
        ),
        Alert(
            name="VeltrixAppendsSlow",
            severity=Severity.WARNING,
            expr=(
                "histogram_quantile(0.99, sum by (instance, le) "
                "(rate(veltrix_log_append_seconds_bucket[5m]))) > 0.5"
            ),
            hold="5m",
            summary="The log is slow to make commands durable, and everybody waits for that.",
            description=(
                "At {{ $labels.instance }}, one append in a hundred takes {{ $value | humanizeDuration }}."
            ),
        ),
        Alert(
            name="VeltrixBoundReached",
            severity=Severity.WARNING,
            expr="veltrix_bound_used / veltrix_bound_max > 0.8",
            hold="1m",
            summary="Something bounded is nearly full; what comes beyond it is refused.",
            description=(
                "{{ $labels.bound }} of {{ $labels.instance }} is {{ $value | humanizePercentage }} used."
            ),
        ),
        Alert(
            name="VeltrixKeysRunOut",
            severity=Severity.CRITICAL,
            expr=f'veltrix_keys_reserved{{service=~"registration|embedded"}} < {_KEYS_LEAST}',
            hold="30s",
            summary="The reserve of keys for personal data is not refilled: intake stops when it is empty.",
            description="{{ $labels.instance }} has {{ $value }} keys left.",
        ),
    ],
)
