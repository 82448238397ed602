"""From the bytes of an answer to what it says; after the clock has stopped, unless a step needs it."""

from __future__ import annotations

import msgspec

from veltrix.load.plan import Request, Script
from veltrix.promises.history import Attempt, Kind, Outcome
from veltrix.promises.reading import Body, read_answer

_decoder = msgspec.json.Decoder(Body)


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
