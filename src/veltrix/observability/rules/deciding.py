"""Alerts about deciding: how far behind, whether at all, and by whom."""

from __future__ import annotations

from typing import Final

from veltrix.observability.rules.model import Alert, Group, Severity

# As the partition's owner sees it, and as registration estimates it: that goes on while nobody owns it.
UNDECIDED: Final = "veltrix_undecided_commands or veltrix_undecided_estimate"
OLDEST: Final = "veltrix_oldest_undecided_seconds or veltrix_oldest_undecided_estimate_seconds"

DECIDING: Final = Group(
    "veltrix-deciding",
    "15s",
    [
        Alert(
            name="VeltrixDecidingStopped",
            severity=Severity.CRITICAL,
            expr=(
                "sum(rate(veltrix_commands_accepted_total[1m])) > 0\n"
                "unless sum(rate(veltrix_decisions_total[1m])) > 0"
            ),
            hold="30s",
            summary="Commands are taken in, and none is decided.",
            description='{{ printf "%.1f" $value }} commands a second are accepted and wait.',
        ),
        Alert(
            name="VeltrixLag",
            severity=Severity.WARNING,
            expr=f"max by (partition) ({UNDECIDED}) > 5000",
            hold="2m",
            summary="A partition has many undecided commands: people wait for their answers.",
            description="Partition {{ $labels.partition }} is {{ $value }} commands behind.",
        ),
        Alert(
            name="VeltrixOldestUndecided",
            severity=Severity.CRITICAL,
            expr=f"max by (partition) ({OLDEST}) > 10",
            hold="30s",
            summary="Commands of a partition have waited for long: people have got no answer.",
            description=(
                "The oldest undecided command of partition {{ $labels.partition }} has waited for "
                "{{ $value | humanizeDuration }}."
            ),
        ),
        Alert(
            name="VeltrixPartitionFailed",
            severity=Severity.CRITICAL,
            expr="veltrix_partitions_failed > 0",
            hold="0s",
            summary="A partition is not decided until somebody repairs it.",
            description="{{ $labels.instance }} owns {{ $value }} partitions that it must not decide.",
        ),
        Alert(
            name="VeltrixFenceStorm",
            severity=Severity.WARNING,
            expr="sum(increase(veltrix_fenced_total[10m])) > 3 * sum(veltrix_terms_held)",
            hold="0s",
            summary="Processes take partitions from each other again and again.",
            description=(
                'Within 10 minutes, {{ printf "%.0f" $value }} writes were refused because a newer term '
                "exists: more than three for each partition."
            ),
        ),
        Alert(
            name="VeltrixOwnersChange",
            severity=Severity.WARNING,
            expr="sum(increase(veltrix_partition_take_overs_total[30m])) > 4 * sum(veltrix_terms_held)",
            hold="0s",
            summary="Partitions change their owner again and again.",
            description='Within 30 minutes, partitions were taken over {{ printf "%.0f" $value }} times.',
        ),
        Alert(
            name="VeltrixLeaseUnsure",
            severity=Severity.WARNING,
            expr="veltrix_lease_margin_seconds < 0",
            hold="15s",
            summary="A process cannot renew its lease: others may take over what it owns.",
            description=(
                "The lease of {{ $labels.instance }} ({{ $labels.service }}) may have ended: "
                "{{ $value | humanizeDuration }}."
            ),
        ),
        Alert(
            name="VeltrixFactsUnpublished",
            severity=Severity.WARNING,
            expr="sum by (partition) (veltrix_facts_unpublished) > 1000",
            hold="1m",
            summary="Facts are committed and not published: notices and live updates are late.",
            description="{{ $value }} facts of partition {{ $labels.partition }} wait.",
        ),
        Alert(
            name="VeltrixTickerStands",
            severity=Severity.WARNING,
            expr="sum(increase(veltrix_ticks_total[5m])) == 0",
            hold="1m",
            summary="Nobody looks for due work: holds do not expire, events do not end.",
            description="No ticker has looked for due work for five minutes.",
        ),
        Alert(
            name="VeltrixQuarantined",
            severity=Severity.CRITICAL,
            expr='sum(increase(veltrix_decisions_total{outcome="quarantined"}[1h])) > 0',
            hold="0s",
            summary="A command was set aside undecided: a defect, and somebody was not served.",
            description='{{ printf "%.0f" $value }} commands were quarantined within the hour.',
        ),
        Alert(
            name="VeltrixInvariantViolated",
            severity=Severity.CRITICAL,
            expr="sum by (invariant) (increase(veltrix_invariant_violations_total[1h])) > 0",
            hold="0s",
            summary="The ledger does not hold what it must always hold.",
            description="{{ $labels.invariant }} did not hold when it was last looked at.",
        ),
        Alert(
            name="VeltrixNothingChecked",
            severity=Severity.WARNING,
            expr="sum(increase(veltrix_invariant_checks_total[15m])) == 0",
            hold="5m",
            summary="Nobody checks the ledger's invariants.",
            description="No invariant has been looked at for 15 minutes.",
        ),
    ],
)
