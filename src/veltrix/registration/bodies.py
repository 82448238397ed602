"""What people send about registrations: the shapes of request bodies, and the checks of their content.

The edge refuses only what is malformed, too large, or does not fit the form version that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from veltrix.domain import limits
from veltrix.domain.event import Form, Question, QuestionKind, QuestionScope
from veltrix.registration.problems import FaultAt
from veltrix.sealing import Answer, Attendee, Consent, Person, canonical_email

Name = Annotated[str, Meta(max_length=limits.NAME_MAX_CHARS, examples=["Ada Lovelace"])]
Email = Annotated[str, Meta(max_length=limits.EMAIL_MAX_CHARS, examples=["ada@example.org"])]
Locale = Annotated[str, Meta(max_length=35, examples=["en"])]
Key = Annotated[str, Meta(min_length=1, max_length=64)]
Answers = Annotated[
    dict[
        Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=limits.ANSWER_MAX_CHARS)] | bool
    ],
    Meta(max_length=limits.QUESTIONS_MAX, description="Answers to the form's questions, by their keys"),
]
Metadata = Annotated[
    dict[
        Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=limits.METADATA_VALUE_MAX_CHARS)]
    ],
    Meta(max_length=limits.METADATA_MAX_KEYS, description="Whatever the sender wants to keep with it"),
]
SeatNumber = Annotated[int, Meta(ge=1, le=4_294_967_295)]
FormVersion = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class Contact(msgspec.Struct, forbid_unknown_fields=True):
    """Who registers, and who is told."""

    name: Name
    email: Email
    locale: Locale | None = None


class AttendeeIn(msgspec.Struct, forbid_unknown_fields=True):
    """Who sits on a seat, where that is not the contact."""

    name: Name
    email: Email | None = None


class SeatIn(msgspec.Struct, forbid_unknown_fields=True):
    """One seat that is asked for."""

    category: Annotated[str, Meta(min_length=1, max_length=64, examples=["std"])]
    attendee: AttendeeIn | None = None
    answers: Answers | None = None


class ConsentIn(msgspec.Struct, forbid_unknown_fields=True):
    """What the person agrees to, in which version; without a time, now."""

    key: Key
    version: Annotated[str, Meta(min_length=1, max_length=64)]
    time: Annotated[str, Meta(max_length=40, examples=["2027-05-01T10:00:00Z"])] | None = None


class RegisterBody(msgspec.Struct, forbid_unknown_fields=True):
    """A registration that is asked for: a contact and one or more seats, decided all or nothing."""

    contact: Contact
    seats: Annotated[list[SeatIn], Meta(min_length=1, max_length=limits.SEATS_PER_REGISTRATION_MAX)]
    answers: Answers = {}
    form_version: FormVersion | None = None
    access_code: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    metadata: Metadata = {}
    consents: Annotated[list[ConsentIn], Meta(max_length=limits.CONSENTS_MAX)] = []


# Everything below a space, DEL and C1, lone surrogates, separators of lines, and marks that turn text around.
_UNSHOWABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNSHOWABLE_IN_TEXT: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")


def check_register(body: RegisterBody) -> tuple[str, list[FaultAt]]:
    """The canonical e-mail address, and all that is wrong with a registration by itself."""
    contact = body.contact
    faults: list[FaultAt] = []
    if not contact.name.isprintable() or not contact.name.strip():
        faults.extend(check_line("/contact/name", contact.name))
    email = canonical_email(contact.email)
    if email is None:
        faults.append(FaultAt("/contact/email", "no_email"))
    if contact.locale is not None and not _LOCALE.fullmatch(contact.locale):
        faults.append(FaultAt("/contact/locale", "no_locale"))
    for index, seat in enumerate(body.seats):
        if seat.attendee is not None:
            faults.extend(check_attendee(f"/seats/{index}/attendee", seat.attendee))
        if seat.answers:
            faults.extend(check_texts(f"/seats/{index}/answers", seat.answers))
    if body.answers:
        faults.extend(check_texts("/answers", body.answers))
    if body.metadata:
        faults.extend(check_texts("/metadata", body.metadata))
    if body.consents:
        faults.extend(check_consents("/consents", body.consents))
    return email or "", faults


def check_contact(pointer: str, contact: Contact) -> Iterator[FaultAt]:
    """All that is wrong with a contact."""
    yield from check_line(f"{pointer}/name", contact.name)
    if canonical_email(contact.email) is None:
        yield FaultAt(f"{pointer}/email", "no_email")
    if contact.locale is not None and not _LOCALE.fullmatch(contact.locale):
        yield FaultAt(f"{pointer}/locale", "no_locale")


def check_line(pointer: str, text: str) -> Iterator[FaultAt]:
    """What is wrong with a text of one line."""
    if not text.strip():
        yield FaultAt(pointer, "blank")
    elif _UNSHOWABLE.search(text):
        yield FaultAt(pointer, "control_characters")


def check_attendee(pointer: str, attendee: AttendeeIn) -> Iterator[FaultAt]:
    """What is wrong with an attendee."""
    yield from check_line(f"{pointer}/name", attendee.name)
    if attendee.email is not None and canonical_email(attendee.email) is None:
        yield FaultAt(f"{pointer}/email", "no_email")


def check_texts(pointer: str, texts: Mapping[str, Answer]) -> Iterator[FaultAt]:
    """What is wrong with texts by key, whatever they answer."""
    for key, value in texts.items():
        if not key or _UNSHOWABLE.search(key):
            yield FaultAt(pointer, "no_key")
        elif isinstance(value, str) and _UNSHOWABLE_IN_TEXT.search(value):
            yield FaultAt(f"{pointer}/{escaped(key)}", "control_characters")


def check_consents(pointer: str, consents: Iterable[ConsentIn]) -> Iterator[FaultAt]:
    """What is wrong with consents."""
    for index, consent in enumerate(consents):
        for name, text in (("key", consent.key), ("version", consent.version)):
            yield from check_line(f"{pointer}/{index}/{name}", text)
        if consent.time is not None and instant(consent.time) is None:
            yield FaultAt(f"{pointer}/{index}/time", "no_time")


def check_answers(
    form: Form, answers: Mapping[str, Answer], seats: Sequence[Mapping[str, Answer]]
) -> list[FaultAt]:
    """What does not fit the questions of this form version."""
    asked = [question for question in form.questions if question.scope is QuestionScope.REGISTRATION]
    faults = list(_check_scope("/answers", asked, answers))
    asked = [question for question in form.questions if question.scope is QuestionScope.SEAT]
    for index, given in enumerate(seats):
        faults.extend(_check_scope(f"/seats/{index}/answers", asked, given))
    return faults


def _check_scope(pointer: str, asked: list[Question], given: Mapping[str, Answer]) -> Iterator[FaultAt]:
    known = {question.key for question in asked}
    for key in given:
        if key not in known:
            yield FaultAt(f"{pointer}/{escaped(key)}", "unknown_question")
    for question in asked:
        at = f"{pointer}/{question.key}"
        answer = given.get(question.key)
        if answer is None or (isinstance(answer, str) and not answer.strip()):
            if question.required:
                yield FaultAt(at, "no_answer")
        elif question.kind is QuestionKind.BOOLEAN:
            if not isinstance(answer, bool):
                yield FaultAt(at, "answer_boolean")
        elif not isinstance(answer, str):
            yield FaultAt(at, "answer_text")
        elif question.kind is QuestionKind.CHOICE and answer not in question.choices:
            yield FaultAt(at, "answer_choice", {"expected": ", ".join(question.choices)})


def person_of(body: RegisterBody, locale: str) -> Person:
    """The personal data of a registration, as it is sealed."""
    contact, seats = body.contact, body.seats
    person = Person(contact.name.strip(), contact.email.strip(), contact.locale or locale)
    for seat in seats:
        if seat.attendee is not None and not person.attendees:
            person.attendees = [attendee_of(each.attendee) for each in seats]
        if seat.answers and not person.seat_answers:
            person.seat_answers = [each.answers or None for each in seats]
    person.answers = body.answers
    person.metadata = body.metadata
    if body.consents:
        person.consents = consents_of(body.consents)
    return person


def attendee_of(attendee: AttendeeIn | None) -> Attendee | None:
    """An attendee, as it is sealed."""
    if attendee is None:
        return None
    return Attendee(attendee.name.strip(), attendee.email.strip() if attendee.email else None)


def consents_of(consents: Iterable[ConsentIn]) -> list[Consent]:
    """Consents, as they are sealed."""
    return [Consent(consent.key, consent.version, consent.time) for consent in consents]


def instant(text: str) -> int | None:
    """An RFC 3339 time with an offset as ms since the epoch; None when it is none."""
    if not re.fullmatch(
        r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", text, re.ASCII
    ):
        return None
    # Python reads at most microseconds.
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        ms = round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return ms if ms >= 0 else None


def escaped(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
