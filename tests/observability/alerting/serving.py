"""Cases of taking in, deciding and telling."""

from __future__ import annotations

from tests.observability.alerting.cases import (
    CRITICAL,
    WARNING,
    Case,
    Fires,
    flat,
    from_then_on,
    of,
    rising,
)

REGISTRATION, PROCESSING, TICKER, NOTIFICATION = (
    of(service) for service in ("registration", "processing", "ticker", "notification")
)
ZERO = {"partition": "0"}


def process(service: str) -> dict[str, str]:
    """The labels of a service's first process."""
    return {"job": "veltrix", "service": service, "instance": f"{service}-1"}


def attempts(outcome: str) -> str:
    """Attempts to send mail that ended so."""
    return f'veltrix_notice_attempts_total{{{NOTIFICATION}, channel="email", outcome="{outcome}"}}'


INTAKE = [
    Case(
        "the line is full",
        "VeltrixTurnedAway",
        {f'veltrix_http_turned_away_total{{{REGISTRATION}, reason="overloaded"}}': "0x240 0+30x100"},
        "64m",
        [
            Fires(
                CRITICAL | {"reason": "overloaded"},
                "1.50 requests a second are refused: overloaded.",
            )
        ],
    ),
    Case(
        "requests that are too large are their senders' affair",
        "VeltrixTurnedAway",
        {f'veltrix_http_turned_away_total{{{REGISTRATION}, reason="body_too_large"}}': rising(5)},
        "60m",
    ),
    Case(
        "a hundred a second from one address",
        "VeltrixRateLimited",
        {f'veltrix_http_turned_away_total{{{REGISTRATION}, reason="too_many_requests"}}': rising(100)},
        "20m",
        [
            Fires(
                WARNING | {"instance": "registration-1"},
                "registration-1 refuses 100.0 requests a second.",
            )
        ],
    ),
    Case(
        "one address too eager for a minute",
        "VeltrixRateLimited",
        {
            f'veltrix_http_turned_away_total{{{REGISTRATION}, reason="too_many_requests"}}': (
                "0x200 0+60x4 240x200"
            )
        },
        "54m",
    ),
    Case(
        "the log takes nothing",
        "VeltrixAppendsFail",
        {f'veltrix_log_appends_failed_total{{{REGISTRATION}, why="unavailable"}}': "0x239 0+15x100"},
        "62m",
        [Fires(CRITICAL | {"why": "unavailable"}, "1.00 commands a second fail: unavailable.")],
    ),
    Case(
        "two of a hundred appends take a second",
        "VeltrixAppendsSlow",
        {
            f'veltrix_log_append_seconds_bucket{{{REGISTRATION}, le="0.05"}}': rising(9.8),
            f'veltrix_log_append_seconds_bucket{{{REGISTRATION}, le="1.0"}}': rising(10),
            f'veltrix_log_append_seconds_bucket{{{REGISTRATION}, le="+Inf"}}': rising(10),
        },
        "20m",
        [
            Fires(
                WARNING | {"instance": "registration-1"},
                "At registration-1, one append in a hundred takes 525ms.",
            )
        ],
    ),
    Case(
        "nine of ten places are taken",
        "VeltrixBoundReached",
        {f'veltrix_bound_used{{{REGISTRATION}, bound="something"}}': flat(90)},
        "5m",
        [
            Fires(
                WARNING | process("registration") | {"bound": "something"},
                "something of registration-1 is 90% used.",
            )
        ],
    ),
    Case(
        "the vault gives no keys",
        "VeltrixKeysRunOut",
        {f"veltrix_keys_reserved{{{REGISTRATION}}}": "25000-250x90 2500x300"},
        "30m",
        [Fires(CRITICAL | process("registration"), "registration-1 has 2500 keys left.")],
    ),
    Case(
        "a process without a reserve of its own has none to run out of",
        "VeltrixKeysRunOut",
        {f"veltrix_keys_reserved{{{PROCESSING}}}": flat(0)},
        "30m",
    ),
]

