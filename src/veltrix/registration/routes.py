"""The table of all operations of the API."""

from __future__ import annotations

from typing import Any, Final

from veltrix.domain import limits
from veltrix.domain.outcomes import Refusal
from veltrix.domain.registration import RegistrationStatus
from veltrix.ports.access import Scope
from veltrix.registration import corrections, door, imports, lists, live, registrations
from veltrix.registration.bodies import RegisterBody
from veltrix.registration.decisions import Decisions
from veltrix.registration.event_bodies import EventIn, EventOut, EventPage, Seats
from veltrix.registration.events import Events
from veltrix.registration.health import Health, Probes
from veltrix.registration.intake import Intake
from veltrix.registration.operations import Operation, Param, Shape
from veltrix.registration.outputs import Changed, Registered, RegistrationView, Undecided
from veltrix.registration.pages import Pages

EVENTS: Final = "Events"
PUBLIC: Final = "Registrations"
ORGANIZER: Final = "Organizing"
PROBES: Final = "Probes"

STRONG: Final = Param(
    "consistency",
    "`strong`: not older than anything acknowledged before.",
    {"type": "string", "enum": ["strong"]},
)
CURSOR: Final = Param(
    "cursor", "Where the last page ended: its `next_cursor`.", {"type": "string", "maxLength": 512}
)
LIMIT: Final = Param(
    "limit",
    "Items of a page.",
    {
        "type": "integer",
        "minimum": 1,
        "maximum": limits.PAGE_MAX_ROWS,
        "default": limits.PAGE_DEFAULT_ROWS,
    },
)
_STATUS: Final = Param(
    "status",
    "Only these statuses, separated by commas: " + ", ".join(f"`{status}`" for status in RegistrationStatus),
    {"type": "string", "pattern": f"^({'|'.join(RegistrationStatus)})(,({'|'.join(RegistrationStatus)}))*$"},
)
_EMAIL: Final = Param("email", "Only this person.", {"type": "string", "format": "email"})
_WAITED: Final = Shape(Undecided, meaning="Durable and in line, not decided yet")
_EVENT_CHANGES: Final = (Refusal.EVENT_CANCELLED, Refusal.EVENT_ENDED)
_FOUND: Final = (Refusal.UNKNOWN_REGISTRATION, Refusal.LINK_REPLACED)
_ACTIVE: Final = (*_FOUND, Refusal.EVENT_CANCELLED, Refusal.NOT_ACTIVE)
_OWN_EVENT: Final = ("unknown_event",)


def event_operations(events: Events, seats: live.Live) -> list[Operation]:
    """Operations of events."""
    return [
        Operation(
            "POST", "/v1/events", "createEvent", events.create, "Create an event, as a draft", EVENTS,
            "Only you see a draft. Open it to let people register.",
            scope=Scope.WRITE, keyed=True, waits=True, etag=True, body=(Shape(EventIn),),
            answers={201: Shape(EventOut, meaning="The draft"), 202: _WAITED},
            problems=(Refusal.SLUG_TAKEN, Refusal.INVALID_CHANGE),
        ),
        Operation(
            "GET", "/v1/events", "listEvents", events.listed, "List your events", EVENTS,
            scope=Scope.READ, query=(CURSOR, LIMIT), answers={200: Shape(EventPage, meaning="A page")},
            problems=("bad_cursor",),
        ),
        Operation(
            "GET", "/v1/events/{event}", "getEvent", events.read, "Read an event", EVENTS,
            "A draft is shown to its organizer only, and so are access codes.",
            key_optional=True, etag=True, query=(STRONG,),
            answers={200: Shape(EventOut, meaning="The event"), 304: None}, problems=_OWN_EVENT,
        ),
        Operation(
            "PATCH", "/v1/events/{event}", "changeEvent", events.change, "Change an event", EVENTS,
            "Send what changes, as a merge patch (RFC 7396). Raise `form.version` with other questions.",
            scope=Scope.WRITE, keyed=True, waits=True, etag=True, if_match=True,
            body=(Shape(dict[str, Any], "application/merge-patch+json", "What changes"),
                  Shape(dict[str, Any], meaning="What changes")),
            answers={200: Shape(EventOut, meaning="The event after it"), 202: _WAITED},
            problems=(*_OWN_EVENT, *_EVENT_CHANGES, Refusal.VERSION_CONFLICT, Refusal.INVALID_CHANGE),
        ),
        *(
            Operation(
                "POST", f"/v1/events/{{event}}/{name}", f"{name}Event", handler, summary, EVENTS,
                scope=Scope.WRITE, keyed=True, waits=True, etag=True,
                answers={200: Shape(EventOut, meaning="The event after it"), 202: _WAITED},
                problems=(*_OWN_EVENT, *_EVENT_CHANGES, Refusal.NOT_OPEN),
            )
            for name, handler, summary in (
                ("open", events.open, "Open registration, or open it again"),
                ("close", events.close, "Close registration"),
                ("cancel", events.cancel, "Call the event off, and tell everybody"),
            )
        ),
        Operation(
            "GET", "/v1/events/{event}/seats", "getSeats", events.seats, "Read what is left", EVENTS,
            key_optional=True, query=(STRONG,),
            answers={200: Shape(Seats, meaning="What is left, as of a command")}, problems=_OWN_EVENT,
        ),
        Operation(
            "GET", "/v1/events/{event}/seats/stream", "watchSeats", seats.seats, "Watch what is left", EVENTS,
            "Server-sent events: `seats`, at once and within a second of a change. `Last-Event-ID` resumes.",
            key_optional=True, streams=True,
            answers={200: Shape(Seats, "text/event-stream", "`seats` events")}, problems=_OWN_EVENT,
        ),
    ]  # fmt: skip


