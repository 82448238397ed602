"""The table of operations, continued: everything that is kept about a person."""

from __future__ import annotations

from typing import Final

from veltrix.ports.access import Scope
from veltrix.registration.operations import Operation, Param, Shape
from veltrix.registration.person_export import PersonDesk, PersonExport
from veltrix.registration.routes import ORGANIZER, PUBLIC, STRONG

_EMAIL: Final = Param("email", "Whom it is about.", {"type": "string", "format": "email"})
_EVENT: Final = Param("event", "Only this event.", {"type": "string", "pattern": "^evt_[0-9a-f]{32}$"})


def person_operations(desk: PersonDesk) -> list[Operation]:
    """Operations of exports of a person."""
    shown = {200: Shape(PersonExport, meaning="All of it")}
    return [
        Operation(
            "GET", "/v1/people/export", "exportPerson", desk.by_email, "Export a person", ORGANIZER,
            "Everything that your events keep about an e-mail address: registrations, what came with each "
            "request, notices with their attempts, and what they do not want to be told.",
            scope=Scope.READ, query=(_EMAIL, _EVENT, STRONG), answers=shown, problems=("unknown_event",),
        ),
        Operation(
            "GET", "/v1/registrations/{ref}/export", "exportRegistration", desk.by_link,
            "Export what is kept about a registration's holder", PUBLIC,
            "By its link, or by its id with an organizer's key. A link shows this registration only: it does "
            "not prove whose the e-mail address is.",
            key_optional=True, query=(STRONG,), answers=shown,
            problems=("unknown_registration", "link_replaced", "unauthorized", "forbidden"),
        ),
    ]  # fmt: skip
