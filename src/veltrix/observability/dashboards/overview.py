"""Is it healthy, and what is left of the budgets."""

from __future__ import annotations

from typing import Final

from veltrix.observability.dashboards.model import (
    INSTANCE,
    Board,
    Kind,
    Panel,
    Query,
    Row,
    Unit,
    good_above,
    good_below,
)
from veltrix.observability.rules.deciding import OLDEST, UNDECIDED

_HEALTH: Final = Row(
    "Is it healthy?",
    [
        Panel(
            "Alerts that fire",
            "0",
            Unit.NUMBER,
            [Query('count(ALERTS{alertstate="firing", alertname=~"Veltrix.*"}) or vector(0)')],
            "VeltrixServiceGone",
            Kind.STAT,
            good_below(1, 3),
        ),
        Panel(
            "Processes that answer",
            "all of them",
            Unit.SHARE,
            [Query('sum(up{job="veltrix"}) / count(up{job="veltrix"})')],
            "VeltrixProcessDown",
            Kind.STAT,
            good_above(0.5, 1),
        ),
        Panel(
            "Registrations and other commands accepted",
            "as many as people send",
            Unit.REQUESTS_PER_SECOND,
            [Query("sum(rate(veltrix_commands_accepted_total[1m]))")],
            "VeltrixDecidingStopped",
            Kind.STAT,
        ),
        Panel(
            "Oldest undecided command",
            "below a second",
            Unit.SECONDS,
            [Query(f"max({OLDEST})")],
            "VeltrixOldestUndecided",
            Kind.STAT,
            good_below(1, 10),
        ),
        Panel(
            "Oldest notice that still has to go out",
            "below a minute, or a single one that is tried again",
            Unit.SECONDS,
            [Query("max(veltrix_notice_oldest_pending_seconds)")],
            "VeltrixNoticesLate",
            Kind.STAT,
            good_below(60, 600),
        ),
        Panel(
            "Invariants violated in the last hour",
            "0",
            Unit.NUMBER,
            [Query("sum(increase(veltrix_invariant_violations_total[1h]))")],
            "VeltrixInvariantViolated",
            Kind.STAT,
            good_below(0.5, 1),
        ),
        Panel(
            "What fires or is about to, and for whom",
            "nothing",
            Unit.NUMBER,
            [Query('ALERTS{alertname=~"Veltrix.*"}')],
            "VeltrixServiceGone",
            Kind.TABLE,
            empty="no alert fires",
            width=24,
        ),
    ],
)

_OBJECTIVES: Final = Row(
    "Objectives, and what is left of their budgets",
    [
        Panel(
            "Budget of 30 days that is left",
            "above 50 %",
            Unit.SHARE,
            [Query("veltrix:objective_budget_left:ratio30d", "{{objective}}")],
            "VeltrixAcceptedBudgetBurns",
            Kind.STAT,
            good_above(0, 0.5),
            description="accepted: 99.99 % without an error of ours; decided: 99.9 % within 1 s; notices: "
            "99.9 % accepted within 60 s. At 0 the objective of the last 30 days is missed.",
            width=12,
        ),
        Panel(
            "Burn rate over the last hour",
            "below 1",
            Unit.TIMES,
            [Query("veltrix:objective_burn:rate1h", "{{objective}}")],
            "VeltrixDecidedBudgetBurns",
            Kind.STAT,
            good_below(1, 14.4),
            description="How many times faster than evenly the budget goes. At 1 it lasts 30 days.",
            width=12,
        ),
        Panel(
            "Burn rate over five minutes",
            "below 1, and never long above 14.4",
            Unit.TIMES,
            [Query("veltrix:objective_burn:rate5m", "{{objective}}")],
            "VeltrixNoticesBudgetBurns",
            levels=good_below(1, 14.4),
            width=12,
        ),
        Panel(
            "Events that count for each objective",
            "as many as people make",
            Unit.PER_SECOND,
            [Query("veltrix:objective_events:rate5m", "{{objective}}")],
            "VeltrixDecidingStopped",
            width=12,
        ),
    ],
)

