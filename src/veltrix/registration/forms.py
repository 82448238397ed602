"""The registration form without JavaScript: from its fields to the body that the API takes, and back."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import msgspec

from veltrix.domain import limits
from veltrix.domain.event import Form, QuestionKind, QuestionScope
from veltrix.registration.bodies import RegisterBody
from veltrix.registration.calls import fault_of
from veltrix.registration.problems import Explained, Problem, invalid_body

_FIELDS_MAX = 1_000


def read_form(raw: bytes) -> dict[str, str]:
    """The fields of a form as a browser sends it. Raises `Problem`."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise invalid_body() from None
    return dict(pairs)


def seats_asked(values: dict[str, str], most: int) -> int:
    """How many seats the form is about."""
    text = values.get("seats", "")
    return min(max(int(text), 1), most) if re.fullmatch(r"[0-9]{1,3}", text) else 1


def body_of(values: dict[str, str], form: Form, language: str) -> RegisterBody:
    """The body that these fields stand for. Raises `Problem` invalid_body."""
    count = seats_asked(values, limits.SEATS_PER_REGISTRATION_MAX)
    seats = []
    for index in range(count):
        seat: dict[str, object] = {"category": values.get(f"s{index}.category", "")}
        attendee = values.get(f"s{index}.attendee", "").strip()
        if attendee:
            seat["attendee"] = {"name": attendee}
        seat["answers"] = _answers(values, f"s{index}.q.", form, QuestionScope.SEAT)
        seats.append(seat)
    version = values.get("form_version", "")
    body = {
        "contact": {"name": values.get("name", ""), "email": values.get("email", ""), "locale": language},
        "seats": seats,
        "answers": _answers(values, "q.", form, QuestionScope.REGISTRATION),
        "form_version": int(version) if re.fullmatch(r"[0-9]{1,9}", version) else None,
        "access_code": values.get("code", "").strip() or None,
    }
    try:
        return msgspec.convert(body, RegisterBody)
    except msgspec.ValidationError as error:
        raise invalid_body(fault_of(str(error))) from None


def _answers(values: dict[str, str], prefix: str, form: Form, scope: QuestionScope) -> dict[str, object]:
    """A box that is not ticked is not sent: it is a no."""
    answers: dict[str, object] = {}
    for question in form.questions:
        if question.scope is not scope:
            continue
        text = values.get(prefix + question.key, "")
        if question.kind is QuestionKind.BOOLEAN:
            answers[question.key] = text == "true"
        elif text.strip():
            answers[question.key] = text
    return answers


def field_of(pointer: str) -> str:
    """The field of the form that a JSON pointer of the body is about."""
    parts = pointer.split("/")[1:]
    if parts[:1] == ["contact"] and len(parts) > 1:
        return parts[1]
    if parts[:1] == ["answers"] and len(parts) > 1:
        return f"q.{parts[1]}"
    if parts == ["access_code"]:
        return "code"
    if parts[:1] == ["seats"] and len(parts) > 2:
        return (
            f"s{parts[1]}.q.{parts[3]}"
            if parts[2] == "answers" and len(parts) > 3
            else f"s{parts[1]}.{parts[2]}"
        )
    return ""


def faults_by_field(errors: list[Explained]) -> dict[str, str]:
    """What is wrong, by field of the form."""
    return {field_of(error.field): f"{error.fault}: {error.remedy}" for error in errors}


def is_decided(problem: Problem) -> bool:
    """Whether the problem is a decision, bound to its key."""
    return "decision" in problem.members or problem.code == "key_reused"
