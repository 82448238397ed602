"""Organizers' own texts at hand: read when somebody changed one, compiled when one is needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from veltrix.notification.formats import LANGUAGES
from veltrix.notification.own_texts import OwnText
from veltrix.notification.template_language import TemplateFault
from veltrix.observability.logging import get_logger
from veltrix.ports.outreach import NoticeTemplate, Outreach
from veltrix.ports.proofs import Draft

_log = get_logger("notification")

_ORGANIZERS_MAX: Final = 1_000
_COMPILED_MAX: Final = 256
_FOUND_MAX: Final = 4_096


class OwnBook:
    """The last version of every text of the organizers whose mails are being written."""

    def __init__(self, outreach: Outreach | None = None) -> None:
        self._outreach = outreach
        self._revision: int | None = None
        self._known: dict[str, dict[tuple[str, str], NoticeTemplate]] = {}
        self._compiled: dict[tuple[str, str, str, int, int], OwnText | None] = {}
        self._found: dict[tuple[str, str, str, str], OwnText | None] = {}

    async def prepare(self, organizers: Iterable[str]) -> None:
        """Have these organizers' texts at hand, as they are now. Raises the port's errors."""
        if self._outreach is None:
            return
        revision = await self._outreach.revision()
        if revision != self._revision:
            self._known.clear()
            self._found.clear()
            self._revision = revision
        for organizer in set(organizers) - self._known.keys():
            if len(self._known) >= _ORGANIZERS_MAX:
                self._known.clear()
                self._found.clear()
            self._known[organizer] = {
                (each.kind, each.locale.lower()): each for each in await self._outreach.templates(organizer)
            }

    def find(self, organizer: str, kind: str, locale: str, default: str) -> OwnText | None:
        """The organizer's text for a reader, None where ours is to be used.

        In the reader's language, if there is one; then ours in that language; then the organizer's in the
        event's language. Nobody gets a language that they do not read while there is a text in theirs.
        """
        theirs = self._known.get(organizer)
        if not theirs:
            return None
        key = (organizer, kind, locale, default)
        if key not in self._found:
            if len(self._found) >= _FOUND_MAX:
                self._found.clear()  # locales come from people: without a bound they could fill the memory
            self._found[key] = self._look(theirs, kind, locale, default)
        return self._found[key]

    def _look(
        self, theirs: dict[tuple[str, str], NoticeTemplate], kind: str, locale: str, default: str
    ) -> OwnText | None:
        for tags in (_lookup(locale), _lookup(default)):
            for tag in tags:
                template = theirs.get((kind, tag))
                own = None if template is None else self._own(template)
                if own is not None:
                    return own
            if tags and tags[-1] in LANGUAGES:
                return None
        return None

    def _own(self, template: NoticeTemplate) -> OwnText | None:
        # The time is part of it: one that was removed and made anew counts its versions from 1 again.
        key = (template.organizer, template.kind, template.locale, template.version, template.created_ms)
        if key not in self._compiled:
            if len(self._compiled) >= _COMPILED_MAX:
                del self._compiled[next(iter(self._compiled))]
            draft = Draft(template.kind, template.locale, template.subject, template.text, template.html)
            try:
                self._compiled[key] = OwnText(draft)
            except (
                TemplateFault
            ) as fault:  # what one version takes another may not: people are told all the same
                _log.warning(
                    "template_unusable", organizer=template.organizer, kind=template.kind, error=str(fault)
                )
                self._compiled[key] = None
        return self._compiled[key]


def _lookup(tag: str) -> list[str]:
    """A tag and what it falls back to (RFC 4647 lookup), in lower case."""
    tags: list[str] = []
    rest = tag.replace("_", "-").lower()
    while rest:
        tags.append(rest)
        rest = rest.rpartition("-")[0]
    return tags
