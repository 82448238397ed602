"""Brings together what claimed notices are about: facts, registrations, events, keys. A batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.domain.event import Event, EventStatus
from veltrix.domain.facts import NumberedFact
from veltrix.domain.notices import NoticeKind
from veltrix.domain.registration import Box, Registration, RegistrationStatus
from veltrix.notification.memory import Events, Recent
from veltrix.notification.own_book import OwnBook
from veltrix.notification.renderer import Material, box_of, material_of
from veltrix.ports.notices import Claimed, Notice, NoticeStatus
from veltrix.ports.queries import Queries
from veltrix.ports.vault import Vault
from veltrix.sealing import BoxBroken, open_box

_KINDS = frozenset(NoticeKind)
_TO_EVERYONE = (NoticeKind.EVENT_CHANGED, NoticeKind.EVENT_CANCELLED, NoticeKind.REMINDER)


@dataclass(slots=True)
class Verdict:
    """Why no mail is to be written; `pending` where one may be later."""

    status: NoticeStatus
    detail: str


@dataclass(slots=True)
class _About:
    numbered: NumberedFact
    registration: Registration
    box: Box
    event: Event


@dataclass(slots=True)
class Gatherer:
    """Reads what is not at hand, with as few reads as the batch allows."""

    queries: Queries
    vault: Vault
    events: Events
    recent: Recent
    book: OwnBook = field(default_factory=OwnBook)

    async def gather(self, claimed: Sequence[Claimed]) -> list[Material | Verdict]:
        """For each claimed notice its material, or why there is none. Raises the ports' errors.

        What is wrong with one notice is that notice's verdict, and never keeps the others waiting.
        """
        await self.book.prepare(each.notice.organizer for each in claimed)
        facts = await self._facts([each.notice for each in claimed])
        abouts = [await self._about(each.notice, facts) for each in claimed]
        wanted = {about.box.key_id for about in abouts if isinstance(about, _About)}
        keys = await self.vault.keys(list(wanted)) if wanted else {}
        return [
            self._open(each.notice, about, keys) if isinstance(about, _About) else about
            for each, about in zip(claimed, abouts, strict=True)
        ]

    def _open(self, notice: Notice, about: _About, keys: dict[str, bytes]) -> Material | Verdict:
        try:
            person = open_box(about.box, notice.event, keys.get(about.box.key_id))
        except BoxBroken as error:
            return Verdict(NoticeStatus.DEAD, str(error))
        if person is None:
            return Verdict(NoticeStatus.SUPPRESSED, "the person was erased")
        numbered = about.numbered
        return Material(
            notice, numbered.seq, numbered.fact, about.registration, about.box, about.event, person
        )

    async def facts(self, notices: Sequence[Notice]) -> dict[str, NumberedFact]:
        """The facts of these notices by notice; those that cannot be read are missing."""
        return {notice: numbered for notice, (numbered, _) in (await self._facts(notices)).items()}

    async def _facts(self, notices: Sequence[Notice]) -> dict[str, tuple[NumberedFact, Registration | None]]:
        found: dict[str, tuple[NumberedFact, Registration | None]] = {}
        missing: list[Notice] = []
        for notice in notices:
            known = self.recent.take(notice.id)
            if known is None:
                missing.append(notice)
            else:
                found[notice.id] = known
        by_place = await self._read({(notice.partition, notice.seq) for notice in missing})
        for notice in missing:
            numbered = by_place.get((notice.partition, notice.seq))
            if numbered is not None:
                found[notice.id] = (numbered, None)
        return found

    async def _read(self, places: set[tuple[int, int]]) -> dict[tuple[int, int], NumberedFact]:
        """Facts by place. Notices of one time stand close together: one read covers many."""
        read: dict[tuple[int, int], NumberedFact] = {}
        ordered = sorted(places)
        while ordered:
            partition, first = ordered[0]
            span = [
                each for each in ordered if each[0] == partition and each[1] < first + limits.NOTICE_CLAIM_MAX
            ]
            last = span[-1][1]
            for numbered in await self.queries.facts(partition, first - 1, last - first + 1):
                read[partition, numbered.seq] = numbered
            ordered = ordered[len(span) :]
        return read

    async def _about(
        self, notice: Notice, facts: dict[str, tuple[NumberedFact, Registration | None]]
    ) -> _About | Verdict:
        numbered, registration = facts.get(notice.id, (None, None))
        if numbered is None:
            return _later(f"fact {notice.partition}/{notice.seq} cannot be read")
        if notice.kind not in _KINDS:
            return Verdict(NoticeStatus.DEAD, "there is no text for this kind of notice")
        kind = NoticeKind(notice.kind)
        if registration is None:
            if kind in _TO_EVERYONE:
                registration = await self.queries.registration(notice.registration)
            else:
                registration = material_of(numbered.fact, kind)
        if registration is None:
            return _later(f"registration {notice.registration} cannot be read")
        box = box_of(registration, notice.key_id)
        if box is None and registration.person == notice.recipient:
            box = registration.box  # sealed anew since, by the same person
        if box is None:
            return Verdict(NoticeStatus.SUPPRESSED, "it was passed on since; the new holder was told")
        event = await self.events.get(notice.event)
        if event is None:
            return _later(f"event {notice.event} cannot be read")
        if kind is NoticeKind.EXPIRED and event.status is EventStatus.CANCELLED:
            return Verdict(NoticeStatus.SUPPRESSED, "the event was cancelled, which they were told")
        if kind is NoticeKind.REMINDER:
            pointless = _pointless(numbered, registration, event)
            if pointless:
                return Verdict(NoticeStatus.SUPPRESSED, pointless)
        return _About(numbered, registration, box, event)


def _pointless(numbered: NumberedFact, registration: Registration, event: Event) -> str:
    """Why nobody needs this reminder any more; empty when it is to be sent."""
    after = numbered.fact.event_after
    if event.status in (EventStatus.CANCELLED, EventStatus.ENDED):
        return f"the event is {event.status}"
    if after is not None and after.spec.starts_ms() != event.spec.starts_ms():
        return "the event begins at another time now, which they were told"
    if registration.status is not RegistrationStatus.CONFIRMED:
        return f"the registration is {registration.status}"
    return ""


def _later(why: str) -> Verdict:
    return Verdict(NoticeStatus.PENDING, why)
