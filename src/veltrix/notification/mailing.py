"""Mails: what they are about is read for many at once, each is written when it is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from veltrix.domain.notices import category_of
from veltrix.notification.attempts import MAIL, Schedule
from veltrix.notification.gather import Gatherer, Verdict
from veltrix.notification.outgoing import Outgoing
from veltrix.notification.renderer import Material, Renderer, Unwritable
from veltrix.notification.trials import is_trial, trial_mail
from veltrix.observability.logging import get_logger
from veltrix.ports.channel import Channel
from veltrix.ports.deliveries import Deliveries
from veltrix.ports.notices import Claimed, Notice, NoticeStatus
from veltrix.ports.outreach import EVERY_CATEGORY, Outreach
from veltrix.sealing import AddressHashes, canonical_email

_log = get_logger("notification")
_BOUNCED: Final = "the address does not exist: mail to it bounced"
_SUPPRESSED: Final = "the address is suppressed"


@dataclass(slots=True)
class MailWay:
    """One channel that carries mail. Suppressions are looked up when a mail is about to be sent: what a
    person chose a moment ago counts also for what was planned before."""

    gatherer: Gatherer
    renderer: Renderer
    channel: Channel
    hold: bool = False
    outreach: Outreach | None = None
    deliveries: Deliveries | None = None
    schedule: Schedule = MAIL
    secret_key: bytes = b""
    _hashes: AddressHashes = field(init=False)

    def __post_init__(self) -> None:
        self._hashes = AddressHashes.under(self.renderer.signer.secret)

    async def ready(self, claimed: Sequence[Claimed]) -> list[Callable[[], Outgoing | Verdict]]:
        """Read what the mails are about, and who must not get any."""
        if any(is_trial(each.notice) for each in claimed):
            return await self._with_trials(claimed)
        materials = await self.gatherer.gather(claimed)
        hashes = [self._address(each) if isinstance(each, Material) else "" for each in materials]
        refused = await self._refused([each.notice for each in claimed], hashes)
        return [
            partial(_told, why) if why is not None else partial(self._write, material, address)
            for material, address, why in zip(materials, hashes, refused, strict=True)
        ]

    async def _with_trials(self, claimed: Sequence[Claimed]) -> list[Callable[[], Outgoing | Verdict]]:
        """What organizers have sent to themselves is not about anybody: it is ready as it was ordered."""
        others = [each for each in claimed if not is_trial(each.notice)]
        made = iter(await self.ready(others))
        return [
            partial(_as_is, await self._trial(each.notice)) if is_trial(each.notice) else next(made)
            for each in claimed
        ]

    async def _trial(self, notice: Notice) -> Outgoing | Verdict:
        mail = None
        if self.outreach is not None:
            mail = await trial_mail(self.outreach, self.secret_key, notice, self.renderer.sender.address)
        if mail is None:
            return Verdict(NoticeStatus.DEAD, "the order's mail cannot be opened")
        return Outgoing(partial(self.channel.send, mail))

    def holds(self, target: str) -> bool:
        """As configured."""
        return self.hold

    async def forget(self, notices: list[str]) -> None:
        """Have the channel forget them."""
        await self.channel.forget(notices)

    def _write(self, material: Material | Verdict, address: str) -> Outgoing | Verdict:
        if isinstance(material, Verdict):
            return material
        notice = material.notice
        try:
            mail = self.renderer.mail(material)
        except Unwritable as error:
            return Verdict(NoticeStatus.DEAD, f"no mail can be written: {error}")
        except Exception as error:  # one person's data must not stop the others' mails
            _log.exception("rendering_failed", notice=notice.id, kind=notice.kind, event=notice.event)
            return Verdict(NoticeStatus.DEAD, f"no mail can be written: {type(error).__name__}")
        return Outgoing(partial(self.channel.send, mail), address)

    def _address(self, material: Material) -> str:
        canonical = canonical_email(material.person.email)
        organizer = material.notice.organizer
        return "" if canonical is None else self._hashes.of(organizer, canonical)

    async def _refused(self, notices: Sequence[Notice], hashes: Sequence[str]) -> list[str | None]:
        """Why each must not be written to; None where nothing forbids it."""
        asked = [(notice.organizer, each) for notice, each in zip(notices, hashes, strict=True)]
        wanted = sorted({pair for pair in asked if pair[1]})
        if not wanted or self.outreach is None or self.deliveries is None:
            return [None] * len(asked)
        bounced = await self.deliveries.bounced(wanted)
        suppressed = await self.outreach.suppressed(wanted)
        if not bounced and not suppressed:
            return [None] * len(asked)
        return [
            _BOUNCED if pair in bounced else _forbidden(suppressed.get(pair, frozenset()), notice.kind)
            for pair, notice in zip(asked, notices, strict=True)
        ]


def _forbidden(categories: frozenset[str], kind: str) -> str | None:
    if EVERY_CATEGORY in categories:
        return _SUPPRESSED
    category = category_of(kind)
    return f"{_SUPPRESSED} for {category}" if category and category in categories else None


def _as_is(ready: Outgoing | Verdict) -> Outgoing | Verdict:
    return ready


def _told(why: str) -> Verdict:
    return Verdict(NoticeStatus.SUPPRESSED, why)
