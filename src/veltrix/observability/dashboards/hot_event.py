"""The minutes in which one event's sale opens: what to look at while everybody comes at once."""

from __future__ import annotations

from typing import Final

from veltrix.observability.dashboards.model import (
    Board,
    Kind,
    Panel,
    Query,
    Row,
    Unit,
    good_above,
    good_below,
)
from veltrix.observability.rules.deciding import OLDEST

_NOW: Final = Row(
    "Now",
    [
        Panel(
            "The busiest event asks for",
            "what the sale leads one to expect",
            Unit.REQUESTS_PER_SECOND,
            [Query('max(veltrix_hot_event_commands_per_second{rank="1"})')],
            "VeltrixTurnedAway",
            Kind.STAT,
            description="/hot-events of a registration process names it.",
        ),
        Panel(
            "Accepted",
            "what is asked for",
            Unit.REQUESTS_PER_SECOND,
            [Query("sum(rate(veltrix_commands_accepted_total[1m]))")],
            "VeltrixAppendsFail",
            Kind.STAT,
        ),
        Panel(
            "Decided",
            "as fast as accepted, or catching up",
            Unit.REQUESTS_PER_SECOND,
            [Query("sum(rate(veltrix_decisions_total[1m]))")],
            "VeltrixDecidingStopped",
            Kind.STAT,
        ),
        Panel(
            "Waiting in line",
            "below 100,000",
            Unit.NUMBER,
            [Query("sum(max by (partition) (veltrix_undecided_commands or veltrix_undecided_estimate))")],
            "VeltrixLag",
            Kind.STAT,
            good_below(100_000, 500_000),
            description="One event may fill half a million places; then people are turned away.",
        ),
        Panel(
            "Who waits longest",
            "below ten seconds",
            Unit.SECONDS,
            [Query(f"max({OLDEST})")],
            "VeltrixOldestUndecided",
            Kind.STAT,
            good_below(10, 60),
        ),
        Panel(
            "Keys in reserve",
            "above 5,000",
            Unit.NUMBER,
            [Query('min(veltrix_keys_reserved{service=~"registration|embedded"})')],
            "VeltrixKeysRunOut",
            Kind.STAT,
            good_above(5_000, 10_000),
        ),
    ],
)
_STAMPEDE: Final = Row(
    "The stampede",
    [
        Panel(
            "Commands of the ten busiest events",
            "one far above the others while its sale opens",
            Unit.REQUESTS_PER_SECOND,
            [Query("max by (rank) (veltrix_hot_event_commands_per_second)", "rank {{rank}}")],
            "VeltrixTurnedAway",
        ),
        Panel(
            "Requests held open, and the bound",
            "below the bound",
            Unit.NUMBER,
            [
                Query("sum(veltrix_http_held_requests)", "held"),
                Query('sum(veltrix_bound_max{bound="held_requests"})', "bound"),
            ],
            "VeltrixBoundReached",
        ),
        Panel(
            "How long people wait for their answer",
            "99 of 100 below a second",
            Unit.SECONDS,
            [
                Query(
                    f"histogram_quantile({share}, "
                    "sum by (le) (rate(veltrix_decision_wait_seconds_bucket[$__rate_interval])))",
                    name,
                )
                for share, name in ((0.5, "median"), (0.99, "99 of 100"))
            ],
            "VeltrixOldestUndecided",
            levels=good_below(1, 10),
        ),
        Panel(
            "The line",
            "it shortens once the first rush is over",
            Unit.NUMBER,
            [
                Query(
                    "topk(3, max by (partition) (veltrix_undecided_commands))",
                    "partition {{partition}}",
                )
            ],
            "VeltrixLag",
        ),
        Panel(
            "Confirmed, waitlisted, refused",
            "first confirmed, then waitlisted, then refused as full",
            Unit.PER_SECOND,
            [
                Query(
                    'sum by (outcome) (rate(veltrix_decisions_total{outcome="accepted"}[$__rate_interval]))',
                    "{{outcome}}",
                ),
                Query(
                    "sum by (reason) (rate(veltrix_refusals_total"
                    '{reason=~"full|waitlist_full|window_not_open_yet|already_registered"}[$__rate_interval]))',
                    "refused: {{reason}}",
                ),
            ],
            "VeltrixQuarantined",
        ),
        Panel(
            "Turned away",
            "nobody",
            Unit.REQUESTS_PER_SECOND,
            [
                Query(
                    "sum by (reason) (rate(veltrix_http_turned_away_total[$__rate_interval]))",
                    "{{reason}}",
                )
            ],
            "VeltrixTurnedAway",
            empty="the first one turned away makes the series",
        ),
        Panel(
            "The busiest process' core",
            "below 90 %",
            Unit.SHARE,
            [
                Query(
                    'max by (service) (rate(process_cpu_seconds_total{job="veltrix"}[$__rate_interval]))',
                    "{{service}}",
                )
            ],
            "VeltrixEventLoopLag",
            levels=good_below(0.8, 0.95),
        ),
        Panel(
            "Live updates",
            "as many as watch the event's page",
            Unit.NUMBER,
            [Query("sum(veltrix_http_stream_clients)", "clients")],
            "VeltrixBoundReached",
        ),
        Panel(
            "Notices after the rush",
            "accepted soon after they are planned",
            Unit.PER_SECOND,
            [
                Query("sum(rate(veltrix_notices_planned_total[$__rate_interval]))", "planned"),
                Query(
                    'sum(rate(veltrix_notice_attempts_total{outcome="accepted"}[$__rate_interval]))',
                    "accepted",
                ),
            ],
            "VeltrixNoticesLate",
        ),
    ],
)

HOT_EVENT: Final = Board(
    "veltrix-hot-event",
    "Veltrix: one hot event's sale",
    "The minutes in which one event's sale opens, on one page.",
    [_NOW, _STAMPEDE],
    refresh="5s",
    since="now-15m",
)
