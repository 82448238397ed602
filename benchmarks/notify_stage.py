"""A ledger of one event with many registrations, and notification's parts over real stores on SQLite."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from veltrix.adapters.memory import MemoryFeed
from veltrix.adapters.sqlite import SqliteLedger, SqliteNotices, SqliteOutreach, SqliteVault
from veltrix.adapters.system import SystemClock, SystemEntropy
from veltrix.adapters.webhook import WebhookPoster
from veltrix.domain.commands import Actor, Command, CreateEvent, Envelope, OpenEvent, Register
from veltrix.domain.credentials import Signer
from veltrix.domain.event import Category, EventSpec, PoolSpec, Text
from veltrix.domain.facts import NumberedFact
from veltrix.domain.identifiers import command_id
from veltrix.domain.state import PartitionState
from veltrix.notification.meters import NoMeters
from veltrix.notification.reach import Reach
from veltrix.notification.service import NotificationService
from veltrix.notification.settings import NotificationSettings
from veltrix.ports.channel import Channel
from veltrix.ports.ledger import Term
from veltrix.ports.log import LogIdentity, LogRecord
from veltrix.ports.outreach import Endpoint, Scheme, SigningSecret
from veltrix.processing.batch import Entry, decide_batch
from veltrix.registration.signing_secrets import new_secret
from veltrix.sealing import KeyedHashes, Person, seal, seal_secret
from veltrix.wire import encode_command

ORGANIZER = "acme"
TERM = Term(1, 1)
SECRET_KEY = b"k" * 32
SIGNER = Signer(b"s" * 32)
_BATCH = 400
LOOPBACK = ("127.0.0.0/8",)


class Accepted(NoMeters):
    """Tells when so many notices were accepted: asking the store for it all the time would be what is
    measured."""

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self.all = asyncio.Event()

    def delivered(self, seconds: float) -> None:
        """One more."""
        self._left -= 1
        if not self._left:
            self.all.set()


@dataclass(slots=True)
class Stage:
    """The stores, and the facts of everybody's registration."""

    ledger: SqliteLedger
    vault: SqliteVault
    notices: SqliteNotices
    outreach: SqliteOutreach
    directory: Path
    facts: list[NumberedFact]

    def service(
        self, channels: list[Channel], poster: WebhookPoster, in_flight: int, metrics: NoMeters
    ) -> NotificationService:
        """The service over these stores, as a platform puts it together."""
        settings = NotificationSettings(
            "https://tickets.example", "Tickets <no-reply@tickets.example>", SIGNER, 1, in_flight=in_flight
        )
        return NotificationService(
            notices=self.notices,
            queries=self.ledger,
            feed=MemoryFeed(),
            vault=self.vault,
            channels=channels,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            settings=settings,
            metrics=metrics,
            reach=Reach(self.outreach, self.notices, self.notices, poster, SECRET_KEY),
        )

    async def endpoint(self, number: int, url: str) -> None:
        """An endpoint of the organizer, with a secret."""
        name, secret = f"ep_{number:032x}", f"sgn_{number:032x}"
        await self.outreach.put_endpoint(Endpoint(name, ORGANIZER, url))
        text = new_secret(Scheme.V1, SystemEntropy())
        sealed = seal_secret(text.encode(), SECRET_KEY, SystemEntropy().token(12), name, secret)
        await self.outreach.add_secret(SigningSecret(secret, name, Scheme.V1, sealed, 0))


def spec(people: int) -> EventSpec:
    """A conference with room for all."""
    return EventSpec(
        slug="bench",
        title=Text("en", {"en": "Autumn Conference & Fair"}),
        venue=Text("en", {"en": "Old Brewery, Hall 3"}),
        time_zone="Europe/Berlin",
        starts_local="2027-10-01T10:00",
        ends_local="2027-10-01T18:00",
        pools=(PoolSpec("main", people),),
        categories=(Category("std", Text("en", {"en": "Standard"}), ("main",), 4900),),
    )


@asynccontextmanager
async def stage(directory: Path, people: int) -> AsyncIterator[Stage]:
    """An event with that many confirmed registrations of one seat, decided and published."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        ledger = await SqliteLedger.open(directory / "ledger.db")
        stack.push_async_callback(ledger.close)
        vault = await SqliteVault.open(directory / "vault.db")
        stack.push_async_callback(vault.close)
        notices = await SqliteNotices.open(directory / "notices.db")
        stack.push_async_callback(notices.close)
        outreach = await SqliteOutreach.open(directory / "outreach.db")
        stack.push_async_callback(outreach.close)
        facts = await _decided(ledger, vault, people)
        gc.collect()
        gc.freeze()  # what was made here is not there in a real process, and not the sender's to look through
        yield Stage(ledger, vault, notices, outreach, directory, facts)


async def _decided(ledger: SqliteLedger, vault: SqliteVault, people: int) -> list[NumberedFact]:
    await ledger.take_over(0, TERM, "bench", LogIdentity("bench", 1, 0))
    state, facts = PartitionState(0), list[NumberedFact]()
    clock, hashes = SystemClock(), KeyedHashes(b"h" * 32)
    event = ""

    async def decide(bodies: list[tuple[str, Command]], actor: Actor) -> None:
        entries = []
        for offset, (identity, body) in enumerate(bodies, state.next_offset):
            now_ms = clock.now_ms()
            envelope = Envelope(identity, ORGANIZER, event, body, actor, now_ms, "f")
            entries.append(Entry(LogRecord(offset, now_ms, encode_command(envelope)), envelope))
        outcome = decide_batch(state, entries, TERM, {})
        await ledger.commit(outcome.changes)
        facts.extend(outcome.changes.facts)

    await decide([(command_id(["create"]), CreateEvent(spec(people), "key_hash"))], Actor.ORGANIZER)
    event = facts[0].fact.event
    await decide([(command_id(["open"]), OpenEvent())], Actor.ORGANIZER)
    keys = await vault.reserve(people)
    for start in range(0, people, _BATCH):
        bodies: list[tuple[str, Command]] = []
        for number in range(start, min(start + _BATCH, people)):
            identity, (key_id, key) = command_id(["register", str(number)]), keys[number]
            email = f"person{number}@example.org"
            box = seal(Person(f"Person {number}", email), key, b"n" * 12, event, identity, key_id, 1)
            bodies.append((identity, Register(hashes.person(email), box, ("std",), 1)))
        await decide(bodies, Actor.REGISTRANT)
    await ledger.relayed(0, TERM, facts[-1].seq)
    return facts
