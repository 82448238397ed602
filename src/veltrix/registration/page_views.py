"""What the pages show: events and registrations in the visitor's language, ready for the templates."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import segno

from veltrix.domain import limits
from veltrix.domain.event import (
    Category,
    Event,
    EventSpec,
    EventStatus,
    Question,
    QuestionScope,
)
from veltrix.domain.registration import ACTIVE, Registration, RegistrationStatus
from veltrix.ports.queries import PoolView
from veltrix.registration.links import Links
from veltrix.registration.outputs import arrival_text
from veltrix.registration.page_texts import MONTHS, TEXTS, WEEKDAYS
from veltrix.registration.people import Opened

SEATS_ON_PAGE: Final = 10
_NO_MINOR: Final = frozenset(
    {
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    }
)
_THREE_MINOR: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


class QuestionView(NamedTuple):
    """A question in one language."""

    key: str
    label: str
    kind: str
    required: bool
    choices: list[tuple[str, str]]


class CategoryView(NamedTuple):
    """A kind of ticket in one language; `free` seats are left of it, as its scarcest pool has it."""

    key: str
    title: str
    price: str
    pools: tuple[str, ...]
    free: int


class EventPageView(NamedTuple):
    """An event in one language; `closed` says why nobody can register, where that is so."""

    id: str
    organizer: str
    title: str
    description: list[str]
    venue: str
    when: str
    categories: list[CategoryView]
    on_sale: list[CategoryView]
    waiting: int
    waitlist: bool
    closed: str
    needs_code: bool
    form_version: int
    questions: list[QuestionView]
    seat_questions: list[QuestionView]
    seats_most: int


class SeatView(NamedTuple):
    """One seat as its holder sees it."""

    number: int
    title: str
    price: str
    active: bool
    attendee: str
    checked_in: bool
    ticket: str
    qr: str
    may_cancel: bool


class RegistrationPageView(NamedTuple):
    """A registration as its holder sees it."""

    status: str
    status_text: str
    lead: str
    name: str
    email: str
    seats: list[SeatView]
    arrival: str
    decided_at: str
    may_confirm: bool
    may_cancel: bool


def event_view(
    event: Event, language: str, now_ms: int, pools: Sequence[PoolView] = (), waiting: int = 0
) -> EventPageView:
    """An event for its public page, and for the pages of its registrations."""
    spec = event.spec
    text = TEXTS[language]
    on_sale = [each for each in spec.categories if each.window is None or each.window.contains(now_ms)]
    free = {pool.key: pool.free for pool in pools}
    closed = ""
    if event.status is not EventStatus.OPEN:
        closed = text[f"not_open_{event.status.value}"]
    elif not on_sale:
        closed = text["not_open_closed"]
    return EventPageView(
        id=event.id,
        organizer=event.organizer,
        title=spec.title.best(language),
        description=paragraphs(spec.description.best(language)) if spec.description else [],
        venue=spec.venue.best(language) if spec.venue else "",
        when=span_text(spec, language),
        categories=[_category(each, language, free) for each in spec.categories],
        on_sale=[_category(each, language, free) for each in on_sale],
        waiting=waiting,
        waitlist=spec.waitlist is not None,
        closed=closed,
        needs_code=bool(spec.access_codes),
        form_version=spec.form.version,
        questions=_questions(spec, QuestionScope.REGISTRATION, language),
        seat_questions=_questions(spec, QuestionScope.SEAT, language),
        seats_most=min(spec.seats_per_registration, SEATS_ON_PAGE, limits.SEATS_PER_REGISTRATION_MAX),
    )


def registration_view(
    registration: Registration, event: Event, opened: Opened, links: Links, language: str, ahead: int | None
) -> RegistrationPageView:
    """A registration for the page that its link opens."""
    text, status = TEXTS[language], registration.status
    holds, zone = event.spec.holds, event.spec.time_zone
    registrant_confirms = holds is None or holds.registrant_may_confirm
    if event.status is EventStatus.CANCELLED:
        lead = text["lead_event_cancelled"]
    elif status is RegistrationStatus.HELD:
        deadline = moment_text(registration.hold_deadline_ms or 0, zone, language)
        lead = text["lead_held" if registrant_confirms else "lead_held_organizer"].format(deadline=deadline)
    else:
        lead = text[f"lead_{status.value}"].format(ahead=ahead)
    over = event.status in (EventStatus.CANCELLED, EventStatus.ENDED)
    active = status in ACTIVE and not over
    seats = [
        _seat(registration, index, event.spec, opened, links, language, active)
        for index in range(len(registration.seats))
    ]
    person = opened.person
    return RegistrationPageView(
        status=status.value,
        status_text=text[f"status_{status.value}"],
        lead=lead,
        name=person.name if person else "",
        email=person.email if person else "",
        seats=seats,
        arrival=arrival_text(registration.arrival),
        decided_at=moment_text(registration.decided_ms, zone, language),
        may_confirm=status is RegistrationStatus.HELD and registrant_confirms and active,
        may_cancel=active and not any(seat.checked_in for seat in seats),
    )


def _seat(
    registration: Registration, index: int, spec: EventSpec, opened: Opened, links: Links, language: str,
    active: bool,
) -> SeatView:  # fmt: skip
    seat = registration.seats[index]
    category = spec.category(seat.category)
    person, attendee = opened.person, ""
    if seat.number in opened.seats:
        holder = opened.seats[seat.number]
        attendee = holder.name if holder else ""
    elif person is not None and index < len(person.attendees):
        named = person.attendees[index]
        attendee = named.name if named else ""
    ticket = ""
    if registration.status is RegistrationStatus.CONFIRMED and seat.active and seat.box is None:
        ticket = links.ticket(registration.event, seat.number, seat.holder)
    several = len(registration.active_seats()) > 1
    return SeatView(
        seat.number,
        category.title.best(language) if category else seat.category,
        price_text(seat.price_minor, seat.currency, language),
        seat.active,
        attendee,
        seat.checked_in_ms is not None,
        ticket,
        qr_code(ticket) if ticket and active else "",
        active and several and seat.active and seat.checked_in_ms is None,
    )


def qr_code(text: str) -> str:
    """A QR code as an SVG that needs no style and no script."""
    drawn = io.BytesIO()
    segno.make_qr(text, error="m").save(
        drawn, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=2, dark="#000", light="#fff"
    )
    return drawn.getvalue().decode()


def _category(category: Category, language: str, free: Mapping[str, int]) -> CategoryView:
    price = price_text(category.price_minor, category.currency, language)
    least = min((free.get(pool, 0) for pool in category.pools), default=0)
    return CategoryView(category.key, category.title.best(language), price, category.pools, least)


def _questions(spec: EventSpec, scope: QuestionScope, language: str) -> list[QuestionView]:
    return [_question(each, language) for each in spec.form.questions if each.scope is scope]


def _question(question: Question, language: str) -> QuestionView:
    choices = [(key, label.best(language)) for key, label in question.choices.items()]
    return QuestionView(
        question.key, question.label.best(language), question.kind.value, question.required, choices
    )


def price_text(minor: int, currency: str, language: str) -> str:
    """A price as people read it."""
    if minor == 0:
        return TEXTS[language]["free_of_charge"]
    digits = 0 if currency in _NO_MINOR else 3 if currency in _THREE_MINOR else 2
    whole, part = divmod(minor, 10**digits)
    point, group = (",", ".") if language == "de" else (".", ",")
    text = f"{whole:,}".replace(",", group)
    return f"{text}{point}{part:0{digits}d} {currency}" if digits else f"{text} {currency}"


def span_text(spec: EventSpec, language: str) -> str:
    """From when to when, in the event's own time."""
    starts, ends = datetime.fromisoformat(spec.starts_local), datetime.fromisoformat(spec.ends_local)
    first = f"{_day(starts, language)}, {_clock(starts)}"
    last = _clock(ends) if starts.date() == ends.date() else f"{_day(ends, language)}, {_clock(ends)}"
    hours = " Uhr" if language == "de" else ""
    return f"{first} – {last}{hours} ({spec.time_zone})"


