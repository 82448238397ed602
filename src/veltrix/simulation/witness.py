"""The witness: looks at the engines' state after every step that touches the ledger, and at what leaves it.

It sees what no process can: the state behind the network, at the very moment of each write. It stands
between the network and the adapters in memory, and changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from veltrix.ports.errors import Fenced
from veltrix.ports.feed import Published, Reply
from veltrix.ports.ledger import Changes, Head, Term
from veltrix.ports.log import LogIdentity
from veltrix.promises.steps import Pool, Steps
from veltrix.simulation.cluster import Cluster

COMPLAINTS_MAX: Final = 50
"""A run that is broken is broken: more than so many complaints say nothing new."""
_LOOKED_AT: Final = ("commit", "take_over", "rebind", "relayed", "head", "load")


class _Deaf:
    """Takes what is published, and does nothing with it."""

    def put(self, batch: Published) -> None:
        """Never mind."""


class Witness:
    """Attached to a cluster before its hosts start. `complaints` are its findings, with their times.

    `appended_s` says when the record at a (partition, offset) was appended, by nobody's clock but the loop's;
    `claims` counts how often each notice was taken to be sent.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.complaints: list[str] = []
        self.seen: Counter[str] = Counter()
        self.claims: Counter[str] = Counter()
        self._cluster = cluster
        self._ledger: Any = cluster.engines.ledger
        self._steps = Steps()
        self._looked = -1
        self._positions: dict[int, int] = {}
        self._published: dict[int, int] = {}
        self._beyond: dict[int, set[int]] = defaultdict(set)
        self.appended_s: dict[tuple[int, int], float] = {}
        log: Any = cluster.engines.log
        log.append = self._appending(log.append)
        for name in _LOOKED_AT:
            setattr(self._ledger, name, self._looking(name, getattr(self._ledger, name)))
        notices: Any = cluster.engines.notices
        notices.record = self._recording(notices.record)
        notices.claim = self._claiming(notices.claim)
        network: Any = cluster.network
        deaf: Any = _Deaf()  # a subscriber, so that whatever is published passes by here
        cluster.topic.subscriptions.append((cluster.loop.outside, deaf))
        self._tell = network.tell
        network.tell = self._telling

    def say(self, complaints: Iterable[str]) -> None:
        """Keep complaints, with the time."""
        for complaint in complaints:
            if len(self.complaints) < COMPLAINTS_MAX:
                self.complaints.append(f"{complaint} (at {self._cluster.loop.time():.3f} s)")

    def _appending(self, real: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def appending(partition: int, record: Any) -> Any:
            appended = await real(partition, record)
            self.appended_s[partition, appended.offset] = self._cluster.loop.time()
            return appended

        return appending

    def _looking(self, name: str, real: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        reads = name in ("head", "load")

        async def looked(*args: Any, **kwargs: Any) -> Any:
            self._look(surely=False)
            self.seen[name] += 1
            try:
                done = await real(*args, **kwargs)
            except Fenced:
                if name == "take_over":
                    self._refused(*args)
                raise
            self._look(surely=not reads)
            if name == "commit":
                changes: Changes = args[0]
                self.say(self._steps.committed(changes.partition, changes.term))
            elif name == "relayed":
                self._marked(*args)
            return done

        return looked

    def _look(self, *, surely: bool = True) -> None:
        """Every partition's head with what stands behind it, and every pool, where anything may be new."""
        if self._ledger.version == self._looked and not surely:
            return
        self._looked = self._ledger.version
        tables = self._ledger._tables
        for partition in tables.partitions.values():
            self.say(self._steps.head(partition.head, len(partition.decisions), len(partition.facts)))
        self.say(
            self._steps.pools(
                Pool(event, key, pool.capacity, pool.taken, pool.ceiling)
                for (event, key), pool in tables.pools.items()
            )
        )

    def _refused(self, partition: int, term: Term, owner: str, _: LogIdentity) -> None:
        """Who owns a partition may take it again, for an answer that was lost."""
        head: Head = self._ledger._tables.partitions[partition].head
        if (head.term, head.owner) == (term, owner):
            self.say([f"partition {partition}: {owner} was fenced by its own term {term}"])

    def _marked(self, partition: int, _: Term, seq: int) -> None:
        self.say(self._steps.relayed(partition, seq, self._published.get(partition, 0)))

    def _recording(self, real: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def recorded(partition: int, after_seq: int, upto_seq: int, planned: Any) -> Any:
            before = self._positions.get(partition, 0)
            done = await real(partition, after_seq, upto_seq, planned)
            self.seen["record"] += 1
            if upto_seq < before:
                self.say([f"partition {partition}: the inbox went back from {before} to {upto_seq}"])
            self._positions[partition] = upto_seq
            return done

        return recorded

    def _claiming(self, real: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def claiming(*args: Any, **kwargs: Any) -> Any:
            claimed = await real(*args, **kwargs)
            self.claims.update(each.notice.id for each in claimed)
            return claimed

        return claiming

    def _pass(self, batch: Published) -> None:
        """Up to where every fact was published, not one left out."""
        beyond, upto = self._beyond[batch.partition], self._published.get(batch.partition, 0)
        beyond.update(fact.seq for fact in batch.facts)
        while upto + 1 in beyond:
            upto += 1
            beyond.discard(upto)
        self._published[batch.partition] = upto

    def _telling(self, host: str, to: Any, receive: Any, *args: Any, **options: Any) -> None:
        for arg in args:
            if isinstance(arg, Published):
                self._look()
                self.seen["published"] += 1
                self._pass(arg)
                for fact in arg.facts[-1:]:
                    self.say(self._steps.published(arg.partition, fact.seq))
            elif isinstance(arg, list) and arg and isinstance(arg[0], Reply):
                self._look()
                self.seen["replied"] += 1
                last = arg[-1].decision
                self.say(self._steps.replied(last.partition, last.offset))
        self._tell(host, to, receive, *args, **options)
