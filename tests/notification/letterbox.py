"""Mails for the tests of texts: materials by hand, and mails taken apart as a mail program would."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, replace
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import icalendar

from tests.notification.stage import HOLDS, NOW_MS, SENDER, SIGNER, TEXTS, event_spec
from veltrix.domain.event import Event, EventStatus
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.notices import NoticeKind
from veltrix.domain.registration import Box, Registration, RegistrationStatus, Seat
from veltrix.notification.renderer import Material, Renderer
from veltrix.ports.notices import Notice
from veltrix.sealing import Person

EVENT = "evt_0000000000000000" + "0" * 16
REGISTRATION = "reg_" + "ab" * 16
SEATS = (Seat(17, "std", 4900, "EUR"), Seat(18, "stu", 1950, "EUR"))
GUEST_SEAT = replace(SEATS[1], holder=2, box=Box("key_guest", "cmd_" + "2" * 32, 1, b""))
HELD, CONFIRMED, WAITLISTED = (
    RegistrationStatus.HELD,
    RegistrationStatus.CONFIRMED,
    RegistrationStatus.WAITLISTED,
)
# The state of a registration in which each kind of notice comes.
STATUS = {
    NoticeKind.HELD: HELD,
    NoticeKind.PROMOTED_HELD: HELD,
    NoticeKind.HOLD_EXTENDED: HELD,
    NoticeKind.WAITLISTED: WAITLISTED,
    NoticeKind.CANCELLED: RegistrationStatus.CANCELLED,
    NoticeKind.RELEASED: RegistrationStatus.CANCELLED,
    NoticeKind.TICKET_WITHDRAWN: RegistrationStatus.CANCELLED,
    NoticeKind.EXPIRED: RegistrationStatus.EXPIRED,
}
FOR_SINGLE = {NoticeKind.TICKET, NoticeKind.TICKET_WITHDRAWN}


def event(**changes: Any) -> Event:
    """An open event of three versions; the changes are of its specification."""
    return Event(EVENT, "org_1", event_spec(**changes), "key_hash", 0, 0, EventStatus.OPEN, 3)


def registration(status: RegistrationStatus = CONFIRMED, **changes: Any) -> Registration:
    """A registration of two seats."""
    made = Registration(
        REGISTRATION,
        EVENT,
        1042,
        status,
        "a" * 32,
        Box("key_contact", "cmd_" + "1" * 32, 1, b""),
        SEATS,
        NOW_MS,
        NOW_MS,
        hold_deadline_ms=NOW_MS + 900_000 if status is HELD else None,
    )
    return replace(made, **changes)


def material(
    kind: NoticeKind,
    person: Person | None = None,
    about: Registration | None = None,
    *,
    of: Event | None = None,
    fact: FactKind = FactKind.REGISTRATION_CONFIRMED,
    seat: int | None = None,
    single: bool | None = None,
    seq: int = 42,
) -> Material:
    """What a mail of a kind is made of, to the contact or to the holder of a single seat."""
    single = kind in FOR_SINGLE if single is None else single
    if about is None:
        about = registration(STATUS.get(kind, CONFIRMED))
        if single:
            about = replace(about, seats=(SEATS[0], GUEST_SEAT))
    box = GUEST_SEAT.box if single else about.box
    assert box is not None
    of = of or event(holds=HOLDS if about.status is HELD else None)
    notice = Notice(
        "ntc_" + "cd" * 16,
        "org_1",
        EVENT,
        0,
        seq,
        kind.value,
        about.id,
        "a" * 32,
        "email",
        box.key_id,
        NOW_MS,
    )
    said = Fact(fact, EVENT, "org_1", about, seat=seat)
    return Material(notice, seq, said, about, box, of, person or Person("Ada Lovelace", "ada@example.org"))


@dataclass
class Letter:
    """A mail, taken apart."""

    raw: bytes
    message: EmailMessage
    text: str
    html: str
    calendar: icalendar.Event | None
    method: str
    pictures: dict[str, bytes]

    @property
    def seen(self) -> str:
        """What a person sees of the HTML."""
        return " ".join(" ".join(self._read().seen).split())

    def _read(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.html)
        return reader

    @property
    def links(self) -> list[str]:
        """Where the HTML leads to."""
        return self._read().links

    @property
    def images(self) -> list[str]:
        """What pictures the HTML shows."""
        return self._read().images


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "title"):
            self._hidden += 1
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "title"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen.append(data)


def rendered(of: Material, renderer: Renderer | None = None) -> Letter:
    """The mail, parsed by the standard library and icalendar."""
    mail = (renderer or Renderer(SENDER, SIGNER, TEXTS)).mail(of)
    return opened(mail.content)


def opened(content: bytes) -> Letter:
    """A mail's bytes, parsed by the standard library and icalendar."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not any(part.defects for part in message.walk()), [part.defects for part in message.walk()]
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    calendar, method = None, ""
    for part in message.iter_attachments():
        assert part.get_content_type() == "text/calendar"
        whole = icalendar.Calendar.from_ical(part.get_content())
        [calendar] = whole.events
        method = str(whole["method"])
        assert part.get_param("method") == method
        assert part.get_filename() == "invite.ics"
    pictures = {
        part["content-id"]: part.get_content()
        for part in message.walk()
        if part.get_content_type() == "image/png"
    }
    return Letter(content, message, text.get_content(), html.get_content(), calendar, method, pictures)
