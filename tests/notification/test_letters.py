"""Mails as those who get them see them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notification.letterbox import (
    CONFIRMED,
    EVENT,
    GUEST_SEAT,
    HELD,
    REGISTRATION,
    SEATS,
    WAITLISTED,
    Letter,
    event,
    material,
    registration,
    rendered,
)
from tests.notification.stage import HOLDS, NOW_MS, SENDER, SIGNER, TEXTS, attendees, text
from veltrix.domain.event import Category, Holds
from veltrix.domain.facts import FactKind
from veltrix.domain.notices import NoticeKind, category_of
from veltrix.domain.registration import RegistrationStatus, Seat
from veltrix.notification.letters import SHAPES, locale_of
from veltrix.notification.qr import ticket_codes
from veltrix.notification.renderer import Renderer, Unwritable
from veltrix.sealing import AddressHashes, Person

GOLDEN = Path(__file__).parents[1] / "golden" / "mail"
ADA = Person("Ada Lovelace", "ada@example.org")
ANNA = Person("Anna Müller", "anna@example.org", "de-AT")
LINK = f"https://tickets.example/r/{SIGNER.link(REGISTRATION, 1)}"
TICKETS = [SIGNER.ticket(EVENT, seat.number, seat.holder) for seat in SEATS]


@pytest.mark.parametrize("person", [ADA, ANNA], ids=["en", "de"])
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_kind_in_every_language(kind, person):
    """Each kind has a text in each language: greeting, event, when and where, and nothing left blank."""
    letter = rendered(material(kind, person))
    german = person is ANNA
    title = "Herbsttagung & Messe" if german else "Autumn Conference & Fair"
    when = "Freitag, 1. Oktober 2027, 10:00–18:00 Uhr" if german else "Friday, 1 October 2027, 10:00–18:00"
    assert title in letter.message["subject"]
    assert letter.message["content-language"] == ("de" if german else "en")
    for shown in (letter.text, letter.seen.replace("\u00a0", " ")):
        assert f"{'Guten Tag' if german else 'Hello'} {person.name}" in shown
        assert title in shown
        assert when in shown
        assert ("Alte Brauerei" if german else "Old Brewery") in shown
        assert not re.search(r"[{}\ue000\ue001]|None|undefined", shown)
    if SHAPES[kind].link:
        assert LINK in letter.text
        assert letter.links[0] == LINK
        assert letter.links[1:] == ([unsubscribing(letter)] if category_of(kind) else [])
    else:
        assert "/r/" not in letter.text + letter.html


def unsubscribing(letter: Letter) -> str:
    """The URL in the header that lets a mail program unsubscribe with a POST (RFC 8058)."""
    assert letter.message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    url = letter.message["list-unsubscribe"]
    assert url.startswith("<https://tickets.example/u/org_1/reminder/u1")
    assert url.endswith(">")
    return str(url[1:-1])


@pytest.mark.parametrize("kind", NoticeKind)
def test_only_what_one_can_do_without_can_be_unsubscribed_from(kind):
    """A reminder says in a header and in both texts how to stop it; what is due to people never does."""
    letter = rendered(material(kind))
    if not category_of(kind):
        assert letter.message["list-unsubscribe"] is None
        assert letter.message["list-unsubscribe-post"] is None
        assert "/u/" not in letter.text + letter.html
        return
    url = unsubscribing(letter)
    assert url in letter.text
    assert url in letter.html
    address = SIGNER.read_choice(url.rpartition("/")[2], "org_1", category_of(kind))
    assert address == AddressHashes.under(SIGNER.secret).of("org_1", "ada@example.org")


def test_every_ticket_is_a_picture_too():
    """The QR code of each ticket is in the mail itself, and shown where its seat is listed."""
    letter = rendered(material(NoticeKind.CONFIRMED))
    assert [f"<{source.removeprefix('cid:')}>" for source in letter.images] == list(letter.pictures)
    assert list(letter.pictures.values()) == [ticket_codes().png(ticket) for ticket in TICKETS]
    assert all(f"{'cd' * 16}@tickets.example>" in each for each in letter.pictures)


@pytest.mark.parametrize("kind", [NoticeKind.HELD, NoticeKind.WAITLISTED, NoticeKind.CANCELLED])
def test_no_ticket_no_picture(kind):
    """Who has no ticket (yet, or any more) gets a mail without pictures, and without room for them."""
    letter = rendered(material(kind))
    assert letter.images == []
    assert letter.pictures == {}
    assert "multipart/related" not in [part.get_content_type() for part in letter.message.walk()]


def test_reports_come_back_to_the_notice():
    """With an address for bounces, the envelope's sender names the notice in a way that nobody can forge;
    without one, it is the sender."""
    of = material(NoticeKind.CONFIRMED)
    plain = Renderer(SENDER, SIGNER, TEXTS).mail(of)
    assert plain.sender == "no-reply@tickets.example"
    named = Renderer(replace(SENDER, bounces="bounces@tickets.example"), SIGNER, TEXTS).mail(of)
    local, _, domain = named.sender.partition("@")
    assert (local[:8], domain) == ("bounces+", "tickets.example")
    assert len(local) <= 64
    assert SIGNER.read_bounce(local[8:]) == of.notice.id
    assert SIGNER.read_bounce(local[8:].upper()) == of.notice.id
    assert SIGNER.read_bounce(local[8:-1] + ("a" if local[-1] != "a" else "b")) is None


def test_a_confirmation_has_all_that_one_comes_with():
    """Seats with categories, prices, names and ticket codes, their total, the link and the invitation."""
    person = replace_attendees(ADA, None, "Grace Hopper")
    letter = rendered(material(NoticeKind.CONFIRMED, person))
    assert letter.message["subject"] == "You are registered: Autumn Conference & Fair"
    for shown in (letter.text, letter.seen):
        for expected in ("Seat 17", "Standard", "€49.00", "Seat 18", "Student", "€19.50", "Grace Hopper"):
            assert expected in shown
        assert "€68.50" in shown
        assert all(ticket in shown for ticket in TICKETS)
    assert letter.method == "REQUEST"


def replace_attendees(person: Person, *names: str | None) -> Person:
    """The person, with these on their seats."""
    return Person(person.name, person.email, person.locale, attendees(*names))


def test_headers_of_a_mail():
    """Who, to whom, when and what, with an id that is the notice's; answering machines stay silent."""
    letter = rendered(material(NoticeKind.CONFIRMED))
    message = letter.message
    assert message["from"] == "Autumn Tickets <no-reply@tickets.example>"
    assert message["to"] == "Ada Lovelace <ada@example.org>"
    assert message["message-id"] == f"<ntc_{'cd' * 16}@tickets.example>"
    assert message["date"].datetime == datetime.fromtimestamp(NOW_MS / 1000, UTC)
    assert message["auto-submitted"] == "auto-generated"
    assert message["mime-version"] == "1.0"
    assert message["reply-to"] is None
    assert message.get_content_type() == "multipart/mixed"
    shapes = [part.get_content_type() for part in message.walk()]
    assert shapes == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/png",
        "text/calendar",
    ]


