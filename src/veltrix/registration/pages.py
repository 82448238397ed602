"""The pages: a start page, each event's public page, each registration's page, and one to try the API.

They need no script and nothing from elsewhere. Looking at one changes nothing: mail scanners open links.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from veltrix.domain.commands import Actor, Cancel, Command, ConfirmHold
from veltrix.domain.event import EventStatus
from veltrix.domain.identifiers import EVENT, is_id
from veltrix.domain.outcomes import Outcome
from veltrix.domain.registration import RegistrationStatus, Source
from veltrix.ports.queries import EventView
from veltrix.registration.calls import Answer, Call, Headers, require_type
from veltrix.registration.core import Core, Request, content_of
from veltrix.registration.decisions import Decisions
from veltrix.registration.desk import Queued, Settled
from veltrix.registration.directory import PUBLIC, REGISTER
from veltrix.registration.forms import body_of, faults_by_field, is_decided, read_form, seats_asked
from veltrix.registration.headers import LANGUAGES, is_strong
from veltrix.registration.intake import Intake
from veltrix.registration.page_texts import TEXTS
from veltrix.registration.page_views import event_view, group_operations, registration_view
from veltrix.registration.people import open_boxes
from veltrix.registration.problems import Problem, explain
from veltrix.registration.registrations import Registrations, Subject

_HTML: Final = b"text/html; charset=utf-8"
_FORM: Final = ("application/x-www-form-urlencoded",)
_ASSETS: Final = {
    "app.css": b"text/css; charset=utf-8",
    "event.js": b"text/javascript; charset=utf-8",
    "docs.js": b"text/javascript; charset=utf-8",
    "registration.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}
_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Links are capabilities: no address of a page may reach another site.
SECURITY: Final[Headers] = [
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_SEAT_DIGITS: Final = 9


class Pages:
    """Handlers of the pages."""

    def __init__(self, core: Core, intake: Intake, decisions: Decisions, single: Registrations) -> None:
        self._core = core
        self._intake = intake
        self._decisions = decisions
        self._single = single
        self._environment = Environment(
            loader=PackageLoader("veltrix.registration"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        folder = files("veltrix.registration") / "assets"
        self._assets = {name: (folder / name).read_bytes() for name in _ASSETS}
        self._tags = {
            name: hashlib.sha256(content).hexdigest()[:12] for name, content in self._assets.items()
        }
        self._environment.filters["marked"] = marked
        self._environment.globals["asset"] = lambda name: f"/assets/{name}?v={self._tags[name]}"
        self._describe: Callable[[], dict[str, Any]] = dict

    def describe(self, description: Callable[[], dict[str, Any]]) -> None:
        """Take what makes the API's description, for whoever asks for it and for the page to try it."""
        self._describe = description

    @cached_property
    def description(self) -> bytes:
        """The API's description as JSON."""
        return msgspec.json.encode(self._describe())

    @cached_property
    def _groups(self) -> list[tuple[str, list[dict[str, Any]]]]:
        return group_operations(self._describe())

    async def openapi(self, call: Call) -> Answer:
        """The API's description."""
        return Answer(200, self.description, [(b"cache-control", b"no-cache")], private=False)

    async def asset(self, call: Call) -> Answer:
        """A file that pages use; its address changes with its content."""
        name = call.params["name"]
        if name not in self._assets:
            raise Problem("not_found")
        fresh = call.query("v").get("v") == self._tags[name]
        lasting = b"public, max-age=31536000, immutable" if fresh else b"no-cache"
        headers = [(b"cache-control", lasting), (b"x-content-type-options", b"nosniff")]
        return Answer(200, self._assets[name], headers, _ASSETS[name], private=False)

    async def start(self, call: Call) -> Answer:
        """What runs here."""
        return self.page(call, "start.html", version=self._core.settings.version)

    async def docs(self, call: Call) -> Answer:
        """The API, to read and to try."""
        return self.page(call, "docs.html", groups=self._groups)

    async def event(self, call: Call) -> Answer:
        """An event, with the form to register."""
        view = await self._view(call)
        seats = seats_asked(call.query("lang", "seats"), view.event.spec.seats_per_registration)
        return self._event_page(call, view, self._new_key(), seats)

    async def register(self, call: Call) -> Answer:
        """The form without JavaScript was sent."""
        core = self._core
        require_type(call.headers.get(b"content-type"), _FORM)
        values = read_form(await call.body(core.settings.body_max_bytes))
        view = await self._view(call)
        key = values.get("key", "")
        try:
            if not is_strong(key):
                raise Problem("weak_key")
            entry = await core.directory.find(view.event.id)
            body = body_of(values, view.event.spec.form, self.language(call))
            request = Request(REGISTER, PUBLIC, key[:256], False, Actor.REGISTRANT)
            envelope = await self._intake.envelope(request, entry, body, Source.PUBLIC, self.language(call))
            outcome = await core.desk.ask(
                envelope, entry.partition, core.settings.wait_default_s, call.trace.header
            )
            if isinstance(outcome, Queued):
                token = core.links.receipt(
                    envelope.id, outcome.partition, outcome.offset, envelope.fingerprint
                )
                return self.elsewhere(call, f"/d/{token}")
            return self.elsewhere(call, self._registration_path(call, outcome))
        except Problem as problem:
            key = self._new_key() if is_decided(problem) or not is_strong(key) else key
            seats = seats_asked(values, view.event.spec.seats_per_registration)
            return self._event_page(call, view, key, seats, values, problem)

    async def line(self, call: Call) -> Answer:
        """A command's place in line; once it is decided, the way to what was decided."""
        call.query("lang")
        receipt, printed = self._decisions.receipt(call)
        settled = await self._decisions.settled(receipt, printed, 0.0)
        if settled is None:
            place = self._core.desk.progress[receipt.partition].place(receipt.offset)
            return self.page(call, "line.html", place=place)
        return self.elsewhere(call, self._registration_path(call, settled))

    async def registration(self, call: Call) -> Answer:
        """A registration, for whoever has its link."""
        said = call.query("lang", "done").get("done", "")
        subject = await self._single.by_link(call.params["link"])
        return await self._registration_page(call, subject, said)

    async def confirm(self, call: Call) -> Answer:
        """The button to confirm was pressed."""
        return await self._act(call, "confirm")

    async def cancel(self, call: Call) -> Answer:
        """The button to cancel was pressed, and pressed again to be sure."""
        return await self._act(call, "cancel")

    def explain(self, problem: Problem, call: Call) -> Answer:
        """A problem as a page."""
        body = problem.body(self.language(call), call.trace.trace_id)
        answer = self.page(call, "problem.html", problem=body, trace_id=call.trace.trace_id)
        answer.status = problem.status
        answer.headers.extend(problem.headers)
        return answer

    async def _act(self, call: Call, name: str) -> Answer:
        core = self._core
        require_type(call.headers.get(b"content-type"), _FORM)
        values = read_form(await call.body(core.settings.body_max_bytes))
        subject = await self._single.by_link(call.params["link"])
        registration = subject.registration
        number = values.get("seat", "")
        seat = int(number) if number.isascii() and number.isdigit() and len(number) <= _SEAT_DIGITS else None
        command: Command = ConfirmHold(registration.id)
        if name == "cancel":
            command = Cancel(registration.id, seat)
        try:
            key = values.get("key", "")
            if not is_strong(key):
                raise Problem("weak_key")
            route = f"POST /r/{{link}}/{name}"
            request = Request(route, subject.link or "", key[:256], False, Actor.REGISTRANT)
            envelope = core.envelope(
                request, subject.entry, command, content_of((route, registration.id, str(seat)))
            )
            envelope.holder = subject.holder
            outcome = await core.desk.ask(
                envelope, subject.entry.partition, core.settings.wait_default_s, call.trace.header
            )
        except Problem as problem:
            return await self._registration_page(call, subject, "", problem)
        done = "pending" if isinstance(outcome, Queued) else name
        if isinstance(outcome, Settled) and outcome.decision.outcome is not Outcome.ACCEPTED:
            fresh = await self._single.by_link(call.params["link"])
            return await self._registration_page(call, fresh, "", core.refused(call, outcome))
        return self.elsewhere(call, f"/r/{subject.link}", f"&done={done}")

    async def _view(self, call: Call) -> EventView:
        """The event that the path names, by id or by its organizer's slug; drafts do not exist here."""
        queries = self._core.ports.queries
        if "slug" in call.params:
            view = await queries.event_by_slug(call.params["organizer"], call.params["slug"])
        else:
            event = call.params["event"]
            view = await queries.event(event) if is_id(EVENT, event) else None
        if view is None or view.event.status is EventStatus.DRAFT:
            raise Problem("unknown_event")
        return view

    def _event_page(
        self, call: Call, view: EventView, key: str, seats: int, values: dict[str, str] | None = None,
        problem: Problem | None = None,
    ) -> Answer:  # fmt: skip
        language = self.language(call)
        shown = event_view(view.event, language, self._core.ports.clock.now_ms(), view.pools, view.waiting)
        errors = {} if problem is None else faults_by_field(explain(problem.errors, language))
        answer = self.page(
            call,
            "event.html",
            event=shown,
            key=key,
            seats=min(seats, shown.seats_most),
            values=values or {},
            errors=errors,
            problem=None if problem is None else problem.body(language, call.trace.trace_id),
        )
        if problem is not None:
            answer.status = problem.status
        return answer

    async def _registration_page(
        self, call: Call, subject: Subject, said: str, problem: Problem | None = None
    ) -> Answer:
        core, language = self._core, self.language(call)
        registration, event = subject.registration, subject.entry.event
        (opened,) = await open_boxes(core.ports.vault, [registration])
        ahead = None
        if registration.status is RegistrationStatus.WAITLISTED:
            ahead = await core.ports.queries.waiting_ahead(registration)
        answer = self.page(
            call,
            "registration.html",
            it=registration_view(registration, event, opened, core.links, language, ahead),
            event=event_view(event, language, core.ports.clock.now_ms()),
            link=subject.link,
            version=registration.version,
            key=self._new_key(),
            said=TEXTS[language].get(f"done_{said}", ""),
            problem=None if problem is None else problem.body(language, call.trace.trace_id),
        )
        if problem is not None:
            answer.status = problem.status
        return answer

    def _registration_path(self, call: Call, settled: Settled) -> str:
        """Where an accepted registration is to be seen. Raises the `Problem` of a refused one."""
        own = settled.own
        if settled.decision.outcome is not Outcome.ACCEPTED or own is None or own.fact.registration is None:
            raise self._core.refused(call, settled)
        registration = own.fact.registration
        return f"/r/{self._core.links.link(registration.id, registration.holder)}"

    def elsewhere(self, call: Call, path: str, more: str = "") -> Answer:
        """See other: what was asked is done, and to load the page again does not ask again."""
        location = f"{path}?lang={self.language(call)}{more}"
        return Answer(303, b"", [(b"location", location.encode()), *SECURITY], _HTML)

    def page(self, call: Call, template: str, **values: Any) -> Answer:
        """A page in the reader's language."""
        language = self.language(call)
        text = self._environment.get_template(template).render(
            t=TEXTS[language],
            lang=language,
            other_lang=next(other for other in LANGUAGES if other != language),
            **values,
        )
        headers = [*SECURITY, (b"content-language", language.encode()), (b"vary", b"Accept-Language")]
        return Answer(200, text.encode(), headers, _HTML)

    def language(self, call: Call) -> str:
        """The language in the address, else the one that the browser likes best."""
        for language in LANGUAGES:
            if b"lang=" + language.encode() in call.scope["query_string"].split(b"&"):
                return language
        return call.language

    def _new_key(self) -> str:
        return self._core.chance.token(16).hex()


def marked(text: str) -> Markup:
    """A text in which `this` is code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it was escaped
