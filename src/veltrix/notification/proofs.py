"""Proofs of organizers' texts: the very letters that people get, for a made-up person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from typing import Final

from veltrix.domain.credentials import Signer
from veltrix.domain.event import Category, Event, EventSpec, EventStatus, PoolSpec, Text
from veltrix.domain.notices import NoticeKind, category_of
from veltrix.domain.registration import RegistrationStatus
from veltrix.domain.soundness import Fault
from veltrix.notification.formats import minute
from veltrix.notification.invite import Entry
from veltrix.notification.letters import Letter, Personal, SeatLine, Sender, Variant, locale_of
from veltrix.notification.mime import address
from veltrix.notification.own_texts import VARIABLES, OwnText, check_place, status_of
from veltrix.notification.template_language import TemplateFault
from veltrix.notification.texts import Texts
from veltrix.ports.proofs import Draft, Proof, Variable

_NAMES: Final = {"de": "Erika Muster", "en": "Alex Sample"}
_MADE_UP: Final = EventSpec(
    slug="sample",
    title=Text("en", {"en": "Sample event", "de": "Beispielveranstaltung"}),
    time_zone="Europe/Berlin",
    starts_local="2031-05-01T10:00",
    ends_local="2031-05-01T18:00",
    pools=(PoolSpec("main", 100),),
    categories=(Category("standard", Text("en", {"en": "Standard", "de": "Standard"}), ("main",), 1500),),
    venue=Text("en", {"en": "Town hall", "de": "Rathaus"}),
)
_REGISTRATION: Final = "reg_00000000000000000000000000000000"
_EVENT: Final = "evt_00000000000000000000000000000000"
_TICKET: Final = Signer(b"a key that opens no door at all.").ticket(_EVENT, 1, 1)
_MADE_MS: Final = 1_900_000_000_000


@dataclass(frozen=True, slots=True)
class LetterProofs:
    """The port `Proofs`, with the letters that the renderer writes."""

    sender: Sender
    texts: Texts

    @property
    def kinds(self) -> Sequence[str]:
        """All kinds."""
        return tuple(NoticeKind)

    @property
    def variables(self) -> Sequence[Variable]:
        """All variables."""
        return VARIABLES

    def faults(self, draft: Draft) -> list[Fault]:
        """What is wrong with a draft: where it is for, then the first fault of its text."""
        found = [Fault(*each.told) for each in check_place(draft)]
        if found:
            return found
        try:
            OwnText(draft).try_out()
        except TemplateFault as fault:
            return [Fault(*fault.told)]
        return []

    def warnings(self, draft: Draft) -> list[str]:
        """What people would miss."""
        own = OwnText(draft)
        letter = self._letter(draft, _event(None), own)
        missed: list[str] = []
        if letter.shape.link and "link" not in own.places:
            missed.append("no 'link': without it people cannot get to their registration")
        if letter.shape.deadline and "deadline" not in own.places:
            missed.append("no 'deadline': people do not learn until when they must act")
        ticketed = status_of(NoticeKind(draft.kind)) is RegistrationStatus.CONFIRMED
        if letter.shape.seats and ticketed and "seats" not in own.places:
            missed.append("no 'seats': people do not get their ticket codes")
        if category_of(draft.kind) and "unsubscribe" not in own.places:
            missed.append("no 'unsubscribe': only mail programs with a button of their own can offer it")
        return missed

    def proof(self, draft: Draft, event: Event | None) -> Proof:
        """The mail, read as its recipient does."""
        raw = self.mail(draft, event, "alex@sample.example", "ntc_sample")
        mail = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(raw)
        plain, rich = mail.get_body(("plain",)), mail.get_body(("html",))
        assert plain is not None and rich is not None, "every letter has both parts"
        return Proof(str(mail["subject"]), _content(plain), _content(rich))

    def mail(self, draft: Draft, event: Event | None, recipient: str, identity: str) -> bytes:
        """The mail of a made-up person, to whoever wants to see it."""
        checked = address(recipient)
        if checked is None:
            raise ValueError("the address cannot stand in a mail")
        about = _event(event)
        letter = self._letter(draft, about, OwnText(draft) if draft.text else None)
        base_url = self.sender.base_url
        category = about.spec.categories[0]
        personal = Personal(
            notice=identity,
            created_ms=_MADE_MS,
            name=_NAMES[letter.language],
            email=checked,
            registration=_REGISTRATION,
            link=f"{base_url}/r/r1sample" if letter.shape.link else "",
            deadline=minute(about.spec.starts_ms() - 86_400_000, about.spec.time_zone, letter.language),
            seats=[
                SeatLine(1, category.key, category.price_minor, category.currency, "", "", _TICKET),
                SeatLine(2, category.key, category.price_minor, category.currency, "", "Robin", _TICKET),
            ],
            entry=Entry(_REGISTRATION, 1, _MADE_MS, _NAMES[letter.language], checked)
            if letter.invite
            else None,
            unsubscribe=f"{base_url}/u/sample" if category_of(draft.kind) else "",
        )
        return letter.write(personal)

    def _letter(self, draft: Draft, event: Event, own: OwnText | None) -> Letter:
        kind = NoticeKind(draft.kind)
        variant = Variant(kind, status_of(kind), False, locale_of(event, draft.locale))
        return Letter(self.texts, event, variant, self.sender, own)


def _event(event: Event | None) -> Event:
    return event or Event(_EVENT, "", _MADE_UP, "", _MADE_MS, _MADE_MS, EventStatus.OPEN)


def _content(part: MIMEPart) -> str:
    return str(part.get_content()).replace("\r\n", "\n")
