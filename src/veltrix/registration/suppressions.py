"""Addresses that an organizer does not write to, over HTTP. They are kept as keyed hashes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from veltrix.domain import limits
from veltrix.domain.notices import CATEGORIES
from veltrix.ports.outreach import EVERY_CATEGORY, Order, OrderKind, Reason, Suppression
from veltrix.ports.system import Clock
from veltrix.registration.bodies import Email, check_line
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core
from veltrix.registration.cursors import page_size, read_cursor, write_cursor
from veltrix.registration.outputs import time_of
from veltrix.registration.problems import FaultAt, Problem, invalid_body, invalid_query
from veltrix.registration.telling import Telling
from veltrix.sealing import AddressHashes, canonical_email

KNOWN: Final = (EVERY_CATEGORY, *CATEGORIES)


class SuppressBody(msgspec.Struct, forbid_unknown_fields=True):
    """An address to which nothing more is sent; with a category, nothing of that."""

    email: Email
    category: Annotated[str, Meta(max_length=64, examples=list(KNOWN))] = EVERY_CATEGORY
    detail: Annotated[str, Meta(max_length=limits.SUPPRESSION_DETAIL_MAX_CHARS)] = ""


class SuppressionOut(msgspec.Struct):
    """A suppression. `address` stands for the e-mail address, which is not kept."""

    address: str
    category: str
    reason: Reason
    detail: str
    created_at: str


class SuppressionPage(msgspec.Struct):
    """A page of suppressions."""

    items: list[SuppressionOut]
    next_cursor: str | None


class BounceOut(msgspec.Struct):
    """An address that a mail server said, while a mail was sent, it will never take mail for."""

    address: str
    detail: str
    created_at: str


class BouncePage(msgspec.Struct):
    """A page of bounced addresses."""

    items: list[BounceOut]
    next_cursor: str | None


_decoder = msgspec.json.Decoder(SuppressBody)


@dataclass(frozen=True, slots=True)
class SuppressionBook:
    """Suppressions as the API and the command line keep them. Raises `Problem` for what cannot be."""

    telling: Telling
    hashes: AddressHashes
    clock: Clock

    async def page(
        self, organizer: str, email: str | None, after: tuple[str, str] | None, limit: int
    ) -> list[Suppression]:
        """An organizer's suppressions behind `after`, or those of one address."""
        only = None if email is None else self.hash(organizer, email)
        if only is not None and after is None:
            after = (only, "")
        found = await self.telling.outreach.suppressions(organizer, after, limit)
        return [each for each in found if only is None or each.address == only]

    async def add(self, organizer: str, body: SuppressBody) -> tuple[Suppression, bool]:
        """Suppress an address; one that is, stays as it is. Returns what holds, and whether it is new."""
        faults = list(known("/category", body.category))
        if body.detail:
            faults += check_line("/detail", body.detail)
        canonical = canonical_email(body.email)
        if canonical is None:
            faults.insert(0, FaultAt("/email", "no_email"))
        if canonical is None or faults:
            raise invalid_body(*faults)
        address, now_ms = self.hashes.of(organizer, canonical), self.clock.now_ms()
        made = Suppression(organizer, address, body.category, Reason.MANUAL, now_ms, body.detail)
        new = await self.telling.outreach.suppress([made])
        kept = await of_address(self.telling, organizer, address)
        return next((each for each in kept if each.category == body.category), made), bool(new)

    async def remove(self, organizer: str, named: str, category: str, by: str) -> None:
        """Write to an address (or what stands for it) again. What mail servers said is forgotten with it."""
        if category not in KNOWN:
            raise invalid_query("category", "wrong_value", expected=", ".join(KNOWN))
        address = self.hash(organizer, named) if "@" in named else named
        removed = await self.telling.outreach.unsuppress(organizer, address, category)
        asked = (organizer, address)
        if category == EVERY_CATEGORY and asked in await self.telling.deliveries.bounced([asked]):
            now_ms = self.clock.now_ms()
            order = Order(OrderKind.UNBOUNCE, organizer, now_ms, addresses=(address,), by=by)
            await self.telling.outreach.give(order)
            removed = True
        if not removed:
            raise Problem("unknown_suppression")

    def hash(self, organizer: str, email: str) -> str:
        """What stands for an address."""
        canonical = canonical_email(email)
        if canonical is None:
            raise invalid_query("email", "no_email")
        return self.hashes.of(organizer, canonical)


class Suppressions:
    """Handlers of suppressions."""

    def __init__(self, core: Core, telling: Telling, hashes: AddressHashes) -> None:
        self._core = core
        self._telling = telling
        self._book = SuppressionBook(telling, hashes, core.ports.clock)

    async def listed(self, call: Call) -> Answer:
        """A page of an organizer's suppressions, or those of one address."""
        query = call.query("email", "cursor", "limit")
        organizer, limit = call.organizer_key.organizer, page_size(query)
        of = f"{organizer}?{query.get('email', '')}"
        place = read_cursor(query, "suppressions", of, str)
        address, _, category = (place or "").partition(" ")
        after = None if place is None else (address, category)
        found = await self._book.page(organizer, query.get("email"), after, limit + 1)
        page = found[:limit]
        following = None
        if len(found) > limit:
            following = write_cursor("suppressions", of, f"{page[-1].address} {page[-1].category}")
        return json_answer(SuppressionPage([suppression_out(each) for each in page], following))

    async def add(self, call: Call) -> Answer:
        """Suppress an address."""
        body = await call.json(_decoder, self._core.settings.body_max_bytes)
        kept, _ = await self._book.add(call.organizer_key.organizer, body)
        return json_answer(suppression_out(kept))

    async def remove(self, call: Call) -> Answer:
        """Write to an address again."""
        category, key = call.query("category").get("category", EVERY_CATEGORY), call.organizer_key
        await self._book.remove(key.organizer, call.params["address"], category, key.id)
        return Answer(204)

    async def bounced(self, call: Call) -> Answer:
        """A page of addresses that bounced while mail was sent to them."""
        query = call.query("cursor", "limit")
        organizer, limit = call.organizer_key.organizer, page_size(query)
        after = read_cursor(query, "bounces", organizer, str) or ""
        found = await self._telling.deliveries.bounces(organizer, after, limit + 1)
        page = found[:limit]
        following = write_cursor("bounces", organizer, page[-1].address) if len(found) > limit else None
        items = [BounceOut(each.address, each.detail, time_of(each.created_ms)) for each in page]
        return json_answer(BouncePage(items, following))


def known(pointer: str, category: str) -> Iterable[FaultAt]:
    """What is wrong with a category, if anything."""
    if category not in KNOWN:
        yield FaultAt(pointer, "wrong_value", {"expected": ", ".join(KNOWN)})


async def of_address(telling: Telling, organizer: str, address: str) -> list[Suppression]:
    """All that an organizer does not write to an address about."""
    found = await telling.outreach.suppressions(organizer, (address, ""), len(KNOWN))
    return [each for each in found if each.address == address]


def suppression_out(suppression: Suppression) -> SuppressionOut:
    """A suppression as it is answered."""
    return SuppressionOut(
        suppression.address,
        suppression.category,
        suppression.reason,
        suppression.detail,
        time_of(suppression.created_ms),
    )