DECIDING = [
    Case(
        "nobody decides",
        "VeltrixDecidingStopped",
        {f'veltrix_decisions_total{{{PROCESSING}, outcome="accepted"}}': "0+150x239 35850x240"},
        "62m",
        [Fires(CRITICAL, "10.0 commands a second are accepted and wait.")],
    ),
    Case(
        "whoever decided is gone",
        "VeltrixDecidingStopped",
        {
            f'veltrix_decisions_total{{{PROCESSING}, outcome="{outcome}"}}': "0+150x239 _x240"
            for outcome in ("accepted", "quarantined")
        },
        "67m",
        [Fires(CRITICAL, "10.0 commands a second are accepted and wait.")],
    ),
    Case(
        "nobody asks, nobody decides",
        "VeltrixDecidingStopped",
        {
            f'veltrix_commands_accepted_total{{{REGISTRATION}, kind="register"}}': flat(7),
            f'veltrix_decisions_total{{{PROCESSING}, outcome="accepted"}}': flat(7),
        },
        "60m",
    ),
    Case(
        "six thousand wait, as the owner counts",
        "VeltrixLag",
        {f'veltrix_undecided_commands{{{PROCESSING}, partition="0"}}': flat(6_000)},
        "5m",
        [Fires(WARNING | ZERO, "Partition 0 is 6000 commands behind.")],
    ),
    Case(
        "seven thousand wait, as registration estimates while nobody owns the partition",
        "VeltrixLag",
        {f'veltrix_undecided_estimate{{{REGISTRATION}, partition="0"}}': flat(7_000)},
        "5m",
        [Fires(WARNING | ZERO, "Partition 0 is 7000 commands behind.")],
        without=[f'veltrix_undecided_commands{{{PROCESSING}, partition="0"}}'],
    ),
    Case(
        "a rush that is decided within a minute",
        "VeltrixLag",
        {f'veltrix_undecided_commands{{{PROCESSING}, partition="0"}}': "3x200 9000x4 3x200"},
        "51m",
    ),
    Case(
        "somebody has waited for twenty seconds",
        "VeltrixOldestUndecided",
        {f'veltrix_oldest_undecided_seconds{{{PROCESSING}, partition="0"}}': flat(20)},
        "5m",
        [
            Fires(
                CRITICAL | ZERO,
                "The oldest undecided command of partition 0 has waited for 20s.",
            )
        ],
    ),
    Case(
        "somebody waits while nobody owns the partition",
        "VeltrixOldestUndecided",
        {f'veltrix_oldest_undecided_estimate_seconds{{{REGISTRATION}, partition="0"}}': "0x200 0+15x200"},
        "52m",
        [
            Fires(
                CRITICAL | ZERO,
                "The oldest undecided command of partition 0 has waited for 1m 45s.",
            )
        ],
        without=[f'veltrix_oldest_undecided_seconds{{{PROCESSING}, partition="0"}}'],
    ),
    Case(
        "log and ledger do not belong together",
        "VeltrixPartitionFailed",
        {f"veltrix_partitions_failed{{{PROCESSING}}}": flat(2)},
        "5m",
        [
            Fires(
                CRITICAL | process("processing"),
                "processing-1 owns 2 partitions that it must not decide.",
            )
        ],
    ),
    Case(
        "each partition is fenced off four times within ten minutes",
        "VeltrixFenceStorm",
        {f"veltrix_fenced_total{{{PROCESSING}}}": "0x200 0+0.4x40 16x200"},
        "60m",
        [
            Fires(
                WARNING,
                "Within 10 minutes, 16 writes were refused because a newer term exists: more than three for "
                "each partition.",
            )
        ],
    ),
    Case(
        "an owner that was paused is fenced off once from each",
        "VeltrixFenceStorm",
        {f"veltrix_fenced_total{{{PROCESSING}}}": "0x200 4x200"},
        "51m",
    ),
    Case(
        "every partition changes hands five times within half an hour",
        "VeltrixOwnersChange",
        {f"veltrix_partition_take_overs_total{{{PROCESSING}}}": "4x200 4+0.2x100 24x200"},
        "75m",
        [Fires(WARNING, "Within 30 minutes, partitions were taken over 20 times.")],
    ),
    Case(
        "a rolling upgrade",
        "VeltrixOwnersChange",
        {f"veltrix_partition_take_overs_total{{{PROCESSING}}}": "4x200 8x10 12x200"},
        "60m",
    ),
    Case(
        "etcd does not renew",
        "VeltrixLeaseUnsure",
        {f"veltrix_lease_margin_seconds{{{PROCESSING}}}": from_then_on(1.5, -3)},
        "61m",
        [
            Fires(
                WARNING | process("processing"),
                "The lease of processing-1 (processing) may have ended: -3s.",
            )
        ],
    ),
    Case(
        "facts pile up",
        "VeltrixFactsUnpublished",
        {f'veltrix_facts_unpublished{{{PROCESSING}, partition="0"}}': flat(4_000)},
        "5m",
        [Fires(WARNING | ZERO, "4000 facts of partition 0 wait.")],
    ),
    Case(
        "the ticker hangs",
        "VeltrixTickerStands",
        {f"veltrix_ticks_total{{{TICKER}}}": "0+30x200 6000x200"},
        "57m",
        [Fires(WARNING, "No ticker has looked for due work for five minutes.")],
    ),
    Case(
        "one command was set aside",
        "VeltrixQuarantined",
        {f'veltrix_decisions_total{{{PROCESSING}, outcome="quarantined"}}': "0x240 1x200"},
        "61m",
        [Fires(CRITICAL, "1 commands were quarantined within the hour.")],
    ),
    Case(
        "the first violation",
        "VeltrixInvariantViolated",
        {f'veltrix_invariant_violations_total{{{NOTIFICATION}, invariant="pools_balance"}}': "0x240 1x200"},
        "61m",
        [
            Fires(
                CRITICAL | {"invariant": "pools_balance"},
                "pools_balance did not hold when it was last looked at.",
            )
        ],
    ),
    Case(
        "the checker hangs",
        "VeltrixNothingChecked",
        {f'veltrix_invariant_checks_total{{{NOTIFICATION}, invariant="pools_balance"}}': "0+2x100 200x380"},
        "50m",
        [Fires(WARNING, "No invariant has been looked at for 15 minutes.")],
    ),
]

