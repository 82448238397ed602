"""What an answer over HTTP says: the outcome, and the decision if it is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from veltrix.promises.history import Answer, Outcome, Seat

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


class Body(msgspec.Struct):
    """What the checks know of an answer's body."""

    registration: _Registration | None = None
    link: str = ""
    decision: _Decision | None = None
    refusal: str = ""
    type: str = ""
    detail: str = ""
    location: str = ""


_decoder = msgspec.json.Decoder(Body)


def read_answer(status: int, body: bytes) -> tuple[Outcome, Answer | None, str]:
    """What a status and body say: the outcome, the decision if it is one, and a detail for people."""
    return _read(status, lambda: _decoder.decode(body))


def read_value(status: int, value: Any) -> tuple[Outcome, Answer | None, str]:
    """The same of a body that was decoded already."""
    return _read(status, lambda: msgspec.convert(value, Body))


def _read(status: int, decode: Callable[[], Body]) -> tuple[Outcome, Answer | None, str]:
    if status in _NOT_FINAL:
        return _NOT_FINAL[status], None, ""
    try:
        value = decode()
    except msgspec.MsgspecError as error:
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
