"""What every step is given."""

from __future__ import annotations

from dataclasses import dataclass

from veltrix.domain.commands import Envelope
from veltrix.domain.event import Event
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.outcomes import Decided, Refusal
from veltrix.domain.registration import Registration
from veltrix.domain.state import EventState, PartitionState


@dataclass(slots=True)
class Context:
    """A command at its place: the state before it, its arrival number and its log time.

    `event` is the event it is about; `create_event` alone is called without one, and does not ask.
    `by_registrant`: the person asks, not the organizer and not Veltrix.
    """

    state: PartitionState
    event: EventState
    envelope: Envelope
    arrival: int
    now_ms: int
    by_registrant: bool

    def fact(self, kind: FactKind, registration: Registration, *, seat: int | None = None) -> Fact:
        """A fact about a registration of this event."""
        event = self.event.event
        return Fact(kind, event.id, event.organizer, registration, seat=seat)

    def event_fact(self, kind: FactKind, after: Event) -> Fact:
        """A fact about the event itself."""
        return Fact(kind, after.id, after.organizer, event_after=after)


def refused(refusal: Refusal, detail: str) -> Decided:
    """A refusal with a sentence that an engineer can read; people get theirs from the catalogue."""
    return Decided(refusal=refusal, detail=detail)


def accepted(*facts: Fact) -> Decided:
    """The facts; none where the command asked for what already is."""
    return Decided([*facts])