def test_answers_go_where_the_organizer_reads_them():
    """A Reply-To is given where one is set."""
    renderer = Renderer(replace(SENDER, reply_to="hello@organizer.example"), SIGNER, TEXTS)
    assert rendered(material(NoticeKind.CONFIRMED), renderer).message["reply-to"] == "hello@organizer.example"


def test_the_same_notice_is_the_same_mail():
    """Written twice, byte for byte: a second attempt is no other message."""
    assert rendered(material(NoticeKind.CONFIRMED)).raw == rendered(material(NoticeKind.CONFIRMED)).raw


def test_the_wire_form():
    """Only CRLF ends lines, none is longer than RFC 5322 allows, and all is ASCII."""
    for kind in NoticeKind:
        raw = rendered(material(kind, ANNA)).raw
        assert raw.isascii()
        assert b"\n" not in raw.replace(b"\r\n", b"")
        assert b"\r" not in raw.replace(b"\r\n", b"")
        lines = [line for line in raw.split(b"\r\n") if not line.startswith(b"List-Unsubscribe: <")]
        assert max(map(len, lines)) <= 78  # a URL in a header cannot be folded
        assert raw.endswith(b"--\r\n")


def test_a_hold_says_until_when():
    """The deadline stands in the event's zone; whoever may confirm is asked to."""
    letter = rendered(material(NoticeKind.HELD))
    for shown in (letter.text, letter.seen.replace("\u00a0", " ")):
        assert "Friday, 15 January 2027, 09:15 (UTC+01:00)" in shown
        assert "Confirm your registration" in shown
        assert TICKETS[0] not in shown
    assert letter.message["subject"].startswith("Please confirm")
    assert letter.calendar is None


