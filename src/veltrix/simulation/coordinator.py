"""The coordinator as an engine that is mean, and the port `Coordinator` as one process sees it.

Whoever wants a resource stands in a line; the first one whose lease lasts owns it, under a new term. Word of
that is a hint: it comes late or, when a watch was compacted, not at all, and who waits asks again. A lease
ends at the engine while its holder still believes in it: only the ledger's fence knows better. Without a
quorum no lease ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import OutcomeUnknown, TermsBehind, Unavailable
from veltrix.ports.ledger import Term
from veltrix.simulation.loop import LIFE, Life
from veltrix.simulation.network import Network, Reply, Server

LEASE_TTL_S: Final = 2.0
ASK_AGAIN_S: Final = 1.0
NO_TERM: Final = Term(0, 0)


@dataclass(slots=True)
class CoordinatorMoods:
    """How mean the coordinator is: how late word is, and the share of it that compaction swallows."""

    late_s: float = 0.0
    compacted: float = 0.0


@dataclass(slots=True)
class Claim:
    """Somebody who wants one of several resources. `granted` names the one, under which term."""

    member: str
    ticket: int
    life: Life
    tell: Callable[[int, str, Term], None]
    resources: tuple[str, ...]
    granted: str = ""
    term: Term = NO_TERM


@dataclass
class Elections:
    """What the coordinator keeps: leases by member, and a line for each resource, its owner first."""

    network: Network
    server: Server
    epoch: int = 1
    revision: int = 0
    moods: CoordinatorMoods = field(default_factory=CoordinatorMoods)
    expired: int = 0
    _leases: dict[str, float] = field(default_factory=dict)
    _claims: dict[tuple[str, int], Claim] = field(default_factory=dict)
    _lines: dict[str, list[Claim]] = field(default_factory=dict)
    _sweeping: bool = False

    def __post_init__(self) -> None:
        self.server.on_up = self._renew_all

    def enter(self, claim: Claim, reply: Reply) -> None:
        """Stand in line, once; the answer is the grant, if it is there already."""
        self._renew(claim.member)
        key = claim.member, claim.ticket
        standing = self._claims.get(key)
        if standing is None:
            standing = self._claims[key] = claim
            for resource in claim.resources:
                self._lines.setdefault(resource, []).append(claim)
            for resource in claim.resources:
                self._elect(resource, quietly=claim)
        reply((standing.granted, standing.term), None)

    def leave(self, member: str, ticket: int, reply: Reply) -> None:
        """Leave the lines, or give up what was granted."""
        claim = self._claims.pop((member, ticket), None)
        if claim is not None:
            self._remove(claim)
        reply(None, None)

    def renew(self, member: str, tickets: frozenset[int], newest: int, reply: Reply) -> None:
        """Let the lease last on; which of the member's tickets still stand. What it does not know of
        (it gave up waiting, and word of that was lost) is taken back."""
        mine = {ticket: claim for (name, ticket), claim in self._claims.items() if name == member}
        for ticket in sorted(mine.keys() - tickets):
            if ticket <= newest:
                self._remove(self._claims.pop((member, ticket)))
        self._renew(member)
        reply({ticket for ticket in tickets if ticket in mine}, None)

    def term_of(self, resource: str) -> Term | None:
        """Under which term it is owned now; for those who watch."""
        line = self._lines.get(resource)
        return line[0].term if line and line[0].granted == resource else None

    def hand_over(self, resource: str) -> bool:
        """Ask the owner to give it up in order, as when partitions are spread anew."""
        line = self._lines.get(resource)
        if not line or line[0].granted != resource:
            return False
        self._tell(line[0], "")
        return True

    def _renew(self, member: str) -> None:
        self._leases[member] = self.network.loop.time() + LEASE_TTL_S
        if not self._sweeping:
            self._sweeping = True
            self.network.loop.later(self.server.life, LEASE_TTL_S / 4, self._sweep)

    def _renew_all(self) -> None:
        """After an election leases begin anew."""
        for member in self._leases:
            self._leases[member] = self.network.loop.time() + LEASE_TTL_S

    def _sweep(self) -> None:
        """End leases; to end one is itself a decision of the quorum."""
        now_s = self.network.loop.time()
        if self.server.up:
            for member in [name for name, ends_s in self._leases.items() if ends_s <= now_s]:
                del self._leases[member]
                for key in [key for key in self._claims if key[0] == member]:
                    claim = self._claims.pop(key)
                    self.expired += bool(claim.granted)
                    self._tell(claim, "")
                    self._remove(claim)
        self._sweeping = bool(self._leases)
        if self._sweeping:
            self.network.loop.later(self.server.life, LEASE_TTL_S / 4, self._sweep)

    def _remove(self, claim: Claim) -> None:
        freed = [claim.granted] if claim.granted else claim.resources
        for resource in freed:
            self._lines[resource].remove(claim)
        for resource in freed:
            self._elect(resource)

    def _elect(self, resource: str, quietly: Claim | None = None) -> None:
        line = self._lines[resource]
        if not line or line[0].granted:
            return
        claim = line[0]
        self.revision += 1
        claim.granted, claim.term = resource, Term(self.epoch, self.revision)
        for other in claim.resources:
            if other != resource:
                self._lines[other].remove(claim)
        if claim is not quietly:
            self._tell(claim, resource)

    def _tell(self, claim: Claim, resource: str) -> None:
        moods, random = self.moods, self.network.chance
        if moods.compacted and random.random() < moods.compacted:
            return
        late_s = random.expovariate(1 / moods.late_s) if moods.late_s else 0.0
        self.network.tell(
            self.server.name, claim.life, claim.tell, claim.ticket, resource, claim.term, late_s=late_s
        )


class SimCoordinator:
    """The port `Coordinator`: one lease a process, renewed by a task of its own."""

    def __init__(self, elections: Elections, member: str) -> None:
        self._elections = elections
        self._network = elections.network
        self._member = member
        self._tickets = count(1)
        self._newest = 0
        self._waiting: dict[int, asyncio.Future[tuple[str, Term]]] = {}
        self._grants: dict[int, Grant] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def member(self) -> str:
        """The name of this process."""
        return self._member

    async def acquire(self, resource: str) -> Grant:
        """Stand in line until it is ours."""
        return await self.acquire_any([resource])

    async def acquire_any(self, resources: Sequence[str]) -> Grant:
        """Stand in every line until one is ours."""
        self._check_open()
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="lease")
        ticket = self._newest = next(self._tickets)
        waiting = self._waiting[ticket] = self._network.loop.create_future()
        life = LIFE.get(self._network.loop.outside)
        claim = Claim(self._member, ticket, life, self._told, tuple(resources))
        try:
            while True:
                resource, term = await self._enter(claim, waiting)
                if resource:
                    grant = self._grants[ticket] = Grant(resource, term, self._member)
                    return grant
        except BaseException:
            self._give_back(ticket)
            raise
        finally:
            self._waiting.pop(ticket, None)

    async def release(self, grant: Grant) -> None:
        """Give it up; if that is lost on the way, the next renewal says so, or the lease ends by itself."""
        grant.lost.set()
        for ticket, mine in list(self._grants.items()):
            if mine is grant:
                del self._grants[ticket]
                try:
                    await self._ask(self._elections.leave, self._member, ticket)
                except OutcomeUnknown as error:
                    raise Unavailable(str(error)) from error

    async def verify(self, term: Term) -> None:
        """Whether the coordinator can have granted such a term."""
        newest = Term(self._elections.epoch, self._elections.revision)
        if term > newest:
            raise TermsBehind(f"term {term} is known, but this cluster has only come to {newest}")

    async def close(self) -> None:
        """Give everything up."""
        self._closed = True
        if self._renewing is not None:
            self._renewing.cancel()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unavailable("the coordinator was closed"))
        for grant in list(self._grants.values()):
            try:
                await self.release(grant)
            except Unavailable:
                continue

    async def _enter(self, claim: Claim, waiting: asyncio.Future[tuple[str, Term]]) -> tuple[str, Term]:
        """Stand in line, and wait a while for word."""
        try:
            granted: tuple[str, Term] = await self._ask(self._elections.enter, _copy(claim))
        except (Unavailable, OutcomeUnknown):
            self._check_open()
        else:
            if granted[0]:
                return granted
        await asyncio.wait([waiting], timeout=ASK_AGAIN_S)
        return waiting.result() if waiting.done() else ("", NO_TERM)

    def _give_back(self, ticket: int) -> None:
        """Nobody waits any more; should this be lost, the next renewal says it again."""
        self._network.begin(
            self._elections.server, self._elections.leave, self._member, ticket, writes=True
        ).add_done_callback(_heard)

    def _told(self, ticket: int, resource: str, term: Term) -> None:
        """Word from the coordinator: ours, or (without a resource) not any more."""
        waiting = self._waiting.get(ticket)
        if resource:
            if waiting is not None and not waiting.done():
                waiting.set_result((resource, term))
        elif ticket in self._grants:
            self._grants[ticket].lost.set()

    async def _renew(self) -> None:
        """Renew the lease again and again; learn what was lost. Silence alone loses nothing."""
        while True:
            await asyncio.sleep(LEASE_TTL_S / 4)
            tickets = frozenset([*self._waiting, *self._grants])
            if not tickets:
                continue
            try:
                standing = await self._ask(self._elections.renew, self._member, tickets, self._newest)
            except (Unavailable, OutcomeUnknown):
                continue
            for ticket in tickets - standing:
                lost = self._grants.pop(ticket, None)
                if lost is not None:
                    lost.lost.set()

    async def _ask(self, handle: Callable[..., None], *args: Any) -> Any:
        return await self._network.begin(self._elections.server, handle, *args, writes=True)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the coordinator is closed")


def _heard(done: asyncio.Future[Any]) -> None:
    """Whatever became of it."""
    if not done.cancelled():
        done.exception()


def _copy(claim: Claim) -> Claim:
    """As it is sent: what the engine writes into its own is not ours."""
    return Claim(claim.member, claim.ticket, claim.life, claim.tell, claim.resources)
