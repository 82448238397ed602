"""Alerts about processes: gone, restarting, out of something."""

from __future__ import annotations

from typing import Final

from veltrix.observability.rules.model import JOB, Alert, Group, Severity

PROCESSES: Final = Group(
    "veltrix-processes",
    "15s",
    [
        Alert(
            name="VeltrixServiceGone",
            severity=Severity.CRITICAL,
            expr=f'sum by (service) (up{{job="{JOB}"}}) == 0',
            hold="30s",
            summary="No process of a service answers.",
            description="Every process of {{ $labels.service }} is gone, or Prometheus cannot reach it.",
        ),
        Alert(
            name="VeltrixProcessDown",
            severity=Severity.WARNING,
            expr=f'up{{job="{JOB}"}} == 0',
            hold="1m",
            summary="A process does not answer.",
            description="{{ $labels.instance }} ({{ $labels.service }}) has not answered for a minute.",
        ),
        Alert(
            name="VeltrixNotReady",
            severity=Severity.WARNING,
            expr="veltrix_ready == 0",
            hold="1m",
            summary="A process runs and does not do its work.",
            description=(
                "{{ $labels.instance }} ({{ $labels.service }}) is not ready: {{ $labels.check }} is not so."
            ),
        ),
        Alert(
            name="VeltrixRestarts",
            severity=Severity.WARNING,
            expr=f'changes(process_start_time_seconds{{job="{JOB}"}}[15m]) >= 3',
            hold="0s",
            summary="A process starts again and again.",
            description=(
                "{{ $labels.instance }} ({{ $labels.service }}) started {{ $value }} times within 15 minutes."
            ),
        ),
        Alert(
            name="VeltrixEventLoopLag",
            severity=Severity.WARNING,
            expr=(
                "histogram_quantile(0.99, sum by (service, instance, le) "
                "(rate(veltrix_event_loop_lag_seconds_bucket[5m]))) > 0.25"
            ),
            hold="5m",
            summary="An event loop comes back late: the process has more to do than one core can.",
            description=(
                "One moment in a hundred, {{ $labels.instance }} ({{ $labels.service }}) is held up for "
                "{{ $value | humanizeDuration }}; whoever asks it waits as long."
            ),
        ),
        Alert(
            name="VeltrixOpenFiles",
            severity=Severity.WARNING,
            expr=f'process_open_fds{{job="{JOB}"}} / process_max_fds{{job="{JOB}"}} > 0.8',
            hold="2m",
            summary="A process runs out of open files: soon it takes no more connections.",
            description=(
                "{{ $labels.instance }} ({{ $labels.service }}) has {{ $value | humanizePercentage }} "
                "of what it may have open."
            ),
        ),
        Alert(
            name="VeltrixErrorsLogged",
            severity=Severity.WARNING,
            expr='sum by (service, instance) (increase(veltrix_log_lines_total{level="error"}[15m])) > 10',
            hold="0s",
            summary="A process logs errors.",
            description=(
                "{{ $labels.instance }} ({{ $labels.service }}) logged "
                '{{ printf "%.0f" $value }} errors within 15 minutes.'
            ),
        ),
        Alert(
            name="VeltrixVersionsDiffer",
            severity=Severity.WARNING,
            expr="count(count by (version) (veltrix_build_info)) > 1",
            hold="1h",
            summary="Processes of different versions run side by side for longer than an upgrade takes.",
            description="{{ $value }} versions have been running for an hour.",
        ),
        Alert(
            name="VeltrixSettingsDiffer",
            severity=Severity.WARNING,
            expr="max(veltrix_settings_version) - min(veltrix_settings_version) > 0",
            hold="1m",
            summary="A process does not follow the settings of the cluster.",
            description="Processes are up to {{ $value }} versions of the settings apart.",
        ),
    ],
)