def test_a_hold_that_the_organizer_confirms():
    """Nobody is asked to confirm what only the organizer may."""
    of = event(holds=Holds(900, registrant_may_confirm=False))
    letter = rendered(material(NoticeKind.HELD, of=of))
    assert letter.message["subject"].startswith("Seats reserved")
    assert "Confirm" not in letter.text
    assert "The organizer confirms your registration" in letter.text


def test_free_seats_have_no_total():
    """What costs nothing is said to be free, once a seat."""
    of = event(categories=(Category("std", text("Standard"), ("main",)),))
    seats = (Seat(1, "std", 0, "EUR"), Seat(2, "std", 0, "EUR"))
    letter = rendered(material(NoticeKind.CONFIRMED, about=registration(seats=seats), of=of))
    assert letter.text.count("free") == 2
    assert "Total" not in letter.text


def test_a_seat_that_was_passed_on_is_anothers():
    """The contact sees that it is gone, and neither its ticket nor who has it."""
    about = registration(seats=(SEATS[0], GUEST_SEAT))
    person = replace_attendees(ADA, None, "Grace Hopper")
    letter = rendered(material(NoticeKind.CONFIRMED, person, about))
    guests = SIGNER.ticket(EVENT, 18, 2)
    for shown in (letter.text, letter.seen):
        assert "passed on to someone else" in shown
        assert guests not in shown
        assert TICKETS[1] not in shown
        assert "Grace Hopper" not in shown
        assert TICKETS[0] in shown


def test_the_holder_of_a_single_seat_sees_only_that():
    """Their ticket, and no link: it is the contact's, and could cancel everyone's seats. No price either."""
    letter = rendered(material(NoticeKind.TICKET, Person("Bob", "bob@example.org")))
    assert SIGNER.ticket(EVENT, 18, 2) in letter.text
    assert "Seat 17" not in letter.text
    assert "€" not in letter.text + letter.seen
    assert letter.calendar is not None
    assert letter.calendar["uid"] == f"{REGISTRATION}-18"


def test_a_seat_that_was_cancelled_is_marked():
    """The cancelled seat stands in the mail that tells of it, without a ticket and out of the total."""
    seats = (SEATS[0], replace(SEATS[1], active=False))
    of = material(
        NoticeKind.SEAT_CANCELLED,
        about=registration(seats=seats),
        fact=FactKind.REGISTRATION_SEAT_CANCELLED,
        seat=18,
    )
    letter = rendered(of)
    assert "Seat 18: Student, €19.50 (cancelled)" in letter.text
    assert TICKETS[1] not in letter.text
    assert "Total: €49.00" in letter.text


def test_a_seat_that_was_moved_is_marked():
    """The seat that has another category now is pointed out."""
    of = material(NoticeKind.MOVED, fact=FactKind.REGISTRATION_MOVED, seat=17)
    assert "Seat 17: Standard, €49.00 (changed)" in rendered(of).text


@pytest.mark.parametrize(
    ("kind", "status", "method"),
    [
        (NoticeKind.CONFIRMED, CONFIRMED, "REQUEST"),
        (NoticeKind.PROMOTED, CONFIRMED, "REQUEST"),
        (NoticeKind.PROMOTED_HELD, HELD, ""),
        (NoticeKind.WAITLISTED, WAITLISTED, ""),
        (NoticeKind.MOVED, CONFIRMED, "REQUEST"),
        (NoticeKind.MOVED, WAITLISTED, ""),
        (NoticeKind.RECEIVED, CONFIRMED, "REQUEST"),
        (NoticeKind.RECEIVED, HELD, ""),
        (NoticeKind.CANCELLED, RegistrationStatus.CANCELLED, "CANCEL"),
        (NoticeKind.HANDED_OVER, CONFIRMED, "CANCEL"),
        (NoticeKind.HANDED_OVER, WAITLISTED, ""),
        (NoticeKind.EXPIRED, RegistrationStatus.EXPIRED, ""),
        (NoticeKind.EVENT_CHANGED, CONFIRMED, "REQUEST"),
        (NoticeKind.EVENT_CHANGED, WAITLISTED, ""),
        (NoticeKind.EVENT_CANCELLED, CONFIRMED, "CANCEL"),
        (NoticeKind.EVENT_CANCELLED, HELD, ""),
    ],
)
def test_what_calendars_are_told(kind, status, method):
    """An entry is made for what is confirmed, taken out when that ends, and touched by nothing else."""
    letter = rendered(material(kind, about=registration(status), of=event(holds=HOLDS)))
    assert letter.method == method
    if letter.calendar is not None:
        assert letter.calendar["status"] == ("CANCELLED" if method == "CANCEL" else "CONFIRMED")


