"""Organizers' own texts: checked and compiled once, then rendered for everybody of an event as ours are.

What a template says is the same for all but for blanks, so that a mail with an organizer's text costs what
one with ours costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from jinja2 import Template
from markupsafe import Markup

from veltrix.domain import limits
from veltrix.domain.notices import NoticeKind
from veltrix.domain.registration import RegistrationStatus
from veltrix.notification.formats import NO_BREAK
from veltrix.notification.mime import CLOSE, OPEN, Form, blank
from veltrix.notification.template_language import TemplateFault, Vocabulary, compiled, rendered
from veltrix.notification.texts import Prose
from veltrix.ports.proofs import Draft, Variable

VARIABLES: Final = (
    Variable("title", "The event's title, in the reader's language as far as there is one.", False),
    Variable("venue", "Where it takes place; may be empty.", False),
    Variable("when", "Day and time, written out in English or German.", False),
    Variable("zone", "The time zone with its offset.", False),
    Variable("date", "The day it begins, as 2027-05-01.", False),
    Variable("time", "The time it begins, as 10:00.", False),
    Variable("end_date", "The day it ends.", False),
    Variable("end_time", "The time it ends.", False),
    Variable(
        "status", "Of the registration: `confirmed`, `held`, `waitlisted`, `cancelled` or `expired`.", False
    ),
    Variable("single", "Whether the reader holds a single seat of somebody else's registration.", False),
    Variable("may_confirm", "Whether the reader may confirm the hold.", False),
    Variable("priced", "Whether any ticket of the event costs something.", False),
    Variable("has_link", "Whether there is a `link`.", False),
    Variable("has_seats", "Whether there are `seats`.", False),
    Variable("has_deadline", "Whether there is a `deadline`.", False),
    Variable("has_invite", "Whether a calendar file is attached.", False),
    Variable(
        "has_unsubscribe", "Whether there is an `unsubscribe`: the reader can do without such mails.", False
    ),
    Variable("name", "The reader's name.", True),
    Variable("link", "The address of their registration, which is the only key to it.", True),
    Variable("deadline", "Until when their seats are held.", True),
    Variable(
        "seats", "Their seats with prices and ticket codes: lines in text, rows of a table in HTML.", True
    ),
    Variable("registration", "The registration's id.", True),
    Variable("unsubscribe", "Where the reader says that they do not want such mails.", True),
)
KNOWN: Final = Vocabulary(
    frozenset(each.name for each in VARIABLES if not each.personal),
    frozenset(each.name for each in VARIABLES if each.personal),
)
FLAGS: Final = tuple(
    name
    for name in sorted(KNOWN.common)
    if name.startswith("has_") or name in ("single", "may_confirm", "priced")
)
_SUBJECT: Final = Vocabulary(KNOWN.common, KNOWN.personal, placed=False)

_OPEN_ONES: Final = (
    RegistrationStatus.CONFIRMED,
    RegistrationStatus.HELD,
    RegistrationStatus.WAITLISTED,
)
_STATUSES: Final[Mapping[NoticeKind, tuple[RegistrationStatus, ...]]] = {
    NoticeKind.CONFIRMED: (RegistrationStatus.CONFIRMED,),
    NoticeKind.HELD: (RegistrationStatus.HELD,),
    NoticeKind.WAITLISTED: (RegistrationStatus.WAITLISTED,),
    NoticeKind.PROMOTED: (RegistrationStatus.CONFIRMED,),
    NoticeKind.PROMOTED_HELD: (RegistrationStatus.HELD,),
    NoticeKind.CANCELLED: (RegistrationStatus.CANCELLED,),
    NoticeKind.EXPIRED: (RegistrationStatus.EXPIRED,),
    NoticeKind.RELEASED: (RegistrationStatus.CANCELLED,),
    NoticeKind.HOLD_EXTENDED: (RegistrationStatus.HELD,),
    NoticeKind.TICKET: (RegistrationStatus.CONFIRMED,),
    NoticeKind.REMINDER: (RegistrationStatus.CONFIRMED,),
}
_THROWN_AWAY: Final = re.compile(
    r"<\s*(script|iframe|object|embed|form|base|meta)\b|javascript:|\son[a-z]+\s*=", re.IGNORECASE
)
_LOCALE: Final = re.compile(r"[a-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


class OwnText:
    """A draft, checked and compiled. Raises `TemplateFault` for what is wrong with it."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        for field, source in (("subject", draft.subject), ("text", draft.text), ("html", draft.html)):
            _check_source(field, source)
        if not draft.text.strip():
            raise TemplateFault("text", "is empty", "write what the mail says")
        self._subject = compiled("subject", draft.subject, _SUBJECT, html=False)
        self._text = compiled("text", draft.text, KNOWN, html=False)
        self._html: Template | None = None
        if draft.html:
            thrown = _THROWN_AWAY.search(draft.html)
            if thrown is not None:
                raise TemplateFault(
                    "html",
                    f"has {thrown.group(0).strip()!r}, which mail programs throw away, or the mail with it",
                    "leave it out",
                )
            self._html = compiled("html", draft.html, KNOWN, html=True)

    @property
    def places(self) -> frozenset[str]:
        """The personal values that it places, in either part."""
        sources = self.draft.text, self.draft.html or self.draft.text
        return frozenset(
            name for name in KNOWN.personal if all(re.search(rf"\b{name}\b", each) for each in sources)
        )

    def try_out(self) -> None:
        """Render it for every variant of its kind. Raises `TemplateFault`."""
        for values in samples(NoticeKind(self.draft.kind)):
            self.prose(values)

    def prose(self, values: Mapping[str, Any]) -> Prose:
        """The texts of a letter; `values` hold what is the same for all whom it goes to."""
        subject = " ".join(rendered("subject", self._subject, values).split())
        if not subject:
            raise TemplateFault("subject", "is empty for some readers", "put words into it that always stand")
        if len(subject) > limits.TEXT_MAX_CHARS * 2:
            raise TemplateFault("subject", f"becomes {len(subject)} characters long", "make it shorter")
        blanks = {name: blank(name) for name in KNOWN.personal}
        text = rendered("text", self._text, {**values, **blanks}).replace(NO_BREAK, " ")
        if self._html is None:
            html = _page(escape(text))
        else:
            marked = {name: Markup(each) for name, each in blanks.items()}  # noqa: S704 - nobody's text
            html = rendered("html", self._html, {**values, **marked})
        return Prose(subject, Form(_ended(text)), Form(_ended(html)))


