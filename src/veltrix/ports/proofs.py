"""Organizers' texts before anybody gets them: what is wrong with one, and what a mail looks like with it.

Notification writes mails, registration lets organizers change their texts: this is what the one asks the
other. All of it is computed at once and bounded; nothing is read or kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from veltrix.domain.event import Event
from veltrix.domain.soundness import Fault


@dataclass(frozen=True, slots=True)
class Draft:
    """A text for a kind of notice in a locale (BCP 47). Without `html` it is made from `text`."""

    kind: str
    locale: str
    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a recipient sees: the subject and both parts, with the values of a made-up person."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Variable:
    """What a template may name. A personal one differs from person to person, and can only be placed."""

    name: str
    meaning: str
    personal: bool


class Proofs(Protocol):
    """Checks and proofs. `kind` and `locale` are checked by `faults`; the others may raise `ValueError`."""

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of notices that there are texts for."""
        ...

    @property
    def variables(self) -> Sequence[Variable]:
        """What a template may name."""
        ...

    def faults(self, draft: Draft) -> list[Fault]:
        """Everything that keeps a draft from being saved; fields are those of `Draft`. Empty: it may be."""
        ...

    def warnings(self, draft: Draft) -> list[str]:
        """What is allowed and probably not meant, of a draft without faults."""
        ...

    def proof(self, draft: Draft, event: Event | None) -> Proof:
        """A mail with this draft; with Veltrix's own text where its text is empty. `event` None: made up."""
        ...

    def mail(self, draft: Draft, event: Event | None, recipient: str, identity: str) -> bytes:
        """The same as a whole mail to somebody. Raises `ValueError` where the address cannot stand in one."""
        ...
