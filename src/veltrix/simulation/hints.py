"""What is only a hint or a lease between processes: published facts, replies, and who owns what.

Hints come late, twice or never. Leases end late at their holders: a paused process believes in its grant
until it looks again, and only the ledger's fence knows better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from veltrix.adapters.memory.feed import Subscription
from veltrix.domain.facts import NumberedFact
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import OutcomeUnknown, TermsBehind, Unavailable
from veltrix.ports.feed import Published, Reply
from veltrix.ports.ledger import Term
from veltrix.simulation.loop import LIFE, Life
from veltrix.simulation.network import Network, Server

FEED_QUEUE_MAX: Final = 64
LEASE_TTL_S: Final = 2.0
CAMPAIGN_S: Final = 0.25


@dataclass
class Topic:
    """The facts topic and the replies topic: who listens."""

    network: Network
    server: Server
    subscriptions: list[tuple[Life, Subscription]] = field(default_factory=list)
    listeners: dict[str, tuple[Life, Callable[[Sequence[Reply]], None]]] = field(default_factory=dict)
    last_seqs: dict[int, int] = field(default_factory=dict)


class SimFeed:
    """The port `Feed`."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    async def publish(self, partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        """Hand a batch to whoever subscribes; each may miss it."""
        topic = self._topic

        async def effect() -> None:
            batch = Published(partition, list(facts), next_offset)
            if facts:
                topic.last_seqs[partition] = max(facts[-1].seq, topic.last_seqs.get(partition, 0))
            topic.subscriptions[:] = [each for each in topic.subscriptions if not each[0].ended]
            for life, subscription in topic.subscriptions:
                topic.network.tell(topic.server.name, life, subscription.put, batch)

        try:
            await topic.network.ask(topic.server, effect, writes=True)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def last_seq(self, partition: int) -> int:
        """The last fact that was published."""

        async def effect() -> int:
            return self._topic.last_seqs.get(partition, 0)

        return await self._topic.network.ask(self._topic.server, effect, writes=False)

    def subscribe(self) -> Subscription:
        """A new subscriber in this life."""
        subscription = Subscription(FEED_QUEUE_MAX)
        self._topic.subscriptions.append((LIFE.get(), subscription))
        return subscription


class SimReplies:
    """The port `Replies`."""

    def __init__(self, topic: Topic, address: str) -> None:
        self._topic = topic
        self._address = address

    @property
    def address(self) -> str:
        """This process's address."""
        return self._address

    def send(self, reply_to: str, replies: Sequence[Reply]) -> None:
        """Send, or lose."""
        topic, listener = self._topic, self._topic.listeners.get(reply_to)
        if listener is None or (LIFE.get().host, topic.server.name) in topic.network.cuts:
            return
        life, receive = listener
        topic.network.tell(topic.server.name, life, receive, list(replies))

    def listen(self, receive: Callable[[Sequence[Reply]], None]) -> None:
        """Take replies in this life."""
        self._topic.listeners[self._address] = (LIFE.get(), receive)


@dataclass
class Owner:
    """Who owns a resource, and until when."""

    member: str
    term: Term
    ends_s: float


@dataclass
class Elections:
    """What the coordinator keeps."""

    network: Network
    server: Server
    owners: dict[str, Owner] = field(default_factory=dict)
    epoch: int = 1
    revision: int = 0

    def take(self, resource: str, member: str) -> Term | None:
        """A new term for the member, when nobody else's lease lasts."""
        now_s = self.network.loop.time()
        owner = self.owners.get(resource)
        if owner is not None and owner.member != member and owner.ends_s > now_s:
            return None
        if owner is None or owner.member != member or owner.ends_s <= now_s:
            self.revision += 1
            owner = Owner(member, Term(self.epoch, self.revision), 0.0)
            self.owners[resource] = owner
        owner.ends_s = now_s + LEASE_TTL_S
        return owner.term

    def renew(self, member: str) -> dict[str, Term]:
        """Let the member's leases last on; what it still owns."""
        now_s = self.network.loop.time()
        mine = {key: owner for key, owner in self.owners.items() if owner.member == member}
        for owner in mine.values():
            if owner.ends_s > now_s:
                owner.ends_s = now_s + LEASE_TTL_S
        return {key: owner.term for key, owner in mine.items() if owner.ends_s > now_s}


class SimCoordinator:
    """The port `Coordinator`: one lease a process, renewed by a task of its own (`run`)."""

    def __init__(self, elections: Elections, member: str) -> None:
        self._elections = elections
        self._member = member
        self._grants: dict[str, Grant] = {}
        self._closed = False

    @property
    def member(self) -> str:
        """The name of this process."""
        return self._member

    async def acquire(self, resource: str) -> Grant:
        """Campaign until it is ours."""
        return await self.acquire_any([resource])

    async def acquire_any(self, resources: Sequence[str]) -> Grant:
        """Campaign for each until one is ours."""
        network, elections = self._elections.network, self._elections
        while not self._closed:
            for resource in resources:

                async def effect(resource: str = resource) -> Term | None:
                    return elections.take(resource, self._member)

                try:
                    term = await network.ask(elections.server, effect, writes=True)
                except (Unavailable, OutcomeUnknown):
                    continue
                if term is not None:
                    grant = self._grants[resource] = Grant(resource, term, self._member)
                    return grant
            await asyncio.sleep(CAMPAIGN_S)
        raise Unavailable("the coordinator is closed")

    async def release(self, grant: Grant) -> None:
        """Give it up; if that is lost on the way, the lease ends by itself."""
        grant.lost.set()
        if self._grants.get(grant.resource) is grant:
            del self._grants[grant.resource]
        elections = self._elections

        async def effect() -> None:
            owner = elections.owners.get(grant.resource)
            if owner is not None and owner.term == grant.term:
                del elections.owners[grant.resource]

        try:
            await elections.network.ask(elections.server, effect, writes=True)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def verify(self, term: Term) -> None:
        """Whether the coordinator can have granted such a term."""
        newest = Term(self._elections.epoch, self._elections.revision)
        if term > newest:
            raise TermsBehind(f"term {term} is known, but this cluster has only come to {newest}")

    async def run(self) -> None:
        """Renew the lease again and again; learn what was lost. Silence alone loses nothing."""
        elections = self._elections

        async def effect() -> dict[str, Term]:
            return elections.renew(self._member)

        while not self._closed:
            await asyncio.sleep(LEASE_TTL_S / 4)
            try:
                mine = await elections.network.ask(elections.server, effect, writes=True)
            except (Unavailable, OutcomeUnknown):
                continue
            for resource, grant in list(self._grants.items()):
                if mine.get(resource) != grant.term:
                    del self._grants[resource]
                    grant.lost.set()

    async def close(self) -> None:
        """Give everything up."""
        self._closed = True
        for grant in list(self._grants.values()):
            try:
                await self.release(grant)
            except Unavailable:
                continue