def intake_operations(intake: Intake, decisions: Decisions, line: live.Live) -> list[Operation]:
    """Operations of those who register."""
    return [
        Operation(
            "POST", "/v1/events/{event}/registrations", "register", intake.register, "Register", PUBLIC,
            "One or more seats, decided all or nothing. The answer's link is the only key to it.",
            key_optional=True, keyed=True, waits=True, body=(Shape(RegisterBody),),
            answers={201: Shape(Registered, meaning="Confirmed, held or waitlisted"), 202: _WAITED},
            problems=(
                "unknown_event", Refusal.EVENT_CANCELLED, Refusal.EVENT_ENDED, Refusal.NOT_OPEN,
                Refusal.WINDOW_NOT_OPEN_YET, Refusal.WINDOW_OVER, Refusal.ACCESS_CODE_REQUIRED,
                Refusal.ACCESS_CODE_INVALID, Refusal.ACCESS_CODE_USED_UP, Refusal.FORM_VERSION_OUTDATED,
                Refusal.UNKNOWN_CATEGORY, Refusal.CATEGORY_NOT_ON_SALE, Refusal.PARTY_TOO_LARGE,
                Refusal.ALREADY_REGISTERED, Refusal.SEATS_PER_PERSON, Refusal.FULL, Refusal.WAITLIST_FULL,
                "event_busy", "unauthorized",
            ),
        ),
        Operation(
            "GET", "/v1/decisions/{token}", "getDecision", decisions.read, "Read a decision", PUBLIC,
            "Answered as the request itself would have been, with 200 for whatever was accepted.",
            waits=True, query=(STRONG,),
            answers={200: Shape((Registered, Changed, EventOut, door.CheckedIn, door.Erased),
                                meaning="What was decided"), 202: _WAITED},
            problems=("unknown_decision", "key_reused", *Refusal),
        ),
        Operation(
            "GET", "/v1/decisions/{token}/stream", "watchDecision", line.decision,
            "Watch the place in line and the decision", PUBLIC,
            "Server-sent events: `place` when the line moves, `decision` as the last.",
            streams=True,
            answers={200: Shape(live.PlaceInLine, "text/event-stream", "`place` and `decision` events"),
                     204: None},
            problems=("unknown_decision",),
        ),
    ]  # fmt: skip


