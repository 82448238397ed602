"""Mail that came back: what a mail server reports of a notice, and what follows for its address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from veltrix.domain import limits
from veltrix.domain.credentials import Signer
from veltrix.observability.logging import get_logger
from veltrix.ports.deliveries import Deliveries, Wanted
from veltrix.ports.notices import WEBHOOK, Notice
from veltrix.ports.outreach import EVERY_CATEGORY, Reason, Suppression, Suppressions
from veltrix.ports.queries import Queries
from veltrix.ports.system import Clock
from veltrix.ports.vault import Vault
from veltrix.registration.calls import Answer, Call, json_answer, require_type
from veltrix.registration.problems import FaultAt, Problem, invalid_body
from veltrix.registration.reports import Fault, Report, Said, Unusable, read_report
from veltrix.sealing import AddressHashes, BoxBroken, canonical_email, open_box

_log = get_logger("registration")
TYPES: Final = ("message/rfc822", "multipart/report", "text/plain", "application/octet-stream")
_ENDS: Final = {Said.HARD: Reason.BOUNCE, Said.COMPLAINT: Reason.COMPLAINT}
_NAMED_MAX: Final = 4
FAULTS: Final = {
    Fault.EMPTY: "report_empty",
    Fault.TOO_LARGE: "report_too_large",
    Fault.NO_REPORT: "report_no_report",
    Fault.BROKEN: "report_broken",
    Fault.NO_STATUS: "report_no_status",
    Fault.TOO_MANY: "report_too_many",
    Fault.NO_NOTICE: "report_no_notice",
}
"""How the catalogue calls what is wrong with a report."""


class Taken(msgspec.Struct):
    """What a report said, and what was done. `suppressed`: nothing more is sent to the notice's address.

    `said` is `hard` (the mailbox does not exist), `complaint`, `soft` (noted alone: it may be full) or
    `delivered` (also when a mail is late).
    """

    notice: str
    said: Said
    status: str
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Returns:
    """Takes reports: over HTTP, and from the command line."""

    suppressions: Suppressions
    deliveries: Deliveries
    queries: Queries
    vault: Vault
    signer: Signer
    hashes: AddressHashes
    clock: Clock

    async def report(self, call: Call) -> Answer:
        """Take a report of one of the organizer's notices."""
        if b"content-type" in call.headers:
            require_type(call.headers[b"content-type"], TYPES)
        raw = await call.body(limits.REPORT_MAX_BYTES)
        try:
            return json_answer(await self.take(raw, call.organizer_key.organizer))
        except Unusable as unusable:
            raise invalid_body(FaultAt("", FAULTS[unusable.fault])) from None

    async def take(self, raw: bytes, organizer: str | None = None) -> Taken:
        """Take a report; of this organizer's notices, or of anybody's.

        Raises `Unusable`, or `Problem` unknown_notice.
        """
        report = read_report(raw)
        notice = await self._notice(report, organizer)
        if notice is None:
            raise Problem("unknown_notice")
        suppressed = False
        reason = _ENDS.get(report.said)
        if reason is not None:
            suppressed = await self._suppress(notice, reason, report.status)
        _log.info(
            "mail_came_back",
            notice=notice.id,
            event=notice.event,
            said=report.said.value,
            status=report.status,
            suppressed=suppressed,
        )
        return Taken(notice.id, report.said, report.status, suppressed)

    async def _notice(self, report: Report, organizer: str | None) -> Notice | None:
        """The notice that it is about. A token is signed; a Message-ID is a hash that nobody can guess."""
        named = [self.signer.read_bounce(token) for token in report.tokens[:_NAMED_MAX]]
        ids = [each for each in named if each is not None] or list(report.notices[:_NAMED_MAX])
        if not ids:
            return None
        found = await self.deliveries.search(Wanted(organizer=organizer, ids=tuple(ids)), None, _NAMED_MAX)
        return next((each.notice for each in found if each.notice.channel != WEBHOOK), None)

    async def _suppress(self, notice: Notice, reason: Reason, status: str) -> bool:
        """Suppress the address that the notice went to. What a report says of addresses is not believed: who
        got a mail of ours could name somebody else's."""
        email = await self._address(notice)
        if email is None:
            return False
        address = self.hashes.of(notice.organizer, email)
        now_ms = self.clock.now_ms()
        await self.suppressions.suppress(
            [Suppression(notice.organizer, address, EVERY_CATEGORY, reason, now_ms, status)]
        )
        return True

    async def _address(self, notice: Notice) -> str | None:
        """The notice's canonical address; None when its person was erased, or it was passed on since."""
        registration = await self.queries.registration(notice.registration)
        if registration is None:
            return None
        boxes = [registration.box, *(seat.box for seat in registration.seats if seat.box is not None)]
        box = next((each for each in boxes if each.key_id == notice.key_id), None)
        if box is None and registration.person == notice.recipient:
            box = registration.box  # sealed anew since, by the same person
        if box is None:
            return None
        keys = await self.vault.keys([box.key_id])
        try:
            person = open_box(box, notice.event, keys.get(box.key_id))
        except BoxBroken as error:
            _log.error("box_broken", key=box.key_id, error=str(error))
            return None
        return None if person is None else canonical_email(person.email)
