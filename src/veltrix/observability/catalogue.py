"""Every metric there is: name, type, labels and meaning. docs/metrics.md is printed from here.

What the services tell stands here, what the engines' clients and the process tell in `engines`.
"""

from __future__ import annotations

from typing import Final

from veltrix.domain.commands import KINDS
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.domain.targets import TargetState
from veltrix.observability import engines
from veltrix.observability.kinds import (
    FINE_S,
    MINUTES_S,
    SIZES,
    Metric,
    Type,
    counter,
    gauge,
    histogram,
)
from veltrix.ports.notices import NoticeStatus

__all__ = ["CATALOGUE", "FINE_S", "MINUTES_S", "OWN_METRICS", "Metric", "Type"]

HTTP: Final = "HTTP"
ACCEPT: Final = "Accepting commands"
WAIT: Final = "Waiting for decisions"
DECIDE: Final = "Deciding"
PUBLISH: Final = "Publishing facts"
TICK: Final = "Due work"
NOTIFY: Final = "Telling people"
CHECK: Final = "Checking what must hold"
HOT: Final = "Hot events"

# The groups that a process of each kind shows; what it cannot tell would stand there as 0 for ever.
GROUPS_OF: Final[dict[str, frozenset[str]]] = {
    "registration": frozenset({HTTP, ACCEPT, WAIT, HOT, engines.COORDINATE}),
    "processing": frozenset({DECIDE, PUBLISH, HOT, engines.COORDINATE}),
    "ticker": frozenset({TICK, engines.COORDINATE}),
    "notification": frozenset({NOTIFY, CHECK}),
}

