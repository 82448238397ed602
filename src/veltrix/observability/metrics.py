"""The facade that the services see: one method for each thing that they can tell.

`Metrics` fits the small protocols of registration (`Meters`), processing (`ProcessingMetrics`) and
notification. One object a process; `page` is what `/metrics` answers.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from veltrix import __version__
from veltrix.observability import catalogue
from veltrix.observability.instruments import Family, Number, Spread, numbers, spreads

if TYPE_CHECKING:
    from veltrix.observability.exposition import Page


class Metrics:
    """Counts and measures. Every method is cheap, never raises, and is called from the event loop only."""

    def __init__(self, version: str = __version__) -> None:
        families: dict[str, Family[Number] | Family[Spread]] = {}

        def number(metric: catalogue.Metric) -> Family[Number]:
            families[metric.name] = family = numbers(metric)
            return family

        def spread(metric: catalogue.Metric) -> Family[Spread]:
            families[metric.name] = family = spreads(metric)
            return family

        self._families = families
        self._requests = number(catalogue.REQUESTS)
        self._request_seconds = spread(catalogue.REQUEST_SECONDS)
        self._turned_away = number(catalogue.TURNED_AWAY)
        self._gauges = {
            "held_requests": number(catalogue.HELD_REQUESTS).child(),
            "stream_clients": number(catalogue.STREAM_CLIENTS).child(),
            "keys_reserved": number(catalogue.KEYS_RESERVED).child(),
            "undecided": number(catalogue.UNDECIDED_ESTIMATE).child(),
        }
        self._accepted = number(catalogue.ACCEPTED)
        self._append_seconds = spread(catalogue.APPEND_SECONDS).child()
        self._wait_seconds = spread(catalogue.WAIT_SECONDS)
        self._undecided = number(catalogue.UNDECIDED)
        self._next_offset = number(catalogue.NEXT_OFFSET)
        self._batch_commands = spread(catalogue.BATCH_COMMANDS).child()
        self._load_seconds = spread(catalogue.LOAD_SECONDS).child()
        self._decide_seconds = spread(catalogue.DECIDE_SECONDS).child()
        self._commit_seconds = spread(catalogue.COMMIT_SECONDS).child()
        self._decisions = number(catalogue.DECISIONS)
        self._refusals = number(catalogue.REFUSALS)
        self._fenced = number(catalogue.FENCED).child()
        self._terms_held = number(catalogue.TERMS_HELD).child()
        self._owned: set[int] = set()
        self._ticked = number(catalogue.TICKED).child()
        self._decision_seconds = spread(catalogue.DECISION_SECONDS).child()
        self._publish_seconds = spread(catalogue.PUBLISH_SECONDS).child()
        self._published = number(catalogue.PUBLISHED).child()
        self._erased = number(catalogue.ERASED).child()
        self._planned = number(catalogue.NOTICES_PLANNED)
        self._attempts = number(catalogue.ATTEMPTS)
        self._attempt_seconds = spread(catalogue.ATTEMPT_SECONDS).child()
        self._notice_seconds = spread(catalogue.NOTICE_SECONDS).child()
        self._notices = number(catalogue.NOTICES)
        self._oldest_pending = number(catalogue.OLDEST_PENDING).child()
        self._loop_lag = spread(catalogue.LOOP_LAG).child()
        self._connect_seconds = spread(catalogue.CONNECT_SECONDS).child()
        self._connects_failed = number(catalogue.CONNECTS_FAILED)
        number(catalogue.BUILD).child(version, platform.python_version()).set(1)
        self._readings: list[tuple[Number, Callable[[], float]]] = []
        self._answers: dict[tuple[str, str, int], tuple[Number, Spread]] = {}
        self._page: Page | None = None

    # -- registration ----------------------------------------------------------------------------
    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the path's template."""
        key = (route, method, status // 100)
        pair = self._answers.get(key)
        if pair is None:
            pair = (
                self._requests.child(route, method, f"{status // 100}xx"),
                self._request_seconds.child(route, method),
            )
            if len(self._answers) < 10_000:
                self._answers[key] = pair
        pair[0].add()
        pair[1].observe(seconds)

    def appended(self, kind: str, seconds: float) -> None:
        """A command became durable in the log after that time."""
        self._accepted.child(kind).add()
        self._append_seconds.observe(seconds)

    def waited(self, outcome: str, seconds: float) -> None:
        """A request waited for its decision: `decided`, `timed_out` or `read_back`."""
        self._wait_seconds.child(outcome).observe(seconds)

    def turned_away(self, why: str) -> None:
        """A request was refused at the edge for size, rate or load."""
        self._turned_away.child(why).add()

    def gauge(self, name: str, value: float) -> None:
        """The present value of `held_requests`, `undecided`, `stream_clients` or `keys_reserved`."""
        self._gauges[name].set(value)

    # -- processing ------------------------------------------------------------------------------
    def batch(self, partition: int, size: int, load_s: float, decide_s: float, commit_s: float) -> None:
        """A batch was committed."""
        self._batch_commands.observe(size)
        self._load_seconds.observe(load_s)
        self._decide_seconds.observe(decide_s)
        self._commit_seconds.observe(commit_s)

    def decided(self, kind: str, outcome: str, refusal: str) -> None:
        """A decision was committed; `refusal` is empty unless it refused."""
        self._decisions.child(outcome).add()
        if refusal:
            self._refusals.child(refusal).add()

    def progress(self, partition: int, next_offset: int, log_end: int) -> None:
        """How far is decided, and how far the log goes."""
        name = str(partition)
        self._next_offset.child(name).set(next_offset)
        self._undecided.child(name).set(max(0, log_end - next_offset))

    def owned(self, partition: int, owned: bool) -> None:
        """A partition was taken or given up."""
        if owned:
            self._owned.add(partition)
        else:
            self._owned.discard(partition)
        self._terms_held.set(len(self._owned))

    def fenced(self, partition: int) -> None:
        """A write was refused because a newer term exists."""
        self._fenced.add()

    def ticked(self, appended: int) -> None:
        """The ticker appended that many due commands."""
        self._ticked.add(appended)

    def decision_latency(self, seconds: float) -> None:
        """A decision was committed and published that long after its command's append."""
        self._decision_seconds.observe(seconds)

    def published(self, facts: int, seconds: float) -> None:
        """Facts were published, which took so long."""
        self._publish_seconds.observe(seconds)
        self._published.add(facts)

    def erased(self) -> None:
        """A person's keys were destroyed."""
        self._erased.add()

    # -- notification ----------------------------------------------------------------------------
    def planned(self, kind: str, notices: int) -> None:
        """Notices were recorded because of a fact of that kind."""
        self._planned.child(kind).add(notices)

    def attempted(self, outcome: str, seconds: float) -> None:
        """An attempt to deliver ended."""
        self._attempts.child(outcome).add()
        self._attempt_seconds.observe(seconds)

    def delivered(self, seconds: float) -> None:
        """A channel accepted a notice that long after its fact was decided."""
        self._notice_seconds.observe(seconds)

    def notices(self, by_status: Mapping[str, int], oldest_pending_s: float) -> None:
        """How many notices stand in each status, and the age of the oldest that still has to go out."""
        for status, count in by_status.items():
            self._notices.child(status).set(count)
        self._oldest_pending.set(oldest_pending_s)

    # -- the process -----------------------------------------------------------------------------
    def loop_lag(self, seconds: float) -> None:
        """The event loop came back that much later than asked."""
        self._loop_lag.observe(seconds)

    def connected(self, seconds: float) -> None:
        """A connection to PostgreSQL was made, from the first packet until it was found to be of use."""
        self._connect_seconds.observe(seconds)

    def connection_failed(self, timed_out: bool) -> None:
        """No connection to PostgreSQL could be made, or not in time."""
        self._connects_failed.child("timed_out" if timed_out else "refused").add()

    def reads(self, name: str, read: Callable[[], float]) -> None:
        """Read a gauge of `gauge` anew for each page instead of being told: it is then never stale."""
        self._readings.append((self._gauges[name], read))

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """The body and content type of `/metrics` for an Accept header."""
        for child, read in self._readings:
            child.set(read())
        return self._exposition().render(accept)

    def _exposition(self) -> Page:
        if self._page is None:
            from veltrix.observability.exposition import Page

            self._page = Page(self._families.values())
        return self._page


class NullMetrics:
    """Keeps nothing: for tests, and for a service that runs alone."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Does nothing."""

    def appended(self, kind: str, seconds: float) -> None:
        """Does nothing."""

    def waited(self, outcome: str, seconds: float) -> None:
        """Does nothing."""

    def turned_away(self, why: str) -> None:
        """Does nothing."""

    def gauge(self, name: str, value: float) -> None:
        """Does nothing."""

    def batch(self, partition: int, size: int, load_s: float, decide_s: float, commit_s: float) -> None:
        """Does nothing."""

    def decided(self, kind: str, outcome: str, refusal: str) -> None:
        """Does nothing."""

    def progress(self, partition: int, next_offset: int, log_end: int) -> None:
        """Does nothing."""

    def owned(self, partition: int, owned: bool) -> None:
        """Does nothing."""

    def fenced(self, partition: int) -> None:
        """Does nothing."""

    def ticked(self, appended: int) -> None:
        """Does nothing."""

    def decision_latency(self, seconds: float) -> None:
        """Does nothing."""

    def published(self, facts: int, seconds: float) -> None:
        """Does nothing."""

    def erased(self) -> None:
        """Does nothing."""

    def planned(self, kind: str, notices: int) -> None:
        """Does nothing."""

    def attempted(self, outcome: str, seconds: float) -> None:
        """Does nothing."""

    def delivered(self, seconds: float) -> None:
        """Does nothing."""

    def notices(self, by_status: Mapping[str, int], oldest_pending_s: float) -> None:
        """Does nothing."""

    def loop_lag(self, seconds: float) -> None:
        """Does nothing."""

    def connected(self, seconds: float) -> None:
        """Does nothing."""

    def connection_failed(self, timed_out: bool) -> None:
        """Does nothing."""

    def reads(self, name: str, read: Callable[[], float]) -> None:
        """Does nothing."""
