"""What can be asked. A command is data; what it leads to is decided in `veltrix.domain.decider`.

An `Envelope` carries one command with what the decider needs beside it. Personal data travels only
in a sealed `Box`; the decider never opens one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from veltrix.domain.event import EventSpec
from veltrix.domain.registration import Box, Source


class Actor(StrEnum):
    """Who asks: the person through the link, the organizer through a key, or Veltrix itself."""

    REGISTRANT = "registrant"
    ORGANIZER = "organizer"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class CreateEvent:
    """Create a draft."""

    spec: EventSpec
    hash_key: str


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """Replace the specification, if the event still has version `if_version`."""

    spec: EventSpec
    if_version: int


@dataclass(frozen=True, slots=True)
class OpenEvent:
    """Publish a draft, or open a closed event again."""


@dataclass(frozen=True, slots=True)
class CloseEvent:
    """Stop taking registrations."""


@dataclass(frozen=True, slots=True)
class CancelEvent:
    """Call the event off: one fact, whatever its size."""


@dataclass(frozen=True, slots=True)
class EndEvent:
    """Mark the event as over; refused while log time is before its end."""


@dataclass(frozen=True, slots=True)
class Remind:
    """Remind everyone who comes; without effect unless a reminder is due and the event is yet to begin."""


@dataclass(slots=True)
class Register:
    """Claim one seat for each of `categories`, all or nothing."""

    person: str
    box: Box
    categories: tuple[str, ...]
    form_version: int
    access_code: str | None = None
    source: Source = Source.PUBLIC


@dataclass(frozen=True, slots=True)
class ConfirmHold:
    """Turn a hold into a confirmed registration."""

    registration: str
    external_ref: str | None = None


@dataclass(frozen=True, slots=True)
class ExtendHold:
    """Give a standing hold `ttl_s` more seconds from now."""

    registration: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Give a held registration's seats back."""

    registration: str


@dataclass(frozen=True, slots=True)
class ExpireHold:
    """End hold number `hold_number`; without effect unless that very hold still stands."""

    registration: str
    hold_number: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a registration, or only the seat of that number."""

    registration: str
    seat: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Move one seat to another category, at that category's price."""

    registration: str
    seat: int
    category: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand a registration (or one seat) to another person. The old link and codes die at once."""

    registration: str
    person: str
    box: Box
    seat: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeAnswers:
    """Replace the personal data of a registration by a new box of the same person."""

    registration: str
    person: str
    box: Box
    form_version: int


@dataclass(frozen=True, slots=True)
class CheckIn:
    """Let the holder of a ticket in (or take that back). `holder` is the version that the code proved."""

    seat: int
    holder: int
    scan_id: str
    scanned_at_ms: int | None = None
    undo: bool = False


@dataclass(frozen=True, slots=True)
class ErasePerson:
    """Destroy every key of a person in this event; what was decided stays, nothing can be read."""

    person: str


@dataclass(frozen=True, slots=True)
class ContinuePromotions:
    """Go on with promotions that one decision had no room for."""


@dataclass(frozen=True, slots=True)
class AdoptRules:
    """From here on, decide by this rules version."""

    version: int


Command = (
    CreateEvent
    | ChangeEvent
    | OpenEvent
    | CloseEvent
    | CancelEvent
    | EndEvent
    | Remind
    | Register
    | ConfirmHold
    | ExtendHold
    | ReleaseHold
    | ExpireHold
    | Cancel
    | Move
    | Transfer
    | ChangeAnswers
    | CheckIn
    | ErasePerson
    | ContinuePromotions
    | AdoptRules
)

# The name on the wire, in metrics and in logs; append only.
KINDS: dict[str, type[Command]] = {
    "create_event": CreateEvent,
    "change_event": ChangeEvent,
    "open_event": OpenEvent,
    "close_event": CloseEvent,
    "cancel_event": CancelEvent,
    "end_event": EndEvent,
    "register": Register,
    "confirm_hold": ConfirmHold,
    "extend_hold": ExtendHold,
    "release_hold": ReleaseHold,
    "expire_hold": ExpireHold,
    "cancel": Cancel,
    "move": Move,
    "transfer": Transfer,
    "change_answers": ChangeAnswers,
    "check_in": CheckIn,
    "erase_person": ErasePerson,
    "continue_promotions": ContinuePromotions,
    "adopt_rules": AdoptRules,
    "remind": Remind,
}
KIND_OF: dict[type[Command], str] = {command: kind for kind, command in KINDS.items()}


@dataclass(slots=True)
class Envelope:
    """One command on its way.

    `event` is empty for `create_event` and `adopt_rules`. `stamp_ms` is the edge's clock, judged by log
    time. `fingerprint` is the keyed hash of the request's body: the same id with another fingerprint is
    another request under a used key. `holder` is the version that a registrant's link proved.
    """

    id: str
    organizer: str
    event: str
    body: Command
    actor: Actor
    stamp_ms: int | None
    fingerprint: str
    holder: int | None = None

    @property
    def kind(self) -> str:
        """The command's name on the wire."""
        return KIND_OF[type(self.body)]

    @property
    def box(self) -> Box | None:
        """The personal data that travels with it, sealed."""
        return getattr(self.body, "box", None)

    @property
    def person(self) -> str | None:
        """The keyed e-mail hash of whom it concerns, where the command itself says so."""
        return getattr(self.body, "person", None)
