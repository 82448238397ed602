"""One registration over HTTP: looked at, and changed, by its link or by its organizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from veltrix.domain import limits
from veltrix.domain.commands import (
    Cancel,
    Command,
    ConfirmHold,
    Envelope,
    ExtendHold,
    Move,
    ReleaseHold,
    Transfer,
)
from veltrix.domain.identifiers import REGISTRATION, is_id
from veltrix.domain.registration import Registration, RegistrationStatus
from veltrix.ports.access import Scope
from veltrix.registration.access import require
from veltrix.registration.bodies import (
    Answers,
    Contact,
    Metadata,
    SeatNumber,
    check_contact,
    check_line,
    check_texts,
)
from veltrix.registration.calls import Answer, Call, T, json_answer
from veltrix.registration.core import Core, Request, content_of
from veltrix.registration.directory import Entry
from veltrix.registration.headers import LANGUAGES, etag, preferred_locale
from veltrix.registration.outputs import RegistrationView, add_details, registration_out, view_out
from veltrix.registration.people import open_boxes
from veltrix.registration.problems import Problem, invalid_body
from veltrix.sealing import NONCE_BYTES, Person, canonical_email, seal


class ConfirmBody(msgspec.Struct, forbid_unknown_fields=True):
    """Confirm a hold. `external_ref`, of organizers only, is theirs: a payment's number, say."""

    external_ref: Annotated[str, Meta(min_length=1, max_length=limits.EXTERNAL_REF_MAX_CHARS)] | None = None


class CancelBody(msgspec.Struct, forbid_unknown_fields=True):
    """Cancel the registration, or only one seat."""

    seat: SeatNumber | None = None


class MoveBody(msgspec.Struct, forbid_unknown_fields=True):
    """Move one seat to another category."""

    seat: SeatNumber
    category: Annotated[str, Meta(min_length=1, max_length=64)]


class TransferBody(msgspec.Struct, forbid_unknown_fields=True):
    """Hand the registration, or one seat, to another person."""

    contact: Contact
    seat: SeatNumber | None = None
    answers: Answers = {}
    metadata: Metadata = {}


class ExtendBody(msgspec.Struct, forbid_unknown_fields=True):
    """Give a hold that many more seconds from now."""

    ttl_s: Annotated[int, Meta(ge=limits.HOLD_TTL_MIN_S, le=limits.HOLD_TTL_MAX_S)]


class ReleaseBody(msgspec.Struct, forbid_unknown_fields=True):
    """Give a hold back."""


_confirm = msgspec.json.Decoder(ConfirmBody)
_cancel = msgspec.json.Decoder(CancelBody)
_move = msgspec.json.Decoder(MoveBody)
_transfer = msgspec.json.Decoder(TransferBody)
_extend = msgspec.json.Decoder(ExtendBody)
_release = msgspec.json.Decoder(ReleaseBody)


@dataclass(slots=True)
class Subject:
    """What a call is about; who came by a link has it here, with the holder version that it proved."""

    registration: Registration
    entry: Entry
    holder: int | None = None
    link: str | None = None


