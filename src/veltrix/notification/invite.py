"""The `.ics` attachment (RFC 5545, iTIP RFC 5546): the event as an entry of the person's calendar.

What all have in common is built once by the icalendar package; the person's lines are put into it. Times
are in UTC: one event, which no calendar needs a time zone's rules for. The UID is the registration's id
and never changes; SEQUENCE is the number of the fact, which rises with every change of the registration
and of its event, so that a calendar never lets an older mail undo a newer one. The registration's link and
its ticket codes are not in it: calendars are shared, and whoever has those has the seats.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

import icalendar

from veltrix.domain.event import Event
from veltrix.notification.mime import BASE64_LINE_BYTES, base64_lines, clean

REQUEST: Final = "REQUEST"
CANCEL: Final = "CANCEL"

_PERSONAL: Final = "X-VELTRIX-PERSONAL"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IN_MAILTO: Final = "@!$'*+=~"
_LINE_BYTES: Final = 75  # RFC 5545, 3.1: without the line break


class Entry(NamedTuple):
    """What of an entry is the person's own."""

    uid: str
    sequence: int
    stamp_ms: int
    name: str
    email: str


class Invite:
    """The calendar file of one event, in one language, for one method."""

    __slots__ = ("_after", "_encoded", "_open", "method")

    def __init__(
        self, event: Event, locale: str, method: str, organizer: tuple[str, str], page_url: str
    ) -> None:
        self.method = method
        spec = event.spec
        entry = icalendar.Event()
        entry.add("summary", clean(spec.title.best(locale)))
        if spec.venue is not None:
            entry.add("location", clean(spec.venue.best(locale)))
        entry.add("dtstart", _utc(spec.starts_ms()))
        entry.add("dtend", _utc(spec.ends_ms()))
        entry.add("status", "CANCELLED" if method == CANCEL else "CONFIRMED")
        entry.add("transp", "TRANSPARENT" if method == CANCEL else "OPAQUE")
        entry.add("url", page_url)
        name, address = organizer
        entry.add("organizer", icalendar.vCalAddress(_mailto(address), params={"CN": _parameter(name)}))
        entry.add(_PERSONAL, "1")
        calendar = icalendar.Calendar()
        calendar.add("prodid", "-//Veltrix//Veltrix//EN")
        calendar.add("version", "2.0")
        calendar.add("calscale", "GREGORIAN")
        calendar.add("method", method)
        calendar.add_component(entry)
        before, _, after = calendar.to_ical().partition(f"{_PERSONAL}:1\r\n".encode())
        assert after, "the entry has its marker"
        # Lines of base64 hold 57 bytes each: whole ones of what is the same for all are encoded here.
        whole = len(before) // BASE64_LINE_BYTES * BASE64_LINE_BYTES
        self._encoded, self._open = base64_lines(before[:whole]), before[whole:]
        self._after = after

    def fill(self, entry: Entry) -> str:
        """The file for one person, in base64."""
        attendee = (
            f'ATTENDEE;CN="{_parameter(entry.name)}";CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;'
            f"PARTSTAT=ACCEPTED;RSVP=FALSE:{_mailto(entry.email)}"
        )
        own = f"UID:{entry.uid}\r\nSEQUENCE:{entry.sequence}\r\nDTSTAMP:{_stamp(entry.stamp_ms // 1000)}\r\n"
        personal = own.encode("ascii") + folded(attendee)
        return self._encoded + base64_lines(self._open + personal + self._after)


def folded(line: str) -> bytes:
    """A content line in pieces of at most 75 bytes, none of which cuts a character, with its line break."""
    raw = line.encode("utf-8", "replace")
    if len(raw) <= _LINE_BYTES:
        return raw + b"\r\n"
    pieces: list[bytes] = []
    room = _LINE_BYTES
    while raw:
        end = min(room, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(raw[:end])
        raw = raw[end:]
        room = _LINE_BYTES - 1  # the space that continues a line counts
    return b"\r\n ".join(pieces) + b"\r\n"


def _utc(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


@lru_cache(maxsize=1_024)
def _stamp(second: int) -> str:
    return _utc(second * 1000).strftime("%Y%m%dT%H%M%SZ")


def _mailto(address: str) -> str:
    """An address as a URI (RFC 6068): a `?` in it would begin headers of somebody else's choice."""
    return f"mailto:{quote(address, safe=_IN_MAILTO)}"


def _parameter(value: str) -> str:
    """A parameter's value: it stands in quotes, which it must not hold itself."""
    return clean(value).replace('"', "'")
