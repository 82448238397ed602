"""Every metric there is: name, type, labels and meaning. docs/metrics.md is printed from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from veltrix.domain.commands import KINDS
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.ports.channel import Sent
from veltrix.ports.notices import NoticeStatus


class Type(StrEnum):
    """What can be read from a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A counter's name stands without the `_total` that the exposition adds.

    `known` are values of a single label that show as 0 from the start, so that a rate or an alert sees
    the first occurrence. `linux_only` ones are read from /proc.
    """

    name: str
    type: Type
    unit: str
    group: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    known: tuple[str, ...] = ()
    linux_only: bool = False

    @property
    def exposed(self) -> str:
        """The name that a query uses."""
        return f"{self.name}_total" if self.type is Type.COUNTER else self.name


def decades(first: float, last: float, steps: tuple[float, ...]) -> tuple[float, ...]:
    """Bucket bounds: each step times every power of ten from `first` up to `last`."""
    bounds: list[float] = []
    power = first
    while power < last * 0.999:
        bounds += [float(f"{power * step:.6g}") for step in steps]
        power *= 10
    return (*(bound for bound in bounds if bound < last), last)


COARSE_S: Final = decades(0.0001, 10.0, (1.0, 2.5, 5.0))
# Ten a decade: percentiles of the one number that the platform is judged by stay within a tenth of the truth.
FINE_S: Final = decades(0.0001, 10.0, (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0))
SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)


def counter(
    name: str,
    group: str,
    meaning: str,
    labels: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
    unit: str = "",
) -> Metric:
    """A number that only rises while the process lives."""
    return Metric(f"veltrix_{name}", Type.COUNTER, unit, group, meaning, labels, known=known)


def gauge(
    name: str,
    group: str,
    meaning: str,
    labels: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
    unit: str = "",
) -> Metric:
    """A number as of now."""
    return Metric(f"veltrix_{name}", Type.GAUGE, unit, group, meaning, labels, known=known)


def histogram(
    name: str,
    group: str,
    meaning: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = COARSE_S,
    known: tuple[str, ...] = (),
    unit: str = "seconds",
) -> Metric:
    """How values are spread."""
    return Metric(f"veltrix_{name}", Type.HISTOGRAM, unit, group, meaning, labels, buckets, known)


HTTP: Final = "HTTP"
ACCEPT: Final = "Accepting commands"
WAIT: Final = "Waiting for decisions"
DECIDE: Final = "Deciding"
PUBLISH: Final = "Publishing facts"
NOTIFY: Final = "Telling people"
PROCESS: Final = "The process"

KIND_NAMES: Final = tuple(KINDS)
REASONS: Final = tuple(refusal.value for refusal in Refusal)
OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
WAIT_OUTCOMES: Final = ("decided", "timed_out", "read_back")

REQUESTS = counter(
    "http_requests",
    HTTP,
    "Requests answered, by the path's template and the status code's class.",
    ("route", "method", "status"),
)
REQUEST_SECONDS = histogram(
    "http_request_seconds",
    HTTP,
    "From a request's first byte to its answer; waiting for a decision included, streams not.",
    ("route", "method"),
)
HELD_REQUESTS = gauge("http_held_requests", HTTP, "Requests held open until their decision comes.")
STREAM_CLIENTS = gauge("http_stream_clients", HTTP, "Clients that listen to server-sent events.")
TURNED_AWAY = counter(
    "http_turned_away",
    HTTP,
    "Requests refused at the edge for size, rate or load, by the problem's code.",
    ("reason",),
)
ACCEPTED = counter(
    "commands_accepted", ACCEPT, "Commands that became durable in the log.", ("kind",), KIND_NAMES
)
APPEND_SECONDS = histogram(
    "log_append_seconds", ACCEPT, "From handing a command to the log until it is durable."
)
KEYS_RESERVED = gauge(
    "keys_reserved",
    ACCEPT,
    "Keys for boxes in reserve: intake goes on without the vault until they are used.",
)
UNDECIDED_ESTIMATE = gauge(
    "undecided_estimate", ACCEPT, "Undecided commands as registration estimates them to bound the line."
)
WAIT_SECONDS = histogram(
    "decision_wait_seconds",
    WAIT,
    "How long requests were held open, by how that ended.",
    ("outcome",),
    known=WAIT_OUTCOMES,
)
UNDECIDED = gauge(
    "undecided_commands", DECIDE, "Commands in the log that are not decided yet.", ("partition",)
)
NEXT_OFFSET = gauge("next_offset", DECIDE, "The offset that is decided next.", ("partition",))
BATCH_COMMANDS = histogram(
    "batch_commands", DECIDE, "Commands decided in one transaction.", buckets=SIZES, unit="commands"
)
LOAD_SECONDS = histogram("batch_load_seconds", DECIDE, "Loading from the ledger what a batch touches.")
DECIDE_SECONDS = histogram("batch_decide_seconds", DECIDE, "Deciding a batch in memory.")
COMMIT_SECONDS = histogram("batch_commit_seconds", DECIDE, "Committing a batch to the ledger.")
DECISIONS = counter("decisions", DECIDE, "Decisions committed, by outcome.", ("outcome",), OUTCOMES)
REFUSALS = counter("refusals", DECIDE, "Commands refused by decision, by reason.", ("reason",), REASONS)
FENCED = counter("fenced", DECIDE, "Writes refused because a newer term exists: another process took over.")
TERMS_HELD = gauge("terms_held", DECIDE, "Partitions that this process owns.")
TICKED = counter("due_commands", DECIDE, "Commands that the ticker appended because their time had come.")
DECISION_SECONDS = histogram(
    "decision_seconds",
    PUBLISH,
    "From a command's append until its decision is committed and its facts are published.",
    buckets=FINE_S,
)
PUBLISH_SECONDS = histogram("publish_seconds", PUBLISH, "Publishing the facts of what was just committed.")
PUBLISHED = counter("facts_published", PUBLISH, "Facts published after their commit.")
ERASED = counter("people_erased", PUBLISH, "Erasures whose keys were destroyed.")
NOTICES_PLANNED = counter("notices_planned", NOTIFY, "Notices recorded, by the kind of fact.", ("kind",))
ATTEMPTS = counter(
    "notice_attempts",
    NOTIFY,
    "Attempts to deliver, by what became of them.",
    ("outcome",),
    tuple(sent.value for sent in Sent),
)
ATTEMPT_SECONDS = histogram("notice_attempt_seconds", NOTIFY, "How long an attempt to deliver took.")
NOTICE_SECONDS = histogram(
    "notice_delivery_seconds", NOTIFY, "From the decision until a channel accepted the notice of it."
)
NOTICES = gauge(
    "notices",
    NOTIFY,
    "Notices in each status.",
    ("status",),
    tuple(status.value for status in NoticeStatus),
)
OLDEST_PENDING = gauge(
    "notice_oldest_pending_seconds",
    NOTIFY,
    "Age of the oldest notice that still has to go out.",
    unit="seconds",
)
LOOP_LAG = histogram(
    "event_loop_lag_seconds", PROCESS, "How much later than asked the event loop came back, sampled."
)
CONNECT_SECONDS = histogram(
    "postgres_connect_seconds",
    PROCESS,
    "How long a connection to PostgreSQL took, until it was found to lead to the primary.",
)
CONNECTS_FAILED = counter(
    "postgres_connects_failed",
    PROCESS,
    "Connections to PostgreSQL that could not be made.",
    ("why",),
    ("timed_out", "refused"),
)
BUILD = gauge("build_info", PROCESS, "Always 1; its labels say what runs.", ("version", "python"))


def _process(name: str, metric_type: Type, unit: str, meaning: str) -> Metric:
    return Metric(f"process_{name}", metric_type, unit, PROCESS, meaning, linux_only=True)


# What prometheus_client's ProcessCollector reads.
PROCESS_METRICS: Final = (
    _process("virtual_memory_bytes", Type.GAUGE, "bytes", "Virtual memory."),
    _process("resident_memory_bytes", Type.GAUGE, "bytes", "Resident memory."),
    _process("start_time_seconds", Type.GAUGE, "seconds", "When the process started, since the epoch."),
    _process("cpu_seconds", Type.COUNTER, "seconds", "CPU time used, in user and system mode."),
    _process("open_fds", Type.GAUGE, "", "Open file descriptors; a connection is one."),
    _process("max_fds", Type.GAUGE, "", "How many may be open."),
)

OWN_METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
CATALOGUE: Final = OWN_METRICS + PROCESS_METRICS