def moment_text(ms: int, zone: str, language: str) -> str:
    """An instant, in the event's own time."""
    moment = datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone))
    hours = " Uhr" if language == "de" else ""
    return f"{_day(moment, language)}, {_clock(moment)}{hours}"


def _day(moment: datetime, language: str) -> str:
    weekday, month = WEEKDAYS[language][moment.weekday()], MONTHS[language][moment.month - 1]
    dot = "." if language == "de" else ""
    return f"{weekday}, {moment.day}{dot} {month} {moment.year}"


def _clock(moment: datetime) -> str:
    return f"{moment.hour:02d}:{moment.minute:02d}"


def paragraphs(text: str) -> list[str]:
    """A text as its paragraphs."""
    return [part.strip() for part in text.split("\n") if part.strip()]


def group_operations(description: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The description of the API as the page to try it shows it, by tag."""
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in description["tags"]}
    for path, methods in description["paths"].items():
        for method, each in methods.items():
            bodies = [
                {
                    "media_type": media_type,
                    "example": content["example"]
                    if isinstance(content["example"], str)
                    else msgspec.json.format(msgspec.json.encode(content["example"]), indent=2).decode(),
                }
                for media_type, content in each.get("requestBody", {}).get("content", {}).items()
            ]
            groups[each["tags"][0]].append(
                {
                    "id": each["operationId"],
                    "method": method.upper(),
                    "path": path,
                    "summary": each["summary"],
                    "description": paragraphs(each.get("description", "")),
                    "parameters": [
                        {
                            "name": parameter["name"],
                            "where": parameter["in"],
                            "required": parameter.get("required", False),
                            "meaning": parameter.get("description", ""),
                            "value": "",
                        }
                        for parameter in each["parameters"]
                    ],
                    "bodies": bodies,
                    "rows": min(24, max((body["example"].count("\n") + 2 for body in bodies), default=3)),
                    "answers": [
                        {"status": status, "lines": answer["description"].replace("- `", "`").split("\n")}
                        for status, answer in each["responses"].items()
                    ],
                    "streams": any(parameter["name"] == "Last-Event-ID" for parameter in each["parameters"]),
                }
            )
    return list(groups.items())
