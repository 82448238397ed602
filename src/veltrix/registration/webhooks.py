"""Endpoints of webhooks over HTTP: make, list, change, take away, change secrets, try, enable again."""

from __future__ import annotations

from typing import Final

import msgspec

from veltrix.domain.identifiers import command_id, notice_id
from veltrix.ports.fulfilment import ORDERED
from veltrix.ports.notices import WEBHOOK
from veltrix.ports.outreach import Endpoint, Order, OrderKind
from veltrix.registration.calls import Answer, Call, json_answer, require_type
from veltrix.registration.core import Core, Request, content_of
from veltrix.registration.endpoint_bodies import (
    EndpointChange,
    EndpointIn,
    EndpointMade,
    EndpointPage,
    Ordered,
    RotateBody,
)
from veltrix.registration.endpoint_book import EndpointBook, Made
from veltrix.registration.telling import Telling

_CREATE: Final = "POST /v1/endpoints"
_ROTATE: Final = "POST /v1/endpoints/{endpoint}/secrets"
_REPLAYED: Final = (b"idempotent-replayed", b"true")
_create = msgspec.json.Decoder(EndpointIn)
_change = msgspec.json.Decoder(EndpointChange)
_rotate = msgspec.json.Decoder(RotateBody)


class Webhooks:
    """Handlers of endpoints."""

    def __init__(self, core: Core, telling: Telling) -> None:
        self._core = core
        self._telling = telling
        self._book = EndpointBook(telling, core.ports.clock, core.ports.entropy)

    async def create(self, call: Call) -> Answer:
        """Make an endpoint with its first secret."""
        body = await call.json(_create, self._core.settings.body_max_bytes)
        organizer = call.organizer_key.organizer
        request = self._core.request(call, _CREATE)
        asked = request_id(organizer, request)
        printed = self._core.links.fingerprint(content_of((_CREATE,), body))
        return await self._made(await self._book.create(organizer, asked, printed, body), request)

    async def listed(self, call: Call) -> Answer:
        """All endpoints of the organizer."""
        call.query()
        endpoints = await self._telling.outreach.endpoints(call.organizer_key.organizer)
        return json_answer(EndpointPage(await self._book.shown(endpoints)))

    async def read(self, call: Call) -> Answer:
        """One endpoint."""
        call.query()
        return await self._shown(await self._owned(call))

    async def change(self, call: Call) -> Answer:
        """Change an endpoint; what is not named stays."""
        body = await call.json(_change, self._core.settings.body_max_bytes)
        return await self._shown(await self._book.change(await self._owned(call), body))

    async def remove(self, call: Call) -> Answer:
        """Take an endpoint away with its secrets. What was still to be sent to it is not sent."""
        call.query()
        endpoint = await self._owned(call)
        await self._telling.outreach.remove_endpoint(endpoint.id)
        return Answer(204)

    async def rotate(self, call: Call) -> Answer:
        """Make a new secret, with an overlap."""
        body = await call.json(_rotate, self._core.settings.body_max_bytes, b"{}")
        endpoint = await self._owned(call)
        request = self._core.request(call, f"{_ROTATE} {endpoint.id}")
        return await self._made(
            await self._book.rotate(endpoint, request_id(endpoint.organizer, request), body), request
        )

    async def end_secret(self, call: Call) -> Answer:
        """End a secret at once."""
        call.query()
        endpoint = await self._owned(call)
        await self._book.end_secret(endpoint, call.params["secret"])
        return await self._shown(endpoint)

    async def ping(self, call: Call) -> Answer:
        """Have a test posted."""
        return await self._order(call, OrderKind.PING)

    async def enable(self, call: Call) -> Answer:
        """Have it tried again, after it was disabled or its breaker opened."""
        return await self._order(call, OrderKind.ENABLE)

    async def _order(self, call: Call, kind: OrderKind) -> Answer:
        await without_body(self._core, call)
        endpoint = await self._owned(call)
        if kind is OrderKind.ENABLE:
            await self._book.change(endpoint, EndpointChange(enabled=True))
        request = self._core.request(call, f"POST /v1/endpoints/{endpoint.id}/{kind}")
        number = await self._telling.outreach.give(
            Order(
                kind,
                endpoint.organizer,
                self._core.ports.clock.now_ms(),
                target=endpoint.id,
                by=call.organizer_key.id,
                request=request_id(endpoint.organizer, request),
            )
        )
        answer = Ordered(number)
        if kind is OrderKind.PING:
            answer.notice = notice_id(ORDERED, number, endpoint.id, WEBHOOK)
        return ordered(answer, request)

    async def _owned(self, call: Call) -> Endpoint:
        return await self._book.owned(call.organizer_key.organizer, call.params["endpoint"])

    async def _shown(self, endpoint: Endpoint) -> Answer:
        return json_answer((await self._book.shown([endpoint]))[0])

    async def _made(self, made: Made, request: Request) -> Answer:
        body = EndpointMade((await self._book.shown([made.endpoint]))[0], made.secret)
        if request.made_key:
            body.idempotency_key = request.key
        headers = [(b"location", f"/v1/endpoints/{made.endpoint.id}".encode())]
        return json_answer(body, 201, headers + [_REPLAYED] * made.replayed)


def request_id(organizer: str, request: Request) -> str:
    """What stands for a request, however often it is repeated."""
    return command_id((organizer, request.route, "", request.credential, request.key))


def ordered(answer: Ordered, request: Request) -> Answer:
    """The answer to an order."""
    if request.made_key:
        answer.idempotency_key = request.key
    return json_answer(answer)


async def without_body(core: Core, call: Call) -> None:
    """Take a body that says nothing; what has one must be JSON all the same."""
    call.query()
    if await call.body(core.settings.body_max_bytes):
        require_type(call.headers.get(b"content-type"), ("application/json",))
