"""The facade that the services see: one method for each thing that they can tell.

`Metrics` fits the small protocols of registration (`Meters`), processing (`ProcessingMetrics`),
notification and the adapters. One object a process; `page` is what `/metrics` answers.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

from veltrix import __version__
from veltrix.observability import catalogue, engines
from veltrix.observability.engine_metrics import EngineMetrics
from veltrix.observability.hotevents import HotEvents
from veltrix.observability.instruments import Number, Spread
from veltrix.ports.channel import Sent


class Metrics(EngineMetrics):
    """Counts and measures. Every method is cheap, never raises, and is called from the event loop only.

    `groups` are those of the catalogue that the page shows; all of them without.
    """

    def __init__(
        self, version: str = __version__, service: str = "", groups: frozenset[str] | None = None
    ) -> None:
        super().__init__()
        self._groups = groups
        self._decides = groups is None or catalogue.DECIDE in groups
        number, spread = self._number, self._spread
        self._requests = number(catalogue.REQUESTS)
        self._request_seconds = spread(catalogue.REQUEST_SECONDS)
        self._turned_away = number(catalogue.TURNED_AWAY)
        self._gauges = {
            "held_requests": number(catalogue.HELD_REQUESTS).child(),
            "stream_clients": number(catalogue.STREAM_CLIENTS).child(),
            "keys_reserved": number(catalogue.KEYS_RESERVED).child(),
        }
        self._undecided_estimate = number(catalogue.UNDECIDED_ESTIMATE)
        self._oldest_estimate = number(catalogue.OLDEST_ESTIMATE)
        self._accepted = number(catalogue.ACCEPTED)
        self._append_seconds = spread(catalogue.APPEND_SECONDS).child()
        self._appends_failed = number(catalogue.APPENDS_FAILED)
        self._wait_seconds = spread(catalogue.WAIT_SECONDS)
        self._undecided = number(catalogue.UNDECIDED)
        self._oldest_undecided = number(catalogue.OLDEST_UNDECIDED)
        self._next_offset = number(catalogue.NEXT_OFFSET)
        self._batch_commands = spread(catalogue.BATCH_COMMANDS).child()
        self._load_seconds = spread(catalogue.LOAD_SECONDS).child()
        self._decide_seconds = spread(catalogue.DECIDE_SECONDS).child()
        self._commit_seconds = spread(catalogue.COMMIT_SECONDS).child()
        self._commits_failed = number(catalogue.COMMITS_FAILED)
        self._decisions = number(catalogue.DECISIONS)
        self._refusals = number(catalogue.REFUSALS)
        self._fenced = number(catalogue.FENCED).child()
        self._terms_held = number(catalogue.TERMS_HELD).child()
        self._take_overs = number(catalogue.TAKE_OVERS).child()
        self._take_over_seconds = spread(catalogue.TAKE_OVER_SECONDS).child()
        self._partitions_failed = number(catalogue.PARTITIONS_FAILED).child()
        self._owned: set[int] = set()
        self._ticked = number(catalogue.TICKED).child()
        self._ticks = number(catalogue.TICKS).child()
        self._decision_seconds = spread(catalogue.DECISION_SECONDS).child()
        self._publish_seconds = spread(catalogue.PUBLISH_SECONDS).child()
        self._published = number(catalogue.PUBLISHED).child()
        self._publish_failed = number(catalogue.PUBLISH_FAILED).child()
        self._unpublished = number(catalogue.UNPUBLISHED)
        self._erased = number(catalogue.ERASED).child()
        self._of_notices_and_checks()
        number(engines.BUILD).child(version, platform.python_version(), service).set(1)
        self._answers: dict[tuple[str, str, int], tuple[Number, Spread]] = {}
        self.hot = HotEvents()
        """Which events are asked for most."""
        self._hot_rate = number(catalogue.HOT_RATE)

    def _of_notices_and_checks(self) -> None:
        number, spread = self._number, self._spread
        self._planned = number(catalogue.NOTICES_PLANNED)
        self._attempts = number(catalogue.ATTEMPTS)
        self._channels: set[str] = set()
        self._attempt_seconds = spread(catalogue.ATTEMPT_SECONDS).child()
        self._notice_seconds = spread(catalogue.NOTICE_SECONDS).child()
        self._notices = number(catalogue.NOTICES)
        self._oldest_pending = number(catalogue.OLDEST_PENDING).child()
        self._waiting = number(catalogue.WAITING)
        self._held = number(catalogue.HELD).child()
        self._targets = number(catalogue.TARGETS)
        self._checks = number(catalogue.CHECKS)
        self._violations = number(catalogue.VIOLATIONS)
        self._check_seconds = spread(catalogue.CHECK_SECONDS).child()
        self._checker_active = number(catalogue.CHECKER_ACTIVE).child()
        self._unplanned = number(catalogue.UNPLANNED)

    # -- registration ----------------------------------------------------------------------------
    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the path's template."""
        key = (route, method, status // 100)
        pair = self._answers.get(key)
        if pair is None:
            self._requests.child(route, method, "5xx")  # 0 at first: a rate sees the first failure
            pair = (
                self._requests.child(route, method, f"{status // 100}xx"),
                self._request_seconds.child(route, method),
            )
            if len(self._answers) < 10_000:
                self._answers[key] = pair
        pair[0].add()
        pair[1].observe(seconds)

    def appended(self, kind: str, seconds: float, event: str = "") -> None:
        """A command became durable in the log after that time."""
        self._accepted.child(kind).add()
        self._append_seconds.observe(seconds)
        if event and not self._decides:
            self.hot.count(event, "appended")

    def append_failed(self, why: str) -> None:
        """A command was not appended: `unavailable` or `rejected`; or nobody knows: `unknown`."""
        self._appends_failed.child(why).add()

    def waited(self, outcome: str, seconds: float) -> None:
        """A request waited for its decision: `decided`, `timed_out` or `read_back`."""
        self._wait_seconds.child(outcome).observe(seconds)

    def turned_away(self, why: str) -> None:
        """A request was refused at the edge for size, rate or load."""
        self._turned_away.child(why).add()

    def gauge(self, name: str, value: float) -> None:
        """The present value of `held_requests`, `stream_clients` or `keys_reserved`."""
        self._gauges[name].set(value)

    def line(self, partition: int, undecided: int, oldest_s: float) -> None:
        """What registration believes to be undecided of a partition, and for how long at most."""
        name = str(partition)
        self._undecided_estimate.child(name).set(undecided)
        self._oldest_estimate.child(name).set(oldest_s)

    # -- processing ------------------------------------------------------------------------------
    def batch(self, partition: int, size: int, load_s: float, decide_s: float, commit_s: float) -> None:
        """A batch was committed."""
        self._batch_commands.observe(size)
        self._load_seconds.observe(load_s)
        self._decide_seconds.observe(decide_s)
        self._commit_seconds.observe(commit_s)

    def commit_failed(self, partition: int, why: str) -> None:
        """A batch did not commit as it stood: `unavailable`, `rejected`, `raised`; or it is `unknown`."""
        self._commits_failed.child(why).add()

    def decided(self, kind: str, outcome: str, refusal: str, event: str = "") -> None:
        """A decision was committed; `refusal` is empty unless it refused."""
        self._decisions.child(outcome).add()
        if refusal:
            self._refusals.child(refusal).add()
        if event:
            self.hot.count(event, outcome)

    def progress(self, partition: int, next_offset: int, log_end: int) -> None:
        """How far is decided, and how far the log goes."""
        name = str(partition)
        self._next_offset.child(name).set(next_offset)
        self._undecided.child(name).set(max(0, log_end - next_offset))

    def oldest_undecided(self, partition: int, seconds: float) -> None:
        """How long the oldest command has waited that is not decided yet."""
        self._oldest_undecided.child(str(partition)).set(seconds)

    def owned(self, partition: int, owned: bool) -> None:
        """A partition was taken or given up: its next owner tells of it then."""
        if owned:
            self._owned.add(partition)
        else:
            self._owned.discard(partition)
            for family in (self._next_offset, self._undecided, self._oldest_undecided, self._unpublished):
                family.drop(str(partition))
        self._terms_held.set(len(self._owned))

    def took_over(self, partition: int, seconds: float) -> None:
        """A partition is decided here now, so long after its grant came."""
        self._take_overs.add()
        self._take_over_seconds.observe(seconds)

    def partitions_failed(self, count: int) -> None:
        """So many partitions wait for an operator."""
        self._partitions_failed.set(count)

    def fenced(self, partition: int) -> None:
        """A write was refused because a newer term exists."""
        self._fenced.add()

    def ticked(self, appended: int) -> None:
        """The ticker made a round and appended that many due commands."""
        self._ticks.add()
        self._ticked.add(appended)

    def decision_latency(self, seconds: float) -> None:
        """A decision was committed and published that long after its command's append."""
        self._decision_seconds.observe(seconds)

    def published(self, facts: int, seconds: float) -> None:
        """Facts were published, which took so long."""
        self._publish_seconds.observe(seconds)
        self._published.add(facts)

    def publish_failed(self, partition: int) -> None:
        """Facts could not be published, or their position not be recorded."""
        self._publish_failed.add()

    def unpublished(self, partition: int, facts: int) -> None:
        """So many facts of a partition are committed and not published yet."""
        self._unpublished.child(str(partition)).set(facts)

    def erased(self) -> None:
        """A person's keys were destroyed."""
        self._erased.add()

    # -- notification ----------------------------------------------------------------------------
    def planned(self, kind: str, notices: int) -> None:
        """Notices were recorded because of a fact of that kind."""
        self._planned.child(kind).add(notices)

    def attempted(self, channel: str, outcome: str, seconds: float) -> None:
        """An attempt to deliver ended."""
        if channel not in self._channels:
            self._channels.add(channel)
            for sent in Sent:  # 0 at first: an alert sees the first that is unknown
                self._attempts.child(channel, sent.value)
        self._attempts.child(channel, outcome).add()
        self._attempt_seconds.observe(seconds)

    def delivered(self, seconds: float) -> None:
        """A channel accepted a notice that long after its fact was decided."""
        self._notice_seconds.observe(seconds)

    def notices(self, by_status: Mapping[str, int], oldest_pending_s: float) -> None:
        """How many notices stand in each status, and the age of the oldest that still has to go out."""
        for status, count in by_status.items():
            self._notices.child(status).set(count)
        self._oldest_pending.set(oldest_pending_s)

    def queues(self, by_channel: Mapping[str, int], held: int) -> None:
        """How many notices wait for each channel, and how many for an operator."""
        for (channel,), child in list(self._waiting.children()):
            child.set(by_channel.get(channel, 0))
        for channel, count in by_channel.items():
            self._waiting.child(channel).set(count)
        self._held.set(held)

    def targets(self, by_state: Mapping[str, int]) -> None:
        """How many endpoints and relays stand in each state, of those that ever failed."""
        for state, count in by_state.items():
            self._targets.child(state).set(count)

    # -- what must hold --------------------------------------------------------------------------
    def checker_active(self, active: bool) -> None:
        """Whether the checker runs in this process."""
        self._checker_active.set(float(active))

    def checked(self, invariant: str, violations: int) -> None:
        """A sample of an invariant was looked at; so many of what was looked at violate it."""
        self._checks.child(invariant).add()
        if violations:
            self._violations.child(invariant).add()

    def check_round(self, seconds: float) -> None:
        """A round of checks took so long."""
        self._check_seconds.observe(seconds)

    def unplanned(self, facts: Mapping[int, int]) -> None:
        """Published facts, by partition, whose notices are not recorded yet."""
        for partition, count in facts.items():
            self._unplanned.child(str(partition)).set(count)

    # -- the page --------------------------------------------------------------------------------
    def reads(self, name: str, read: Callable[[], float]) -> None:
        """Read a gauge of `gauge` anew for each page instead of being told: it is then never stale."""
        self._readings.number(self._gauges[name], read)

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """The body and content type of `/metrics` for an Accept header."""
        rates = self.hot.rates(len(catalogue.HOT_RANKS))
        for place, rank in enumerate(catalogue.HOT_RANKS):
            self._hot_rate.child(rank).set(rates[place] if place < len(rates) else 0.0)
        return self._readings.render(accept, self._groups)


class NullMetrics(Metrics):
    """Nobody reads them: for tests, and for a service that runs alone."""
