"""Every request and its answer, as clients saw them: recorded at the network's edge, whoever asked.

From them come the same histories that `veltrix load` makes of a real platform, so that the same checks judge.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from veltrix.promises.history import Attempt, Kind, Outcome
from veltrix.promises.reading import read_value
from veltrix.simulation.cluster import Cluster, Host

_REGISTER: Final = re.compile(r"^/v1/events/(?P<event>[^/]+)/registrations$")
_CANCEL: Final = re.compile(r"^/v1/registrations/(?P<link>[^/]+)/cancel$")
NO_KEY: Final = "no key, request"
_NS: Final = 1_000_000_000


@dataclass(slots=True)
class Exchange:
    """One request, and what came back: nothing, as long as `status` is None. Times are virtual seconds.

    `host` is the process that was asked: another start is another one. `public`: under a key of the client's
    own choice, and without an API key.
    """

    number: int
    client: str
    host: str
    method: str
    path: str
    key: str
    body: Any
    sent_s: float
    public: bool = True
    heard_s: float | None = None
    status: int | None = None
    answer: Any = None

    @property
    def event(self) -> str | None:
        """The event that a new registration is for; None for anything else."""
        found = _REGISTER.match(self.path) if self.method == "POST" else None
        return None if found is None else found["event"]

    @property
    def cancelled_link(self) -> str | None:
        """The link of what is cancelled as a whole; None for anything else."""
        found = _CANCEL.match(self.path) if self.method == "POST" else None
        return None if found is None or self.body else found["link"]


class Recorder:
    """Stands in a cluster's `request`, and keeps what passes."""

    def __init__(self, cluster: Cluster) -> None:
        self.exchanges: list[Exchange] = []
        self._cluster = cluster
        self._request = cluster.request
        cluster.request = self._recorded  # type: ignore[method-assign]  # to stand in between is the point

    async def _recorded(
        self,
        client: str,
        host: Host,
        method: str,
        path: str,
        body: object,
        headers: dict[str, str],
        patience_s: float,
        **options: Any,
    ) -> tuple[int, Any] | None:
        number, loop = len(self.exchanges), self._cluster.loop
        key = headers.get("idempotency-key", f"{NO_KEY} {number}")
        public = "authorization" not in headers and "idempotency-key" in headers
        process = f"{host.name}.{host.starts}"
        exchange = Exchange(number, client, process, method, path, key, body, loop.time(), public)
        self.exchanges.append(exchange)
        found = await self._request(client, host, method, path, body, headers, patience_s, **options)
        if found is not None:
            exchange.heard_s = loop.time()
            exchange.status, exchange.answer = found
        return found


def link_in(exchange: Exchange) -> str | None:
    """The link of the registration that this request made, if its answer came."""
    made = exchange.status == 201 and isinstance(exchange.answer, dict)
    return exchange.answer.get("link") if made else None


def held_until_ms(exchange: Exchange) -> int | None:
    """Until when what this request made is held, as its answer said."""
    if link_in(exchange) is None:
        return None
    deadline = exchange.answer["registration"].get("hold_deadline")
    return None if not deadline else round(datetime.fromisoformat(deadline).timestamp() * 1000)


def registrations_of(exchanges: Iterable[Exchange]) -> dict[str, list[Exchange]]:
    """All requests for new registrations, by event."""
    by_event: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.event is not None:
            by_event[exchange.event].append(exchange)
    return by_event


def attempts_of(asked: Sequence[Exchange], cancels: Iterable[Exchange]) -> tuple[Attempt, ...]:
    """The requests about one event as a history has them, in the order of sending.

    Of a key that was used with several bodies, the one that came to a decision is the command; it may be
    the later one.
    """
    by_key: dict[str, list[Exchange]] = defaultdict(list)
    links: dict[str, Exchange] = {}
    for exchange in asked:
        by_key[exchange.key].append(exchange)
        if exchange.status in (200, 201) and isinstance(exchange.answer, dict) and "link" in exchange.answer:
            links.setdefault(exchange.answer["link"], exchange)
    attempts = [attempt for exchanges in by_key.values() for attempt in _of_key(exchanges)]
    by_cancel: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in cancels:
        if exchange.cancelled_link in links:
            by_cancel[exchange.key].append(exchange)
    for exchanges in by_cancel.values():
        made = links[str(exchanges[0].cancelled_link)]
        for index, exchange in enumerate(exchanges):
            attempt = _attempt(exchange, Kind.CANCEL, made.body, retried=index < len(exchanges) - 1)
            attempt.target = made.answer["registration"]["id"]
            attempts.append(attempt)
    return tuple(sorted(attempts, key=lambda attempt: (attempt.sent_ns, attempt.number)))


def _of_key(exchanges: Sequence[Exchange]) -> Iterator[Attempt]:
    bodies: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        bodies[repr(exchange.body)].append(exchange)
    decided = [
        body
        for body, theirs in bodies.items()
        if any(read_value(each.status, each.answer)[1] for each in theirs if each.status is not None)
    ]
    command = decided[0] if decided else next(iter(bodies))
    for body, theirs in bodies.items():
        for index, exchange in enumerate(theirs):
            again = Kind.RETRY if index else Kind.REGISTER
            kind = again if body == command else Kind.OTHER_BODY
            gave_up = exchange.key.startswith(NO_KEY)  # and nobody can ask again
            yield _attempt(exchange, kind, exchange.body, retried=gave_up or index < len(theirs) - 1)


def _attempt(exchange: Exchange, kind: Kind, said: Any, *, retried: bool) -> Attempt:
    outcome, answer, detail = Outcome.TIMED_OUT, None, ""
    if exchange.status is not None:
        outcome, answer, detail = read_value(exchange.status, exchange.answer)
    contact = said["contact"]
    return Attempt(
        number=exchange.number,
        person=exchange.number,
        kind=kind,
        key=exchange.key,
        email=contact["email"],
        name=contact["name"],
        categories=tuple(seat["category"] for seat in said["seats"]),
        sent_ns=round(exchange.sent_s * _NS),
        outcome=outcome,
        received_ns=None if exchange.heard_s is None else round(exchange.heard_s * _NS),
        status_code=exchange.status or 0,
        answer=answer,
        detail=detail,
        retried=retried,
    )
