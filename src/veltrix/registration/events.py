"""Events over HTTP: create, read, change, open, close, cancel."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from veltrix.domain.commands import (
    CancelEvent,
    ChangeEvent,
    CloseEvent,
    Command,
    CreateEvent,
    Envelope,
    OpenEvent,
)
from veltrix.domain.event import EventStatus
from veltrix.domain.identifiers import EVENT, command_id, is_id
from veltrix.domain.soundness import check_change, check_spec
from veltrix.ports.access import ApiKey
from veltrix.ports.queries import EventView
from veltrix.registration.calls import Answer, Call, decode, fault_of, json_answer, require_type
from veltrix.registration.core import Core, content_of
from veltrix.registration.cursors import page_size, read_cursor, write_cursor
from veltrix.registration.directory import Entry
from veltrix.registration.event_bodies import EventIn, EventPage, editable, event_out, merge_patch, seats_of
from veltrix.registration.headers import etag
from veltrix.registration.problems import Problem, invalid_body
from veltrix.registration.specs import pointers, spec_of
from veltrix.sealing import KeyedHashes

_decoder = msgspec.json.Decoder(EventIn)
_patch_decoder = msgspec.json.Decoder(dict[str, Any])
_PATCH_TYPES: Final = ("application/merge-patch+json", "application/json")
_CREATE: Final = "POST /v1/events"
_CHANGE: Final = "PATCH /v1/events/{event}"


class Events:
    """Handlers of events."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(self, call: Call) -> Answer:
        """Create a draft."""
        core = self._core
        body = await call.json(_decoder, core.settings.body_max_bytes)
        request = core.request(call, _CREATE)
        organizer = call.organizer_key.organizer
        command = command_id((organizer, _CREATE, "", request.credential, request.key))
        printed = core.links.fingerprint(content_of((_CREATE,), body))
        # Another slug may lead to another partition, where nobody knows of the first request.
        before = await core.desk.original(command, printed)
        if before is not None:
            return await core.decided(call, before)
        key_id, key = core.reserve.take_now() or await core.reserve.take()
        spec, faults = spec_of(body, KeyedHashes(key))
        faults += pointers(check_spec(spec), body)
        if faults:
            raise invalid_body(*faults)
        envelope = Envelope(
            command,
            organizer,
            "",
            CreateEvent(spec, key_id),
            request.actor,
            core.ports.clock.now_ms(),
            printed,
        )
        return await core.submit(call, request, envelope, self._partition(organizer, spec.slug))

    async def listed(self, call: Call) -> Answer:
        """The organizer's events, by id."""
        query = call.query("cursor", "limit")
        limit = page_size(query)
        organizer = call.organizer_key.organizer
        after = read_cursor(query, "events", organizer, str) or ""
        views = await self._core.ports.queries.events(organizer, after, limit + 1)
        page = views[:limit]
        following = write_cursor("events", organizer, page[-1].event.id) if len(views) > limit else None
        return json_answer(EventPage([self._out(view, full=True) for view in page], following))

    async def read(self, call: Call) -> Answer:
        """One event; a draft is shown to its organizer only."""
        view = await self.view(call)
        own = _owns(call.key, view)
        if view.event.status is EventStatus.DRAFT and not own:
            raise Problem("unknown_event")
        tag = etag(view.event.version)
        headers = [(b"etag", tag), (b"vary", b"Authorization"), (b"cache-control", b"no-cache")]
        wanted = call.headers.get(b"if-none-match", b"")
        if wanted and tag in [part.strip().removeprefix(b"W/") for part in wanted.split(b",")]:
            return Answer(304, headers=headers, private=False)
        answer = json_answer(self._out(view, full=own), headers=headers)
        answer.private = False
        return answer

    async def seats(self, call: Call) -> Answer:
        """What is left, and as of when."""
        view = await self.view(call)
        if view.event.status is EventStatus.DRAFT and not _owns(call.key, view):
            raise Problem("unknown_event")
        return json_answer(seats_of(view))

    async def change(self, call: Call) -> Answer:
        """Lay a merge patch upon the event."""
        core = self._core
        require_type(call.headers.get(b"content-type"), _PATCH_TYPES)
        patch = decode(_patch_decoder, await call.body(core.settings.body_max_bytes))
        entry = await owned(self._core, call)
        request = core.request(call, _CHANGE)
        accepted = call.if_match()
        content = content_of((_CHANGE, *map(str, sorted(accepted or ()))), patch)
        before = await core.desk.original(core.command_id(request, entry), entry.hashes.request(content))
        if before is not None:
            return await core.decided(call, before)
        view = await self.view(call)
        event = view.event
        if accepted is not None and event.version not in accepted:
            raise Problem("precondition_failed")
        try:
            body = msgspec.convert(merge_patch(editable(event), patch), EventIn)
        except msgspec.ValidationError as error:
            raise invalid_body(fault_of(str(error))) from None
        spec, faults = spec_of(body, entry.hashes, event.spec.access_codes)
        published = event.status is not EventStatus.DRAFT
        faults += pointers(check_change(event.spec, spec, published=published), body)
        if faults:
            raise invalid_body(*faults)
        envelope = core.envelope(request, entry, ChangeEvent(spec, event.version), content)
        return await core.submit(call, request, envelope, entry.partition)

    async def open(self, call: Call) -> Answer:
        """Publish a draft, or open a closed event again."""
        return await self._command(call, "open", OpenEvent())

    async def close(self, call: Call) -> Answer:
        """Stop taking registrations."""
        return await self._command(call, "close", CloseEvent())

    async def cancel(self, call: Call) -> Answer:
        """Call the event off."""
        return await self._command(call, "cancel", CancelEvent())

    async def view(self, call: Call) -> EventView:
        """The event as the ledger has it now. Raises `Problem` unknown_event."""
        event = call.params["event"]
        await self._core.consistent(call.query("consistency"))
        view = await self._core.ports.queries.event(event) if is_id(EVENT, event) else None
        if view is None:
            raise Problem("unknown_event")
        return view

    async def _command(self, call: Call, name: str, command: Command) -> Answer:
        entry = await owned(self._core, call)
        if await call.body(self._core.settings.body_max_bytes):
            require_type(call.headers.get(b"content-type"), ("application/json",))
        route = f"POST /v1/events/{{event}}/{name}"
        request = self._core.request(call, route)
        envelope = self._core.envelope(request, entry, command, content_of((route,)))
        return await self._core.submit(call, request, envelope, entry.partition)

    def _out(self, view: EventView, *, full: bool) -> Any:
        url = self._core.links.event_page(view.event.id)
        return event_out(view.event, url, None if view.code_uses is None else dict(view.code_uses), full=full)

    def _partition(self, organizer: str, slug: str) -> int:
        """One partition for all that want the same slug, so that one decider sees who came first."""
        digest = hashlib.blake2b(f"{organizer}\0{slug}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self._core.ports.log.identity.partitions


async def owned(core: Core, call: Call) -> Entry:
    """The event, if it is the organizer's own; another's does not exist for them."""
    entry = await core.directory.find(call.params["event"])
    if entry.event.organizer != call.organizer_key.organizer:
        raise Problem("unknown_event")
    return entry


def _owns(key: ApiKey | None, view: EventView) -> bool:
    return key is not None and key.organizer == view.event.organizer
