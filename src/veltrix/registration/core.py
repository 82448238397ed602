"""What every handler of registration shares: the ports, the desk, and the way from a command to an answer."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from veltrix.domain.commands import Actor, Command, Envelope
from veltrix.domain.credentials import Signer
from veltrix.domain.facts import NumberedFact
from veltrix.domain.identifiers import command_id
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.observability.tracing import OFF, Tracer
from veltrix.ports.access import Access
from veltrix.ports.feed import Feed, Replies
from veltrix.ports.log import Log
from veltrix.ports.queries import Queries
from veltrix.ports.system import Clock, Entropy
from veltrix.ports.vault import Vault
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.catalogue import REFUSAL_STATUS
from veltrix.registration.desk import Desk, Queued, Settled
from veltrix.registration.directory import PUBLIC, REGISTER, Directory, Entry
from veltrix.registration.freshness import Freshness
from veltrix.registration.headers import is_strong
from veltrix.registration.links import Links
from veltrix.registration.meters import Meters
from veltrix.registration.outputs import (
    Place,
    Undecided,
    decision_ref,
)
from veltrix.registration.problems import Problem, invalid_query
from veltrix.registration.reserve import KeyReserve
from veltrix.registration.settings import Settings
from veltrix.registration.waitlines import WaitLines

Renderer = Callable[[Settled, str | None], Awaitable[Answer]]
"""Makes the answer from an accepted decision, and the key that the server made for its request."""

_REPLAYED = (b"idempotent-replayed", b"true")
_CHANCE_BLOCK_BYTES = 4096
canonical = msgspec.json.Encoder(order="deterministic").encode
"""The one form of a request's body, whatever its white space and the order of its members."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All that registration needs of the outside world."""

    log: Log
    queries: Queries
    vault: Vault
    feed: Feed
    replies: Replies
    access: Access
    clock: Clock
    entropy: Entropy


@dataclass(slots=True)
class Request:
    """Whose command it is, and under which key: what a command's id is made of."""

    route: str
    credential: str
    key: str
    made_key: bool
    actor: Actor


class Chance:
    """Random bytes, fetched in blocks: each byte is given out once."""

    __slots__ = ("_at", "_block", "_entropy")

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._block = b""
        self._at = 0

    def token(self, size: int) -> bytes:
        """`size` random bytes."""
        at = self._at
        if at + size > len(self._block):
            self._block, at = self._entropy.token(_CHANCE_BLOCK_BYTES), 0
        self._at = at + size
        return self._block[at : at + size]


