"""Cases of the objectives' budgets."""

from __future__ import annotations

from collections.abc import Sequence

from tests.observability.alerting.cases import Case, Fires, of

_REQUESTS = f'veltrix_http_requests_total{{{of("registration")}, route="/r", method="POST", status="%s"}}'
GOOD, BAD = _REQUESTS % "2xx", _REQUESTS % "5xx"
_DECIDED = f"veltrix_decision_seconds_%s{{{of('processing')}%s}}"
_TOLD = f"veltrix_notice_delivery_seconds_%s{{{of('notification')}%s}}"


def burns(objective: str, failed: str, windows: dict[str, tuple[str, str, str]]) -> list[Fires]:
    """By long window: (short window, severity, burn rate)."""
    return [
        Fires(
            {"objective": objective, "severity": severity, "window": long},
            f"Over the last {long} and the last {short}, {failed} so often that the budget of 30 days goes "
            f"{rate} times too fast.",
        )
        for long, (short, severity, rate) in windows.items()
    ]


_5XX = "requests were answered with 5xx"


def case(claim: str, alert: str, series: dict[str, str], at: str, fires: Sequence[Fires] = ()) -> Case:
    """In steps of a minute, of which objectives need hours; 600 requests a step."""
    return Case(claim, alert, series, at, fires, healthy=False, step_s=60)


CASES = [
    case(
        "more than one failure in a hundred for minutes, after quiet hours, pages by the hour's window",
        "VeltrixAcceptedBudgetBurns",
        {GOOD: "0+600x300", BAD: "0x239 0+8x60"},
        "4h13m",
        burns("accepted", _5XX, {"1h": ("5m", "critical", "24.0")}),
    ),
    case(
        "what fails for an hour at a moderate rate pages by the six hours' window",
        "VeltrixAcceptedBudgetBurns",
        {GOOD: "0+600x100", BAD: "0+0.6x100"},
        "40m",
        burns("accepted", _5XX, {"6h": ("30m", "critical", "10.0"), "1d": ("2h", "warning", "10.0")}),
    ),
    case(
        "a slow burn is a ticket, not a page",
        "VeltrixAcceptedBudgetBurns",
        {GOOD: "0+600x200", BAD: "0+0.12x200"},
        "3h",
        burns("accepted", _5XX, {"3d": ("6h", "warning", "2.0")}),
    ),
    case(
        "one failure in a quiet night is nobody's business",
        "VeltrixAcceptedBudgetBurns",
        {GOOD: "0x30 1x30 2x30 3x60", BAD: "0x60 1x90"},
        "1h10m",
    ),
    case(
        "the page ends with the failures: the short window says so, and a ticket remains",
        "VeltrixAcceptedBudgetBurns",
        {GOOD: "0+600x320", BAD: "0x239 0+30x10 300x80"},
        "4h55m",
        burns("accepted", _5XX, {"1d": ("2h", "warning", "17.0")}),
    ),
    case(
        "one of a hundred is too late",
        "VeltrixDecidedBudgetBurns",
        {
            _DECIDED % ("count", ""): "0+600x200",
            _DECIDED % ("bucket", ', le="1.0"'): "0+590x200",
        },
        "1h",
        burns(
            "decided",
            "commands took longer than 1 s",
            {
                "1h": ("5m", "critical", "16.7"),
                "6h": ("30m", "critical", "16.7"),
                "1d": ("2h", "warning", "16.7"),
            },
        ),
    ),
    case(
        "one of a thousand may be late",
        "VeltrixDecidedBudgetBurns",
        {
            _DECIDED % ("count", ""): "0+2000x200",
            _DECIDED % ("bucket", ', le="1.0"'): "0+1999x200",
        },
        "3h",
    ),
    case(
        "every twentieth notice is late",
        "VeltrixNoticesBudgetBurns",
        {
            _TOLD % ("count", ""): "0+60x200",
            _TOLD % ("bucket", ', le="60.0"'): "0+57x200",
        },
        "40m",
        burns(
            "notices",
            "notices took longer than 60 s",
            {
                "1h": ("5m", "critical", "50.0"),
                "6h": ("30m", "critical", "50.0"),
                "1d": ("2h", "warning", "50.0"),
            },
        ),
    ),
    case(
        "no notice at all is no failure",
        "VeltrixNoticesBudgetBurns",
        {
            _TOLD % ("count", ""): "7x200",
            _TOLD % ("bucket", ', le="60.0"'): "7x200",
        },
        "1h",
    ),
]