def test_an_entry_in_the_calendar():
    """One entry for a registration, whatever mail it comes with; every later fact has a higher SEQUENCE."""
    first = rendered(material(NoticeKind.CONFIRMED, ANNA, seq=42)).calendar
    last = rendered(material(NoticeKind.EVENT_CANCELLED, ANNA, seq=43)).calendar
    assert first is not None
    assert last is not None
    assert first["uid"] == last["uid"] == REGISTRATION
    assert (first.sequence, last.sequence) == (42, 43)
    assert first["summary"] == "Herbsttagung & Messe"
    assert first["location"] == "Alte Brauerei, Halle 3"
    assert first.start == datetime(2027, 10, 1, 8, tzinfo=UTC)
    assert first.end == datetime(2027, 10, 1, 16, tzinfo=UTC)
    assert first.stamp == datetime.fromtimestamp(NOW_MS // 1000, UTC)
    assert first["organizer"] == "mailto:no-reply@tickets.example"
    assert first["attendee"] == "mailto:anna@example.org"
    assert first["attendee"].params["CN"] == "Anna Müller"
    assert first["url"] == f"https://tickets.example/e/{EVENT}"
    whole = first.to_ical().decode()
    assert "/r/" not in whole
    assert not any(ticket in whole for ticket in TICKETS)


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=120),
    local=st.from_regex(r"[a-z!#$%&'*+/=?^_`{|}~.-]{1,60}", fullmatch=True),
    kind=st.sampled_from([NoticeKind.CONFIRMED, NoticeKind.EVENT_CANCELLED, NoticeKind.REMINDER]),
)
def test_a_calendar_file_is_itip(name, local, kind):
    """RFC 5545: lines of at most 75 octets that end with CRLF. RFC 5546, 3.2.2 and 3.2.5: what a REQUEST and
    a CANCEL must have, once each. RFC 6068: the attendee's URI is their address and nothing else."""
    email = f"{local}@example.org"
    message = rendered(material(kind, Person(name, email))).message
    [part] = [each for each in message.walk() if each.get_content_type() == "text/calendar"]
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    assert raw.endswith(b"END:VCALENDAR\r\n")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 75
    calendar = icalendar.Calendar.from_ical(raw)
    [entry] = calendar.walk("VEVENT")
    assert calendar["version"] == "2.0"
    method = "CANCEL" if kind is NoticeKind.EVENT_CANCELLED else "REQUEST"
    assert calendar["method"] == method
    assert entry.errors == []
    once = {"UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "ORGANIZER", "ATTENDEE", "SEQUENCE", "STATUS"}
    assert once <= set(entry.keys())
    assert all(not isinstance(entry[key], list) for key in once)
    assert entry["status"] == ("CANCELLED" if method == "CANCEL" else "CONFIRMED")
    assert unquote(str(entry["attendee"])) == f"mailto:{email}"
    assert not {"?", "#", "&"} & set(str(entry["attendee"]))


HOSTILE = [
    "\r\nBcc: victim@example.org\r\n\r\nbody",
    '"><script>alert(1)</script>',
    "{{ 7 * 7 }}{% for x in y %}",
    "Ada; ATTENDEE:mailto:x@y\nUID:1",
    "👩‍👩‍👧‍👦 عمر الخيام",
    "\u202eevaoL adA",
    "=?utf-8?q?=0D=0ABcc:_x?=",
    "A" * 5_000,
    "--=_veltrix_alternative--",
    "\ue000link\ue001",
    ".",
    "",
]


@given(
    name=st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=80)),
    kind=st.sampled_from([NoticeKind.CONFIRMED, NoticeKind.TICKET, NoticeKind.EVENT_CANCELLED]),
)
def test_no_name_breaks_a_mail(name, kind):
    """Whatever people call themselves: one recipient, three parts, one entry, no tag or line of theirs."""
    person = Person(name, "ada@example.org", "en", attendees(name, name))
    letter = rendered(material(kind, person))
    assert [address.addr_spec for address in letter.message["to"].addresses] == ["ada@example.org"]
    assert letter.message["bcc"] is None
    assert letter.message.keys().count("Subject") == 1
    assert "<script" not in letter.html
    assert letter.calendar is not None
    assert letter.calendar["attendee"] == "mailto:ada@example.org"
    assert str(letter.calendar["uid"]).startswith(REGISTRATION)
    assert len(letter.raw) < 60_000
    assert max(len(line) for line in letter.raw.split(b"\r\n")) <= 78


