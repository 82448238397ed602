"""A letter: one kind of mail about one event in one language, written for everyone but the names.

Making one renders the templates and builds the calendar file, in a few milliseconds; writing a mail with
it fills in what is the person's, in a few dozen microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from veltrix.domain.event import Event
from veltrix.domain.notices import NoticeKind, category_of
from veltrix.domain.registration import RegistrationStatus
from veltrix.notification import mime
from veltrix.notification.formats import NO_BREAK, amount, language_of, money, span, zone_label
from veltrix.notification.invite import CANCEL, REQUEST, Entry, Invite
from veltrix.notification.mime import clean, encoded, html_encoded, measured
from veltrix.notification.own_texts import OwnText
from veltrix.notification.qr import ticket_codes
from veltrix.notification.texts import Prose, Texts

_CONFIRMED: Final = RegistrationStatus.CONFIRMED
_ROWS_MAX: Final = 500  # kinds of seat line that a letter keeps at most

# No part can hold these: "=_" does not occur in quoted-printable, nor "_" in base64.
_MIXED: Final = "=_veltrix_mixed"
_ALTERNATIVE: Final = "=_veltrix_alternative"
_RELATED: Final = "=_veltrix_related"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a kind of notice shows: its colour, the seats, the link, a hold's deadline, a calendar file.

    A `REQUEST` is attached for confirmed registrations only: calendars hold no maybes.
    """

    tone: str
    seats: bool = True
    link: bool = True
    deadline: bool = False
    method: str | None = None


