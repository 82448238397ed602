"""Deciding, by partition: how far behind, how fast, and by whom."""

from __future__ import annotations

from typing import Final

from veltrix.observability.dashboards.model import PARTITION, Board, Panel, Query, Row, Unit, good_below
from veltrix.observability.rules.deciding import OLDEST

_PART: Final = 'partition=~"$partition"'
_OLDEST: Final = " or ".join(f"{metric}{{{_PART}}}" for metric in OLDEST.split(" or "))


def _quantiles(metric: str) -> list[Query]:
    return [
        Query(f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[$__rate_interval])))", name)
        for share, name in ((0.5, "median"), (0.99, "99 of 100"))
    ]


_LAG: Final = Row(
    "How far behind",
    [
        Panel(
            "Undecided commands",
            "below a thousand",
            Unit.NUMBER,
            [Query(f"max by (partition) (veltrix_undecided_commands{{{_PART}}})", "partition {{partition}}")],
            "VeltrixLag",
            levels=good_below(1_000, 5_000),
            description="As the partition's owner counts them.",
        ),
        Panel(
            "Oldest undecided command",
            "below a second",
            Unit.SECONDS,
            [Query(f"max by (partition) ({_OLDEST})", "partition {{partition}}")],
            "VeltrixOldestUndecided",
            levels=good_below(1, 10),
            description="As the owner sees it, and as registration does: that goes on while nobody owns it.",
        ),
        Panel(
            "Decided",
            "as fast as accepted",
            Unit.PER_SECOND,
            [
                Query(
                    f"sum by (partition) (rate(veltrix_next_offset{{{_PART}}}[$__rate_interval]))",
                    "partition {{partition}}",
                )
            ],
            "VeltrixDecidingStopped",
            stacked=True,
        ),
        Panel(
            "Facts that wait to be published",
            "below a hundred",
            Unit.NUMBER,
            [Query(f"max by (partition) (veltrix_facts_unpublished{{{_PART}}})", "partition {{partition}}")],
            "VeltrixFactsUnpublished",
            levels=good_below(100, 1_000),
        ),
        Panel(
            "From append to decided and published",
            "99 of 100 below 50 ms",
            Unit.SECONDS,
            _quantiles("veltrix_decision_seconds"),
            "VeltrixDecidedBudgetBurns",
            levels=good_below(0.05, 1),
            description="Ends at 10 s: whatever takes longer is shown as that.",
        ),
        Panel(
            "What became of commands",
            "accepted and refused; none quarantined",
            Unit.PER_SECOND,
            [
                Query(
                    "sum by (outcome) (rate(veltrix_decisions_total[$__rate_interval]))",
                    "{{outcome}}",
                )
            ],
            "VeltrixQuarantined",
            stacked=True,
        ),
    ],
)
_BATCHES: Final = Row(
    "Where a batch spends its time",
    [
        Panel(
            "Load, decide, commit, publish, on average",
            "commit is the largest",
            Unit.SECONDS,
            [
                Query(
                    f"sum(rate(veltrix_{step}_seconds_sum[$__rate_interval]))"
                    f" / sum(rate(veltrix_{step}_seconds_count[$__rate_interval]))",
                    name,
                )
                for step, name in (
                    ("batch_load", "load"),
                    ("batch_decide", "decide"),
                    ("batch_commit", "commit"),
                    ("publish", "publish"),
                )
            ],
            "VeltrixDecidedBudgetBurns",
            stacked=True,
        ),
        Panel(
            "Commit to the ledger",
            "99 of 100 below 50 ms",
            Unit.SECONDS,
            _quantiles("veltrix_batch_commit_seconds"),
            "VeltrixPostgresLost",
            levels=good_below(0.05, 0.5),
        ),
        Panel(
            "Commands in a batch, on average",
            "more as more people come",
            Unit.NUMBER,
            [
                Query(
                    "sum(rate(veltrix_batch_commands_sum[$__rate_interval]))"
                    " / sum(rate(veltrix_batch_commands_count[$__rate_interval]))",
                    "commands",
                )
            ],
            "VeltrixLag",
        ),
        Panel(
            "Refused, by reason",
            "what the events' rules lead one to expect",
            Unit.PER_SECOND,
            [
                Query(
                    "topk(10, sum by (reason) (rate(veltrix_refusals_total[$__rate_interval])) > 0)",
                    "{{reason}}",
                )
            ],
            "VeltrixQuarantined",
            empty="nobody is refused",
        ),
        Panel(
            "Batches that were not committed",
            "0",
            Unit.PER_SECOND,
            [Query("sum by (why) (rate(veltrix_commits_failed_total[$__rate_interval]))", "{{why}}")],
            "VeltrixPostgresLost",
            levels=good_below(0.01, 1),
        ),
        Panel(
            "Due work",
            "rounds go on; commands as holds and ends fall due",
            Unit.PER_SECOND,
            [
                Query("sum(rate(veltrix_ticks_total[$__rate_interval]))", "rounds"),
                Query("sum(rate(veltrix_due_commands_total[$__rate_interval]))", "commands"),
            ],
            "VeltrixTickerStands",
        ),
    ],
)
_OWNING: Final = Row(
    "Who owns what",
    [
        Panel(
            "Partitions owned",
            "even, and together all of them",
            Unit.NUMBER,
            [Query('veltrix_terms_held{service=~"processing|embedded"}', "{{instance}}")],
            "VeltrixOwnersChange",
            stacked=True,
        ),
        Panel(
            "Partitions taken over",
            "0 but for restarts",
            Unit.NUMBER,
            [Query("sum by (instance) (increase(veltrix_partition_take_overs_total[5m]))", "{{instance}}")],
            "VeltrixOwnersChange",
        ),
        Panel(
            "Writes fenced off",
            "0 but right after a takeover",
            Unit.NUMBER,
            [Query("sum by (instance) (increase(veltrix_fenced_total[5m]))", "{{instance}}")],
            "VeltrixFenceStorm",
        ),
        Panel(
            "Partitions that somebody must repair",
            "0",
            Unit.NUMBER,
            [Query("sum by (instance) (veltrix_partitions_failed)", "{{instance}}")],
            "VeltrixPartitionFailed",
            levels=good_below(0.5, 1),
        ),
        Panel(
            "How long a takeover takes",
            "below a second",
            Unit.SECONDS,
            [
                Query(
                    "histogram_quantile(0.99, "
                    "sum by (instance, le) (increase(veltrix_partition_take_over_seconds_bucket[1h])))",
                    "{{instance}}",
                )
            ],
            "VeltrixOwnersChange",
            levels=good_below(1, 5),
        ),
        Panel(
            "Invariants looked at",
            "all of them, again and again",
            Unit.PER_SECOND,
            [
                Query(
                    "sum by (invariant) (rate(veltrix_invariant_checks_total[$__rate_interval]))",
                    "{{invariant}}",
                )
            ],
            "VeltrixNothingChecked",
        ),
    ],
)

PROCESSING: Final = Board(
    "veltrix-processing",
    "Veltrix: processing by partition",
    "Deciding, by partition: how far behind, how fast, where the time goes, and who owns what.",
    [_LAG, _BATCHES, _OWNING],
    [PARTITION],
)