KIND_NAMES: Final = tuple(KINDS)
REASONS: Final = tuple(refusal.value for refusal in Refusal)
OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
WAIT_OUTCOMES: Final = ("decided", "timed_out", "read_back")
NOT_APPENDED: Final = ("unavailable", "unknown", "rejected")
NOT_COMMITTED: Final = ("unavailable", "unknown", "rejected", "raised")
HOT_RANKS: Final = tuple(str(rank) for rank in range(1, 11))
INVARIANTS: Final = (
    "pools_balance",
    "pools_within_capacity",
    "facts_without_gap",
    "decisions_without_gap",
    "decisions_have_notices",
    "terms_grow",
)

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
    buckets=FINE_S,
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
    "log_append_seconds", ACCEPT, "From handing a command to the log until it is durable.", buckets=FINE_S
)
APPENDS_FAILED = counter(
    "log_appends_failed",
    ACCEPT,
    "Commands that were not appended, or of which nobody knows; their clients got 503.",
    ("why",),
    NOT_APPENDED,
)
KEYS_RESERVED = gauge(
    "keys_reserved",
    ACCEPT,
    "Keys for boxes in reserve: intake goes on without the vault until they are used.",
)
UNDECIDED_ESTIMATE = gauge(
    "undecided_estimate",
    ACCEPT,
    "Undecided commands as registration estimates them to bound the line; also while nobody decides.",
    ("partition",),
)
OLDEST_ESTIMATE = gauge(
    "oldest_undecided_estimate_seconds",
    ACCEPT,
    "How long the oldest undecided command of this registration process has waited, to half a second.",
    ("partition",),
    unit="seconds",
)
WAIT_SECONDS = histogram(
    "decision_wait_seconds",
    WAIT,
    "How long requests were held open, by how that ended.",
    ("outcome",),
    buckets=FINE_S,
    known=WAIT_OUTCOMES,
)
UNDECIDED = gauge(
    "undecided_commands",
    DECIDE,
    "Commands in the log that are not decided yet; by the partition's owner, each second.",
    ("partition",),
)
OLDEST_UNDECIDED = gauge(
    "oldest_undecided_seconds",
    DECIDE,
    "How long the oldest command has waited that is not decided yet; by the partition's owner, each second.",
    ("partition",),
    unit="seconds",
)
NEXT_OFFSET = gauge("next_offset", DECIDE, "The offset that is decided next.", ("partition",))
BATCH_COMMANDS = histogram(
    "batch_commands", DECIDE, "Commands decided in one transaction.", buckets=SIZES, unit="commands"
)
LOAD_SECONDS = histogram(
    "batch_load_seconds", DECIDE, "Loading from the ledger what a batch touches.", buckets=FINE_S
)
DECIDE_SECONDS = histogram("batch_decide_seconds", DECIDE, "Deciding a batch in memory.", buckets=FINE_S)
COMMIT_SECONDS = histogram(
    "batch_commit_seconds", DECIDE, "Committing a batch to the ledger.", buckets=FINE_S
)
DECISIONS = counter("decisions", DECIDE, "Decisions committed, by outcome.", ("outcome",), OUTCOMES)
REFUSALS = counter("refusals", DECIDE, "Commands refused by decision, by reason.", ("reason",), REASONS)
COMMITS_FAILED = counter(
    "commits_failed",
    DECIDE,
    "Batches that were not committed as they stood, or of which nobody knows; they are decided again.",
    ("why",),
    NOT_COMMITTED,
)
FENCED = counter("fenced", DECIDE, "Writes refused because a newer term exists: another process took over.")
TERMS_HELD = gauge("terms_held", DECIDE, "Partitions that this process owns.")
TAKE_OVERS = counter(
    "partition_take_overs", DECIDE, "Partitions taken over: each is a change of owner, or a new term."
)
TAKE_OVER_SECONDS = histogram(
    "partition_take_over_seconds",
    DECIDE,
    "From a partition's grant until it is decided here.",
    buckets=FINE_S,
)
PARTITIONS_FAILED = gauge(
    "partitions_failed", DECIDE, "Partitions that an operator must repair before they are decided again."
)
TICKED = counter("due_commands", TICK, "Commands that the ticker appended because their time had come.")
TICKS = counter("ticks", TICK, "Rounds in which the ticker looked for due work.")
DECISION_SECONDS = histogram(
    "decision_seconds",
    PUBLISH,
    "From a command's append until its decision is committed and its facts are published.",
    buckets=FINE_S,
)
PUBLISH_SECONDS = histogram(
    "publish_seconds", PUBLISH, "Publishing the facts of what was just committed.", buckets=FINE_S
)
PUBLISHED = counter("facts_published", PUBLISH, "Facts published after their commit.")
PUBLISH_FAILED = counter(
    "publish_failed", PUBLISH, "Times that facts could not be published, or not be marked; tried again."
)
UNPUBLISHED = gauge(
    "facts_unpublished", PUBLISH, "Facts that are committed and not published yet.", ("partition",)
)
ERASED = counter("people_erased", PUBLISH, "Erasures whose keys were destroyed.")
NOTICES_PLANNED = counter("notices_planned", NOTIFY, "Notices recorded, by the kind of fact.", ("kind",))
ATTEMPTS = counter(
    "notice_attempts",
    NOTIFY,
    "Attempts to deliver, by channel and by what became of them.",
    ("channel", "outcome"),
)
ATTEMPT_SECONDS = histogram(
    "notice_attempt_seconds", NOTIFY, "How long an attempt to deliver took.", buckets=MINUTES_S
)
NOTICE_SECONDS = histogram(
    "notice_delivery_seconds",
    NOTIFY,
    "From the decision until a channel accepted the notice of it.",
    buckets=MINUTES_S,
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
WAITING = gauge("notices_waiting", NOTIFY, "Notices that wait to be sent, by channel.", ("channel",))
HELD = gauge("notices_held", NOTIFY, "Notices that wait for an operator: they may have arrived.")
TARGETS = gauge(
    "notice_targets",
    NOTIFY,
    "Endpoints and relays that ever failed, by the state of their breaker.",
    ("state",),
    tuple(state.value for state in TargetState),
)
CHECKS = counter(
    "invariant_checks", CHECK, "Samples in which an invariant was looked at.", ("invariant",), INVARIANTS
)
VIOLATIONS = counter(
    "invariant_violations",
    CHECK,
    "Samples in which an invariant did not hold: one is one too many.",
    ("invariant",),
    INVARIANTS,
)
CHECK_SECONDS = histogram("invariant_check_seconds", CHECK, "How long a round of checks took.")
CHECKER_ACTIVE = gauge("checker_active", CHECK, "1 where the checker runs: in one process of a deployment.")
UNPLANNED = gauge(
    "facts_unplanned",
    CHECK,
    "Published facts whose notices are not recorded yet, as the checker sees it.",
    ("partition",),
)

HOT_RATE = gauge(
    "hot_event_commands_per_second",
    HOT,
    "Commands a second of the busiest events in the last minute, by rank; /hot-events names them.",
    ("rank",),
    HOT_RANKS,
)
OWN_METRICS: Final = (
    *(value for value in list(globals().values()) if isinstance(value, Metric)),
    *engines.METRICS,
)
CATALOGUE: Final = OWN_METRICS + engines.PROCESS_METRICS