_FLOW: Final = Row(
    "From the request to the notice",
    [
        Panel(
            "Accepted, decided, published, told",
            "one line above the other",
            Unit.PER_SECOND,
            [
                Query("sum(rate(veltrix_commands_accepted_total[$__rate_interval]))", "commands accepted"),
                Query("sum(rate(veltrix_decisions_total[$__rate_interval]))", "commands decided"),
                Query("sum(rate(veltrix_facts_published_total[$__rate_interval]))", "facts published"),
                Query(
                    'sum(rate(veltrix_notice_attempts_total{outcome="accepted"}[$__rate_interval]))',
                    "notices accepted",
                ),
            ],
            "VeltrixDecidingStopped",
        ),
        Panel(
            "From append to decided and published",
            "99 of 100 below 50 ms",
            Unit.SECONDS,
            [
                Query(
                    f"histogram_quantile({share}, "
                    "sum by (le) (rate(veltrix_decision_seconds_bucket[$__rate_interval])))",
                    name,
                )
                for share, name in ((0.5, "median"), (0.99, "99 of 100"), (0.999, "999 of 1000"))
            ],
            "VeltrixDecidedBudgetBurns",
            levels=good_below(0.05, 1),
            description="Ends at 10 s: whatever takes longer is shown as that.",
        ),
        Panel(
            "Undecided commands by partition",
            "below a thousand",
            Unit.NUMBER,
            [Query(f"max by (partition) ({UNDECIDED})", "partition {{partition}}")],
            "VeltrixLag",
            levels=good_below(1_000, 5_000),
        ),
    ],
)

_PROCESSES: Final = Row(
    "Processes",
    [
        Panel(
            "CPU used",
            "below one core each",
            Unit.SHARE,
            [
                Query(
                    'rate(process_cpu_seconds_total{job="veltrix", instance=~"$instance"}[$__rate_interval])',
                    "{{instance}}",
                )
            ],
            "VeltrixEventLoopLag",
            levels=good_below(0.8, 0.95),
        ),
        Panel(
            "Event loop late",
            "99 of 100 below 50 ms",
            Unit.SECONDS,
            [
                Query(
                    "histogram_quantile(0.99, sum by (instance, le) (rate("
                    'veltrix_event_loop_lag_seconds_bucket{instance=~"$instance"}[$__rate_interval])))',
                    "{{instance}}",
                )
            ],
            "VeltrixEventLoopLag",
            levels=good_below(0.05, 0.25),
        ),
        Panel(
            "Memory",
            "flat",
            Unit.BYTES,
            [
                Query(
                    'process_resident_memory_bytes{job="veltrix", instance=~"$instance"}',
                    "{{instance}}",
                )
            ],
            "VeltrixRestarts",
        ),
        Panel(
            "Bounded things in use",
            "below 80 %",
            Unit.SHARE,
            [
                Query(
                    'veltrix_bound_used{instance=~"$instance"} / veltrix_bound_max{instance=~"$instance"}',
                    "{{instance}} {{bound}}",
                )
            ],
            "VeltrixBoundReached",
            levels=good_below(0.5, 0.8),
        ),
        Panel(
            "Open files in use",
            "below 80 %",
            Unit.SHARE,
            [
                Query(
                    'process_open_fds{job="veltrix", instance=~"$instance"}'
                    ' / process_max_fds{job="veltrix", instance=~"$instance"}',
                    "{{instance}}",
                )
            ],
            "VeltrixOpenFiles",
            levels=good_below(0.5, 0.8),
        ),
        Panel(
            "Warnings and errors logged",
            "no errors",
            Unit.PER_SECOND,
            [
                Query(
                    "sum by (instance, level) (rate(veltrix_log_lines_total"
                    '{level=~"warning|error", instance=~"$instance"}[$__rate_interval]))',
                    "{{instance}} {{level}}",
                )
            ],
            "VeltrixErrorsLogged",
        ),
        Panel(
            "Running since",
            "the last deployment",
            Unit.INSTANT,
            [
                Query(
                    'process_start_time_seconds{job="veltrix", instance=~"$instance"} * 1000', "{{instance}}"
                )
            ],
            "VeltrixRestarts",
            Kind.STAT,
            width=12,
        ),
        Panel(
            "Versions that run",
            "one",
            Unit.NUMBER,
            [Query("count by (version, python) (veltrix_build_info)", "{{version}} on {{python}}")],
            "VeltrixVersionsDiffer",
            Kind.STAT,
            width=12,
        ),
    ],
)


OVERVIEW: Final = Board(
    "veltrix-overview",
    "Veltrix: overview",
    "Is it healthy, what is promised, and what is left of the budgets for failures.",
    [_HEALTH, _OBJECTIVES, _FLOW, _PROCESSES],
    [INSTANCE],
)