class Registrations:
    """Handlers of single registrations."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def read(self, call: Call) -> Answer:
        """The registration with what its holder, or its organizer, may see."""
        await self._core.consistent(call.query("consistency"))
        subject = await self.subject(call, Scope.READ)
        return json_answer(await self.view(subject), headers=[(b"etag", etag(subject.registration.version))])

    async def confirm(self, call: Call) -> Answer:
        """Confirm a hold."""
        body = await self._body(call, _confirm)
        subject = await self.subject(call, Scope.WRITE)
        if body.external_ref is not None:
            if subject.link is not None:
                raise Problem("forbidden", params={"scope": Scope.WRITE.value})
            faults = list(check_line("/external_ref", body.external_ref))
            if faults:
                raise invalid_body(*faults)
        command = ConfirmHold(subject.registration.id, body.external_ref)
        return await self.act(call, "confirm", subject, command, body)

    async def cancel(self, call: Call) -> Answer:
        """Cancel it, or one seat."""
        body = await self._body(call, _cancel)
        subject = await self.subject(call, Scope.WRITE)
        return await self.act(call, "cancel", subject, Cancel(subject.registration.id, body.seat), body)

    async def move(self, call: Call) -> Answer:
        """Move one seat to another category."""
        body = await call.json(_move, self._core.settings.body_max_bytes)
        subject = await self.subject(call, Scope.WRITE)
        command = Move(subject.registration.id, body.seat, body.category)
        return await self.act(call, "move", subject, command, body)

    async def extend(self, call: Call) -> Answer:
        """Give a hold more time; of organizers only."""
        body = await call.json(_extend, self._core.settings.body_max_bytes)
        subject = await self.subject(call, Scope.WRITE)
        if subject.link is not None:
            raise Problem("forbidden", params={"scope": Scope.WRITE.value})
        return await self.act(call, "extend", subject, ExtendHold(subject.registration.id, body.ttl_s), body)

    async def release(self, call: Call) -> Answer:
        """Give a hold back."""
        body = await self._body(call, _release)
        subject = await self.subject(call, Scope.WRITE)
        return await self.act(call, "release", subject, ReleaseHold(subject.registration.id), body)

    async def transfer(self, call: Call) -> Answer:
        """Hand it, or one seat, to another person."""
        core = self._core
        body = await call.json(_transfer, core.settings.body_max_bytes)
        faults = [
            *check_contact("/contact", body.contact),
            *check_texts("/answers", body.answers),
            *check_texts("/metadata", body.metadata),
        ]
        if faults:
            raise invalid_body(*faults)
        subject = await self.subject(call, Scope.WRITE)
        contact = body.contact
        person = Person(
            contact.name.strip(),
            contact.email.strip(),
            contact.locale or self._locale(call),
            answers=body.answers,
            metadata=body.metadata,
        )
        request = self.request(call, "POST", "transfer", subject)
        command = core.command_id(request, subject.entry)
        event = subject.entry.event
        version = event.spec.form.version
        key_id, key = core.reserve.take_now() or await core.reserve.take()
        box = seal(person, key, core.chance.token(NONCE_BYTES), event.id, command, key_id, version)
        hashed = subject.entry.hashes.person(canonical_email(contact.email) or "")
        made = Transfer(subject.registration.id, hashed, box, body.seat)
        return await self.ask(call, request, subject, made, body)

    async def view(self, subject: Subject) -> RegistrationView:
        """The registration with its personal data."""
        core, registration = self._core, subject.registration
        ahead = None
        if registration.status is RegistrationStatus.WAITLISTED:
            ahead = await core.ports.queries.waiting_ahead(registration)
        tickets = core.links if subject.link is not None else None
        made = add_details(registration_out(registration, tickets, ahead), registration)
        (opened,) = await open_boxes(core.ports.vault, [registration])
        view = view_out(made, opened)
        if subject.link is not None:
            view.link, view.url = subject.link, core.links.page(subject.link)
        return view

    async def subject(self, call: Call, scope: Scope) -> Subject:
        """The registration that the path names. Raises `Problem`.

        A link is a right of its own, so a key beside it does not count. What another organizer has, and
        what a former holder had, does not exist for whoever asks; the latter is told why.
        """
        core, ref = self._core, call.params["ref"]
        if ref.startswith(REGISTRATION):
            key = require(call.key, scope)
            found = await self._find(ref) if is_id(REGISTRATION, ref) else None
            if found is None:
                raise Problem("unknown_registration")
            entry = await core.directory.find(found.event)
            if entry.event.organizer != key.organizer:
                raise Problem("unknown_registration")
            return Subject(found, entry)
        call.key = None
        return await self.by_link(ref)

    async def _find(self, registration: str) -> Registration | None:
        """The registration; None only where the primary does not know it either."""
        core = self._core
        return await core.fresh.find(lambda: core.ports.queries.registration(registration))

    async def by_link(self, text: str) -> Subject:
        """The registration behind a link. Raises `Problem` unknown_registration or link_replaced."""
        core = self._core
        link = core.links.read_link(text)
        found = None if link is None else await self._find(link.registration)
        if link is None or found is None:
            raise Problem("unknown_registration")
        if not core.links.link_holds(link, found.holder):
            former = core.links.prove(link, found.holder - 1)
            raise Problem("unknown_registration" if former is None else "link_replaced")
        return Subject(found, await core.directory.find(found.event), found.holder, text.lower())

    async def act(self, call: Call, name: str, subject: Subject, command: Command, body: object) -> Answer:
        """Ask for something to be done with the registration."""
        return await self.ask(call, self.request(call, "POST", name, subject), subject, command, body)

    def request(self, call: Call, method: str, name: str, subject: Subject) -> Request:
        """Who asks for it, and under which key."""
        path = "/v1/registrations/{ref}" + (f"/{name}" if name else "")
        return self._core.request(call, f"{method} {path}", subject.link)

    async def ask(
        self, call: Call, request: Request, subject: Subject, command: Command, body: object
    ) -> Answer:
        """Append the command and answer. An If-Match holds against the version that was read."""
        core, registration = self._core, subject.registration
        content = content_of((request.route, registration.id), body)
        envelope = core.envelope(request, subject.entry, command, content)
        envelope.holder = subject.holder
        await self._match(call, subject, envelope)
        return await core.submit(call, request, envelope, subject.entry.partition)

    async def _match(self, call: Call, subject: Subject, envelope: Envelope) -> None:
        """Refuse a version that If-Match does not name, unless this very request was decided before."""
        accepted = call.if_match()
        if accepted is None or subject.registration.version in accepted:
            return
        if await self._core.desk.original(envelope.id, envelope.fingerprint) is None:
            raise Problem("precondition_failed")

    async def _body(self, call: Call, decoder: msgspec.json.Decoder[T]) -> T:
        return await call.json(decoder, self._core.settings.body_max_bytes, empty=b"{}")

    def _locale(self, call: Call) -> str:
        accepted = call.headers.get(b"accept-language")
        return LANGUAGES[0] if accepted is None else preferred_locale(accepted)
