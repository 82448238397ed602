"""Facts to notices, in the transaction that advances the inbox.

The feed is a hint: what it brings is planned when it continues the inbox without a gap, and read from the
ledger's published facts otherwise. What brought a fact decides nothing; the inbox's compare-and-swap does,
so that every fact is planned once whatever is lost, repeated or restarted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.domain.facts import FactKind, NumberedFact
from veltrix.domain.identifiers import notice_id
from veltrix.domain.notices import Addressee, addressees, erased, expires_ms, fan_out
from veltrix.notification.choices import Choices
from veltrix.notification.memory import Events, Recent
from veltrix.notification.meters import NotificationMetrics
from veltrix.observability.logging import get_logger
from veltrix.observability.tracing import OFF, Tracer
from veltrix.ports.errors import Fenced, PortError
from veltrix.ports.feed import Feed, Published
from veltrix.ports.notices import WEBHOOK, FanOut, Notice, Notices, Planned
from veltrix.ports.outreach import Endpoint
from veltrix.ports.queries import Queries
from veltrix.ports.simulated import buggify, sometimes
from veltrix.ports.spans import SpanKind
from veltrix.ports.system import Clock

_log = get_logger("notification")


@dataclass(slots=True)
class NoticeMaker:
    """Makes the notices of addressees, one a channel, and keeps at hand what they are about."""

    notices: Notices
    recent: Recent
    channels: tuple[str, ...]

    async def make(
        self, numbered: NumberedFact, told: Sequence[Addressee], planned: Sequence[Notice]
    ) -> list[Notice]:
        """The notices of one fact; `planned` are those that are about to be recorded with them."""
        made: list[Notice] = []
        for addressee in told:
            recipient = addressee.recipient
            if recipient is None:
                recipient = await self._holder(addressee, planned)
            made += [self._notice(numbered, addressee, recipient, channel) for channel in self.channels]
        return made

    def _notice(self, numbered: NumberedFact, addressee: Addressee, recipient: str, channel: str) -> Notice:
        fact, registration = numbered.fact, addressee.registration
        notice = Notice(
            id=notice_id(numbered.partition, numbered.seq, recipient, channel),
            organizer=fact.organizer,
            event=fact.event,
            partition=numbered.partition,
            seq=numbered.seq,
            kind=addressee.kind.value,
            registration=registration.id,
            recipient=recipient,
            channel=channel,
            key_id=addressee.key_id,
            created_ms=numbered.log_time_ms,
            trace=numbered.trace,
            expires_ms=expires_ms(fact),
        )
        self.recent.put(notice.id, numbered, registration)
        return notice

    def posts(self, numbered: NumberedFact, endpoints: Sequence[Endpoint]) -> Iterator[Notice]:
        """The notices of one fact to endpoints. They keep no key: what is posted names no person."""
        fact = numbered.fact
        for endpoint in endpoints:
            notice = Notice(
                id=notice_id(numbered.partition, numbered.seq, endpoint.id, WEBHOOK),
                organizer=fact.organizer,
                event=fact.event,
                partition=numbered.partition,
                seq=numbered.seq,
                kind=fact.kind.value,
                registration="" if fact.registration is None else fact.registration.id,
                recipient=endpoint.id,
                channel=WEBHOOK,
                key_id="",
                created_ms=numbered.log_time_ms,
                trace=numbered.trace,
                ordered=endpoint.ordered,
            )
            self.recent.put(notice.id, numbered, None)
            yield notice

    async def _holder(self, addressee: Addressee, planned: Sequence[Notice]) -> str:
        """Who holds a single seat: the notice of its transfer, under the same key, says so.

        Without one (it was suppressed and swept, say) the key stands for the person: still one notice.
        """
        known = [
            *planned,
            *(notice for notice, *_ in await self.notices.of_registration(addressee.registration.id)),
        ]
        found = (notice.recipient for notice in known if notice.key_id == addressee.key_id)
        return next(found, addressee.key_id)


@dataclass(slots=True)
class Planner:
    """Follows the facts of every partition. `forget` lets channels forget, `wake` tells of new notices;
    without `choices` nobody has endpoints."""

    feed: Feed
    queries: Queries
    notices: Notices
    maker: NoticeMaker
    events: Events
    metrics: NotificationMetrics
    partitions: int
    forget: Callable[[list[str]], Awaitable[None]]
    wake: Callable[[], None]
    wake_fan_out: Callable[[], None]
    courtesy: Callable[[], Awaitable[None]]
    clock: Clock
    tracer: Tracer = OFF
    choices: Choices | None = None
    positions: dict[int, int] = field(default_factory=dict)
    _hints: dict[int, deque[NumberedFact]] = field(default_factory=dict)
    _unread: set[int] = field(default_factory=set)
    _aside: dict[int, int | None] = field(default_factory=dict)
    _swept_s: float = 0.0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    def stop(self) -> None:
        """Let `run` end after what it is recording."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Plan until stopped; errors are tried again, from the ledger."""
        hints = self.feed.subscribe()  # before the first look into the ledger: nothing falls in between
        self.sweep()
        listening = asyncio.create_task(self._listen(hints), name="notification/feed")
        delay_s = limits.BACKOFF_MIN_S
        try:
            while not self._stopping:
                try:
                    while await self.step():
                        await self.courtesy()
                    delay_s = limits.BACKOFF_MIN_S
                    await self._wait()
                except PortError as error:
                    _log.warning("planning_interrupted", error=str(error))
                    await self._back_off(delay_s)
                    delay_s = min(delay_s * 2, limits.BACKOFF_MAX_S)
                except Exception:
                    _log.exception("planning_failed")
                    await self._back_off(limits.BACKOFF_MAX_S)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def step(self) -> bool:
        """Plan a run of facts of some partition; False when there is nothing to do."""
        for partition in [*self._hints, *self._unread]:
            if self._stopping:
                return False
            if partition in self._aside and await self._others_plan(partition):
                self._unread.discard(partition)
                continue
            at = self.positions.get(partition)
            if at is None:
                at = self.positions[partition] = await self.notices.position(partition)
            run = self._continuing(partition, at)
            if not run and partition in self._unread:
                run = await self._published(partition, at)
                if not run:
                    self._unread.discard(partition)
            if run:
                try:
                    await self._record(partition, run)
                except Fenced as error:
                    self._stand_aside(partition, error)
                    continue
                if partition in self._hints:  # behind the others: a busy partition must not keep them waiting
                    self._hints[partition] = self._hints.pop(partition)
                return True
        return False

    def _stand_aside(self, partition: int, error: Fenced) -> None:
        """Another process plans this partition: leave it to that one as long as its inbox moves. Both would
        plan everything otherwise, and throw half of it away."""
        sometimes("planner.fenced")
        _log.debug("inbox_moved", partition=partition, error=str(error))
        self._aside[partition] = None
        self._hints.pop(partition, None)
        self._unread.discard(partition)

    async def _others_plan(self, partition: int) -> bool:
        """Whether the inbox moved since it was last looked at, or has nothing to move for."""
        at = await self.notices.position(partition)
        head = await self.queries.head(partition)
        if head is not None and head.relayed_seq > at and self._aside[partition] == at:
            sometimes("planner.takes_up")
            _log.info("planning_taken_up", partition=partition, after_seq=at)
            del self._aside[partition]
            return False
        self._aside[partition] = at
        return True

    async def _published(self, partition: int, at: int) -> list[NumberedFact]:
        """The next facts that are published: before that, an erased person's keys may still be there."""
        head = await self.queries.head(partition)
        if head is None or head.relayed_seq <= at:
            return []
        most = 1 if buggify("planner.short_run") else min(limits.NOTICE_BATCH_MAX, head.relayed_seq - at)
        return await self.queries.facts(partition, at, most)

    def take(self, published: Published) -> None:
        """A hint: facts that were published."""
        if published.partition in self._aside or buggify("planner.drop_hint"):
            return
        hints = self._hints.setdefault(published.partition, deque())
        if len(hints) + len(published.facts) > limits.NOTICE_HINTS_MAX:
            hints.clear()
            self._unread.add(published.partition)
        else:
            hints.extend(published.facts)
        self._wake.set()

    def _continuing(self, partition: int, at: int) -> list[NumberedFact]:
        """The hints that go on where the inbox is; a gap before them is to be read from the ledger."""
        hints = self._hints.get(partition)
        run: list[NumberedFact] = []
        while hints and len(run) < limits.NOTICE_BATCH_MAX:
            seq = hints[0].seq
            if seq > at + len(run) + 1:
                if not run:
                    sometimes("planner.gap")
                    self._unread.add(partition)
                break
            hint = hints.popleft()
            if seq == at + len(run) + 1:
                run.append(hint)
        if hints is not None and not hints:
            del self._hints[partition]
        return run

    async def _record(self, partition: int, run: Sequence[NumberedFact]) -> None:
        try:
            for part in _parts(run):
                await self._record_part(partition, part)
        except (Fenced, PortError):
            # Another one moved the inbox, or the answer was lost: where it stands is to be read again.
            self.positions.pop(partition, None)
            self._unread.add(partition)
            raise

    async def _record_part(self, partition: int, part: Sequence[NumberedFact]) -> None:
        at = part[0].seq - 1
        person = erased(part[0].fact)
        if person is not None:
            sometimes("planner.erased")
            # The inbox moves past an erasure only after every mail of theirs is gone: forgetting is
            # repeated after a crash.
            await self.forget(await self.notices.record(partition, at, at, Planned(erased=[person])))
        planned = Planned()
        began_s = self.clock.monotonic_s()
        if self.choices is not None:
            await (
                self.choices.refresh()
            )  # whoever was told that an endpoint stands gets what is decided since
        for numbered in part:
            await self._plan(numbered, planned)
        await self.notices.record(partition, at, part[-1].seq, planned)
        if self.tracer.enabled:
            self._trace(part, began_s)
        self.positions[partition] = part[-1].seq
        self._told(planned)

    def _trace(self, part: Sequence[NumberedFact], began_s: float) -> None:
        ended_s = self.clock.monotonic_s()
        for numbered in part:
            if (place := self.tracer.place(numbered.trace)) is not None:
                told = {"veltrix.fact": numbered.fact.kind.value, "veltrix.seq": numbered.seq}
                self.tracer.span("plan notices", SpanKind.CONSUMER, place, began_s, ended_s, told)

    async def _plan(self, numbered: NumberedFact, planned: Planned) -> None:
        fact = numbered.fact
        if fact.event_after is not None:
            self.events.put(fact.event_after)
        if self.choices is not None:
            planned.notices += self.maker.posts(numbered, self.choices.of(numbered))
        told = addressees(fact)
        if told:
            planned.notices += await self.maker.make(numbered, told, planned.notices)
            return
        kind = fan_out(fact)
        if kind is not None:
            planned.jobs.append(
                FanOut(
                    numbered.partition,
                    numbered.seq,
                    fact.organizer,
                    fact.event,
                    kind.value,
                    trace=numbered.trace,
                )
            )

    def _told(self, planned: Planned) -> None:
        kinds: dict[str, int] = {}
        for notice in planned.notices:
            kinds[notice.kind] = kinds.get(notice.kind, 0) + 1
        for kind, count in kinds.items():
            self.metrics.planned(kind, count)
        if planned.notices:
            self.wake()
        if planned.jobs:
            self.wake_fan_out()

    async def _listen(self, hints: AsyncIterator[Published]) -> None:
        while True:
            try:
                async for published in hints:
                    self.take(published)
            except Exception:
                _log.exception("feed_failed")
            await asyncio.sleep(limits.BACKOFF_MAX_S)
            hints = self.feed.subscribe()

    async def _wait(self) -> None:
        """For a hint; now and then the ledger is looked into without one, for those that were lost."""
        try:
            async with asyncio.timeout(limits.FACTS_POLL_S):
                await self._wake.wait()
            if not self._stopping:
                await asyncio.sleep(limits.PLAN_LINGER_S)  # who comes meanwhile shares the transaction
        except TimeoutError:
            pass
        self._wake.clear()
        if self.clock.monotonic_s() - self._swept_s >= limits.FACTS_POLL_S:
            self.sweep()

    def sweep(self) -> None:
        """Have every partition looked into, hint or no hint."""
        self._unread.update(range(self.partitions))
        self._swept_s = self.clock.monotonic_s()

    async def _back_off(self, delay_s: float) -> None:
        if not self._stopping:
            await asyncio.sleep(delay_s)
        self.sweep()


def _parts(run: Sequence[NumberedFact]) -> Iterator[Sequence[NumberedFact]]:
    """Runs without an erasure, and each erasure alone: what was planned before it must be found by it."""
    start = 0
    for index, numbered in enumerate(run):
        if numbered.fact.kind is FactKind.PERSON_ERASED:
            if start < index:
                yield run[start:index]
            yield run[index : index + 1]
            start = index + 1
    if start < len(run):
        yield run[start:]
