"""How people are served: requests, their errors, how long they take, and what they wait for."""

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

_MINE: Final = 'instance=~"$instance"'
_WRITES: Final = 'method=~"POST|PUT|PATCH|DELETE"'


def _quantiles(metric: str, selectors: str = _MINE) -> list[Query]:
    return [
        Query(
            f"histogram_quantile({share}, "
            f"sum by (le) (rate({metric}_bucket{{{selectors}}}[$__rate_interval])))",
            name,
        )
        for share, name in ((0.5, "median"), (0.99, "99 of 100"))
    ]


_REQUESTS: Final = Row(
    "Requests",
    [
        Panel(
            "Requests by class of their answer",
            "2xx, and 4xx where people err; no 5xx",
            Unit.REQUESTS_PER_SECOND,
            [
                Query(
                    f"sum by (status) (rate(veltrix_http_requests_total{{{_MINE}}}[$__rate_interval]))",
                    "{{status}}",
                )
            ],
            "VeltrixAcceptedBudgetBurns",
            stacked=True,
        ),
        Panel(
            "Share that failed by a fault of ours",
            "below 0.01 %",
            Unit.SHARE,
            [
                Query(
                    "veltrix:objective_errors:rate5m{objective="
                    '"accepted"} / (veltrix:objective_events:rate5m{objective="accepted"} > 0)'
                )
            ],
            "VeltrixAcceptedBudgetBurns",
            levels=good_below(0.0001, 0.00144),
            description="Of requests that ask for something to be written, over five minutes.",
        ),
        Panel(
            "How long requests take",
            "99 of 100 below 250 ms",
            Unit.SECONDS,
            _quantiles("veltrix_http_request_seconds", f"{_MINE}, {_WRITES}"),
            "VeltrixDecidedBudgetBurns",
            levels=good_below(0.25, 1),
            description="Waiting for the decision included.",
        ),
        Panel(
            "Busiest routes",
            "registrations on top while people come",
            Unit.REQUESTS_PER_SECOND,
            [
                Query(
                    "topk(8, sum by (route, method) "
                    f"(rate(veltrix_http_requests_total{{{_MINE}}}[$__rate_interval])))",
                    "{{method}} {{route}}",
                )
            ],
            "VeltrixRateLimited",
            width=12,
        ),
        Panel(
            "Slowest routes, 99 of 100 requests",
            "below a second",
            Unit.SECONDS,
            [
                Query(
                    "topk(8, histogram_quantile(0.99, sum by (route, method, le) "
                    f"(rate(veltrix_http_request_seconds_bucket{{{_MINE}}}[$__rate_interval]))))",
                    "{{method}} {{route}}",
                )
            ],
            "VeltrixEventLoopLag",
            levels=good_below(0.5, 1),
            width=12,
        ),
    ],
)
_WAITING: Final = Row(
    "Accepting, and waiting for decisions",
    [
        Panel(
            "Commands accepted by kind",
            "as many as people send",
            Unit.REQUESTS_PER_SECOND,
            [
                Query(
                    f"sum by (kind) (rate(veltrix_commands_accepted_total{{{_MINE}}}[$__rate_interval])) > 0",
                    "{{kind}}",
                )
            ],
            "VeltrixAppendsFail",
            stacked=True,
        ),
        Panel(
            "How long the log takes to make a command durable",
            "99 of 100 below 50 ms",
            Unit.SECONDS,
            _quantiles("veltrix_log_append_seconds"),
            "VeltrixAppendsSlow",
            levels=good_below(0.05, 0.5),
        ),
        Panel(
            "How long requests are held for their decision",
            "99 of 100 below 100 ms",
            Unit.SECONDS,
            _quantiles("veltrix_decision_wait_seconds"),
            "VeltrixOldestUndecided",
            levels=good_below(0.1, 1),
        ),
        Panel(
            "How waiting ended",
            "decided; few read back, none timed out",
            Unit.REQUESTS_PER_SECOND,
            [
                Query(
                    "sum by (outcome) "
                    f"(rate(veltrix_decision_wait_seconds_count{{{_MINE}}}[$__rate_interval]))",
                    "{{outcome}}",
                )
            ],
            "VeltrixOldestUndecided",
        ),
        Panel(
            "Requests held open",
            "far below the bound",
            Unit.NUMBER,
            [Query(f"veltrix_http_held_requests{{{_MINE}}}", "{{instance}}")],
            "VeltrixBoundReached",
        ),
        Panel(
            "Listening to live updates",
            "below 20,000 a process",
            Unit.NUMBER,
            [Query(f"veltrix_http_stream_clients{{{_MINE}}}", "{{instance}}")],
            "VeltrixTurnedAway",
            levels=good_below(16_000, 20_000),
        ),
    ],
)
_REFUSED: Final = Row(
    "Turned away",
    [
        Panel(
            "Turned away at the edge, by reason",
            "nothing",
            Unit.REQUESTS_PER_SECOND,
            [
                Query(
                    f"sum by (reason) (rate(veltrix_http_turned_away_total{{{_MINE}}}[$__rate_interval]))",
                    "{{reason}}",
                )
            ],
            "VeltrixTurnedAway",
            empty="the first one turned away makes the series",
        ),
        Panel(
            "Commands that could not be appended",
            "0",
            Unit.REQUESTS_PER_SECOND,
            [
                Query(
                    f"sum by (why) (rate(veltrix_log_appends_failed_total{{{_MINE}}}[$__rate_interval]))",
                    "{{why}}",
                )
            ],
            "VeltrixAppendsFail",
            levels=good_below(0.01, 1),
        ),
        Panel(
            "Keys in reserve for personal data",
            "above 20,000",
            Unit.NUMBER,
            [Query(f"veltrix_keys_reserved{{{_MINE}}}", "{{instance}}")],
            "VeltrixKeysRunOut",
            Kind.STAT,
            good_above(5_000, 10_000),
            width=8,
        ),
    ],
)

REGISTRATION: Final = Board(
    "veltrix-registration",
    "Veltrix: registration",
    "How people are served: requests, their errors, how long they take, and who is turned away.",
    [_REQUESTS, _WAITING, _REFUSED],
    [INSTANCE],
)