@given(
    title=st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
)
def test_no_title_breaks_a_mail(title):
    """An organizer's texts are text too: never headers, tags, blanks or template code."""
    of = event(title=text(title or "x"), venue=text(title or "x"))
    letter = rendered(material(NoticeKind.CONFIRMED, of=of))
    assert letter.message["bcc"] is None
    assert "<script" not in letter.html
    assert letter.links == [LINK]
    assert "49" in letter.text


def test_a_nameless_person_is_called_by_their_address():
    """A name that is empty once cleaned leaves no hole in the greeting."""
    assert (
        "Hello ada@example.org,"
        in rendered(material(NoticeKind.CONFIRMED, Person("\u202e", "ada@example.org"))).text
    )


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("xyz", "none that mail could be sent to"),
        ("ada@b\r\nBcc: c@d", "a line end or another control character"),
        ("a b@example.org", "none that mail could be sent to"),
        ("x" * 388 + "@example.org", "has 400 characters; an address has 254 at most"),
    ],
)
def test_no_mail_to_what_is_no_address(address, reason):
    """An address that cannot stand in a mail is a reason that names nobody."""
    with pytest.raises(Unwritable) as caught:
        rendered(material(NoticeKind.CONFIRMED, Person("Ada", address)))
    assert address[:10] not in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("locale", "tag"),
    [
        ("de-CH-1996", "de-CH"),
        ("de-AT", "de"),
        ("fr-CA", "fr"),
        ("pl", ""),
        ("en-GB", "en"),
        ("", ""),
    ],
)
def test_locales_with_the_same_effect_share_a_letter(locale, tag):
    """A locale is cut to what makes a difference, so that people cannot fill memory with made-up ones."""
    of = event(title=text("Fair"), venue=None)
    values = {"en": "Fair", "de": "Messe", "de-CH": "Mäss", "fr": "Foire"}
    of = replace(of, spec=replace(of.spec, title=replace(of.spec.title, values=values)))
    assert locale_of(of, locale) == tag
    assert of.spec.title.best(tag) == of.spec.title.best(locale)


def test_texts_fall_back_by_themselves():
    """A German gets a German mail about an event that has English texts only, and the other way round."""
    of = event(title=text("Fair"), venue=text("Hall"))
    letter = rendered(material(NoticeKind.CONFIRMED, ANNA, of=of))
    assert letter.message["subject"] == "Sie sind angemeldet: Fair"
    french = rendered(material(NoticeKind.CONFIRMED, Person("Zoé", "zoe@example.org", "fr")))
    assert french.message["subject"].startswith("You are registered")


GOLDEN_MAILS = {
    "confirmed.en": material(NoticeKind.CONFIRMED, replace_attendees(ADA, None, "Grace Hopper")),
    "confirmed.de": material(
        NoticeKind.CONFIRMED, Person("Jörg „Joe“ Müller-Lüdenscheidt", "joe@example.org", "de")
    ),
    "held.de": material(NoticeKind.HELD, ANNA),
    "waitlisted.en": material(NoticeKind.WAITLISTED),
    "event_cancelled.en": material(NoticeKind.EVENT_CANCELLED),
    "ticket.en": material(NoticeKind.TICKET, Person("عمر الخيام", "omar@example.org")),
}


@pytest.mark.parametrize("name", GOLDEN_MAILS)
def test_golden_mails(name):
    """Mails look as they did when somebody last looked at them; GOLDEN=write writes them anew, to look at."""
    path = GOLDEN / f"{name}.eml"
    raw = rendered(GOLDEN_MAILS[name]).raw.replace(b"\r\n", b"\n")
    # Each zlib packs a picture in its own way; test_qr.py looks at the pixels.
    raw = re.sub(rb'(filename="ticket-\d+\.png"\n\n)[A-Za-z0-9+/=\n]+?(?=\n--)', rb"\1(a picture)", raw)
    if os.environ.get("GOLDEN") == "write":
        path.write_bytes(raw)
    assert raw == path.read_bytes()
