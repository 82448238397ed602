"""Telling people: what is on its way, how long it takes, and what became of it."""

from __future__ import annotations

from typing import Final

from veltrix.observability.dashboards.model import Board, Kind, Panel, Query, Row, Unit, good_below

_TOLD: Final = Row(
    "Are people told?",
    [
        Panel(
            "Oldest notice that still has to go out",
            "below a minute, or a single one that is tried again",
            Unit.SECONDS,
            [Query("max(veltrix_notice_oldest_pending_seconds)")],
            "VeltrixNoticesLate",
            Kind.STAT,
            good_below(60, 600),
            width=6,
        ),
        Panel(
            "Notices that were given up",
            "0",
            Unit.NUMBER,
            [Query('max(veltrix_notices{status="dead"})')],
            "VeltrixDeadLetters",
            Kind.STAT,
            good_below(1, 100),
            width=6,
        ),
        Panel(
            "Notices whose outcome nobody knows",
            "0",
            Unit.NUMBER,
            [Query('max(veltrix_notices{status="unknown"})')],
            "VeltrixNoticesUnknown",
            Kind.STAT,
            good_below(1, 100),
            width=6,
        ),
        Panel(
            "Facts without their notices yet",
            "below a hundred",
            Unit.NUMBER,
            [Query("sum(veltrix_facts_unplanned)")],
            "VeltrixNoticesUnplanned",
            Kind.STAT,
            good_below(100, 1_000),
            width=6,
        ),
        Panel(
            "From the decision until a channel accepts the notice",
            "999 of 1000 below 60 s",
            Unit.SECONDS,
            [
                Query(
                    f"histogram_quantile({share}, "
                    "sum by (le) (rate(veltrix_notice_delivery_seconds_bucket[$__rate_interval])))",
                    name,
                )
                for share, name in ((0.5, "median"), (0.99, "99 of 100"), (0.999, "999 of 1000"))
            ],
            "VeltrixNoticesBudgetBurns",
            levels=good_below(30, 60),
            width=12,
        ),
        Panel(
            "Notices planned, and attempts by what became of them",
            "as many accepted as planned",
            Unit.PER_SECOND,
            [
                Query("sum(rate(veltrix_notices_planned_total[$__rate_interval]))", "planned"),
                Query(
                    "sum by (channel, outcome) (rate(veltrix_notice_attempts_total[$__rate_interval]))",
                    "{{channel}}: {{outcome}}",
                ),
            ],
            "VeltrixNoticesRefused",
            width=12,
        ),
    ],
)
_WORK: Final = Row(
    "The work",
    [
        Panel(
            "Notices by status",
            "all accepted; pending comes and goes",
            Unit.NUMBER,
            [Query("max by (status) (veltrix_notices)", "{{status}}")],
            "VeltrixNoticesLate",
            stacked=True,
        ),
        Panel(
            "Planned, by kind of fact",
            "what people do",
            Unit.PER_SECOND,
            [
                Query(
                    "sum by (kind) (rate(veltrix_notices_planned_total[$__rate_interval]))",
                    "{{kind}}",
                )
            ],
            "VeltrixNoticesUnplanned",
            stacked=True,
        ),
        Panel(
            "How long an attempt takes",
            "99 of 100 below 5 s",
            Unit.SECONDS,
            [
                Query(
                    f"histogram_quantile({share}, "
                    "sum by (le) (rate(veltrix_notice_attempt_seconds_bucket[$__rate_interval])))",
                    name,
                )
                for share, name in ((0.5, "median"), (0.99, "99 of 100"))
            ],
            "VeltrixNoticesLate",
            levels=good_below(5, 30),
        ),
        Panel(
            "Waiting to be sent, by channel",
            "comes and goes",
            Unit.NUMBER,
            [Query("max by (channel) (veltrix_notices_waiting)", "{{channel}}")],
            "VeltrixNoticesLate",
            empty="nothing has ever had to wait since the process started",
        ),
        Panel(
            "Held until an operator decides",
            "0",
            Unit.NUMBER,
            [Query("max(veltrix_notices_held)", "held")],
            "VeltrixNoticesHeld",
            levels=good_below(0.5, 1),
        ),
        Panel(
            "Endpoints and relays that failed, by state of their breaker",
            "closed; none open or disabled",
            Unit.NUMBER,
            [Query("max by (state) (veltrix_notice_targets)", "{{state}}")],
            "VeltrixBreakerOpen",
        ),
    ],
)

NOTIFICATION: Final = Board(
    "veltrix-notification",
    "Veltrix: notification",
    "Telling people: what is on its way, how long it takes, and what became of it.",
    [_TOLD, _WORK],
)