SHAPES: Final[Mapping[NoticeKind, Shape]] = {
    NoticeKind.CONFIRMED: Shape("good", method=REQUEST),
    NoticeKind.HELD: Shape("wait", deadline=True),
    NoticeKind.WAITLISTED: Shape("wait"),
    NoticeKind.PROMOTED: Shape("good", method=REQUEST),
    NoticeKind.PROMOTED_HELD: Shape("wait", deadline=True),
    NoticeKind.CANCELLED: Shape("ended", method=CANCEL),
    NoticeKind.SEAT_CANCELLED: Shape("news"),
    NoticeKind.EXPIRED: Shape("ended"),
    NoticeKind.RELEASED: Shape("ended"),
    NoticeKind.HOLD_EXTENDED: Shape("wait", deadline=True),
    NoticeKind.MOVED: Shape("news", method=REQUEST),
    NoticeKind.CHANGED: Shape("news"),
    NoticeKind.RECEIVED: Shape("news", deadline=True, method=REQUEST),
    NoticeKind.HANDED_OVER: Shape("news", seats=False, link=False, method=CANCEL),
    NoticeKind.SEAT_HANDED_OVER: Shape("news"),
    NoticeKind.TICKET: Shape("good", link=False, method=REQUEST),
    NoticeKind.TICKET_WITHDRAWN: Shape("ended", link=False, method=CANCEL),
    NoticeKind.EVENT_CHANGED: Shape("news", method=REQUEST),
    NoticeKind.EVENT_CANCELLED: Shape("ended", method=CANCEL),
    NoticeKind.REMINDER: Shape("news", method=REQUEST),
}
# What a person was told to come to, so that a CANCEL means something to their calendar.
_ENTERED: Final = frozenset({_CONFIRMED, RegistrationStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes: a display name, an address, perhaps another one for answers, and the site's address.

    `bounces`, where there is one, gets the reports of mails that came back: its local part is followed by
    `+` and what names the notice. Without one they go to `address`.
    """

    name: str
    address: str
    base_url: str
    reply_to: str | None = None
    bounces: str | None = None

    @property
    def domain(self) -> str:
        """The part of Message-IDs that makes them the sender's own."""
        return self.address.rpartition("@")[2]


class Variant(NamedTuple):
    """What a letter depends on beside the event: `single` is the holder of one seat, not the contact."""

    kind: NoticeKind
    status: RegistrationStatus
    single: bool
    locale: str


class SeatLine(NamedTuple):
    """A seat as a mail lists it; without an attendee's name and a ticket where those are empty."""

    number: int
    category: str
    price_minor: int
    currency: str
    mark: str
    attendee: str
    ticket: str


@dataclass(slots=True)
class Personal:
    """What is filled in for one person. `seats` lists theirs, `deadline` is text, `link` a URL or empty.

    `unsubscribe` is the URL where one says that one does not want such mails, of those one can do without.
    """

    notice: str
    created_ms: int
    name: str
    email: str
    registration: str
    link: str
    deadline: str
    seats: Sequence[SeatLine]
    entry: Entry | None
    unsubscribe: str = ""


class _Row(NamedTuple):
    """What the line of a seat looks like before it is anybody's."""

    category: str
    price_minor: int
    currency: str
    mark: str
    named: bool
    ticketed: bool


class Letter:
    """Writes mails of one variant about one version of an event, with an organizer's `own` text or ours."""

    def __init__(
        self, texts: Texts, event: Event, variant: Variant, sender: Sender, own: OwnText | None = None
    ) -> None:
        spec = event.spec
        shape = SHAPES[variant.kind]
        locale = variant.locale
        self.shape = shape
        self.language = language_of(own.draft.locale if own else locale, spec.title.default)
        self._written_in = own.draft.locale if own else self.language
        self._texts = texts
        self._event = event
        self._locale = locale
        self._rows: dict[_Row, Prose] = {}
        self._totals: dict[str, tuple[str, str]] = {}
        self._priced = not variant.single  # what was paid is between the contact and the organizer
        self._domain = sender.domain
        method = shape.method
        if method == REQUEST and variant.status is not _CONFIRMED:
            method = None
        if method == CANCEL and variant.status not in _ENTERED:
            method = None
        page_url = f"{sender.base_url}/e/{event.id}"
        organizer = (sender.name, sender.address)
        self.invite = Invite(event, locale, method, organizer, page_url) if method else None
        has_link = shape.link and not variant.single
        values = self._values(variant, has_link=has_link)
        self._prose = own.prose(values) if own else texts.mail(variant.kind, self.language, values)
        self._before, self._after = self._headers(sender)

    def _values(self, variant: Variant, *, has_link: bool) -> dict[str, object]:
        spec = self._event.spec
        holds = spec.holds
        held = variant.status is RegistrationStatus.HELD
        return {
            "title": clean(spec.title.best(self._locale)),
            "venue": clean(spec.venue.best(self._locale)) if spec.venue is not None else "",
            "when": span(spec.starts_local, spec.ends_local, self.language),
            "zone": zone_label(spec.starts_local, spec.time_zone),
            "date": spec.starts_local[:10],
            "time": spec.starts_local[11:16],
            "end_date": spec.ends_local[:10],
            "end_time": spec.ends_local[11:16],
            "single": variant.single,
            "tone": self.shape.tone,
            "status": str(variant.status),
            "ticketed": variant.status is _CONFIRMED,
            "may_confirm": held and holds is not None and holds.registrant_may_confirm,
            "priced": any(category.price_minor for category in spec.categories),
            "has_link": has_link,
            "has_seats": self.shape.seats,
            "has_deadline": self.shape.deadline and held,
            "has_invite": self.invite is not None,
            "has_unsubscribe": bool(category_of(variant.kind)),
            "withdrawn": self.shape.method == CANCEL,
        }

    def _headers(self, sender: Sender) -> tuple[str, str]:
        """What stands before and after the lines that are the person's own."""
        before = f"From: {mime.mailbox(sender.name, sender.address)}\r\n"
        if sender.reply_to is not None:
            before += f"Reply-To: {sender.reply_to}\r\n"
        inner = f'Content-Type: multipart/alternative; boundary="{_ALTERNATIVE}"\r\n\r\n'
        outer = f'Content-Type: multipart/mixed; boundary="{_MIXED}"\r\n\r\n--{_MIXED}\r\n{inner}'
        after = (
            f"Subject: {mime.unstructured(self._prose.subject)}\r\n"
            f"Auto-Submitted: auto-generated\r\n"
            f"X-Auto-Response-Suppress: OOF, AutoReply\r\n"
            f"Content-Language: {self._written_in}\r\n"
            f"MIME-Version: 1.0\r\n"
            f"{inner if self.invite is None else outer}"
        )
        return before, after

    def write(self, personal: Personal) -> bytes:
        """The mail of one person, as RFC 5322 bytes with CRLF."""
        name = clean(personal.name) or personal.email
        pictures: list[str] = []
        text, html = self._seats(personal, pictures) if self.shape.seats else ("", "")
        plain = {
            "name": encoded(mime.isolated(name)),
            "link": encoded(personal.link),
            "deadline": encoded(personal.deadline.replace(NO_BREAK, " ")),
            "registration": encoded(personal.registration),
            "seats": measured(text),
            "unsubscribe": encoded(personal.unsubscribe),
        }
        rich = {
            "name": html_encoded(name),
            "link": html_encoded(personal.link),
            "deadline": html_encoded(personal.deadline),
            "registration": plain["registration"],
            "seats": measured(html),
            "unsubscribe": html_encoded(personal.unsubscribe),
        }
        parts = [
            self._before,
            f"To: {mime.mailbox(name, personal.email)}\r\n",
            f"Date: {mime.date_header(personal.created_ms // 1000)}\r\n",
            f"Message-ID: <{personal.notice}@{self._domain}>\r\n",
            _unsubscribing(personal.unsubscribe) if personal.unsubscribe else "",
            self._after,
            _PLAIN,
            self._prose.text.fill(plain),
            _HTML_WITH_PICTURES if pictures else _HTML,
            self._prose.html.fill(rich),
            *pictures,
            _RELATED_END if pictures else "",
            f"\r\n--{_ALTERNATIVE}--\r\n",
        ]
        if self.invite is not None and personal.entry is not None:
            parts.append(_CALENDAR_HEADERS[self.invite.method])
            parts.append(self.invite.fill(personal.entry))
            parts.append(f"--{_MIXED}--\r\n")
        return "".join(parts).encode("utf-8", "replace")

    def _seats(self, personal: Personal, pictures: list[str]) -> tuple[str, str]:
        """The lines of the seats as text and as HTML; pictures of their tickets are added to `pictures`."""
        text: list[str] = []
        html: list[str] = []
        seats = personal.seats
        for seat in seats:
            row = self._row(seat)
            values = {"number": encoded(str(seat.number)), "ticket": encoded(seat.ticket)}
            if seat.ticket:
                picture = f"ticket-{seat.number}.{personal.notice}@{self._domain}"
                pictures.append(_picture(seat, picture))
                values["picture"] = encoded(picture)
            attendee = clean(seat.attendee)
            values["attendee"] = encoded(mime.isolated(attendee))
            text.append(row.text.fill(values))
            values["attendee"] = html_encoded(attendee)
            html.append(row.html.fill(values))
        if self._priced and len(seats) > 1:
            costs = self._costs(seats)
            if costs:
                plain, rich = self._total(costs)
                text.append(plain)
                html.append(rich)
        return "".join(text), "".join(html)

    def _total(self, costs: str) -> tuple[str, str]:
        found = self._totals.get(costs)
        if found is None:
            if len(self._totals) >= _ROWS_MAX:
                self._totals.clear()
            line = self._texts.total(self.language)
            text = line.text.fill({"total": encoded(costs.replace(NO_BREAK, " "))})
            found = self._totals[costs] = (text, line.html.fill({"total": html_encoded(costs)}))
        return found

    def _costs(self, seats: Sequence[SeatLine]) -> str:
        """What the seats that still count cost together, by currency; empty when they are all free."""
        sums: dict[str, int] = {}
        for seat in seats:
            if seat.mark != "cancelled":
                sums[seat.currency] = sums.get(seat.currency, 0) + seat.price_minor
        return " + ".join(amount(total, currency, self.language) for currency, total in sums.items() if total)

    def _row(self, seat: SeatLine) -> Prose:
        key = _Row(
            seat.category, seat.price_minor, seat.currency, seat.mark, bool(seat.attendee), bool(seat.ticket)
        )
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= _ROWS_MAX:
                self._rows.clear()
            category = self._event.spec.category(key.category)
            title = clean(category.title.best(self._locale)) if category is not None else key.category
            values = {
                "category": title,
                "price": money(key.price_minor, key.currency, self.language) if self._priced else "",
                "mark": key.mark,
                "named": key.named,
                "ticketed": key.ticketed,
            }
            row = self._rows[key] = self._texts.seat(self.language, values)
        return row


def locale_of(event: Event, locale: str) -> str:
    """The shortest tag with the same effect as `locale` on every text of the event: few letters serve all."""
    spec = event.spec
    texts = [spec.title, spec.venue, *(category.title for category in spec.categories)]
    known = {tag for text in texts if text is not None for tag in text.values}
    tag = locale
    while tag and tag not in known:
        tag = tag.rpartition("-")[0]
    language = language_of(locale, spec.title.default)
    return tag if language_of(tag, spec.title.default) == language else language


def _picture(seat: SeatLine, content_id: str) -> str:
    """A ticket's QR code, as a part that the HTML shows."""
    return (
        f"\r\n--{_RELATED}\r\n"
        f"Content-Type: image/png\r\n"
        f"Content-Transfer-Encoding: base64\r\n"
        f"Content-ID: <{content_id}>\r\n"
        f'Content-Disposition: inline; filename="ticket-{seat.number}.png"\r\n\r\n'
        f"{mime.base64_lines(ticket_codes().png(seat.ticket))[:-2]}"
    )


def _unsubscribing(url: str) -> str:
    """What lets a mail program offer a button that needs no page (RFC 2369, RFC 8058)."""
    return f"List-Unsubscribe: <{url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def _part(boundary: str, subtype: str) -> str:
    return (
        f"--{boundary}\r\n"
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )


_PLAIN: Final = _part(_ALTERNATIVE, "plain")
_HTML: Final = "\r\n" + _part(_ALTERNATIVE, "html")
_HTML_WITH_PICTURES: Final = (
    f"\r\n--{_ALTERNATIVE}\r\n"
    f'Content-Type: multipart/related; type="text/html";\r\n boundary="{_RELATED}"\r\n\r\n'
) + _part(_RELATED, "html")
_RELATED_END: Final = f"\r\n--{_RELATED}--\r\n"

_CALENDAR_HEADERS: Final = {
    method: (
        f"\r\n--{_MIXED}\r\n"
        f'Content-Type: text/calendar; charset=utf-8; method={method}; name="invite.ics"\r\n'
        f'Content-Disposition: attachment; filename="invite.ics"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n"
    )
    for method in (REQUEST, CANCEL)
}
