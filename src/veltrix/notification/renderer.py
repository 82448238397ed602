"""From a notice and what it is about to a finished mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from veltrix.domain import limits
from veltrix.domain.credentials import Signer
from veltrix.domain.event import Event
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.notices import NoticeKind, category_of
from veltrix.domain.registration import Box, Registration, RegistrationStatus, Seat
from veltrix.notification.formats import minute
from veltrix.notification.invite import Entry
from veltrix.notification.letters import Letter, Personal, SeatLine, Sender, Variant, locale_of
from veltrix.notification.mime import address
from veltrix.notification.own_book import OwnBook
from veltrix.notification.own_texts import OwnText
from veltrix.notification.template_language import TemplateFault
from veltrix.notification.texts import Texts
from veltrix.observability.logging import get_logger
from veltrix.ports.channel import Mail
from veltrix.ports.notices import Notice
from veltrix.sealing import AddressHashes, Person, canonical_email

_log = get_logger("notification")

_LETTERS_MAX = 256
_LOCALES_MAX = 1_024
_LOCALE_MAX_CHARS = 35  # RFC 5646, 4.4.1: longer ones are not to be expected


class Unwritable(Exception):
    """No mail can be made of this, now or later; the message says why and names no person."""


@dataclass(slots=True)
class Material:
    """All that a mail is made of. `registration` is as it concerns this recipient; `box` holds their data."""

    notice: Notice
    seq: int
    fact: Fact
    registration: Registration
    box: Box
    event: Event
    person: Person


@dataclass(slots=True)
class Renderer:
    """Writes mails, and keeps the letters that it writes them with."""

    sender: Sender
    signer: Signer
    texts: Texts
    _addresses: AddressHashes = field(init=False)
    book: OwnBook = field(default_factory=OwnBook)
    _letters: dict[tuple[str, int, Variant, OwnText | None], Letter] = field(default_factory=dict)
    _locales: dict[tuple[str, int, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._addresses = AddressHashes.under(self.signer.secret)

    def mail(self, material: Material) -> Mail:
        """The mail of one notice. Raises `Unwritable` where the data make none possible."""
        notice, registration, person = material.notice, material.registration, material.person
        recipient = address(person.email)
        if recipient is None:
            raise Unwritable(_no_address(person.email))
        single = material.box is not registration.box
        kind = NoticeKind(notice.kind)
        event = material.event
        locale = self._locale(event, person.locale)
        own = self.book.find(
            event.organizer, kind, person.locale[:_LOCALE_MAX_CHARS], event.spec.title.default
        )
        letter = self._letter(event, Variant(kind, registration.status, single, locale), own)
        seats = [
            (index, seat)
            for index, seat in enumerate(registration.seats)
            if _shown(seat, material, single=single)
        ]
        deadline_ms = registration.hold_deadline_ms if letter.shape.deadline else None
        link = ""
        if letter.shape.link and not single:
            link = f"{self.sender.base_url}/r/{self.signer.link(registration.id, registration.holder)}"
        personal = Personal(
            notice=notice.id,
            created_ms=notice.created_ms,
            name=person.name,
            email=recipient,
            registration=registration.id,
            link=link,
            deadline=minute(deadline_ms, event.spec.time_zone, letter.language) if deadline_ms else "",
            seats=[self._line(index, seat, material, kind, single=single) for index, seat in seats],
            entry=self._entry(material, seats[0][1].number if single else None, recipient)
            if letter.invite
            else None,
            unsubscribe=self._unsubscribe(notice, person.email),
        )
        return Mail(notice.id, self._returns_to(notice.id), recipient, letter.write(personal))

    def _unsubscribe(self, notice: Notice, email: str) -> str:
        """Where one says that one can do without such mails; empty for what is due to people."""
        category = category_of(notice.kind)
        canonical = canonical_email(email) if category else None
        if canonical is None:
            return ""
        organizer = notice.organizer
        token = self.signer.choice(organizer, self._addresses.of(organizer, canonical), category)
        return f"{self.sender.base_url}/u/{quote(organizer, safe='')}/{category}/{token}"

    def _returns_to(self, notice: str) -> str:
        """The envelope sender: where a report of this very mail comes back to."""
        if self.sender.bounces is None:
            return self.sender.address
        local, _, domain = self.sender.bounces.rpartition("@")
        return f"{local}+{self.signer.bounce(notice)}@{domain}"

    def _locale(self, event: Event, locale: str) -> str:
        locale = locale[:_LOCALE_MAX_CHARS]
        key = (event.id, event.version, locale)
        found = self._locales.get(key)
        if found is None:
            if len(self._locales) >= _LOCALES_MAX:
                self._locales.clear()  # locales come from people: without a bound they could fill the memory
            found = self._locales[key] = locale_of(event, locale)
        return found

    def _letter(self, event: Event, variant: Variant, own: OwnText | None) -> Letter:
        key = (event.id, event.version, variant, own)
        letter = self._letters.get(key)
        if letter is None:
            try:
                letter = Letter(self.texts, event, variant, self.sender, own)
            except TemplateFault as fault:  # it was tried out before it was saved, but not with this event
                _log.warning("template_failed", event=event.id, kind=variant.kind, error=str(fault))
                letter = Letter(self.texts, event, variant, self.sender)
            if len(self._letters) >= _LETTERS_MAX:
                del self._letters[next(iter(self._letters))]
            self._letters[key] = letter
        return letter

    def _line(
        self, index: int, seat: Seat, material: Material, kind: NoticeKind, *, single: bool
    ) -> SeatLine:
        """A seat as the recipient may see it: another's ticket and name are not theirs to have."""
        registration = material.registration
        theirs = single or seat.box is None
        mark = ""
        if not seat.active:
            mark = "cancelled"
        elif not theirs:
            mark = "given_away"
        elif kind is NoticeKind.MOVED and seat.number == material.fact.seat:
            mark = "changed"
        ticket = ""
        if theirs and seat.active and _valid(registration, kind):
            ticket = self.signer.ticket(registration.event, seat.number, seat.holder)
        return SeatLine(
            seat.number,
            seat.category,
            seat.price_minor,
            seat.currency,
            mark,
            "" if single or not theirs else _attendee(material.person, index),
            ticket,
        )

    def _entry(self, material: Material, seat: int | None, recipient: str) -> Entry:
        uid = material.registration.id
        if seat is not None:
            uid = f"{uid}-{seat}"  # another entry than the contact's: both may be in one calendar
        return Entry(uid, material.seq, material.notice.created_ms, material.person.name, recipient)


