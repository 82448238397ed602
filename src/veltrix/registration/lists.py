"""Lists and exports of an event's registrations, for its organizer."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any, Final

import msgspec

from veltrix.domain import limits
from veltrix.domain.registration import Registration, RegistrationStatus
from veltrix.ports.queries import Filter
from veltrix.registration.calls import Answer, Call, Flow, json_answer
from veltrix.registration.core import Core
from veltrix.registration.cursors import page_size, read_cursor, write_cursor
from veltrix.registration.directory import Entry
from veltrix.registration.events import owned
from veltrix.registration.outputs import RegistrationOut, add_details, registration_out, row_out
from veltrix.registration.people import Opened, open_boxes
from veltrix.registration.problems import invalid_query
from veltrix.sealing import canonical_email

_PAGE: Final = limits.PAGE_MAX_ROWS
_NDJSON: Final = b"application/x-ndjson"
_CSV: Final = b"text/csv; charset=utf-8"
_BYTE_ORDER_MARK: Final = "\ufeff"
_FORMATS: Final = ("ndjson", "csv", "excel")
_BY: Final = ("registration", "seat")
_encoder = msgspec.json.Encoder()

REGISTRATION_COLUMNS: Final = (
    "id", "arrival", "status", "name", "email", "locale", "seats", "categories", "source", "external_ref",
    "hold_deadline", "decided_at", "changed_at", "version", "erased",
)  # fmt: skip
SEAT_COLUMNS: Final = (
    "registration", "arrival", "registration_status", "number", "category", "status", "amount_minor",
    "currency", "ticket", "checked_in_at", "name", "email", "contact_name", "contact_email", "erased",
)  # fmt: skip


class RegistrationPage(msgspec.Struct):
    """A page of registrations, by arrival."""

    items: list[RegistrationOut]
    next_cursor: str | None


class SeatRow(msgspec.Struct):
    """One seat, as an export by seat has it: `name` and `email` of the attendee, else of the contact;
    answers of the registration and of the seat."""

    registration: str
    arrival: str
    registration_status: str
    number: int
    category: str
    status: str
    amount_minor: int
    currency: str
    ticket: str | None
    checked_in_at: str | None
    name: str | None
    email: str | None
    contact_name: str | None
    contact_email: str | None
    erased: bool
    answers: dict[str, str | bool]


class Lists:
    """Handlers of lists and exports."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def listed(self, call: Call) -> Answer:
        """A page of registrations: all, of some statuses, or of one e-mail address."""
        query = call.query("status", "email", "cursor", "limit", "consistency")
        entry = await owned(self._core, call)
        await self._core.consistent(query)
        limit = page_size(query)
        wanted = self._filter(entry, query)
        of = f"{entry.event.id}?{query.get('status', '')}&{wanted.person or ''}"
        after = read_cursor(query, "registrations", of, int)
        found = await self._core.ports.queries.registrations(
            wanted, -1 if after is None else after, limit + 1
        )
        page = found[:limit]
        following = write_cursor("registrations", of, page[-1].arrival) if len(found) > limit else None
        return json_answer(RegistrationPage([row for row, _ in await self.rows(page)], following))

    async def export(self, call: Call) -> Flow:
        """Every registration of an event, by arrival; streamed, one page in memory at a time."""
        query = call.query("by", "format", "status", "consistency")
        by, form = query.get("by", "registration"), query.get("format", "ndjson")
        for name, value, known in (("by", by, _BY), ("format", form, _FORMATS)):
            if value not in known:
                raise invalid_query(name, "wrong_value", expected=", ".join(known))
        entry = await owned(self._core, call)
        await self._core.consistent(query)
        wanted = self._filter(entry, query)
        content_type = _NDJSON if form == "ndjson" else _CSV
        suffix = "ndjson" if form == "ndjson" else "csv"
        name = f'attachment; filename="{entry.event.spec.slug}-{by}s.{suffix}"'
        return Flow(
            lambda: self._chunks(entry, wanted, by, form),
            content_type,
            [(b"content-disposition", name.encode())],
        )

    async def rows(self, registrations: list[Registration]) -> list[tuple[RegistrationOut, Opened]]:
        """Registrations as lists have them, with what was opened of each."""
        opened = await open_boxes(self._core.ports.vault, registrations)
        return [
            (row_out(add_details(registration_out(registration, None), registration), each), each)
            for registration, each in zip(registrations, opened, strict=True)
        ]

    async def _pages(self, wanted: Filter) -> AsyncIterator[list[Registration]]:
        after = -1
        while True:
            page = await self._core.ports.queries.registrations(wanted, after, _PAGE)
            if page:
                yield page
            if len(page) < _PAGE:
                return
            after = page[-1].arrival

    async def _chunks(self, entry: Entry, wanted: Filter, by: str, form: str) -> AsyncGenerator[bytes, None]:
        questions = [question.key for question in entry.event.spec.form.questions]
        if form != "ndjson":
            columns = REGISTRATION_COLUMNS if by == "registration" else SEAT_COLUMNS
            head = csv_line([*columns, *(f"answers.{key}" for key in questions)])
            yield ((_BYTE_ORDER_MARK if form == "excel" else "") + head).encode()
        async for page in self._pages(wanted):
            rows = await self.rows(page)
            lines: Iterable[bytes]
            if by == "seat":
                seats = [seat for registration, (row, _) in zip(page, rows, strict=True)
                         for seat in self._seat_rows(registration, row)]  # fmt: skip
                lines = (
                    (_encoder.encode(seat) + b"\n" for seat in seats)
                    if form == "ndjson"
                    else (_seat_line(seat, questions) for seat in seats)
                )
            else:
                lines = (
                    (_encoder.encode(row) + b"\n" for row, _ in rows)
                    if form == "ndjson"
                    else (_registration_line(row, questions) for row, _ in rows)
                )
            yield b"".join(lines)

    def _seat_rows(self, registration: Registration, row: RegistrationOut) -> list[SeatRow]:
        contact = row.contact or None
        made = []
        for seat, out in zip(registration.seats, row.seats, strict=True):
            attendee = out.attendee or None
            ticket = None
            if seat.active and registration.status is RegistrationStatus.CONFIRMED:
                ticket = self._core.links.ticket(registration.event, seat.number, seat.holder)
            who = attendee or contact
            made.append(
                SeatRow(
                    row.id,
                    row.arrival,
                    row.status,
                    out.number,
                    out.category,
                    out.status,
                    out.price.amount_minor,
                    out.price.currency,
                    ticket,
                    out.checked_in_at or None,
                    who.name if who else None,
                    who.email if who else None,
                    contact.name if contact else None,
                    contact.email if contact else None,
                    bool(row.erased),
                    (row.answers or {}) | (out.answers or {}),
                )
            )
        return made

    @staticmethod
    def _filter(entry: Entry, query: dict[str, str]) -> Filter:
        statuses = None
        if "status" in query:
            try:
                statuses = frozenset(RegistrationStatus(text) for text in query["status"].split(","))
            except ValueError:
                known = ", ".join(RegistrationStatus)
                raise invalid_query("status", "wrong_value", expected=known) from None
        person = None
        if "email" in query:
            email = canonical_email(query["email"])
            if email is None:
                raise invalid_query("email", "no_email")
            person = entry.hashes.person(email)
        return Filter(entry.event.id, statuses, person)


def _registration_line(row: RegistrationOut, questions: list[str]) -> bytes:
    contact, answers = row.contact or None, row.answers or {}
    values: list[Any] = [
        row.id, row.arrival, row.status,
        contact.name if contact else None, contact.email if contact else None,
        contact.locale if contact else None,
        sum(seat.status == "active" for seat in row.seats),
        " ".join(seat.category for seat in row.seats if seat.status == "active"),
        row.source, row.external_ref, row.hold_deadline, row.decided_at, row.changed_at, row.version,
        row.erased,
    ]  # fmt: skip
    return csv_line([*values, *(answers.get(key) for key in questions)]).encode()


def _seat_line(row: SeatRow, questions: list[str]) -> bytes:
    values = [getattr(row, column) for column in SEAT_COLUMNS]
    return csv_line([*values, *(row.answers.get(key) for key in questions)]).encode()


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV (RFC 4180). A text that a spreadsheet would run as a formula is kept from it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return line.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return f"'{value}"
    return value