class Core:
    """The parts of one registration process."""

    def __init__(
        self, ports: Ports, signer: Signer, settings: Settings, meters: Meters, tracer: Tracer = OFF
    ) -> None:
        self.ports = ports
        self.settings = settings
        self.meters = meters
        self.tracer = tracer
        self.chance = Chance(ports.entropy)
        self.links = Links(signer, settings.base_url)
        self.reserve = KeyReserve(ports.vault, settings.key_block, settings.keys_reserved_low)
        self.fresh = Freshness(lambda: self.ports.queries)
        self.directory = Directory(ports.queries, ports.vault, fresh=self.fresh)
        self.waitlines = WaitLines(ports.queries)
        self.desk = Desk(ports.log, ports.queries, ports.replies, ports.clock, self.links, settings, meters)
        self.desk.tracer = tracer
        self.desk.on_fact = self.apply
        self.desk.on_sweep = lambda: meters.gauge("keys_reserved", len(self.reserve))
        self.render: dict[str, Renderer] = {}
        self.on_applied: list[Callable[[NumberedFact], None]] = []
        self.stopping = False

    def reconfigure(self, settings: Settings) -> None:
        """From now on these settings, where they are read at each use."""
        self.settings = self.desk.settings = settings

    def apply(self, fact: NumberedFact) -> None:
        """Learn of a fact, from a reply or from the feed; repeatable."""
        if fact.fact.event_after is not None:
            self.directory.apply(fact)
        else:
            self.waitlines.apply(fact)
        for listener in self.on_applied:
            listener(fact)

    async def consistent(self, query: dict[str, str]) -> None:
        """Where `consistency=strong` is asked for, return once reads that follow are linearizable."""
        wanted = query.get("consistency")
        if wanted is None:
            return
        if wanted != "strong":
            raise invalid_query("consistency", "wrong_value", expected="strong")
        await self.ports.queries.barrier()

    def request(self, call: Call, route: str, link: str | None = None) -> Request:
        """Who asks, and under which key. Without one a key is made, and told in the answer."""
        key = call.idempotency_key()
        credential = link or PUBLIC
        actor = Actor.REGISTRANT
        if call.key is not None:
            credential, actor = call.key.id, Actor.ORGANIZER
        if key is None:
            made = base64.urlsafe_b64encode(self.chance.token(18)).decode()
            return Request(route, credential, made, True, actor)
        if actor is Actor.REGISTRANT and not is_strong(key):
            raise Problem("weak_key")
        return Request(route, credential, key, False, actor)

    def envelope(
        self, request: Request, entry: Entry, body: Command, content: bytes, command: str = ""
    ) -> Envelope:
        """A command about an event that exists; `content` is what its fingerprint is made of."""
        organizer, event = entry.event.organizer, entry.event.id
        return Envelope(
            id=command or self.command_id(request, entry),
            organizer=organizer,
            event=event,
            body=body,
            actor=request.actor,
            stamp_ms=self.ports.clock.now_ms(),
            fingerprint=entry.hashes.request(content),
        )

    def command_id(self, request: Request, entry: Entry) -> str:
        """The id of a command about an event that exists."""
        if request.credential == PUBLIC and request.route == REGISTER:
            return entry.public_ids.of(request.key)
        return command_id(
            (entry.event.organizer, request.route, entry.event.id, request.credential, request.key)
        )

    async def submit(self, call: Call, request: Request, envelope: Envelope, partition: int) -> Answer:
        """Append a command, wait as long as the client likes, and answer."""
        preference = call.preference()
        wait_s = self.settings.wait_default_s if preference.wait_s is None else preference.wait_s
        made_key = request.key if request.made_key else None
        try:
            outcome = await self.desk.ask(envelope, partition, wait_s, call.trace.header)
        except Problem as problem:
            if problem.code == "outcome_unknown" and made_key is not None:
                problem.members["idempotency_key"] = made_key
            raise
        if isinstance(outcome, Queued):
            answer = self.undecided(outcome, envelope.id, envelope.fingerprint, made_key)
        else:
            answer = await self.decided(call, outcome, made_key)
        if preference.applied:
            answer.headers.append((b"preference-applied", preference.applied))
        return answer

    def undecided(self, queued: Queued, command: str, printed: str, made_key: str | None = None) -> Answer:
        """202: durable, with the place in line and where to ask again."""
        path = self.links.decision_path(command, queued.partition, queued.offset, printed)
        body = Undecided(
            "undecided",
            queued.place,
            Place(queued.partition, queued.offset),
            path,
            self.desk.progress[queued.partition].estimated_wait_s(queued.offset),
        )
        if made_key is not None:
            body.idempotency_key = made_key
        return json_answer(body, 202, [(b"location", path.encode()), (b"retry-after", b"1")])

    async def decided(self, call: Call, settled: Settled, made_key: str | None = None) -> Answer:
        """The answer that a decision leads to; always the same for the same decision."""
        decision = settled.decision
        if decision.outcome is not Outcome.ACCEPTED:
            raise self.refused(call, settled, made_key)
        answer = await self.render[decision.kind](settled, made_key)
        if settled.replayed:
            answer.headers.append(_REPLAYED)
        return answer

    def refused(self, call: Call, settled: Settled, made_key: str | None = None) -> Problem:
        """The problem that a refusal is answered with."""
        decision = settled.decision
        refusal = decision.refusal or Refusal.QUARANTINED
        members: dict[str, object] = {"refusal": refusal.value, "decision": decision_ref(decision)}
        if call.key is not None and decision.detail:
            members["explanation"] = decision.detail
        if made_key is not None:
            members["idempotency_key"] = made_key
        headers = [_REPLAYED] if settled.replayed else []
        status = REFUSAL_STATUS[refusal]
        if refusal is Refusal.VERSION_CONFLICT and b"if-match" not in call.headers:
            status = 409
        return Problem(refusal.value, status=status, headers=headers, members=members)


def content_of(parts: Sequence[str], body: object = None) -> bytes:
    """What a fingerprint is made of: what is asked, of what, and with which body."""
    return "\0".join(parts).encode() + b"\0" + canonical(body)
