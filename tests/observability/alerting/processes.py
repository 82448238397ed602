"""Cases of processes."""

from __future__ import annotations

from tests.observability.alerting.cases import (
    CRITICAL,
    PROCESSES,
    WARNING,
    Case,
    Fires,
    flat,
    from_then_on,
    of,
    rising,
)

FIRST = {"service": "processing", "instance": "processing-1"}
JOBBED = {"job": "veltrix"} | FIRST
BOTH_DOWN = {f"up{{{of('processing', number)}}}": from_then_on(1, 0) for number in (1, 2)}

CASES = [
    Case(
        "both of a service are gone",
        "VeltrixServiceGone",
        BOTH_DOWN,
        "61m",
        [
            Fires(
                CRITICAL | {"service": "processing"},
                "Every process of processing is gone, or Prometheus cannot reach it.",
            )
        ],
    ),
    Case(
        "one of two is there",
        "VeltrixServiceGone",
        {f"up{{{of('processing')}}}": from_then_on(1, 0)},
        "70m",
    ),
    Case(
        "a process has been gone for a minute",
        "VeltrixProcessDown",
        {f"up{{{of('processing')}}}": from_then_on(1, 0)},
        "61m",
        [Fires(WARNING | JOBBED, "processing-1 (processing) has not answered for a minute.")],
    ),
    Case(
        "a process is restarted within a minute",
        "VeltrixProcessDown",
        {f"up{{{of('processing')}}}": "1x239 0x2 1x200"},
        "60m30s",
    ),
    Case(
        "a check does not hold",
        "VeltrixNotReady",
        {f'veltrix_ready{{{of("processing")}, check="ledger_answers"}}': from_then_on(1, 0)},
        "61m15s",
        [
            Fires(
                WARNING | JOBBED | {"check": "ledger_answers"},
                "processing-1 (processing) is not ready: ledger_answers is not so.",
            )
        ],
    ),
    Case(
        "three starts within a quarter of an hour",
        "VeltrixRestarts",
        {f"process_start_time_seconds{{{of('processing')}}}": "1000000x239 1003600x8 1003720x8 1003840x200"},
        "65m",
        [Fires(WARNING | JOBBED, "processing-1 (processing) started 3 times within 15 minutes.")],
    ),
    Case(
        "two starts within a quarter of an hour: an upgrade that was repeated",
        "VeltrixRestarts",
        {f"process_start_time_seconds{{{of('processing')}}}": "1000000x239 1003600x8 1003720x200"},
        "65m",
    ),
    Case(
        "two of a hundred come back after a second or more",
        "VeltrixEventLoopLag",
        {
            f'veltrix_event_loop_lag_seconds_bucket{{{of("processing")}, le="0.25"}}': rising(9.8),
            f'veltrix_event_loop_lag_seconds_bucket{{{of("processing")}, le="1.0"}}': rising(10),
            f'veltrix_event_loop_lag_seconds_bucket{{{of("processing")}, le="+Inf"}}': rising(10),
        },
        "20m",
        [
            Fires(
                WARNING | FIRST,
                "One moment in a hundred, processing-1 (processing) is held up for 625ms; whoever asks it "
                "waits as long.",
            )
        ],
    ),
    Case(
        "nine of ten files are open",
        "VeltrixOpenFiles",
        {f"process_open_fds{{{of('processing')}}}": flat(900)},
        "5m",
        [Fires(WARNING | JOBBED, "processing-1 (processing) has 90% of what it may have open.")],
    ),
    Case(
        "twenty errors in ten minutes",
        "VeltrixErrorsLogged",
        {f'veltrix_log_lines_total{{{of("processing")}, level="error"}}': "0x200 0+1x20 20x200"},
        "60m",
        [Fires(WARNING | FIRST, "processing-1 (processing) logged 20 errors within 15 minutes.")],
    ),
    Case(
        "a single error",
        "VeltrixErrorsLogged",
        {f'veltrix_log_lines_total{{{of("processing")}, level="error"}}': "0x200 1x200"},
        "55m",
    ),
    Case(
        "one process was left behind by an upgrade",
        "VeltrixVersionsDiffer",
        {f'veltrix_build_info{{{of("processing", 3)}, version="0.9.0", python="3.13"}}': flat(1)},
        "65m",
        [Fires(WARNING, "2 versions have been running for an hour.")],
    ),
    Case(
        "an upgrade takes half an hour",
        "VeltrixVersionsDiffer",
        {f'veltrix_build_info{{{of("processing", 3)}, version="0.9.0", python="3.13"}}': "1x120 _x300"},
        "65m",
    ),
    Case(
        "one process does not hear of new settings",
        "VeltrixSettingsDiffer",
        {
            f'veltrix_settings_version{{job="veltrix", service="{service}", instance="{instance}"}}': flat(3)
            if instance == "ticker-2"
            else from_then_on(3, 5)
            for service, instance in PROCESSES
        },
        "62m",
        [Fires(WARNING, "Processes are up to 2 versions of the settings apart.")],
    ),
]
