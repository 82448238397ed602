"""What people may expect, as numbers; how fast the allowance for failures is used up, and who hears of it.

An objective allows a share of failures over 30 days: its budget. The burn rate is how many times faster than
evenly the budget goes: at 1 it lasts 30 days, at 14.4 two. Somebody is told when a long window says that it
matters and a short one that it still goes on (Google's Site Reliability Workbook, chapter 5). Each pair of
windows has its own urgency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from veltrix.observability.rules.model import Alert, Group, Recording, Severity

PERIOD: Final = "30d"
# One failure in a quiet night is no incident, however bad its share looks: so many failures within the long
# window are the least that anyone is told about.
FAILURES_LEAST: Final = 5
INTERVAL_S: Final = 30


class Burn(NamedTuple):
    """A pair of windows, the burn rate that both must exceed, and who hears of it."""

    long: str
    short: str
    rate: float
    hold: str
    severity: Severity


BURNS: Final = (
    Burn("1h", "5m", 14.4, "2m", Severity.CRITICAL),  # 2 % of the budget within the hour
    Burn("6h", "30m", 6.0, "5m", Severity.CRITICAL),  # 5 % within six hours
    Burn("1d", "2h", 3.0, "15m", Severity.WARNING),  # 10 % within the day
    Burn("3d", "6h", 1.0, "1h", Severity.WARNING),  # 10 % within three days
)
# Beside the five minutes, from which all others are computed.
WINDOWS: Final = ("30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Objective:
    """A share that is to be reached over 30 days.

    `events` and `errors` are rates a second over five minutes, of all and of those that failed.
    """

    name: str
    target: float
    alert: str
    promise: str
    failed: str
    events: str
    errors: str

    @property
    def budget(self) -> float:
        """The share that may fail."""
        return round(1 - self.target, 9)


# What asks for something to be written; reading is no part of the objective.
_WRITES: Final = 'method=~"POST|PUT|PATCH|DELETE"'

ACCEPTED: Final = Objective(
    name="accepted",
    target=0.9999,
    alert="VeltrixAcceptedBudgetBurns",
    promise="99.99 % of requests that ask for something are answered without an error of ours",
    failed="requests were answered with 5xx",
    events=f"sum(rate(veltrix_http_requests_total{{{_WRITES}}}[5m]))",
    errors=(
        f'sum(rate(veltrix_http_requests_total{{{_WRITES}, status="5xx"}}[5m]))\n'
        f"or 0 * sum(rate(veltrix_http_requests_total{{{_WRITES}}}[5m]))"
    ),
)
DECIDED: Final = Objective(
    name="decided",
    target=0.999,
    alert="VeltrixDecidedBudgetBurns",
    promise="99.9 % of commands are decided, and their facts published, within 1 s",
    failed="commands took longer than 1 s",
    events="sum(rate(veltrix_decision_seconds_count[5m]))",
    errors=(
        "clamp_min(sum(rate(veltrix_decision_seconds_count[5m]))\n"
        '- sum(rate(veltrix_decision_seconds_bucket{le="1.0"}[5m])), 0)'
    ),
)
NOTICES: Final = Objective(
    name="notices",
    target=0.999,
    alert="VeltrixNoticesBudgetBurns",
    promise="99.9 % of notices are accepted by their channel within 60 s of the decision",
    failed="notices took longer than 60 s",
    events="sum(rate(veltrix_notice_delivery_seconds_count[5m]))",
    errors=(
        "clamp_min(sum(rate(veltrix_notice_delivery_seconds_count[5m]))\n"
        '- sum(rate(veltrix_notice_delivery_seconds_bucket{le="60.0"}[5m])), 0)'
    ),
)
OBJECTIVES: Final = (ACCEPTED, DECIDED, NOTICES)


def recordings(objective: Objective) -> list[Recording]:
    """Events, errors, the burn rate over each window, and what is left of the budget."""
    labels = {"objective": objective.name}
    own = f'{{objective="{objective.name}"}}'

    def ratio(window: str) -> str:
        return (
            f"avg_over_time(veltrix:objective_errors:rate5m{own}[{window}])\n"
            f"/ (avg_over_time(veltrix:objective_events:rate5m{own}[{window}]) > 0)\n"
            f"/ {objective.budget:g}"
        )

    found = [
        Recording("veltrix:objective_events:rate5m", objective.events, labels),
        Recording("veltrix:objective_errors:rate5m", objective.errors, labels),
        Recording(
            "veltrix:objective_burn:rate5m",
            f"veltrix:objective_errors:rate5m{own}\n"
            f"/ (veltrix:objective_events:rate5m{own} > 0)\n"
            f"/ {objective.budget:g}",
            labels,
        ),
    ]
    # Sums over a longer window are those of its five-minute rates: a handful of series, whatever runs.
    found += [Recording(f"veltrix:objective_burn:rate{window}", ratio(window), labels) for window in WINDOWS]
    found.append(Recording("veltrix:objective_budget_left:ratio30d", f"1 - (\n{ratio(PERIOD)}\n)", labels))
    return found


def alerts(objective: Objective) -> list[Alert]:
    """One for each pair of windows, all of one name and one runbook."""
    own = f'{{objective="{objective.name}"}}'
    return [
        Alert(
            name=objective.alert,
            severity=burn.severity,
            expr=(
                f"veltrix:objective_burn:rate{burn.long}{own} > {burn.rate:g}\n"
                f"and veltrix:objective_burn:rate{burn.short}{own} > {burn.rate:g}\n"
                f"and sum_over_time(veltrix:objective_errors:rate5m{own}[{burn.long}]) * {INTERVAL_S}"
                f" >= {FAILURES_LEAST}"
            ),
            hold=burn.hold,
            summary=f"The budget of the objective “{objective.name}” burns: {objective.promise}.",
            description=(
                f"Over the last {burn.long} and the last {burn.short}, {objective.failed} so often that the "
                'budget of 30 days goes {{ printf "%.1f" $value }} times too fast.'
            ),
            labels={"window": burn.long},
        )
        for burn in BURNS
    ]


OBJECTIVE_RECORDINGS: Final = Group(
    "veltrix-objectives",
    f"{INTERVAL_S}s",
    [rule for objective in OBJECTIVES for rule in recordings(objective)],
)
OBJECTIVE_ALERTS: Final = Group(
    "veltrix-objectives-alerts",
    f"{INTERVAL_S}s",
    [rule for objective in OBJECTIVES for rule in alerts(objective)],
)
