"""What the tests of the domain share: builders of values, and a partition to put commands to.

A `Room` holds the whole state of a partition in memory and asks `judge` one command after the other. Its
clock moves only when a test moves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from veltrix.domain.commands import Actor, Command, CreateEvent, Envelope, OpenEvent, Register
from veltrix.domain.decider import Judgement, judge
from veltrix.domain.event import Category, Event, EventSpec, PoolSpec, Text
from veltrix.domain.facts import FactKind
from veltrix.domain.identifiers import command_id
from veltrix.domain.registration import Box, Registration
from veltrix.domain.state import EventState, PartitionState

NOW_MS = 1_800_000_000_000
ORGANIZER = "org_1"
SECOND_MS = 1_000


def text(words: str) -> Text:
    """A text in one language."""
    return Text("en", {"en": words})


def category(key: str, *pools: str, **rest: Any) -> Category:
    """A ticket category that draws on these pools, `main` by default."""
    return Category(key, text(key.title()), pools or ("main",), **rest)


def event_spec(capacity: int = 10, **changes: Any) -> EventSpec:
    """A small event: one pool `main` and one category `std`, unless the changes say otherwise."""
    spec = EventSpec(
        slug="conf",
        title=text("Conference"),
        time_zone="Europe/Berlin",
        starts_local="2027-05-01T10:00",
        ends_local="2027-05-01T18:00",
        pools=(PoolSpec("main", capacity),),
        categories=(category("std"),),
    )
    return replace(spec, **changes)


def with_capacity(spec: EventSpec, **capacities: int) -> EventSpec:
    """The specification with other capacities of these pools."""
    pools = tuple(PoolSpec(pool.key, capacities.get(pool.key, pool.capacity)) for pool in spec.pools)
    return replace(spec, pools=pools)


def sealed(command: str, form_version: int = 1) -> Box:
    """A box, sealed as far as the domain can tell, under a key of the command's own."""
    return Box("key_" + command[4:], command, form_version, b"sealed")


@dataclass
class Room:
    """A partition that is loaded whole. `log` keeps what was asked, with its append time."""

    state: PartitionState = field(default_factory=lambda: PartitionState(0))
    now_ms: int = NOW_MS
    log: list[tuple[Envelope, int]] = field(default_factory=list)
    asked: int = 0

    def envelope(
        self,
        body: Command,
        event: str = "",
        *,
        actor: Actor = Actor.ORGANIZER,
        holder: int | None = None,
        key: str | None = None,
        organizer: str = ORGANIZER,
        fingerprint: str = "f",
    ) -> Envelope:
        """A command under a new key, unless the test names one."""
        self.asked += 1
        identity = command_id([organizer, event, key or f"key-{self.asked}"])
        return Envelope(identity, organizer, event, body, actor, self.now_ms, fingerprint, holder)

    def judge(self, envelope: Envelope) -> Judgement:
        """Decide an envelope at the next offset."""
        self.log.append((envelope, self.now_ms))
        return judge(self.state, envelope, self.state.next_offset, self.now_ms)

    def ask(self, body: Command, event: str = "", **rest: Any) -> Judgement:
        """Decide a command; see `envelope` for what else may be said."""
        return self.judge(self.envelope(body, event, **rest))

    def create(self, spec: EventSpec, *, opened: bool = True, organizer: str = ORGANIZER) -> str:
        """Create an event, open it, and return its id."""
        judgement = self.ask(CreateEvent(spec, "key_hash"), organizer=organizer)
        assert judgement.decision.refusal is None, judgement.decision.detail
        event = judgement.decision.event
        if opened:
            self.ask(OpenEvent(), event, organizer=organizer)
        return event

    def register(
        self,
        event: str,
        *categories: str,
        person: str | None = None,
        form_version: int = 1,
        access_code: str | None = None,
        actor: Actor = Actor.REGISTRANT,
        **rest: Any,
    ) -> Judgement:
        """Ask for one seat for each category, `std` by default, as a new person unless one is named."""
        envelope = self.envelope(CreateEvent(event_spec(), ""), event, actor=actor, **rest)
        person = person or f"person-{self.asked}"
        box = sealed(envelope.id, form_version)
        envelope.body = Register(person, box, categories or ("std",), form_version, access_code)
        return self.judge(envelope)

    def registered(self, event: str, *categories: str, **rest: Any) -> str:
        """Register, and return the registration's id; it must not be refused."""
        judgement = self.register(event, *categories, **rest)
        assert judgement.decision.refusal is None, judgement.decision.detail
        return judgement.decision.subject

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += round(seconds * SECOND_MS)

    def of(self, event: str) -> EventState:
        """The state of an event."""
        found = self.state.events[event]
        assert found is not None
        return found

    def event(self, event: str) -> Event:
        """An event as it stands."""
        return self.of(event).event

    def registration(self, registration: str) -> Registration:
        """A registration as it stands."""
        for event in self.state.events.values():
            found = event.registrations.get(registration) if event is not None else None
            if found is not None:
                return found
        raise AssertionError(f"there is no registration {registration}")

    def statuses(self, event: str) -> list[str]:
        """The statuses of an event's registrations in arrival order."""
        found = [each for each in self.of(event).registrations.values() if each is not None]
        return [str(each.status) for each in sorted(found, key=lambda each: each.arrival)]


def kinds(judgement: Judgement) -> list[FactKind]:
    """The kinds of a decision's facts, in order."""
    return [fact.kind for fact in judgement.facts]