def single_operations(
    single: registrations.Registrations, changes: corrections.Corrections
) -> list[Operation]:
    """Operations on one registration, by its link or its id."""

    def act(name: str, handler: Any, summary: str, body: Any, *problems: str, **more: Any) -> Operation:
        return Operation(
            "POST", f"/v1/registrations/{{ref}}/{name}", f"{name}Registration", handler, summary, PUBLIC,
            key_optional=True, keyed=True, waits=True, etag=True, if_match=True, body=(Shape(body),),
            answers={200: Shape(Changed, meaning="The registration after it"), 202: _WAITED},
            problems=(*_ACTIVE, "unauthorized", "forbidden", *problems), **more,
        )  # fmt: skip

    return [
        Operation(
            "GET", "/v1/registrations/{ref}", "getRegistration", single.read, "Read a registration", PUBLIC,
            "By its link, or by its id with an organizer's key. Reading changes nothing.",
            key_optional=True, etag=True, query=(STRONG,),
            answers={200: Shape(RegistrationView, meaning="The registration")},
            problems=(*_FOUND, "unauthorized", "forbidden"),
        ),
        Operation(
            "PATCH", "/v1/registrations/{ref}", "changeRegistration", changes.change,
            "Change names and answers", PUBLIC,
            "What is not named stays. The e-mail address cannot change: transfer the registration instead.",
            key_optional=True, keyed=True, waits=True, etag=True, if_match=True,
            body=(Shape(corrections.ChangeBody),
                  Shape(corrections.ChangeBody, "application/merge-patch+json")),
            answers={200: Shape(Changed, meaning="The registration after it"), 202: _WAITED},
            problems=(*_ACTIVE, "unauthorized", "forbidden", "person_erased", Refusal.FORM_VERSION_OUTDATED),
        ),
        act("confirm", single.confirm, "Confirm a hold", registrations.ConfirmBody,
            Refusal.NOT_HELD, Refusal.ORGANIZER_MUST_CONFIRM, body_required=False),
        act("cancel", single.cancel, "Cancel it, or one seat", registrations.CancelBody,
            Refusal.UNKNOWN_SEAT, Refusal.SEAT_CHECKED_IN, body_required=False),
        act("move", single.move, "Move a seat to another category", registrations.MoveBody,
            Refusal.UNKNOWN_SEAT, Refusal.SEAT_CHECKED_IN, Refusal.UNKNOWN_CATEGORY,
            Refusal.CATEGORY_NOT_ON_SALE, Refusal.FULL),
        act("transfer", single.transfer, "Hand it, or one seat, to another person",
            registrations.TransferBody, Refusal.UNKNOWN_SEAT, Refusal.SEAT_CHECKED_IN,
            Refusal.ALREADY_REGISTERED, Refusal.SEATS_PER_PERSON),
        act("extend", single.extend, "Give a hold more time (organizers only)", registrations.ExtendBody,
            Refusal.NOT_HELD),
        act("release", single.release, "Give a hold back", registrations.ReleaseBody, Refusal.NOT_HELD,
            body_required=False),
    ]  # fmt: skip


