"""Notices over HTTP: what people and systems were told, each attempt at it, and orders to try again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from veltrix.domain import limits
from veltrix.domain.identifiers import ENDPOINT, EVENT, NOTICE, REGISTRATION, is_id
from veltrix.ports.deliveries import AttemptRow, Delivery, Wanted
from veltrix.ports.fulfilment import ORDERED
from veltrix.ports.notices import WEBHOOK, NoticeStatus
from veltrix.ports.outreach import Order, OrderKind
from veltrix.registration.bodies import instant
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core
from veltrix.registration.cursors import page_size, read_cursor, write_cursor
from veltrix.registration.endpoint_bodies import Ordered
from veltrix.registration.outputs import time_of
from veltrix.registration.problems import FaultAt, Problem, invalid_body, invalid_query
from veltrix.registration.telling import Telling
from veltrix.registration.webhooks import ordered, request_id

_Id = Annotated[str, Meta(min_length=1, max_length=64)]
_Time = Annotated[str, Meta(max_length=40, examples=["2031-10-04T17:00:00Z"])]
_FILTERS: Final = ("status", "channel", "endpoint", "event", "registration", "kind", "since", "until", "held")


class NoticeOut(msgspec.Struct, kw_only=True):
    """A notice and where it stands. `id` is that of every attempt: the `webhook-id`, or in the `Message-ID`.

    `fact` is the id of its CloudEvent; a test has none. `held`: it may have arrived, and waits for an order.
    `next_attempt_at`: null when it is over, held, or behind another that goes first.
    """

    id: str
    fact: str | None
    kind: str
    channel: str
    endpoint: str | None
    event: str | None
    registration: str | None
    status: NoticeStatus
    held: bool
    attempts: int
    detail: str
    created_at: str
    tried_at: str | None
    next_attempt_at: str | None


class AttemptOut(msgspec.Struct):
    """One attempt. `code`: what the other side answered; `excerpt`: the first KiB of a webhook's answer."""

    number: int
    outcome: str
    code: int | None
    latency_ms: int
    started_at: str
    ended_at: str
    detail: str
    excerpt: str


class NoticeView(msgspec.Struct):
    """A notice with its attempts, oldest first."""

    notice: NoticeOut
    attempts: list[AttemptOut]


class NoticePage(msgspec.Struct):
    """A page of notices, the newest first."""

    items: list[NoticeOut]
    next_cursor: str | None


class NoticesChosen(msgspec.Struct, forbid_unknown_fields=True):
    """Which notices: those that fit all that is given; something must be. `since` and `until` are times of
    their facts. Without `ids` and `statuses`, a replay is of those accepted, refused, dead or unknown."""

    ids: Annotated[list[_Id], Meta(max_length=limits.ORDER_IDS_MAX)] = []
    endpoint: _Id | None = None
    event: _Id | None = None
    registration: _Id | None = None
    statuses: Annotated[list[NoticeStatus], Meta(max_length=len(NoticeStatus))] = []
    since: _Time | None = None
    until: _Time | None = None


class HeldChosen(NoticesChosen, forbid_unknown_fields=True):
    """Which held notices to let go, as above: to be sent, or with `send: false` to be dropped."""

    send: bool = True


_replay = msgspec.json.Decoder(NoticesChosen)
_release = msgspec.json.Decoder(HeldChosen)


class NoticeDesk:
    """Handlers of notices."""

    def __init__(self, core: Core, telling: Telling) -> None:
        self._core = core
        self._telling = telling

    async def listed(self, call: Call) -> Answer:
        """A page of notices."""
        query = call.query(*_FILTERS, "cursor", "limit")
        organizer = call.organizer_key.organizer
        wanted = _asked(organizer, query)
        limit = page_size(query)
        of = "&".join(f"{name}={query.get(name, '')}" for name in _FILTERS) + organizer
        before = read_cursor(query, "notices", of, int)
        found = await self._telling.deliveries.search(wanted, before, limit + 1)
        page = found[:limit]
        following = write_cursor("notices", of, page[-1].place) if len(found) > limit else None
        return json_answer(NoticePage([notice_out(each) for each in page], following))

    async def read(self, call: Call) -> Answer:
        """One notice with its attempts."""
        call.query()
        name = call.params["notice"]
        found = []
        if is_id(NOTICE, name):
            wanted = Wanted(organizer=call.organizer_key.organizer, ids=(name,))
            found = await self._telling.deliveries.search(wanted, None, 1)
        if not found:
            raise Problem("unknown_notice")
        attempts = await self._telling.deliveries.attempts(name)
        return json_answer(NoticeView(notice_out(found[0]), [attempt_out(each) for each in attempts]))

    async def replay(self, call: Call) -> Answer:
        """Open notices again: each keeps its id, and has its whole schedule before it."""
        body = await call.json(_replay, self._core.settings.body_max_bytes)
        return await self._order(call, OrderKind.REPLAY, body)

    async def release(self, call: Call) -> Answer:
        """Let go what is held."""
        body = await call.json(_release, self._core.settings.body_max_bytes)
        return await self._order(call, OrderKind.RELEASE if body.send else OrderKind.DROP, body)

    async def _order(self, call: Call, kind: OrderKind, body: NoticesChosen) -> Answer:
        call.query()
        organizer = call.organizer_key.organizer
        request = self._core.request(call, f"POST /v1/notices/{kind}")
        number = await self._telling.outreach.give(
            Order(
                kind,
                organizer,
                self._core.ports.clock.now_ms(),
                wanted=chosen(organizer, body),
                by=call.organizer_key.id,
                request=request_id(organizer, request),
            )
        )
        return ordered(Ordered(number), request)


