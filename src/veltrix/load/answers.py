"""From the bytes of an answer to what it says; after the clock has stopped, unless a step needs it."""

from __future__ import annotations

from typing import Final

import msgspec

from veltrix.load.plan import Request, Script
from veltrix.promises.history import Answer, Attempt, Kind, Outcome, Seat

_KEY_REUSED: Final = "key_reused"
_NOT_FINAL: Final = {
    202: Outcome.UNDECIDED,
    429: Outcome.THROTTLED,
    503: Outcome.UNAVAILABLE,
}


class _Seat(msgspec.Struct):
    number: int
    category: str
    status: str = "active"


class _Registration(msgspec.Struct):
    id: str
    status: str
    arrival: str = ""
    seats: list[_Seat] = []


class _Decision(msgspec.Struct):
    partition: int
    offset: int


class _Body(msgspec.Struct):
    registration: _Registration | None = None
    link: str = ""
    decision: _Decision | None = None
    refusal: str = ""
    type: str = ""
    detail: str = ""
    location: str = ""


_decoder = msgspec.json.Decoder(_Body)


def link_in(request: Request) -> str | None:
    """The link of the registration that this request made; None when it made none."""
    status, body = request.final
    if status not in (200, 201):
        return None
    try:
        return _decoder.decode(body).link or None
    except msgspec.DecodeError:
        return None


def is_decided(request: Request) -> bool:
    """Whether the answer is a decision, so that its key is used for good."""
    return read_answer(*request.final)[0] in (Outcome.ACCEPTED, Outcome.REFUSED)


def location_in(request: Request) -> str:
    """Where a 202 says that its decision will be."""
    if request.location:
        return request.location
    try:
        return _decoder.decode(request.body).location
    except msgspec.DecodeError:
        return ""


def read_answer(status: int, body: bytes) -> tuple[Outcome, Answer | None, str]:
    """What a status and body say: the outcome, the decision if it is one, and a detail for people."""
    if status in _NOT_FINAL:
        return _NOT_FINAL[status], None, ""
    try:
        value = _decoder.decode(body)
    except msgspec.DecodeError as error:
        return Outcome.WRONG, None, f"{status}, and no JSON of ours: {error}"
    if status in (200, 201) and value.registration is not None and value.decision is not None:
        return Outcome.ACCEPTED, _accepted(value.registration, value.decision), ""
    if status == 422 and value.type.endswith(_KEY_REUSED):
        return Outcome.KEY_REUSED, None, ""
    if 400 <= status < 500 and value.refusal and value.decision is not None:
        decision = value.decision
        return Outcome.REFUSED, Answer(decision.partition, decision.offset, refusal=value.refusal), ""
    return Outcome.WRONG, None, f"{status} {value.type or 'without a decision'} {value.detail}".strip()


def _accepted(registration: _Registration, decision: _Decision) -> Answer:
    return Answer(
        decision.partition,
        decision.offset,
        registration.id,
        registration.status,
        registration.arrival,
        tuple(Seat(seat.number, seat.category, seat.status == "active") for seat in registration.seats),
    )


def attempts_of(scripts: list[Script]) -> tuple[Attempt, ...]:
    """Everything that was sent, in the order of sending."""
    sent = [request for script in scripts for request in script.requests() if request.sent_ns]
    sent.sort(key=lambda request: request.sent_ns)
    return tuple(_attempt(number, request) for number, request in enumerate(sent))


def _attempt(number: int, request: Request) -> Attempt:
    outcome, answer, detail = Outcome.RESET, None, ""
    if request.timed_out:
        outcome = Outcome.TIMED_OUT
    elif request.status:
        outcome, answer, detail = read_answer(request.status, request.body)
    if outcome is Outcome.UNDECIDED and request.decided_status:
        later, answer, detail = read_answer(request.decided_status, request.decided_body)
        followed = request.decided_ns is not None
        outcome = later if followed or later is Outcome.WRONG else outcome
    return Attempt(
        number=number,
        person=request.person,
        kind=request.kind,
        key=request.key,
        email=request.email,
        name=request.name,
        categories=request.categories,
        sent_ns=request.sent_ns,
        outcome=outcome,
        received_ns=request.received_ns if request.status else None,
        intended_ns=request.intended_ns,
        status_code=request.status,
        answer=answer,
        target=request.target if request.kind is Kind.CANCEL else "",
        detail=detail,
        settled_ns=request.decided_ns,
        tried=request.tried,
        retried=request.retry is not None,
        impatient=request.impatient,
    )