def organizer_operations(
    listing: lists.Lists, importing: imports.Imports, at_door: door.Door
) -> list[Operation]:
    """Operations of organizers on all registrations of an event."""
    by = Param("by", "One row a registration, or one a seat.",
               {"type": "string", "enum": ["registration", "seat"], "default": "registration"})  # fmt: skip
    form = Param("format", "`excel` is CSV with the byte order mark that Excel wants.",
                 {"type": "string", "enum": ["ndjson", "csv", "excel"], "default": "ndjson"})  # fmt: skip
    return [
        Operation(
            "GET", "/v1/events/{event}/registrations", "listRegistrations", listing.listed,
            "List or search registrations", ORGANIZER,
            scope=Scope.READ, query=(_STATUS, _EMAIL, CURSOR, LIMIT, STRONG),
            answers={200: Shape(lists.RegistrationPage, meaning="A page, by arrival")},
            problems=(*_OWN_EVENT, "bad_cursor"),
        ),
        Operation(
            "GET", "/v1/events/{event}/export", "exportRegistrations", listing.export,
            "Export all registrations, or all seats", ORGANIZER, "A stream, by arrival.",
            scope=Scope.READ, query=(by, form, _STATUS, STRONG),
            answers={200: Shape(None, "application/x-ndjson", "All of them, or `text/csv`")},
            problems=_OWN_EVENT,
        ),
        Operation(
            "POST", "/v1/events/{event}/imports", "importRegistrations", importing.run,
            "Import registrations", ORGANIZER,
            "One registration a line, as in the body of a registration; or CSV with the columns name, email, "
            "categories, and where wanted locale, form_version, answers.KEY and metadata.KEY. Sent again "
            "under the same key, rows that were imported are not imported twice. The report has a line for "
            "each row, and a summary as its last.",
            scope=Scope.WRITE, keyed=True,
            body=tuple(Shape(None, media_type, "The rows") for media_type in imports.TYPES),
            answers={200: Shape(imports.RowReport, "application/x-ndjson", "The report")},
            problems=(*_OWN_EVENT, "imports_busy", "malformed_json"),
        ),
        Operation(
            "POST", "/v1/events/{event}/check-ins", "checkIn", at_door.check_in, "Check a ticket in",
            ORGANIZER,
            "The same `scan_id` is the same scan, however often it is sent.",
            scope=Scope.CHECK_IN, waits=True, body=(Shape(door.CheckInBody),),
            answers={200: Shape(door.CheckedIn, meaning="The seat after it"), 202: _WAITED},
            problems=(
                *_OWN_EVENT, "invalid_ticket", "key_reused", Refusal.EVENT_CANCELLED, Refusal.UNKNOWN_SEAT,
                Refusal.TICKET_REPLACED, Refusal.NOT_CONFIRMED, Refusal.ALREADY_CHECKED_IN,
                Refusal.NOT_CHECKED_IN,
            ),
        ),
        Operation(
            "POST", "/v1/events/{event}/erasures", "erasePerson", at_door.erase, "Forget a person", ORGANIZER,
            "Destroys the keys of all that the event knows of them. Seats and decisions stay.",
            scope=Scope.WRITE, keyed=True, waits=True, body=(Shape(door.EraseBody),),
            answers={200: Shape(door.Erased, meaning="It is decided"), 202: _WAITED}, problems=_OWN_EVENT,
        ),
    ]  # fmt: skip


def page_operations(pages: Pages) -> list[Operation]:
    """The pages, which are no part of the API's description; but for the description itself."""

    def page(method: str, path: str, name: str, handler: Any) -> Operation:
        return Operation(method, path, name, handler, name, documented=False, explain=pages.explain)

    return [
        Operation("GET", "/openapi.json", "openapi", pages.openapi, "The description", documented=False),
        Operation("GET", "/assets/{name}", "asset", pages.asset, "A file of the pages", documented=False),
        page("GET", "/", "startPage", pages.start),
        page("GET", "/docs", "docsPage", pages.docs),
        page("GET", "/e/{event}", "eventPage", pages.event),
        page("POST", "/e/{event}", "eventForm", pages.register),
        page("GET", "/e/{organizer}/{slug}", "eventPageBySlug", pages.event),
        page("GET", "/d/{token}", "linePage", pages.line),
        page("GET", "/r/{link}", "registrationPage", pages.registration),
        page("POST", "/r/{link}/confirm", "confirmForm", pages.confirm),
        page("POST", "/r/{link}/cancel", "cancelForm", pages.cancel),
    ]


def probe_operations(probes: Probes) -> list[Operation]:
    """Operations of whoever watches the process."""
    return [
        Operation(
            "GET", "/livez", "live", probes.live, "Whether the process lives", PROBES, always=True,
            answers={200: Shape(Health, meaning="It does")},
        ),
        Operation(
            "GET", "/readyz", "ready", probes.ready, "Whether the process is ready", PROBES, always=True,
            answers={200: Shape(Health, meaning="It is"), 503: Shape(Health, meaning="Not now")},
        ),
        Operation(
            "GET", "/metrics", "metrics", probes.metrics, "What is counted, for Prometheus", PROBES,
            always=True, documented=False,
        ),
        Operation(
            "GET", "/hot-events", "hotEvents", probes.hot_events, "The events asked for most", PROBES,
            always=True, documented=False,
        ),
    ]  # fmt: skip
