"""Alerts about telling people."""

from __future__ import annotations

from typing import Final

from veltrix.observability.rules.model import Alert, Group, Severity

# A few notices may wait for hours, each for a mailbox of its own that says "later": that is no outage.
_MANY: Final = 20

NOTICES: Final = Group(
    "veltrix-notices",
    "15s",
    [
        Alert(
            name="VeltrixNoticesLate",
            severity=Severity.CRITICAL,
            expr=(
                "max(veltrix_notice_oldest_pending_seconds) > 600\n"
                f"and sum(max by (channel) (veltrix_notices_waiting)) > {_MANY}"
            ),
            hold="2m",
            summary="Notices do not leave: people are not told what became of them.",
            description="More than 20 notices wait, the oldest for {{ $value | humanizeDuration }}.",
        ),
        Alert(
            name="VeltrixNoticesUnplanned",
            severity=Severity.WARNING,
            expr="sum by (partition) (veltrix_facts_unplanned) > 1000",
            hold="5m",
            summary="Facts are published and nobody makes notices of them.",
            description="{{ $value }} facts of partition {{ $labels.partition }} wait for notification.",
        ),
        Alert(
            name="VeltrixNoticesRefused",
            severity=Severity.WARNING,
            expr=(
                'sum(increase(veltrix_notice_attempts_total{outcome="refused"}[15m]))\n'
                "/ sum(increase(veltrix_notice_attempts_total[15m])) > 0.2\n"
                'and sum(increase(veltrix_notice_attempts_total{outcome="refused"}[15m])) > 20'
            ),
            hold="5m",
            summary="Many notices are refused for good.",
            description="Of all attempts within 15 minutes, {{ $value | humanizePercentage }} were refused.",
        ),
        Alert(
            name="VeltrixDeadLetters",
            severity=Severity.WARNING,
            expr=(
                'max(veltrix_notices{status="dead"})\n'
                '> min_over_time(max(veltrix_notices{status="dead"})[1h:1m])'
            ),
            hold="0s",
            summary="Notices were given up: people were not told.",
            description="{{ $value }} notices have used up their attempts; there were fewer an hour ago.",
        ),
        Alert(
            name="VeltrixNoticesUnknown",
            severity=Severity.WARNING,
            expr='sum(increase(veltrix_notice_attempts_total{outcome="unknown"}[30m])) > 0',
            hold="0s",
            summary="Notices were handed over and the answer was lost: some people may be told twice.",
            description='Within 30 minutes, {{ printf "%.0f" $value }} attempts ended so.',
        ),
        Alert(
            name="VeltrixNoticesHeld",
            severity=Severity.WARNING,
            expr="max(veltrix_notices_held) > 0",
            hold="15m",
            summary="Notices wait for an operator: nobody knows whether they arrived.",
            description="{{ $value }} notices are held.",
        ),
        Alert(
            name="VeltrixBreakerOpen",
            severity=Severity.WARNING,
            expr='max by (state) (veltrix_notice_targets{state=~"open|disabled"}) > 0',
            hold="15m",
            summary="An endpoint or a relay keeps failing, and is left alone.",
            description="{{ $value }} of them are {{ $labels.state }}.",
        ),
    ],
)
