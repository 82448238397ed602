"""PATCH /v1/registrations/{ref}: other names and answers of the same person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from veltrix.domain import limits
from veltrix.domain.commands import ChangeAnswers
from veltrix.domain.registration import Registration
from veltrix.ports.access import Scope
from veltrix.registration.bodies import (
    AttendeeIn,
    ConsentIn,
    Contact,
    Email,
    FormVersion,
    Locale,
    Name,
    SeatNumber,
    attendee_of,
    check_answers,
    check_attendee,
    check_consents,
    check_contact,
    check_texts,
    consents_of,
)
from veltrix.registration.calls import Answer, Call
from veltrix.registration.core import Core
from veltrix.registration.directory import Entry
from veltrix.registration.people import open_boxes
from veltrix.registration.problems import FaultAt, Problem, invalid_body
from veltrix.registration.registrations import Registrations, Subject
from veltrix.sealing import NONCE_BYTES, Attendee, Person, canonical_email, seal
from veltrix.sealing import Answer as FormAnswer

V = TypeVar("V")

Changes = Annotated[
    dict[
        Annotated[str, Meta(max_length=64)],
        Annotated[str, Meta(max_length=limits.ANSWER_MAX_CHARS)] | bool | None,
    ],
    Meta(max_length=limits.QUESTIONS_MAX, description="Answers by key; null takes one back"),
]
MetadataChanges = Annotated[
    dict[
        Annotated[str, Meta(max_length=64)],
        Annotated[str, Meta(max_length=limits.METADATA_VALUE_MAX_CHARS)] | None,
    ],
    Meta(max_length=limits.METADATA_MAX_KEYS, description="Entries by key; null removes one"),
]


class ContactChange(msgspec.Struct, forbid_unknown_fields=True):
    """What changes of the contact. The e-mail address stays: a transfer gives another."""

    name: Name | None = None
    email: Email | None = None
    locale: Locale | None = None


class SeatChange(msgspec.Struct, forbid_unknown_fields=True):
    """What changes of one seat; `attendee` null makes it the contact's again."""

    number: SeatNumber
    attendee: AttendeeIn | UnsetType | None = UNSET
    answers: Changes = {}


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    """What changes of a registration; what is not named stays as it is."""

    contact: ContactChange | None = None
    seats: Annotated[list[SeatChange], Meta(max_length=limits.SEATS_PER_REGISTRATION_MAX)] = []
    answers: Changes = {}
    form_version: FormVersion | None = None
    metadata: MetadataChanges = {}
    consents: Annotated[list[ConsentIn], Meta(max_length=limits.CONSENTS_MAX)] | None = None


_decoder = msgspec.json.Decoder(ChangeBody)


class Corrections:
    """The handler of changes to personal data."""

    def __init__(self, core: Core, registrations: Registrations) -> None:
        self._core = core
        self._registrations = registrations

    async def change(self, call: Call) -> Answer:
        """Lay the changes upon what the box holds, and seal the whole anew."""
        core = self._core
        body = await call.json(_decoder, core.settings.body_max_bytes)
        subject = await self._registrations.subject(call, Scope.WRITE)
        request = self._registrations.request(call, "PATCH", "", subject)
        (opened,) = await open_boxes(core.ports.vault, [subject.registration])
        if opened.person is None:
            raise Problem("person_erased")
        version = opened.form_version if body.form_version is None else body.form_version
        person = self._changed(body, opened.person, subject, version)
        event = subject.entry.event
        command = core.command_id(request, subject.entry)
        key_id, key = core.reserve.take_now() or await core.reserve.take()
        box = seal(person, key, core.chance.token(NONCE_BYTES), event.id, command, key_id, version)
        made = ChangeAnswers(subject.registration.id, subject.registration.person, box, version)
        return await self._registrations.ask(call, request, subject, made, body)

    def _changed(self, body: ChangeBody, before: Person, subject: Subject, version: int) -> Person:
        """The person after the change. Raises `Problem` invalid_body."""
        registration = subject.registration
        contact = body.contact or ContactChange()
        faults: list[FaultAt] = []
        if contact.email is not None and canonical_email(contact.email) != canonical_email(before.email):
            faults.append(FaultAt("/contact/email", "email_fixed"))
        whole = Contact(contact.name or before.name, before.email, contact.locale or before.locale)
        faults += check_contact("/contact", whole)
        faults += check_consents("/consents", body.consents or ())
        after = Person(whole.name.strip(), before.email, whole.locale or before.locale)
        after.answers = _merged(before.answers, body.answers)
        after.metadata = _merged(before.metadata, body.metadata)
        after.consents = before.consents if body.consents is None else consents_of(body.consents)
        count = len(registration.seats)
        attendees = _padded(before.attendees, count)
        seat_answers = _padded(before.seat_answers, count)
        for index, change in enumerate(body.seats):
            faults += self._change_seat(f"/seats/{index}", change, registration, attendees, seat_answers)
        after.attendees = attendees if any(attendees) else []
        after.seat_answers = seat_answers if any(seat_answers) else []
        faults += check_texts("/answers", after.answers)
        faults += check_texts("/metadata", after.metadata)
        faults += _check_size(after)
        faults += self._check_form(subject.entry, version, registration, after.answers, seat_answers)
        if faults:
            raise invalid_body(*faults)
        return after

    @staticmethod
    def _change_seat(
        pointer: str,
        change: SeatChange,
        registration: Registration,
        attendees: list[Attendee | None],
        answers: list[dict[str, FormAnswer] | None],
    ) -> list[FaultAt]:
        """Change one seat in place; what cannot be."""
        found = [index for index, seat in enumerate(registration.seats) if seat.number == change.number]
        if not found or registration.seats[found[0]].box is not None:
            return [FaultAt(f"{pointer}/number", "no_id")]
        faults: list[FaultAt] = []
        if change.attendee is not UNSET:
            if change.attendee is not None:
                faults += check_attendee(f"{pointer}/attendee", change.attendee)
            attendees[found[0]] = attendee_of(change.attendee)
        if change.answers:
            merged = _merged(answers[found[0]] or {}, change.answers)
            faults += check_texts(f"{pointer}/answers", merged)
            answers[found[0]] = merged or None
        return faults

    @staticmethod
    def _check_form(
        entry: Entry,
        version: int,
        registration: Registration,
        answers: dict[str, FormAnswer],
        seat_answers: list[dict[str, FormAnswer] | None],
    ) -> list[FaultAt]:
        """What does not fit the present form; an older version that is still accepted is not known here."""
        form = entry.event.spec.form
        if version != form.version:
            return []
        asked = [
            seat_answers[index] or {}
            for index, seat in enumerate(registration.seats)
            if seat.active and seat.box is None
        ]
        return check_answers(form, answers, asked)


def _merged(before: Mapping[str, V], changes: Mapping[str, V | None]) -> dict[str, V]:
    after: dict[str, V | None] = {**before, **changes}
    return {key: value for key, value in after.items() if value is not None}


def _padded(known: list[V | None], count: int) -> list[V | None]:
    return [*known[:count], *([None] * (count - len(known)))]


def _check_size(person: Person) -> list[FaultAt]:
    """Merging must not let things grow without bound."""
    faults = []
    if len(person.answers) > limits.QUESTIONS_MAX:
        faults.append(FaultAt("/answers", "too_many", {"most": limits.QUESTIONS_MAX}))
    if len(person.metadata) > limits.METADATA_MAX_KEYS:
        faults.append(FaultAt("/metadata", "too_many", {"most": limits.METADATA_MAX_KEYS}))
    return faults