def chosen(organizer: str | None, body: NoticesChosen) -> Wanted:
    """Which of the organizer's notices (None: of everybody) are meant. Raises `Problem`."""
    faults = [
        FaultAt(f"/ids/{index}", "no_id") for index, each in enumerate(body.ids) if not is_id(NOTICE, each)
    ]
    named = (("endpoint", ENDPOINT), ("event", EVENT), ("registration", REGISTRATION))
    for name, prefix in named:
        value = getattr(body, name)
        if value is not None and not is_id(prefix, value):
            faults.append(FaultAt(f"/{name}", "no_id"))
    times = {}
    for name in ("since", "until"):
        text = getattr(body, name)
        times[name] = None if text is None else instant(text)
        if text is not None and times[name] is None:
            faults.append(FaultAt(f"/{name}", "no_time"))
    made = Wanted(
        organizer=organizer,
        ids=tuple(body.ids),
        event=body.event,
        registration=body.registration,
        statuses=frozenset(body.statuses),
        target=body.endpoint,
        since_ms=times["since"],
        until_ms=times["until"],
    )
    if not faults and made == Wanted(organizer=organizer):
        faults.append(FaultAt("", "nothing_chosen"))
    if faults:
        raise invalid_body(*faults)
    return made


def notice_out(delivery: Delivery) -> NoticeOut:
    """A notice as it is answered. Who a mail goes to stands nowhere: only a keyed hash is kept."""
    notice = delivery.notice
    return NoticeOut(
        id=notice.id,
        fact=None if notice.partition == ORDERED else f"{notice.partition}-{notice.seq}",
        kind=notice.kind,
        channel=notice.channel,
        endpoint=notice.recipient if notice.channel == WEBHOOK else None,
        event=notice.event or None,
        registration=notice.registration or None,
        status=delivery.status,
        held=delivery.held,
        attempts=delivery.attempts,
        detail=delivery.detail,
        created_at=time_of(notice.created_ms),
        tried_at=None if delivery.tried_ms is None else time_of(delivery.tried_ms),
        next_attempt_at=None if delivery.due_ms is None else time_of(delivery.due_ms),
    )


def attempt_out(row: AttemptRow) -> AttemptOut:
    """An attempt as it is answered."""
    return AttemptOut(
        row.number,
        row.outcome,
        row.code,
        row.latency_ms,
        time_of(row.started_ms),
        time_of(row.ended_ms),
        row.detail,
        row.excerpt,
    )


def _asked(organizer: str, query: dict[str, str]) -> Wanted:
    times = {}
    for name in ("since", "until"):
        times[name] = instant(query[name]) if name in query else None
        if name in query and times[name] is None:
            raise invalid_query(name, "no_time")
    for name, prefix in (("endpoint", ENDPOINT), ("event", EVENT), ("registration", REGISTRATION)):
        if name in query and not is_id(prefix, query[name]):
            raise invalid_query(name, "no_id")
    if query.get("held", "true") not in ("true", "false"):
        raise invalid_query("held", "wrong_value", expected="true, false")
    return Wanted(
        organizer=organizer,
        event=query.get("event"),
        registration=query.get("registration"),
        statuses=frozenset(_statuses(query.get("status"))),
        channel=query.get("channel"),
        target=query.get("endpoint"),
        kind=query.get("kind"),
        since_ms=times["since"],
        until_ms=times["until"],
        held=query.get("held") == "true",
    )


def _statuses(text: str | None) -> Iterable[NoticeStatus]:
    try:
        return [NoticeStatus(each) for each in text.split(",")] if text is not None else []
    except ValueError:
        raise invalid_query("status", "wrong_value", expected=", ".join(NoticeStatus)) from None
