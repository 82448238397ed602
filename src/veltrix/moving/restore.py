"""After a backup was put back, or a log was lost: what makes the stores belong together again.

**A ledger (with its notices) that is older than its log** decides again what the log holds. That leads to
the same facts, byte by byte, which is compared with what was published. Notices of those facts may have
been sent: they are held. Erasures are carried out again, in the order of the log and before anything can be
read, because nothing else runs meanwhile.

**A log in the place of another** is declared to be a later generation: its offsets go on above all before
it, so that arrival numbers stay ordered and no offset comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from veltrix.adapters.generations import renumbered
from veltrix.adapters.memory import MemoryReplies
from veltrix.adapters.system import SystemClock
from veltrix.audit import audit
from veltrix.config import Config
from veltrix.domain.facts import NumberedFact
from veltrix.domain.identifiers import generation_of
from veltrix.moving.report import RestoreReport, Step
from veltrix.moving.stores import Stores, declared, opened, opened_notices
from veltrix.observability.metrics import NullMetrics
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import Mismatch, Unavailable
from veltrix.ports.feed import Feed, Published
from veltrix.ports.ledger import Head
from veltrix.ports.log import Log
from veltrix.processing.erasures import erased_keys
from veltrix.processing.service import ProcessingService
from veltrix.wire import encode_fact

_POLL_S: Final = 0.02
_SILENT_S: Final = 30.0
_KEYS: Final = 1_000
_LATER: Final = "not possible: the log before this one is gone"


@dataclass(slots=True)
class ComparingFeed:
    """Compares facts with those that were published, and publishes what comes after them."""

    feed: Feed
    published: dict[int, dict[int, bytes]]
    compared: int = 0
    wrong: str = ""
    _tails: dict[int, int] = field(default_factory=dict)

    async def publish(self, partition: int, facts: Sequence[NumberedFact], next_offset: int) -> None:
        """Compare or publish."""
        known = self.published.get(partition, {})
        tail = self._tails.setdefault(partition, max(known, default=0))
        for fact in facts:
            theirs = known.get(fact.seq)
            if theirs is not None and theirs != encode_fact(fact):
                self.wrong = (
                    f"fact {fact.seq} of partition {partition} is not the one that was published: the "
                    "log, the ledger or the rules are not those that led to it"
                )
                raise Unavailable(self.wrong)
            self.compared += theirs is not None
        new = [fact for fact in facts if fact.seq > tail]
        if new:
            await self.feed.publish(partition, new, next_offset)

    async def last_seq(self, partition: int) -> int:
        """Nothing stands in the way here."""
        return 0

    def subscribe(self) -> AsyncIterator[Published]:
        """Nobody listens."""
        raise NotImplementedError


async def restore(config: Config, step: Step) -> RestoreReport:
    """Decide again what the ledger lacks, forget whom the log says to forget, hold what may have been sent.

    Raises `Mismatch` with the remedy for stores that do not belong together. May be run again.
    """
    async with opened(config) as stores:
        if stores.marker is not None:
            stores.marker.touch(mode=0o600)
        report = RestoreReport(generation=stores.log.identity.generation)
        log = renumbered(stores.log)
        before = {partition: await stores.ledger.head(partition) for partition in stores.partitions}
        planned = {partition: await stores.notices.position(partition) for partition in stores.partitions}
        last = {partition: head.next_seq - 1 if head else 0 for partition, head in before.items()}
        tails = {partition: await stores.feed.last_seq(partition) for partition in stores.partitions}
        # Notices that are ahead of the ledger were not restored with it, and know what was sent.
        older = [partition for partition in stores.partitions if planned[partition] <= last[partition]]
        for partition in older:
            report.held += await stores.notices.hold(partition, max(last[partition], tails[partition]))
        published = {
            partition: await stores.published(partition, last[partition])
            for partition in stores.partitions
            if tails[partition] > last[partition]
        }
        feed = ComparingFeed(stores.feed, published)
        after = await _decide(stores, log, feed, step)
        report.compared = feed.compared
        for partition, head in after.items():
            was = before[partition]
            report.decided[partition] = head.next_offset - (was.next_offset if was else 0)
            if head.next_seq <= tails[partition]:
                report.reason = (
                    f"fact {tails[partition]} of partition {partition} was published, but the log ends at "
                    f"fact {head.next_seq - 1}: it is older than what it led to. Put back a newer one"
                )
            if partition in older:
                report.held += await stores.notices.hold(partition, head.next_seq - 1)
        report.erasures = await _forget(stores, step)
        report.held = await stores.notices.held()
        await _audit(stores, log, report, step)
        if stores.marker is not None and report.passed:
            stores.marker.unlink(missing_ok=True)
        return report


async def adopt_log(config: Config, step: Step) -> RestoreReport:
    """Bind the ledger to the log that is there, which takes the place of one that is lost.

    Raises `Mismatch` when it is the ledger's own. May be run again.
    """
    async with opened(config, new_log=True) as stores:
        found = [await stores.ledger.head(partition) for partition in stores.partitions]
        heads = [head for head in found if head is not None]
        if not heads:
            raise Mismatch("the ledger is empty: there is nothing that a log could be missing for")
        identity = stores.log.identity
        known = {head.topic_id for head in heads}
        if known == {identity.topic_id} and len(heads) == identity.partitions:
            raise Mismatch(
                "the log that is there is the ledger's own. If it is shorter than the ledger, move it away "
                "(Kafka: delete the topic and run veltrix cluster prepare) and run this again; else run: "
                "veltrix restore"
            )
        highest = max(generation_of(head.next_offset) for head in heads)
        at_least = highest if identity.topic_id in known else highest + 1
        bound = await declared(config, stores, at_least)
        report = RestoreReport(generation=bound.generation, audit=_LATER)
        for partition in stores.partitions:
            grant = await _granted(stores, partition)
            await stores.ledger.rebind(partition, grant.term, grant.owner, bound)
            await stores.coordinator.release(grant)
            report.decided[partition] = 0
            step("Binding partitions", partition + 1, identity.partitions)
        report.erasures = await _forget(stores, step)
        report.held = await stores.notices.held()
        return report


async def held_notices(config: Config, send: bool | None) -> int:
    """Send what is held, or drop it (False); None only counts."""
    async with opened_notices(config) as notices:
        return await notices.held() if send is None else await notices.release(send=send)


async def _decide(stores: Stores, log: Log, feed: ComparingFeed, step: Step) -> dict[int, Head]:
    """Decide to the end that each partition has now, by the very code of processing."""
    ends = {partition: (await log.bounds(partition))[1] for partition in stores.partitions}
    clock = SystemClock()
    service = ProcessingService(
        log,
        stores.ledger,
        feed,
        MemoryReplies(),
        stores.vault,
        stores.coordinator,
        clock,
        NullMetrics(),
        ticks=False,
    )
    await service.start()
    try:
        reached, total, since_s = -1, sum(ends.values()), clock.monotonic_s()
        while True:
            heads = {partition: await stores.ledger.head(partition) for partition in ends}
            done = {partition: head for partition, head in heads.items() if head and _settled(head, ends)}
            if feed.wrong or service.failed:
                raise Mismatch(feed.wrong or next(iter(service.failed.values())))
            if len(done) == len(ends):
                return done
            now = sum(head.next_offset + head.relayed_seq for head in heads.values() if head is not None)
            if now != reached:
                reached, since_s = now, clock.monotonic_s()
            elif clock.monotonic_s() - since_s > _SILENT_S:
                raise Unavailable(
                    "deciding does not go on; see that all engines answer and nothing else runs"
                )
            step("Deciding again", sum(head.next_offset for head in heads.values() if head), total)
            await asyncio.sleep(_POLL_S)
    finally:
        await service.stop()


def _settled(head: Head, ends: dict[int, int]) -> bool:
    """Whether all is decided and every fact is published: its erasures are carried out then."""
    return head.next_offset >= ends[head.partition] and head.relayed_seq >= head.next_seq - 1


async def _granted(stores: Stores, partition: int) -> Grant:
    """The partition, under a term that the ledger does not know yet."""
    try:
        async with asyncio.timeout(_SILENT_S):
            grant = await stores.coordinator.acquire(f"partition/{partition}")
    except TimeoutError:
        raise Unavailable(f"partition {partition} is owned by another process; stop it first") from None
    head = await stores.ledger.head(partition)
    if head is not None:
        await stores.coordinator.verify(head.term)
    return grant


async def _forget(stores: Stores, step: Step) -> int:
    """Destroy the keys of everybody who was ever erased; those that are gone already stay so."""
    erasures, keys = 0, list[str]()
    async for theirs in erased_keys(stores.ledger, stores.partitions):
        erasures += 1
        keys += theirs
        if len(keys) >= _KEYS:
            await stores.vault.destroy(keys)
            keys = []
            step("Forgetting erased persons", erasures, erasures)
    if keys:
        await stores.vault.destroy(keys)
    return erasures


async def _audit(stores: Stores, log: Log, report: RestoreReport, step: Step) -> None:
    if report.generation:
        report.audit = _LATER
        return
    found = await audit(log, stores.ledger, lambda done, total: step("Auditing", done, total))
    report.audit = "PASS" if found.passed else "FAIL"
    report.reason = report.reason or found.reason
