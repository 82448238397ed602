"""Organizers' texts over HTTP: list, read, save, remove, look at, and have one sent to oneself."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.ports.errors import Rejected
from veltrix.ports.outreach import NoticeTemplate, Order, OrderKind
from veltrix.ports.proofs import Draft, Proofs
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core
from veltrix.registration.endpoint_bodies import Ordered
from veltrix.registration.headers import etag
from veltrix.registration.outputs import time_of
from veltrix.registration.problems import FaultAt, Problem, invalid_body
from veltrix.registration.telling import Telling
from veltrix.registration.webhooks import ordered, request_id
from veltrix.sealing import NONCE_BYTES, canonical_email, seal_secret

Source = Annotated[str, Meta(max_length=limits.TEMPLATE_MAX_CHARS)]
Subject = Annotated[
    str, Meta(max_length=limits.TEMPLATE_SUBJECT_MAX_CHARS, examples=["See you: {{ title }}"])
]
_OTHERS_SAVED: Final = 3


class TemplateIn(msgspec.Struct, forbid_unknown_fields=True):
    """A text for a kind of notice in a language. Without `html` it is made from `text`."""

    subject: Subject
    text: Source
    html: Source = ""


class TemplateHead(msgspec.Struct):
    """One of your templates."""

    kind: str
    locale: str
    version: int
    subject: str
    changed_at: str


class TemplateOut(msgspec.Struct):
    """One of your templates, whole. `warnings`: what is allowed and probably not meant."""

    kind: str
    locale: str
    version: int
    subject: str
    text: str
    html: str
    changed_at: str
    warnings: list[str]


class VariableOut(msgspec.Struct):
    """What a template may name; a personal one can only be placed, as it is."""

    name: str
    meaning: str
    personal: bool


class TemplateList(msgspec.Struct):
    """Your templates, and what there is to write them with. Kinds without one are told in Veltrix's words."""

    items: list[TemplateHead]
    kinds: list[str]
    variables: list[VariableOut]


class PreviewBody(msgspec.Struct, forbid_unknown_fields=True):
    """What to look at: this text, or without one what people get now. `event`: one of yours; else made up."""

    subject: Subject | UnsetType = UNSET
    text: Source | UnsetType = UNSET
    html: Source | UnsetType = UNSET
    event: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


class TestBody(PreviewBody, kw_only=True):
    """As a preview, sent to an address of yours."""

    to: Annotated[str, Meta(min_length=3, max_length=limits.EMAIL_MAX_CHARS, examples=["me@example.org"])]


class Preview(msgspec.Struct):
    """A mail as a made-up person gets it. `source`: `draft` (what was sent), `yours`, or `standard`."""

    source: str
    subject: str
    text: str
    html: str
    warnings: list[str]


_template = msgspec.json.Decoder(TemplateIn)
_preview = msgspec.json.Decoder(PreviewBody)
_test = msgspec.json.Decoder(TestBody)