def _no_address(text: str) -> str:
    """Why no mail can go to what was given as an address; it does not repeat it."""
    if len(text) > limits.EMAIL_MAX_CHARS:
        return f"the address has {len(text)} characters; an address has {limits.EMAIL_MAX_CHARS} at most"
    if not text.isprintable():
        return "the address holds a line end or another control character"
    return "the address is none that mail could be sent to"


def material_of(fact: Fact, kind: NoticeKind) -> Registration | None:
    """The registration of a fact as it concerns this kind of notice: those who lost it see it as it was."""
    lost = kind in (NoticeKind.HANDED_OVER, NoticeKind.TICKET_WITHDRAWN)
    if lost and fact.kind is FactKind.REGISTRATION_TRANSFERRED:
        return fact.previous
    return fact.registration


def box_of(registration: Registration, key_id: str) -> Box | None:
    """The box of a registration (or of one of its seats) that this key opens."""
    if registration.box.key_id == key_id:
        return registration.box
    return next((seat.box for seat in registration.seats if seat.box and seat.box.key_id == key_id), None)


def _shown(seat: Seat, material: Material, *, single: bool) -> bool:
    if single:
        return seat.box is not None and seat.box.key_id == material.box.key_id
    return seat.active or (
        material.fact.kind is FactKind.REGISTRATION_SEAT_CANCELLED and seat.number == material.fact.seat
    )


def _valid(registration: Registration, kind: NoticeKind) -> bool:
    """Whether tickets are good for anything after this notice."""
    ended = kind in (NoticeKind.EVENT_CANCELLED, NoticeKind.TICKET_WITHDRAWN)
    return registration.status is RegistrationStatus.CONFIRMED and not ended


def _attendee(person: Person, index: int) -> str:
    """The name that the contact gave for a seat, where that is not the contact's own."""
    attendee = person.attendees[index] if index < len(person.attendees) else None
    return attendee.name if attendee is not None and attendee.name != person.name else ""
