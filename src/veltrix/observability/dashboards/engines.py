"""What Veltrix stands on, as its processes see it: Kafka, PostgreSQL, etcd, disks and certificates."""

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


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{_MINE}}}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str = "le") -> str:
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{{{_MINE}}}[$__rate_interval])))"


_CLUSTERED: Final = "an embedded platform has no engines"

_ANSWER: Final = Row(
    "Do they answer?",
    [
        Panel(
            "Share of processes that an engine answers",
            "100 %",
            Unit.SHARE,
            [Query("avg by (engine) (veltrix_engine_up)", "{{engine}}")],
            "VeltrixEngineUnreachable",
            Kind.STAT,
            good_above(0.5, 1),
            empty=_CLUSTERED,
            width=12,
        ),
        Panel(
            "First certificate ends in",
            "more than three weeks",
            Unit.SECONDS,
            [
                Query(
                    "min by (setting) (veltrix_certificate_not_after_timestamp_seconds) - time()",
                    "{{setting}}",
                )
            ],
            "VeltrixCertificateExpires",
            Kind.STAT,
            good_above(3 * 86_400, 21 * 86_400),
            empty="no certificate is configured",
            width=6,
        ),
        Panel(
            "Room left on disks",
            "above 50 GiB",
            Unit.BYTES,
            [
                Query(
                    "min by (instance, directory) (veltrix_storage_free_bytes)", "{{instance}} {{directory}}"
                )
            ],
            "VeltrixDiskFull",
            Kind.STAT,
            good_above(2**30, 50 * 2**30),
            empty="only an embedded platform has files; engines' disks are watched by node_exporter",
            width=6,
        ),
    ],
)
_KAFKA: Final = Row(
    "Kafka",
    [
        Panel(
            "Brokers connected",
            "all of them",
            Unit.NUMBER,
            [Query(f"max by (broker) (veltrix_kafka_broker_up{{{_MINE}}})", "{{broker}}")],
            "VeltrixBrokerDown",
            empty=_CLUSTERED,
        ),
        Panel(
            "Longest round trip to brokers",
            "below 100 ms",
            Unit.SECONDS,
            [Query(f"max by (broker) (veltrix_kafka_broker_rtt_max_seconds{{{_MINE}}})", "{{broker}}")],
            "VeltrixAppendsSlow",
            levels=good_below(0.1, 1),
            empty=_CLUSTERED,
        ),
        Panel(
            "Errors, time-outs, retries",
            "0",
            Unit.PER_SECOND,
            [
                Query(_rate("veltrix_kafka_broker_errors_total", "broker"), "errors {{broker}}"),
                Query(_rate("veltrix_kafka_broker_timeouts_total", "broker"), "time-outs {{broker}}"),
                Query(_rate("veltrix_kafka_broker_retries_total", "broker"), "retries {{broker}}"),
            ],
            "VeltrixKafkaLost",
            empty=_CLUSTERED,
        ),
        Panel(
            "Records that wait in clients",
            "below a thousand",
            Unit.NUMBER,
            [
                Query(
                    f"sum by (instance, client) (veltrix_kafka_client_queue_messages{{{_MINE}}})",
                    "{{instance}} {{client}}",
                )
            ],
            "VeltrixAppendsSlow",
            levels=good_below(1_000, 50_000),
            empty=_CLUSTERED,
        ),
        Panel(
            "Bytes to and from brokers",
            "in step with the load",
            Unit.BYTES_PER_SECOND,
            [
                Query(_rate("veltrix_kafka_client_sent_bytes_total", "client"), "sent {{client}}"),
                Query(_rate("veltrix_kafka_client_received_bytes_total", "client"), "received {{client}}"),
            ],
            "VeltrixKafkaLost",
            empty=_CLUSTERED,
            width=16,
        ),
    ],
)
_POSTGRES: Final = Row(
    "PostgreSQL",
    [
        Panel(
            "Calls, 99 of 100",
            "below 50 ms",
            Unit.SECONDS,
            [Query(_quantile(0.99, "veltrix_postgres_call_seconds", "kind, le"), "{{kind}}")],
            "VeltrixPostgresLost",
            levels=good_below(0.05, 0.5),
            empty=_CLUSTERED,
        ),
        Panel(
            "Connections of the pools",
            "some idle",
            Unit.NUMBER,
            [
                Query(
                    f"sum by (database, state) (veltrix_postgres_connections{{{_MINE}}})",
                    "{{database}} {{state}}",
                )
            ],
            "VeltrixPoolExhausted",
            empty=_CLUSTERED,
            stacked=True,
        ),
        Panel(
            "Calls that wait for a connection",
            "0",
            Unit.NUMBER,
            [
                Query(
                    f"sum by (instance, database) (veltrix_postgres_pool_waiting{{{_MINE}}})",
                    "{{instance}} {{database}}",
                )
            ],
            "VeltrixPoolExhausted",
            empty=_CLUSTERED,
        ),
        Panel(
            "Calls and connections that failed",
            "0",
            Unit.PER_SECOND,
            [
                Query(_rate("veltrix_postgres_calls_failed_total", "why"), "calls {{why}}"),
                Query(_rate("veltrix_postgres_connects_failed_total", "why"), "connections {{why}}"),
            ],
            "VeltrixConnectsFail",
            empty=_CLUSTERED,
        ),
        Panel(
            "Waiting for a place in the pool, 99 of 100",
            "below 10 ms",
            Unit.SECONDS,
            [Query(_quantile(0.99, "veltrix_postgres_pool_wait_seconds"))],
            "VeltrixPoolExhausted",
            levels=good_below(0.01, 0.1),
            empty=_CLUSTERED,
        ),
        Panel(
            "Changes of the primary in the last hour",
            "0",
            Unit.NUMBER,
            [
                Query(
                    f"max by (database) (increase(veltrix_postgres_failovers_total{{{_MINE}}}[1h]))",
                    "{{database}}",
                )
            ],
            "VeltrixFailovers",
            empty=_CLUSTERED,
            levels=good_below(1, 2),
        ),
    ],
)
_ETCD: Final = Row(
    "etcd",
    [
        Panel(
            "Time until a lease may end",
            "above a second",
            Unit.SECONDS,
            [Query(f'veltrix_lease_margin_seconds{{{_MINE}, service!="notification"}}', "{{instance}}")],
            "VeltrixLeaseUnsure",
            levels=good_above(0, 1),
            description="Notification holds no lease.",
            empty=_CLUSTERED,
        ),
        Panel(
            "Leases lost in the last hour",
            "0",
            Unit.NUMBER,
            [
                Query(
                    f"sum by (instance) (increase(veltrix_leases_lost_total{{{_MINE}}}[1h]))", "{{instance}}"
                )
            ],
            "VeltrixLeaseUnsure",
            empty=_CLUSTERED,
        ),
        Panel(
            "Version of the cluster's settings",
            "the same in every process",
            Unit.TIMES,
            [Query(f"veltrix_settings_version{{{_MINE}}}", "{{instance}}")],
            "VeltrixSettingsDiffer",
            empty=_CLUSTERED,
        ),
    ],
)

ENGINES: Final = Board(
    "veltrix-engines",
    "Veltrix: Kafka, PostgreSQL, etcd",
    "What Veltrix stands on, as its processes see it.",
    [_ANSWER, _KAFKA, _POSTGRES, _ETCD],
    [INSTANCE],
)
