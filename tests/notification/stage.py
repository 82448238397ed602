"""A small stage for the tests of notification: real decisions on a memory ledger, and notification's parts.

A `Stage` decides commands and publishes their facts only as a test says; planner, fan-out and dispatcher
are driven step by step, so that no test waits for a clock.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from veltrix.adapters.memory import MemoryFeed, MemoryLedger, MemoryMailbox, MemoryNotices, MemoryVault
from veltrix.domain.commands import Actor, Command, CreateEvent, Envelope, OpenEvent, Register, Transfer
from veltrix.domain.credentials import Signer
from veltrix.domain.event import Category, Event, EventSpec, Holds, PoolSpec, Text, Waitlist
from veltrix.domain.facts import NumberedFact
from veltrix.domain.identifiers import command_id
from veltrix.domain.registration import Box, Registration
from veltrix.domain.state import PartitionState
from veltrix.notification.choices import Choices
from veltrix.notification.dispatcher import Dispatcher
from veltrix.notification.fanout import FanOuts
from veltrix.notification.gather import Gatherer
from veltrix.notification.hooks import WebhookWay
from veltrix.notification.letters import Sender
from veltrix.notification.mailing import MailWay
from veltrix.notification.memory import Events, Recent
from veltrix.notification.meters import NoMeters
from veltrix.notification.outgoing import Way
from veltrix.notification.planner import NoticeMaker, Planner
from veltrix.notification.reach import Reach
from veltrix.notification.renderer import Renderer
from veltrix.notification.settings import NotificationSettings
from veltrix.notification.standing import Standing
from veltrix.notification.texts import Texts
from veltrix.ports.channel import Channel, Mail
from veltrix.ports.feed import Published
from veltrix.ports.ledger import Term
from veltrix.ports.log import LogIdentity, LogRecord
from veltrix.ports.notices import WEBHOOK, Notice, Notices, NoticeStatus
from veltrix.processing.batch import Entry, decide_batch
from veltrix.sealing import Attendee, KeyedHashes, Person, seal
from veltrix.wire import encode_command

NOW_MS = 1_800_000_000_000
ORGANIZER = "org_1"
TERM = Term(1, 1)
SIGNER = Signer(b"s" * 32)
SENDER = Sender("Autumn Tickets", "no-reply@tickets.example", "https://tickets.example")
TEXTS = Texts()  # templates are compiled once for all tests


def settings(partitions: int = 1, **changes: Any) -> NotificationSettings:
    """What a service is told, unless the changes say otherwise."""
    said = NotificationSettings(
        "https://tickets.example", "Autumn Tickets <no-reply@tickets.example>", SIGNER, partitions
    )
    return replace(said, **changes)


def text(en: str, de: str | None = None) -> Text:
    """A text in English, and perhaps in German."""
    return Text("en", {"en": en} if de is None else {"en": en, "de": de})


def event_spec(**changes: Any) -> EventSpec:
    """A conference in Berlin: two categories, a waitlist, no holds, unless the changes say otherwise."""
    spec = EventSpec(
        slug="autumn",
        title=text("Autumn Conference & Fair", "Herbsttagung & Messe"),
        venue=text("Old Brewery, Hall 3", "Alte Brauerei, Halle 3"),
        time_zone="Europe/Berlin",
        starts_local="2027-10-01T10:00",
        ends_local="2027-10-01T18:00",
        pools=(PoolSpec("main", 10),),
        categories=(
            Category("std", text("Standard", "Normal"), ("main",), 4900),
            Category("stu", text("Student", "Studierende"), ("main",), 1950),
        ),
        waitlist=Waitlist(50),
    )
    return replace(spec, **changes)


HOLDS = Holds(900)


@dataclass(slots=True)
class StillClock:
    """A clock that a test moves."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        """The time that the test set."""
        return self.ms

    def monotonic_s(self) -> float:
        """The same, in seconds."""
        return self.ms / 1000


class Dice:
    """Chance that repeats itself."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        """`size` bytes."""
        return self._random.randbytes(size)


@dataclass
class Parts:
    """Notification's parts, as the service puts them together, for a test to drive."""

    planner: Planner
    fan_outs: FanOuts
    dispatcher: Dispatcher

    async def plan(self) -> None:
        """Plan all that was published, and all pages of every fan-out."""
        self.planner.sweep()
        while await self.planner.step():
            pass
        while await self.fan_outs.step():
            pass

    async def dispatch(self) -> None:
        """Send all that is due, and record how it went."""
        while await self.dispatcher.step() or self.dispatcher.busy:
            await self.dispatcher.flush()
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Plan and dispatch."""
        await self.plan()
        await self.dispatch()


async def no_courtesy() -> None:
    """Give way to nobody."""


@dataclass
class Stage:
    """A partition that decides, with everything that notification reads and writes."""

    clock: StillClock = field(default_factory=StillClock)
    notices: Notices = field(default_factory=MemoryNotices)
    mailbox: Channel = field(default_factory=MemoryMailbox)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    vault: MemoryVault = field(default_factory=MemoryVault)
    feed: MemoryFeed = field(default_factory=MemoryFeed)
    state: PartitionState = field(default_factory=lambda: PartitionState(0))
    facts: list[NumberedFact] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def begin(self) -> Stage:
        """Take the partition; returns the stage."""
        await self.ledger.take_over(0, TERM, "stage", LogIdentity("topic", 1, 0))
        return self

    def parts(self, **changes: Any) -> Parts:
        """Notification's parts from their start: another call is another process."""
        recent, events = Recent(), Events(self.ledger, self.clock)
        gatherer = Gatherer(self.ledger, self.vault, events, recent)
        way = MailWay(gatherer, Renderer(SENDER, SIGNER, TEXTS), self.mailbox)
        maker = NoticeMaker(self.notices, recent, (self.mailbox.name,))
        ways: dict[str, Way] = {self.mailbox.name: way}
        choices, standing = None, None
        reach: Reach | None = changes.get("reach")
        if reach is not None:
            way.outreach, way.deliveries = reach.outreach, reach.deliveries
            way.hold = changes.get("hold", False)
            choices = Choices(reach.outreach, reach.secret_key)
            ways[WEBHOOK] = WebhookWay(choices, gatherer, reach.poster, self.clock, "https://veltrix.test")
            standing = Standing(reach.deliveries, reach.fulfilment, self.clock, mail_hold=way.hold)
        dispatcher = Dispatcher(
            self.notices,
            ways,
            self.clock,
            changes.get("entropy") or Dice(),
            changes.get("metrics") or NoMeters(),
            changes.get("courtesy") or no_courtesy,
            60.0,
            standing=standing,
            choices=choices,
        )
        metrics = changes.get("metrics") or NoMeters()
        fan_outs = FanOuts(self.ledger, self.notices, maker, metrics, dispatcher.wake, no_courtesy)
        planner = Planner(
            self.feed,
            changes.get("queries") or self.ledger,
            self.notices,
            maker,
            events,
            metrics,
            1,
            dispatcher.forget,
            dispatcher.wake,
            fan_outs.wake,
            no_courtesy,
            self.clock,
            choices=choices,
        )
        return Parts(planner, fan_outs, dispatcher)

    async def ask(
        self, body: Command, event: str = "", *, actor: Actor = Actor.ORGANIZER, identity: str = ""
    ) -> list[NumberedFact]:
        """Decide a command and commit it; its facts are published when the test says so."""
        identity = identity or command_id(["stage", str(next(self.numbers))])
        envelope = Envelope(identity, ORGANIZER, event, body, actor, self.clock.ms, "f")
        record = LogRecord(self.state.next_offset, self.clock.ms, encode_command(envelope))
        outcome = decide_batch(self.state, [Entry(record, envelope)], TERM, {})
        refusal = outcome.changes.decisions[0].refusal
        assert refusal is None, refusal
        await self.ledger.commit(outcome.changes)
        self.facts += outcome.changes.facts
        return list(outcome.changes.facts)

    async def publish(self, facts: Sequence[NumberedFact] | None = None) -> None:
        """Let the ledger and the feed say that everything so far is published."""
        if self.facts:
            await self.ledger.relayed(0, TERM, self.facts[-1].seq)
        for_hint = self.facts if facts is None else facts
        await self.feed.publish(0, for_hint, self.state.next_offset)

    def hint(self, facts: Sequence[NumberedFact]) -> Published:
        """What the feed would hand to a subscriber."""
        return Published(0, facts, self.state.next_offset)

    async def event(self, spec: EventSpec | None = None) -> str:
        """Create and open an event; returns its id."""
        facts = await self.ask(CreateEvent(spec or event_spec(), "key_hash"))
        await self.ask(OpenEvent(), facts[0].fact.event)
        return facts[0].fact.event

    async def box(self, event: str, person: Person) -> Box:
        """Personal data, sealed under a key of the vault."""
        [(key_id, key)] = await self.vault.reserve(1)
        command = command_id(["stage", str(next(self.numbers))])
        return seal(person, key, b"n" * 12, event, command, key_id, 1)

    async def register(
        self, event: str, name: str = "Ada", *categories: str, locale: str = "en", **more: Any
    ) -> Registration:
        """Register one seat for each category; returns the registration as it was decided."""
        person = Person(name, address_of(name), locale, **more)
        body = Register(person_of(name), await self.box(event, person), categories or ("std",), 1)
        facts = await self.ask(body, event, actor=Actor.REGISTRANT)
        registration = facts[0].fact.registration
        assert registration is not None
        return registration

    async def transfer(self, registration: Registration, name: str, seat: int | None = None) -> None:
        """Hand a registration, or one seat, to another person."""
        box = await self.box(registration.event, Person(name, address_of(name)))
        await self.ask(Transfer(registration.id, person_of(name), box, seat), registration.event)

    async def view(self, event: str) -> Event:
        """An event as it stands."""
        found = await self.ledger.event(event)
        assert found is not None
        return found.event

    async def of(self, registration: Registration) -> list[tuple[str, str, NoticeStatus]]:
        """(kind, recipient, status) of a registration's notices, oldest first."""
        rows = await self.notices.of_registration(registration.id)
        return [(notice.kind, notice.recipient, status) for notice, status, _, _ in rows]

    async def told(self, registration: Registration) -> list[tuple[str, str]]:
        """(kind, recipient) of a registration's notices, oldest first."""
        return [(kind, recipient) for kind, recipient, _ in await self.of(registration)]

    async def only(self, registration: Registration) -> tuple[Notice, NoticeStatus, int, str]:
        """The only notice of a registration, with what is known of it."""
        [row] = await self.notices.of_registration(registration.id)
        return row

    def mails(self) -> list[Mail]:
        """What arrived in the mailbox."""
        assert isinstance(self.mailbox, MemoryMailbox)
        return list(self.mailbox.sent.values())


def address_of(name: str) -> str:
    """The address of a made-up person."""
    return f"{name.lower()}@example.org"


def person_of(name: str) -> str:
    """The keyed hash of a made-up person."""
    return KeyedHashes(b"k" * 32).person(address_of(name))


def attendees(*names: str | None) -> list[Attendee | None]:
    """Who sits on each seat."""
    return [None if name is None else Attendee(name) for name in names]
