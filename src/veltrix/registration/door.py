"""At the door and after it: check-ins by ticket code, and erasing a person."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from veltrix.domain.commands import CheckIn, ErasePerson
from veltrix.domain.identifiers import command_id
from veltrix.registration.bodies import Email, check_line, instant
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core, content_of
from veltrix.registration.desk import Settled
from veltrix.registration.events import owned
from veltrix.registration.outputs import AttendeeOut, decision_ref, time_of
from veltrix.registration.people import open_boxes
from veltrix.registration.problems import DecisionRef, FaultAt, Problem, invalid_body
from veltrix.sealing import canonical_email

_CHECK_IN: Final = "POST /v1/events/{event}/check-ins"
_ERASE: Final = "POST /v1/events/{event}/erasures"


class CheckInBody(msgspec.Struct, forbid_unknown_fields=True):
    """A scan of a ticket. `scan_id` is the scanner's own: sent again, it is the same scan."""

    ticket: Annotated[str, Meta(min_length=1, max_length=64)]
    scan_id: Annotated[str, Meta(min_length=1, max_length=200)]
    scanned_at: Annotated[str, Meta(max_length=40)] | None = None
    undo: bool = False


class CheckedIn(msgspec.Struct):
    """A seat after a scan; `attendee` is null where the person was erased."""

    registration: str
    seat: int
    category: str
    checked_in_at: str | None
    attendee: AttendeeOut | None
    decision: DecisionRef


class EraseBody(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to forget."""

    email: Email


class Erased(msgspec.Struct):
    """From this decision on, nobody can read what the event knew of the person."""

    erased: bool
    event: str
    decision: DecisionRef
    idempotency_key: str | UnsetType = UNSET


_check_in = msgspec.json.Decoder(CheckInBody)
_erase = msgspec.json.Decoder(EraseBody)


class Door:
    """Handlers of check-ins and erasures."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.render["check_in"] = self._checked_in
        core.render["erase_person"] = self._erased

    async def check_in(self, call: Call) -> Answer:
        """Let the holder of a ticket in, or take that back."""
        core = self._core
        body = await call.json(_check_in, core.settings.body_max_bytes)
        entry = await owned(core, call)
        faults = list(check_line("/scan_id", body.scan_id))
        scanned_at_ms = None if body.scanned_at is None else instant(body.scanned_at)
        if body.scanned_at is not None and scanned_at_ms is None:
            faults.append(FaultAt("/scanned_at", "no_time"))
        if faults:
            raise invalid_body(*faults)
        proof = core.links.prove_ticket(entry.event.id, body.ticket.strip())
        if proof is None:
            raise Problem("invalid_ticket")
        # The scan is the request, whichever scanner sends it and under whatever key.
        event = entry.event
        command = command_id((event.organizer, _CHECK_IN, event.id, "scan", body.scan_id))
        request = core.request(call, _CHECK_IN)
        request.made_key = False
        made = CheckIn(proof.seat, proof.holder, body.scan_id, scanned_at_ms, body.undo)
        # The same scan may be sent again with another time of scanning; which ticket and which way may not.
        content = content_of((_CHECK_IN, str(proof.seat), str(proof.holder), str(body.undo)))
        envelope = core.envelope(request, entry, made, content, command)
        return await core.submit(call, request, envelope, entry.partition)

    async def erase(self, call: Call) -> Answer:
        """Forget a person."""
        core = self._core
        body = await call.json(_erase, core.settings.body_max_bytes)
        entry = await owned(core, call)
        email = canonical_email(body.email)
        if email is None:
            raise invalid_body(FaultAt("/email", "no_email"))
        request = core.request(call, _ERASE)
        person = entry.hashes.person(email)
        envelope = core.envelope(request, entry, ErasePerson(person), content_of((_ERASE, person)))
        return await core.submit(call, request, envelope, entry.partition)

    async def _checked_in(self, settled: Settled, made_key: str | None) -> Answer:
        own = settled.own
        assert own is not None and own.fact.registration is not None, "a check-in has its fact"
        registration, number = own.fact.registration, own.fact.seat
        index, seat = next(
            (index, seat) for index, seat in enumerate(registration.seats) if seat.number == number
        )
        (opened,) = await open_boxes(self._core.ports.vault, [registration])
        person = opened.person
        attendee = None
        if seat.number in opened.seats:
            holder = opened.seats[seat.number]
            attendee = None if holder is None else AttendeeOut(holder.name, holder.email)
        elif person is not None:
            named = person.attendees[index] if index < len(person.attendees) else None
            attendee = (
                AttendeeOut(named.name, named.email) if named else AttendeeOut(person.name, person.email)
            )
        at = None if seat.checked_in_ms is None else time_of(seat.checked_in_ms)
        body = CheckedIn(
            registration.id, seat.number, seat.category, at, attendee, decision_ref(settled.decision)
        )
        return json_answer(body)

    async def _erased(self, settled: Settled, made_key: str | None) -> Answer:
        body = Erased(True, settled.decision.event, decision_ref(settled.decision))
        if made_key is not None:
            body.idempotency_key = made_key
        return json_answer(body)