class TemplateDesk:
    """Handlers of templates."""

    def __init__(self, core: Core, telling: Telling, proofs: Proofs) -> None:
        self._core = core
        self._telling = telling
        self._proofs = proofs

    async def listed(self, call: Call) -> Answer:
        """All templates of the organizer."""
        call.query()
        saved = await self._telling.outreach.templates(call.organizer_key.organizer)
        heads = [
            TemplateHead(each.kind, each.locale, each.version, each.subject, time_of(each.created_ms))
            for each in saved
        ]
        variables = [VariableOut(each.name, each.meaning, each.personal) for each in self._proofs.variables]
        return json_answer(TemplateList(heads, list(self._proofs.kinds), variables))

    async def read(self, call: Call) -> Answer:
        """One template."""
        call.query()
        return self._shown(await self._saved(call))

    async def save(self, call: Call) -> Answer:
        """Save a text, once it was tried out for everybody who may get it."""
        call.query()
        body = await call.json(_template, self._core.settings.body_max_bytes)
        draft = self._checked(call, body.subject, body.text, body.html)
        organizer = call.organizer_key.organizer
        outreach = self._telling.outreach
        accepted = call.if_match()
        for _ in range(_OTHERS_SAVED):
            last = await outreach.template(organizer, draft.kind, draft.locale)
            if accepted is not None and (last.version if last else 0) not in accepted:
                raise Problem("precondition_failed")
            if last is None:
                await self._room(organizer)
            made = NoticeTemplate(
                organizer,
                draft.kind,
                draft.locale,
                last.version + 1 if last else 1,
                draft.subject,
                draft.text,
                draft.html,
                self._core.ports.clock.now_ms(),
            )
            try:
                await outreach.save_template(made)
            except Rejected:  # somebody else saved one in between: after it, unless If-Match says otherwise
                continue
            return self._shown(made)
        raise Problem("overloaded").retry_after(1)

    async def remove(self, call: Call) -> Answer:
        """Take a template away: people are told in Veltrix's words again."""
        call.query()
        organizer, (kind, locale) = call.organizer_key.organizer, _place(call)
        if not await self._telling.outreach.drop_template(organizer, kind, locale):
            raise Problem("unknown_template")
        return Answer(204)

    async def preview(self, call: Call) -> Answer:
        """What a mail looks like with a text."""
        call.query()
        body = await call.json(_preview, self._core.settings.body_max_bytes, b"{}")
        draft, source = await self._meant(call, body)
        proof = self._proofs.proof(draft, await self._event(call, body))
        warnings = self._proofs.warnings(draft) if draft.text else []
        return json_answer(Preview(source, proof.subject, proof.text, proof.html, warnings))

    async def test(self, call: Call) -> Answer:
        """Have a mail with a text sent to an address of one's own."""
        call.query()
        body = await call.json(_test, self._core.settings.body_max_bytes)
        if canonical_email(body.to) is None:
            raise invalid_body(FaultAt("/to", "no_email"))
        draft, _ = await self._meant(call, body)
        event = await self._event(call, body)
        organizer = call.organizer_key.organizer
        request = self._core.request(call, f"POST /v1/templates/{draft.kind}/{draft.locale}/test")
        identity = request_id(organizer, request)
        message = self._proofs.mail(draft, event, body.to, identity.replace("cmd_", "tst_"))
        sealed = seal_secret(
            msgspec.msgpack.encode((body.to, message)),
            self._telling.secret_key,
            self._core.chance.token(NONCE_BYTES),
            organizer,
            OrderKind.TEST_MAIL,
        )
        number = await self._telling.outreach.give(
            Order(
                OrderKind.TEST_MAIL,
                organizer,
                self._core.ports.clock.now_ms(),
                payload=sealed,
                by=call.organizer_key.id,
                request=identity,
            )
        )
        return ordered(Ordered(number), request)

    async def _meant(self, call: Call, body: PreviewBody) -> tuple[Draft, str]:
        """The text to look at, and where it is from."""
        if isinstance(body.text, str) or isinstance(body.subject, str) or isinstance(body.html, str):
            parts = [part if isinstance(part, str) else "" for part in (body.subject, body.text, body.html)]
            return self._checked(call, *parts), "draft"
        organizer, (kind, locale) = call.organizer_key.organizer, _place(call)
        saved = await self._telling.outreach.template(organizer, kind, locale)
        if saved is not None:
            return Draft(kind, locale, saved.subject, saved.text, saved.html), "yours"
        self._raise_faults(Draft(kind, locale, "-", "-"))
        return Draft(kind, locale, "", ""), "standard"

    def _checked(self, call: Call, subject: str, text: str, html: str) -> Draft:
        draft = Draft(*_place(call), subject, text, html)
        self._raise_faults(draft)
        return draft

    def _raise_faults(self, draft: Draft) -> None:
        faults = self._proofs.faults(draft)
        if faults:
            raise invalid_body(
                *(
                    FaultAt(f"/{each.field}", "domain", {"fault": each.fault, "remedy": each.remedy})
                    for each in faults
                )
            )

    async def _event(self, call: Call, body: PreviewBody) -> Event | None:
        if not isinstance(body.event, str):
            return None
        event = (await self._core.directory.find(body.event)).event
        if event.organizer != call.organizer_key.organizer:
            raise Problem("unknown_event")
        return event

    async def _room(self, organizer: str) -> None:
        if len(await self._telling.outreach.templates(organizer)) >= limits.TEMPLATES_PER_ORGANIZER_MAX:
            raise Problem("too_many_templates", params={"most": limits.TEMPLATES_PER_ORGANIZER_MAX})

    async def _saved(self, call: Call) -> NoticeTemplate:
        organizer = call.organizer_key.organizer
        found = await self._telling.outreach.template(organizer, *_place(call))
        if found is None:
            raise Problem("unknown_template")
        return found

    def _shown(self, saved: NoticeTemplate) -> Answer:
        draft = Draft(saved.kind, saved.locale, saved.subject, saved.text, saved.html)
        made = TemplateOut(
            saved.kind,
            saved.locale,
            saved.version,
            saved.subject,
            saved.text,
            saved.html,
            time_of(saved.created_ms),
            [] if self._proofs.faults(draft) else self._proofs.warnings(draft),
        )
        return json_answer(made, headers=[(b"etag", etag(saved.version))])


def _place(call: Call) -> tuple[str, str]:
    """The kind and the locale, in the one spelling that a tag is kept under (RFC 5646, 2.1.1)."""
    parts = call.params["locale"].replace("_", "-").lower().split("-")
    spelt = [{2: part.upper(), 4: part.title()}.get(len(part), part) for part in parts[1:]]
    return call.params["kind"], "-".join([parts[0], *spelt])
