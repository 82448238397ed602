"""Everything that is kept about one person, as JSON: what they asked for, what was sealed with it, what they
were told, and what they chose. An organizer asks by e-mail address; who has a link, by the link.

A link shows one registration and no other: it proves who holds that one, not whose the e-mail address is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final

import msgspec

from veltrix.domain.facts import NumberedFact
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Box, Registration
from veltrix.ports.access import Scope
from veltrix.ports.deliveries import Wanted
from veltrix.ports.notices import WEBHOOK
from veltrix.ports.queries import Filter
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core
from veltrix.registration.directory import Entry
from veltrix.registration.outputs import (
    RegistrationOut,
    add_details,
    registration_out,
    row_out,
    time_of,
)
from veltrix.registration.people import open_boxes, open_each
from veltrix.registration.problems import Problem, invalid_query
from veltrix.registration.registrations import Registrations
from veltrix.registration.suppressions import of_address
from veltrix.registration.telling import Telling
from veltrix.sealing import AddressHashes, Person, canonical_email

_PAGE: Final = 200


class KeptDecision(msgspec.Struct):
    """One request of theirs, or about them: what it was, what became of it, and the personal data in it.

    `data` is null where there was none, or its key is destroyed (`erased`): then nobody can read it.
    """

    request: str
    outcome: str
    refusal: str | None
    registration: str | None
    decided_at: str
    partition: int
    offset: int
    data: Person | None
    erased: bool


class KeptAttempt(msgspec.Struct):
    """One attempt at delivering a notice."""

    number: int
    at: str
    outcome: str
    code: int | None


class KeptNotice(msgspec.Struct):
    """What they were told of, how, and how that went. The text itself is not kept."""

    id: str
    kind: str
    channel: str
    registration: str
    status: str
    created_at: str
    attempts: list[KeptAttempt]


class KeptChoice(msgspec.Struct):
    """Mail that is not sent to their address, kept as a hash of the address."""

    category: str
    reason: str
    since: str


class KeptEvent(msgspec.Struct):
    """What one event keeps about them. `person` is the hash that stands for them there."""

    event: str
    title: str
    person: str
    registrations: list[RegistrationOut]
    decisions: list[KeptDecision]
    notices: list[KeptNotice]


class PersonExport(msgspec.Struct):
    """Everything that is kept about a person."""

    organizer: str
    email: str | None
    exported_at: str
    events: list[KeptEvent]
    choices: list[KeptChoice]
    bounced: bool


class PersonDesk:
    """Handlers of exports of a person."""

    def __init__(self, core: Core, telling: Telling, hashes: AddressHashes, single: Registrations) -> None:
        self._core = core
        self._telling = telling
        self._hashes = hashes
        self._single = single

    async def by_email(self, call: Call) -> Answer:
        """Everything that the organizer's events keep about an e-mail address."""
        query = call.query("email", "event", "consistency")
        if "email" not in query:
            raise invalid_query("email", "missing")
        email = canonical_email(query["email"])
        if email is None:
            raise invalid_query("email", "no_email")
        await self._core.consistent(query)
        organizer = call.organizer_key.organizer
        kept = [
            found
            async for entry in self._entries(organizer, query.get("event"))
            if (found := await self._of_event(entry, entry.hashes.person(email), None)) is not None
        ]
        return await self._answer(organizer, email, kept)

    async def by_link(self, call: Call) -> Answer:
        """Everything that is kept about a registration and its holder."""
        await self._core.consistent(call.query("consistency"))
        subject = await self._single.subject(call, Scope.READ)
        registration, entry = subject.registration, subject.entry
        kept = await self._of_event(entry, registration.person, registration)
        (opened,) = await open_boxes(self._core.ports.vault, [registration])
        email = canonical_email(opened.person.email) if opened.person is not None else None
        return await self._answer(entry.event.organizer, email, [] if kept is None else [kept])

    async def _answer(self, organizer: str, email: str | None, kept: list[KeptEvent]) -> Answer:
        choices: list[KeptChoice] = []
        bounced = False
        if email is not None:
            address = self._hashes.of(organizer, email)
            choices = [
                KeptChoice(each.category, each.reason.value, time_of(each.created_ms))
                for each in await of_address(self._telling, organizer, address)
            ]
            bounced = bool(await self._telling.deliveries.bounced([(organizer, address)]))
        now = time_of(self._core.ports.clock.now_ms())
        return json_answer(
            PersonExport(organizer, email, now, kept, choices, bounced),
            headers=[(b"content-disposition", b'attachment; filename="person.json"')],
        )

    async def _entries(self, organizer: str, event: str | None) -> AsyncIterator[Entry]:
        """The organizer's events, or the one that is named."""
        if event is not None:
            entry = await self._core.directory.find(event)
            if entry.event.organizer != organizer:
                raise Problem("unknown_event")
            yield entry
            return
        after = ""
        while page := await self._core.ports.queries.events(organizer, after, _PAGE):
            for view in page:
                try:
                    yield await self._core.directory.find(view.event.id)
                except Problem:
                    continue  # its hash key is destroyed: nobody can be told apart in it any more
            after = page[-1].event.id

    async def _of_event(self, entry: Entry, person: str, only: Registration | None) -> KeptEvent | None:
        """What an event keeps about a person; of `only` that registration, where there is one."""
        decisions = [
            (decision, fact)
            async for decision, fact in self._history(entry.event.id, person)
            if only is None or _registration_of(fact) == only.id
        ]
        registrations = [only] if only is not None else [each async for each in self._held(entry, person)]
        if not decisions and not registrations:
            return None
        opened = await open_boxes(self._core.ports.vault, registrations)
        about = {each.id for each in registrations} | {
            found for _, fact in decisions if (found := _registration_of(fact)) is not None
        }
        return KeptEvent(
            entry.event.id,
            entry.event.spec.title.best(""),
            person,
            [
                row_out(add_details(registration_out(each, None), each), data)
                for each, data in zip(registrations, opened, strict=True)
            ],
            await self._decisions(entry.event.id, decisions),
            [each for one in sorted(about) for each in await self._notices(one, person, decisions)],
        )

    async def _held(self, entry: Entry, person: str) -> AsyncIterator[Registration]:
        after = -1
        wanted = Filter(entry.event.id, person=person)
        while page := await self._core.ports.queries.registrations(wanted, after, _PAGE):
            for each in page:
                yield each
            after = page[-1].arrival

    async def _history(self, event: str, person: str) -> AsyncIterator[tuple[Decision, NumberedFact | None]]:
        after = -1
        while page := await self._core.ports.queries.history(event, person, after, _PAGE):
            for each in page:
                yield each
            after = page[-1][0].offset

    async def _decisions(
        self, event: str, found: Iterable[tuple[Decision, NumberedFact | None]]
    ) -> list[KeptDecision]:
        found = list(found)
        boxes = [_box_of(decision, fact) for decision, fact in found]
        data = await open_each(self._core.ports.vault, event, boxes)
        return [
            KeptDecision(
                decision.kind,
                decision.outcome.value,
                None if decision.refusal is None else decision.refusal.value,
                _registration_of(fact),
                time_of(decision.log_time_ms),
                decision.partition,
                decision.offset,
                person,
                box is not None and person is None,
            )
            for (decision, fact), box, person in zip(found, boxes, data, strict=True)
        ]

    async def _notices(
        self, registration: str, person: str, found: Iterable[tuple[Decision, NumberedFact | None]]
    ) -> list[KeptNotice]:
        """Notices to this person about a registration: by their hash, or by a key of theirs."""
        keys = {decision.key_id for decision, _ in found}
        kept: list[KeptNotice] = []
        before: int | None = None
        while page := await self._telling.deliveries.search(Wanted(registration=registration), before, _PAGE):
            for each in page:
                notice = each.notice
                theirs = notice.recipient == person or notice.key_id in keys
                if notice.channel == WEBHOOK or not theirs:
                    continue
                attempts = await self._telling.deliveries.attempts(notice.id)
                kept.append(
                    KeptNotice(
                        notice.id,
                        notice.kind,
                        notice.channel,
                        registration,
                        each.status.value,
                        time_of(notice.created_ms),
                        [
                            KeptAttempt(one.number, time_of(one.started_ms), one.outcome, one.code)
                            for one in attempts
                        ],
                    )
                )
            before = page[-1].place
        return kept


def _registration_of(fact: NumberedFact | None) -> str | None:
    return None if fact is None or fact.fact.registration is None else fact.fact.registration.id


def _box_of(decision: Decision, fact: NumberedFact | None) -> Box | None:
    """The box that came with a decision, as its fact has it."""
    registration = None if fact is None else fact.fact.registration
    if registration is None or decision.key_id is None:
        return None
    boxes = [registration.box, *(seat.box for seat in registration.seats)]
    return next((box for box in boxes if box is not None and box.key_id == decision.key_id), None)