NOTICES = [
    Case(
        "mail has not left for a quarter of an hour",
        "VeltrixNoticesLate",
        {
            f"veltrix_notice_oldest_pending_seconds{{{NOTIFICATION}}}": flat(900),
            f'veltrix_notices_waiting{{{NOTIFICATION}, channel="email"}}': flat(300),
        },
        "5m",
        [Fires(CRITICAL, "More than 20 notices wait, the oldest for 15m 0s.")],
    ),
    Case(
        "three mailboxes say that one is to come again later",
        "VeltrixNoticesLate",
        {
            f"veltrix_notice_oldest_pending_seconds{{{NOTIFICATION}}}": flat(14_400),
            f'veltrix_notices_waiting{{{NOTIFICATION}, channel="email"}}': flat(3),
        },
        "50m",
    ),
    Case(
        "a rush: many wait, and none for long",
        "VeltrixNoticesLate",
        {f'veltrix_notices_waiting{{{NOTIFICATION}, channel="email"}}': flat(5_000)},
        "50m",
    ),
    Case(
        "notification does not read facts",
        "VeltrixNoticesUnplanned",
        {f'veltrix_facts_unplanned{{{NOTIFICATION}, partition="0"}}': flat(3_000)},
        "10m",
        [Fires(WARNING | ZERO, "3000 facts of partition 0 wait for notification.")],
    ),
    Case(
        "a third is refused",
        "VeltrixNoticesRefused",
        {attempts("refused"): rising(5)},
        "30m",
        [Fires(WARNING, "Of all attempts within 15 minutes, 33.33% were refused.")],
    ),
    Case(
        "one of the only two was refused",
        "VeltrixNoticesRefused",
        {
            attempts("refused"): "0x100 1x300",
            attempts("accepted"): "0x100 1x300",
        },
        "32m",
    ),
    Case(
        "three more were given up",
        "VeltrixDeadLetters",
        {f'veltrix_notices{{{NOTIFICATION}, status="dead"}}': from_then_on(5, 8)},
        "70m",
        [
            Fires(
                WARNING,
                "8 notices have used up their attempts; there were fewer an hour ago.",
            )
        ],
    ),
    Case(
        "an operator has them sent again",
        "VeltrixDeadLetters",
        {f'veltrix_notices{{{NOTIFICATION}, status="dead"}}': from_then_on(5, 1)},
        "70m",
    ),
    Case(
        "two answers were lost",
        "VeltrixNoticesUnknown",
        {attempts("unknown"): "0x200 2x300"},
        "60m",
        [Fires(WARNING, "Within 30 minutes, 2 attempts ended so.")],
    ),
    Case(
        "a webhook's answer was lost, and its endpoint asked for that to be decided by hand",
        "VeltrixNoticesHeld",
        {f"veltrix_notices_held{{{NOTIFICATION}}}": flat(3)},
        "20m",
        [Fires(WARNING, "3 notices are held.")],
    ),
    Case(
        "an endpoint has failed for a quarter of an hour",
        "VeltrixBreakerOpen",
        {f'veltrix_notice_targets{{{NOTIFICATION}, state="open"}}': flat(1)},
        "20m",
        [Fires(WARNING | {"state": "open"}, "1 of them are open.")],
    ),
    Case(
        "an endpoint was away for five minutes",
        "VeltrixBreakerOpen",
        {f'veltrix_notice_targets{{{NOTIFICATION}, state="open"}}': "0x200 1x20 0x200"},
        "54m",
    ),
]