def check_place(draft: Draft) -> Iterator[TemplateFault]:
    """What is wrong with where a draft is to be used."""
    if draft.kind not in list(NoticeKind):
        yield TemplateFault("kind", f"{draft.kind[:64]!r} is unknown", f"use one of {', '.join(NoticeKind)}")
    if not _LOCALE.fullmatch(draft.locale) or len(draft.locale) > 35:
        yield TemplateFault(
            "locale", f"{draft.locale[:64]!r} is no language tag", "use a tag such as 'en' or 'de-CH'"
        )


def status_of(kind: NoticeKind) -> RegistrationStatus:
    """The state of a registration that a notice of this kind is most often about."""
    return _STATUSES.get(kind, _OPEN_ONES)[0]


def samples(kind: NoticeKind) -> Iterator[dict[str, Any]]:
    """The values of every variant of a kind: each state, for contacts and holders of one seat, with all that
    there may be, and with nothing of it."""
    for status in _STATUSES.get(kind, _OPEN_ONES):
        for single in (False, True):
            for full in (True, False):
                yield {
                    "title": "Conference" * (20 if full else 1),
                    "venue": "Town hall" if full else "",
                    "when": "Saturday, 1 May 2027, 10:00–18:00",
                    "zone": "Europe/Berlin, UTC+02:00",
                    "date": "2027-05-01",
                    "time": "10:00",
                    "end_date": "2027-05-01",
                    "end_time": "18:00",
                    "status": status.value,
                    **dict.fromkeys(FLAGS, full),
                    "single": single,
                }


def _check_source(field: str, source: str) -> None:
    most = limits.TEMPLATE_SUBJECT_MAX_CHARS if field == "subject" else limits.TEMPLATE_MAX_CHARS
    if len(source) > most:
        raise TemplateFault(field, f"has {len(source)} characters", f"use at most {most}")
    if OPEN in source or CLOSE in source or "\0" in source:
        raise TemplateFault(field, "has a character that no mail may have", "write it anew")
    if field == "subject" and ("\n" in source or "\r" in source):
        raise TemplateFault(field, "has more than one line", "write it in one line")


_PARAGRAPH: Final = '<p style="margin:0 0 14px">{}</p>'
_TABLE: Final = '<table role="presentation" style="border-collapse:collapse;width:100%">{}</table>'
_LINK: Final = f'<a href="{blank("link")}" style="color:#3346b8;word-break:break-all">{blank("link")}</a>'
_PAGE: Final = (
    '<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"></head>\n'
    '<body style="margin:0 auto;max-width:600px;padding:24px 16px;font:16px/24px -apple-system,'
    "BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif\">\n{}\n</body>\n</html>"
)


def _page(text: str) -> str:
    """Plain text, escaped, as HTML: paragraphs, lines, a link to follow, a table of seats."""
    made: list[str] = []
    for paragraph in re.split(r"\n[ \t]*\n", text.strip()):
        before, seats, after = paragraph.partition(blank("seats"))
        made += _lines(before)
        if seats:
            made.append(_TABLE.format(seats))
        made += _lines(after)
    return _PAGE.format("\n".join(made))


def _lines(text: str) -> list[str]:
    lines = "<br>\n".join(text.strip().split("\n"))
    return [_PARAGRAPH.format(lines.replace(blank("link"), _LINK))] if lines else []


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
