"""What people choose about being told: the page behind the unsubscribe link, and that of a registration.

Looking changes nothing: mail scanners open every link. A POST does, at once and without a login; that of a
mail program's own button (RFC 8058) names no choice, and gets no page to go to.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from veltrix.domain.notices import CATEGORIES
from veltrix.ports.access import Scope
from veltrix.ports.outreach import EVERY_CATEGORY, Reason, Suppression
from veltrix.registration.calls import Answer, Call, json_answer, media_type, require_type
from veltrix.registration.core import Core
from veltrix.registration.forms import read_form
from veltrix.registration.page_texts import TEXTS
from veltrix.registration.pages import Pages
from veltrix.registration.people import open_boxes
from veltrix.registration.problems import FaultAt, Problem, invalid_body
from veltrix.registration.registrations import Registrations, Subject
from veltrix.registration.suppressions import of_address
from veltrix.registration.telling import Telling
from veltrix.sealing import AddressHashes, canonical_email

_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_ONE_CLICK: Final = b"One-Click"
_ONE_CLICK_FIELD: Final = b"List-Unsubscribe"
STOP, RECEIVE = "stop", "receive"


class Preferences(msgspec.Struct, forbid_unknown_fields=True):
    """Which mails beside the necessary ones a person gets, by category. What is not named stays."""

    categories: Annotated[
        dict[Annotated[str, Meta(max_length=64)], bool], Meta(max_length=16, examples=[{"reminder": False}])
    ]


_decoder = msgspec.json.Decoder(Preferences)


class Choices:
    """Handlers of the pages, and of preferences over HTTP."""

    def __init__(
        self, core: Core, telling: Telling, hashes: AddressHashes, pages: Pages, single: Registrations
    ) -> None:
        self._core = core
        self._telling = telling
        self._hashes = hashes
        self._pages = pages
        self._single = single

    async def by_token(self, call: Call) -> Answer:
        """The page behind a mail's unsubscribe link."""
        organizer, address = self._holder(call)
        return await self._page(call, organizer, address, _own_path(call))

    async def unsubscribe(self, call: Call) -> Answer:
        """A button was pressed: the page's, or that of a mail program."""
        organizer, address = self._holder(call)
        kind = media_type(call.headers.get(b"content-type"))
        if kind:
            require_type(call.headers.get(b"content-type"), _FORMS)
        raw = await call.body(self._core.settings.body_max_bytes)
        if _ONE_CLICK_FIELD in raw and _ONE_CLICK in raw:
            await self._choose(organizer, address, call.params["category"], wanted=False)
            return await self._page(call, organizer, address, _own_path(call), done=STOP)
        return await self._pressed(call, raw, organizer, address, _own_path(call))

    async def by_link(self, call: Call) -> Answer:
        """The same page, for whoever has the link of a registration."""
        subject = await self._single.by_link(call.params["link"])
        organizer, address = await self._contact(subject)
        return await self._page(
            call, organizer, address, f"/r/{subject.link}/mail", back=f"/r/{subject.link}"
        )

    async def choose_by_link(self, call: Call) -> Answer:
        """A button on that page was pressed."""
        require_type(call.headers.get(b"content-type"), _FORMS[:1])
        raw = await call.body(self._core.settings.body_max_bytes)
        subject = await self._single.by_link(call.params["link"])
        organizer, address = await self._contact(subject)
        return await self._pressed(call, raw, organizer, address, f"/r/{subject.link}/mail")

    async def read(self, call: Call) -> Answer:
        """A person's preferences."""
        call.query()
        organizer, address = await self._contact(await self._single.subject(call, Scope.READ))
        return json_answer(Preferences(await self._state(organizer, address)))

    async def change(self, call: Call) -> Answer:
        """Change a person's preferences."""
        body = await call.json(_decoder, self._core.settings.body_max_bytes)
        unknown = [name for name in body.categories if name not in CATEGORIES]
        if unknown:
            expected = {"expected": ", ".join(CATEGORIES)}
            raise invalid_body(*(FaultAt("/categories", "wrong_value", expected) for _ in unknown[:1]))
        organizer, address = await self._contact(await self._single.subject(call, Scope.WRITE))
        for category, wanted in body.categories.items():
            await self._choose(organizer, address, category, wanted=wanted)
        return json_answer(Preferences(await self._state(organizer, address)))

    def _holder(self, call: Call) -> tuple[str, str]:
        """Whose link it is. Raises `Problem` unknown_choice."""
        organizer, category = call.params["organizer"], call.params["category"]
        address = self._core.links.read_choice(call.params["token"], organizer, category)
        if address is None or category not in CATEGORIES:
            raise Problem("unknown_choice")
        return organizer, address

    async def _contact(self, subject: Subject) -> tuple[str, str]:
        (opened,) = await open_boxes(self._core.ports.vault, [subject.registration])
        email = canonical_email(opened.person.email) if opened.person is not None else None
        if email is None:
            raise Problem("person_erased")
        organizer = subject.entry.event.organizer
        return organizer, self._hashes.of(organizer, email)

    async def _pressed(self, call: Call, raw: bytes, organizer: str, address: str, path: str) -> Answer:
        values = read_form(raw)
        category, choice = values.get("category", ""), values.get("choice", "")
        if category not in CATEGORIES or choice not in (STOP, RECEIVE):
            raise invalid_body()
        await self._choose(organizer, address, category, wanted=choice == RECEIVE)
        return self._pages.elsewhere(call, path, f"&done={choice}")

    async def _choose(self, organizer: str, address: str, category: str, *, wanted: bool) -> None:
        """Keep a choice. Of what others decided (a bounce, the organizer) a person takes nothing back."""
        outreach = self._telling.outreach
        if not wanted:
            now_ms = self._core.ports.clock.now_ms()
            await outreach.suppress([Suppression(organizer, address, category, Reason.UNSUBSCRIBE, now_ms)])
            return
        for each in await of_address(self._telling, organizer, address):
            if each.category == category and each.reason is Reason.UNSUBSCRIBE:
                await outreach.unsuppress(organizer, address, category)

    async def _state(self, organizer: str, address: str) -> dict[str, bool]:
        stopped = {each.category for each in await of_address(self._telling, organizer, address)}
        return {category: category not in stopped for category in CATEGORIES}

    async def _page(
        self, call: Call, organizer: str, address: str, path: str, *, back: str = "", done: str = ""
    ) -> Answer:
        language = self._pages.language(call)
        if not done:
            done = call.query("lang", "done").get("done", "")
        asked = (organizer, address)
        kept = await of_address(self._telling, organizer, address)
        nothing = any(each.category == EVERY_CATEGORY for each in kept)
        if not nothing:
            nothing = asked in await self._telling.deliveries.bounced([asked])
        fixed = {each.category for each in kept if each.reason is not Reason.UNSUBSCRIBE}
        stopped = {each.category for each in kept}
        return self._pages.page(
            call,
            "choices.html",
            organizer=organizer,
            path=f"{path}?lang={language}",
            back=f"{back}?lang={language}" if back else "",
            nothing=nothing,
            said=TEXTS[language].get(f"mail_done_{done}", ""),
            categories=[
                {"key": category, "on": category not in stopped, "fixed": category in fixed}
                for category in CATEGORIES
            ],
        )


def _own_path(call: Call) -> str:
    """The path of this very page, as it was asked for."""
    return str(call.scope["raw_path"].decode("ascii").partition("?")[0])
