"""The catalogue's other half: what the clients of the engines tell, and what every process does."""

from __future__ import annotations

from typing import Final

from veltrix.observability.kinds import FINE_S, Metric, Type, counter, gauge, histogram

POSTGRES: Final = "PostgreSQL"
KAFKA: Final = "Kafka"
COORDINATE: Final = "Owning partitions"
CLUSTER: Final = "Engines"
STORAGE: Final = "Files"
PROCESS: Final = "The process"

EMBEDDED_GROUPS: Final = frozenset({STORAGE, PROCESS})
CLUSTER_GROUPS: Final = frozenset({POSTGRES, KAFKA, CLUSTER, PROCESS})

DATABASES: Final = ("ledger", "vault")
LEVELS: Final = ("debug", "info", "warning", "error")

CONNECT_SECONDS = histogram(
    "postgres_connect_seconds",
    POSTGRES,
    "How long a connection to PostgreSQL took, until it was found to lead to the primary.",
)
CONNECTS_FAILED = counter(
    "postgres_connects_failed",
    POSTGRES,
    "Connections to PostgreSQL that could not be made.",
    ("why",),
    ("timed_out", "refused"),
)
CONNECTIONS = gauge(
    "postgres_connections", POSTGRES, "Open connections of the pool, in use or idle.", ("database", "state")
)
POOL_WAITING = gauge(
    "postgres_pool_waiting",
    POSTGRES,
    "Calls that wait for a connection of the pool.",
    ("database",),
    DATABASES,
)
POOL_WAIT_SECONDS = histogram(
    "postgres_pool_wait_seconds", POSTGRES, "How long calls waited for a place in the pool.", buckets=FINE_S
)
CALL_SECONDS = histogram(
    "postgres_call_seconds",
    POSTGRES,
    "How long a call took on its connection: one that reads, or one that commits.",
    ("kind",),
    buckets=FINE_S,
    known=("read", "write"),
)
CALLS_FAILED = counter(
    "postgres_calls_failed",
    POSTGRES,
    "Calls that failed: the server could not be used, or nobody knows whether it committed.",
    ("why",),
    ("unavailable", "unknown"),
)
FAILOVERS = counter(
    "postgres_failovers",
    POSTGRES,
    "Times that another server was found to be the primary.",
    ("database",),
    DATABASES,
)

QUEUE_MESSAGES = gauge(
    "kafka_client_queue_messages", KAFKA, "Records that wait in a client of librdkafka's.", ("client",)
)
QUEUE_BYTES = gauge(
    "kafka_client_queue_bytes",
    KAFKA,
    "Bytes that wait in a client of librdkafka's.",
    ("client",),
    unit="bytes",
)
SENT_MESSAGES = counter("kafka_client_sent_messages", KAFKA, "Records sent to brokers.", ("client",))
SENT_BYTES = counter("kafka_client_sent_bytes", KAFKA, "Bytes sent to brokers.", ("client",), unit="bytes")
RECEIVED_MESSAGES = counter(
    "kafka_client_received_messages", KAFKA, "Records fetched from brokers.", ("client",)
)
RECEIVED_BYTES = counter(
    "kafka_client_received_bytes", KAFKA, "Bytes received from brokers.", ("client",), unit="bytes"
)
BROKER_RTT = gauge(
    "kafka_broker_rtt_seconds",
    KAFKA,
    "Median round trip of requests to a broker, over some seconds; who reads waits for records in it.",
    ("client", "broker"),
    unit="seconds",
)
BROKER_RTT_MAX = gauge(
    "kafka_broker_rtt_max_seconds",
    KAFKA,
    "Longest round trip of requests to a broker, over some seconds.",
    ("client", "broker"),
    unit="seconds",
)
BROKER_UP = gauge(
    "kafka_broker_up", KAFKA, "1 while a client is connected to a broker.", ("client", "broker")
)
BROKER_ERRORS = counter(
    "kafka_broker_errors", KAFKA, "Transmissions to or from a broker that failed.", ("client", "broker")
)
BROKER_TIMEOUTS = counter(
    "kafka_broker_timeouts", KAFKA, "Requests that a broker did not answer in time.", ("client", "broker")
)
BROKER_RETRIES = counter(
    "kafka_broker_retries", KAFKA, "Requests that were sent again.", ("client", "broker")
)

LEASE_MARGIN = gauge(
    "lease_margin_seconds",
    COORDINATE,
    "Time until the lease in etcd may end, by its last renewal; below 0 others may own what is owned here.",
    unit="seconds",
)
LEASES_LOST = counter(
    "leases_lost", COORDINATE, "Leases that etcd said had ended: all that was owned was lost."
)

ENGINE_UP = gauge(
    "engine_up", CLUSTER, "1 while an engine answers this process, asked every two seconds.", ("engine",)
)
CERTIFICATE = gauge(
    "certificate_not_after_timestamp_seconds",
    CLUSTER,
    "When the first certificate of a file ends, since the epoch; by the setting that names the file.",
    ("setting",),
    unit="seconds",
)
SETTINGS_VERSION = gauge(
    "settings_version", CLUSTER, "Version of the cluster settings that this process has taken over."
)

STORAGE_FREE = gauge(
    "storage_free_bytes", STORAGE, "Room left where a directory of Veltrix is.", ("directory",), unit="bytes"
)
STORAGE_USED = gauge(
    "storage_used_bytes", STORAGE, "Size of each database file with its side files.", ("file",), unit="bytes"
)

LOOP_LAG = histogram(
    "event_loop_lag_seconds",
    PROCESS,
    "How much later than asked the event loop came back, sampled.",
    buckets=FINE_S,
)
READY = gauge(
    "ready",
    PROCESS,
    "1 where a check of /readyz holds. The process is ready while all do.",
    ("check",),
)
BOUND_USED = gauge(
    "bound_used",
    PROCESS,
    "How much of a bounded thing is in use; what is bounded is refused beyond.",
    ("bound",),
)
BOUND_MAX = gauge("bound_max", PROCESS, "How much of a bounded thing there may be.", ("bound",))
LOG_LINES = counter("log_lines", PROCESS, "Lines written to the log, by level.", ("level",), LEVELS)
SPANS = counter(
    "spans",
    PROCESS,
    "Spans of traces: recorded, or dropped because too many waited to be exported.",
    ("outcome",),
    ("recorded", "dropped"),
)
BUILD = gauge("build_info", PROCESS, "Always 1; its labels say what runs.", ("version", "python", "service"))


def _process(name: str, metric_type: Type, unit: str, meaning: str) -> Metric:
    return Metric(f"process_{name}", metric_type, unit, PROCESS, meaning, linux_only=True)


METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
# What prometheus_client's ProcessCollector reads.
PROCESS_METRICS: Final = (
    _process("virtual_memory_bytes", Type.GAUGE, "bytes", "Virtual memory."),
    _process("resident_memory_bytes", Type.GAUGE, "bytes", "Resident memory."),
    _process("start_time_seconds", Type.GAUGE, "seconds", "When the process started, since the epoch."),
    _process("cpu_seconds", Type.COUNTER, "seconds", "CPU time used, in user and system mode."),
    _process("open_fds", Type.GAUGE, "", "Open file descriptors; a connection is one."),
    _process("max_fds", Type.GAUGE, "", "How many may be open."),
)
