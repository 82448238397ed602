"""What every step is given."""

from __future__ import annotations

from dataclasses import dataclass

from veltrix.domain.commands import Actor, Envelope
from veltrix.domain.event import Event
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.outcomes import Decided, Refusal
from veltrix.domain.registration import Registration
from veltrix.domain.state import EventState, PartitionState


@dataclass(slots=True)
class Context:
    """A command at its place: the state before it, its arrival number and its log time."""

    state: PartitionState
    event_state: EventState | None
    envelope: Envelope
    arrival: int
    now_ms: int

    @property
    def event(self) -> EventState:
        """The event it is about; a step of a command that has one is only called when it exists."""
        assert self.event_state is not None
        return self.event_state

    @property
    def by_registrant(self) -> bool:
        """Whether the person asks, not the organizer and not Veltrix."""
        return self.envelope.actor is Actor.REGISTRANT

    def fact(self, kind: FactKind, registration: Registration, *, seat: int | None = None) -> Fact:
        """A fact about a registration of this event."""
        event = self.event.event
        return Fact(kind, event.id, event.organizer, registration=registration, seat=seat)

    def event_fact(self, kind: FactKind, after: Event) -> Fact:
        """A fact about the event itself."""
        return Fact(kind, after.id, after.organizer, event_after=after)


def refused(refusal: Refusal, detail: str) -> Decided:
    """A refusal with a sentence that an engineer can read; people get theirs from the catalogue."""
    return Decided(refusal=refusal, detail=detail)


def accepted(*facts: Fact) -> Decided:
    """The facts; none where the command asked for what already is."""
    return Decided(facts=list(facts))
