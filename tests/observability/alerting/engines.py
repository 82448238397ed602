"""Cases of engines, disks and certificates."""

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
from tests.observability.alerting.serving import process

PROCESSING = of("processing")
DAY_S = 86_400


def engine(name: str, gone: set[str] | None = None) -> dict[str, str]:
    """An engine that from the middle on answers nobody, or not those who are named."""
    return {
        f'veltrix_engine_up{{job="veltrix", service="{service}", instance="{instance}", engine="{name}"}}': (
            from_then_on(1, 0) if gone is None or instance in gone else flat(1)
        )
        for service, instance in PROCESSES
    }


def lost(alert: str, name: str, called: str) -> list[Case]:
    """It answers nobody; it does not answer one of eight."""
    return [
        Case(
            "it answers nobody",
            alert,
            engine(name),
            "61m",
            [Fires(CRITICAL, f"No process gets an answer from {called}.")],
        ),
        Case("one process does not reach it", alert, engine(name, {"processing-1"}), "70m"),
    ]


CASES = [
    *lost("VeltrixKafkaLost", "log", "Kafka"),
    *lost("VeltrixPostgresLost", "ledger", "PostgreSQL"),
    *lost("VeltrixEtcdLost", "etcd", "etcd"),
    Case(
        "one process does not reach what others do",
        "VeltrixEngineUnreachable",
        engine("ledger", {"processing-1"}),
        "62m",
        [
            Fires(
                WARNING | process("processing") | {"engine": "ledger"},
                "processing-1 (processing) gets no answer from ledger.",
            )
        ],
    ),
    Case(
        "when nobody reaches it, that is said by another alert",
        "VeltrixEngineUnreachable",
        engine("ledger"),
        "70m",
    ),
    Case(
        "nobody is connected to one of three",
        "VeltrixBrokerDown",
        {
            f'veltrix_kafka_broker_up{{job="veltrix", service="{service}", instance="{instance}", '
            'client="log", broker="kafka-2"}': from_then_on(1, 0)
            for service, instance in PROCESSES
        },
        "62m",
        [Fires(WARNING | {"broker": "kafka-2"}, "Nobody is connected to the broker kafka-2.")],
    ),
    Case(
        "one process is not connected",
        "VeltrixBrokerDown",
        {f'veltrix_kafka_broker_up{{{PROCESSING}, client="log", broker="kafka-2"}}': from_then_on(1, 0)},
        "70m",
    ),
    Case(
        "three changes within the hour",
        "VeltrixFailovers",
        {f'veltrix_postgres_failovers_total{{{PROCESSING}, database="ledger"}}': "1x240 2x20 3x20 4x200"},
        "80m",
        [
            Fires(
                WARNING | {"database": "ledger"},
                "The primary of the ledger changed 3 times within the hour.",
            )
        ],
    ),
    Case(
        "one failover is what a cluster is for",
        "VeltrixFailovers",
        {f'veltrix_postgres_failovers_total{{{PROCESSING}, database="ledger"}}': "1x240 2x240"},
        "80m",
    ),
    Case(
        "calls wait all the time",
        "VeltrixPoolExhausted",
        {f'veltrix_postgres_pool_waiting{{{PROCESSING}, database="ledger"}}': flat(7)},
        "5m",
        [
            Fires(
                WARNING | process("processing") | {"database": "ledger"},
                "7 calls of processing-1 wait for the ledger.",
            )
        ],
    ),
    Case(
        "calls wait now and then",
        "VeltrixPoolExhausted",
        {f'veltrix_postgres_pool_waiting{{{PROCESSING}, database="ledger"}}': " ".join(["7 7 0"] * 100)},
        "20m",
    ),
    Case(
        "one a second is refused",
        "VeltrixConnectsFail",
        {f'veltrix_postgres_connects_failed_total{{{PROCESSING}, why="refused"}}': rising(1)},
        "10m",
        [
            Fires(
                WARNING | {"instance": "processing-1", "why": "refused"},
                "processing-1 fails 1.0 times a second: refused.",
            )
        ],
    ),
    Case(
        "half a gibibyte is left",
        "VeltrixDiskFull",
        {f'veltrix_storage_free_bytes{{{PROCESSING}, directory="data"}}': flat(2**29)},
        "5m",
        [
            Fires(
                CRITICAL | process("processing") | {"directory": "data"},
                "512MiB are left for data of processing-1.",
            )
        ],
    ),
    Case(
        "a gibibyte goes each hour, and twenty are left",
        "VeltrixDiskFills",
        {f'veltrix_storage_free_bytes{{{PROCESSING}, directory="data"}}': f"{20 * 2**30}-{2**30 // 240}x480"},
        "100m",
        [
            Fires(
                WARNING | process("processing") | {"directory": "data"},
                "What holds data of processing-1 fills up.",
            )
        ],
    ),
    Case(
        "the same on a disk with room for four days",
        "VeltrixDiskFills",
        {
            f'veltrix_storage_free_bytes{{{PROCESSING}, directory="data"}}': (
                f"{100 * 2**30}-{2**30 // 240}x480"
            )
        },
        "100m",
    ),
    Case(
        "two days are left: both severities",
        "VeltrixCertificateExpires",
        {
            f'veltrix_certificate_not_after_timestamp_seconds{{{PROCESSING}, setting="http.tls"}}': flat(
                2 * DAY_S + 600
            )
        },
        "10m",
        [
            Fires(
                severity | process("processing") | {"setting": "http.tls"},
                "The certificate in http.tls of processing-1 ends in 2d 0h 0m 0s.",
            )
            for severity in (WARNING, CRITICAL)
        ],
    ),
    Case(
        "two weeks are left: a ticket",
        "VeltrixCertificateExpires",
        {
            f'veltrix_certificate_not_after_timestamp_seconds{{{PROCESSING}, setting="http.tls"}}': flat(
                14 * DAY_S + 600
            )
        },
        "10m",
        [
            Fires(
                WARNING | process("processing") | {"setting": "http.tls"},
                "The certificate in http.tls of processing-1 ends in 14d 0h 0m 0s.",
            )
        ],
    ),
]
