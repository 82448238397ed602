"""Addresses that an organizer does not write to, over HTTP. They are kept as keyed hashes alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from veltrix.domain import limits
from veltrix.domain.notices import CATEGORIES
from veltrix.ports.outreach import EVERY_CATEGORY, Order, OrderKind, Reason, Suppression
from veltrix.registration.bodies import Email, check_line
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core
from veltrix.registration.cursors import page_size, read_cursor, write_cursor
from veltrix.registration.outputs import time_of
from veltrix.registration.problems import FaultAt, Problem, invalid_body, invalid_query
from veltrix.registration.telling import Telling
from veltrix.sealing import AddressHashes, canonical_email

KNOWN: Final = (EVERY_CATEGORY, *CATEGORIES)
_HASH_CHARS: Final = 32


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


class Suppressions:
    """Handlers of suppressions."""

    def __init__(self, core: Core, telling: Telling, hashes: AddressHashes) -> None:
        self._core = core
        self._telling = telling
        self._hashes = hashes

    async def listed(self, call: Call) -> Answer:
        """A page of an organizer's suppressions, or those of one address."""
        query = call.query("email", "cursor", "limit")
        organizer, limit = call.organizer_key.organizer, page_size(query)
        of = f"{organizer}?{query.get('email', '')}"
        place = read_cursor(query, "suppressions", of, str)
        after = None
        if place is not None:
            address, _, category = place.partition(" ")
            after = (address, category)
        elif "email" in query:
            after = (self._hash(organizer, query["email"]), "")
        found = await self._telling.outreach.suppressions(organizer, after, limit + 1)
        if "email" in query:
            only = self._hash(organizer, query["email"])
            found = [each for each in found if each.address == only]
        page = found[:limit]
        following = None
        if len(found) > limit:
            following = write_cursor("suppressions", of, f"{page[-1].address} {page[-1].category}")
        return json_answer(SuppressionPage([suppression_out(each) for each in page], following))

    async def add(self, call: Call) -> Answer:
        """Suppress an address; one that is, stays as it is."""
        body = await call.json(_decoder, self._core.settings.body_max_bytes)
        organizer = call.organizer_key.organizer
        faults = [
            *known("/category", body.category),
            *(check_line("/detail", body.detail) if body.detail else ()),
        ]
        canonical = canonical_email(body.email)
        if canonical is None:
            faults.insert(0, FaultAt("/email", "no_email"))
        if canonical is None or faults:
            raise invalid_body(*faults)
        suppression = Suppression(
            organizer,
            self._hashes.of(organizer, canonical),
            body.category,
            Reason.MANUAL,
            self._core.ports.clock.now_ms(),
            body.detail,
        )
        new = await self._telling.outreach.suppress([suppression])
        kept = await of_address(self._telling, organizer, suppression.address)
        shown = next((each for each in kept if each.category == body.category), suppression)
        return json_answer(suppression_out(shown), 201 if new else 200)

    async def remove(self, call: Call) -> Answer:
        """Write to an address again. What a mail server said against it is forgotten with it."""
        query = call.query("category")
        key, named = call.organizer_key, call.params["address"]
        category = query.get("category", EVERY_CATEGORY)
        if category not in KNOWN:
            raise invalid_query("category", "wrong_value", expected=", ".join(KNOWN))
        address = self._hash(key.organizer, named) if "@" in named else named
        removed = await self._telling.outreach.unsuppress(key.organizer, address, category)
        if category == EVERY_CATEGORY and len(address) == _HASH_CHARS:
            asked = (key.organizer, address)
            if asked in await self._telling.deliveries.bounced([asked]):
                order = Order(
                    OrderKind.UNBOUNCE,
                    key.organizer,
                    self._core.ports.clock.now_ms(),
                    addresses=(address,),
                    by=key.id,
                )
                await self._telling.outreach.give(order)
                removed = True
        if not removed:
            raise Problem("unknown_suppression")
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

    def _hash(self, organizer: str, email: str) -> str:
        canonical = canonical_email(email)
        if canonical is None:
            raise invalid_query("email", "no_email")
        return self._hashes.of(organizer, canonical)


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
