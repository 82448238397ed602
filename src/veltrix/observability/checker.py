"""Looks again and again, while the system runs, whether what must hold does hold. One checks at a time.

Each round looks at a few things: some events in turn, the newest decisions and facts of every partition, the
notices of facts that are planned. It is a smoke detector, not the audit: that replays everything, when asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from veltrix.domain import limits
from veltrix.domain.facts import NumberedFact
from veltrix.domain.notices import addressees
from veltrix.observability.logging import get_logger
from veltrix.ports.coordinator import Coordinator, Grant
from veltrix.ports.errors import PortError
from veltrix.ports.ledger import Head
from veltrix.ports.notices import Notices
from veltrix.ports.queries import Queries
from veltrix.ports.samples import Balance, Run, Samples
from veltrix.ports.system import Clock

_log = get_logger("checker")

RESOURCE: Final = "checker"
_TOLD_MAX: Final = 1_000


class CheckMetrics(Protocol):
    """What the checker tells."""

    def checker_active(self, active: bool) -> None:
        """Whether it runs in this process."""

    def checked(self, invariant: str, violations: int) -> None:
        """A sample of an invariant was looked at; so many of what was looked at violate it."""

    def check_round(self, seconds: float) -> None:
        """A round took so long."""

    def unplanned(self, facts: Mapping[int, int]) -> None:
        """Published facts, by partition, whose notices are not recorded yet."""


def unbalanced(balance: Balance) -> list[str]:
    """Pools whose `taken` is not the number of seats that are held or confirmed in them."""
    seats = dict.fromkeys(balance.pools, 0)
    for category, count in balance.seats.items():
        for pool in balance.pools_of.get(category, ()):
            seats[pool] = seats.get(pool, 0) + count
    return [
        f"pool {pool}: {numbers.taken} taken, {seats[pool]} held and confirmed"
        for pool, numbers in balance.pools.items()
        if numbers.taken != seats[pool]
    ]


def overfull(balance: Balance) -> list[str]:
    """Pools of which more is taken than may be."""
    return [
        f"pool {pool}: {numbers.taken} taken of {numbers.capacity}, at most {numbers.ceiling}"
        for pool, numbers in balance.pools.items()
        if not 0 <= numbers.taken <= numbers.ceiling or numbers.ceiling < numbers.capacity
    ]


def broken(what: str, run: Run) -> list[str]:
    """What is missing among the newest numbers."""
    if run.whole:
        return []
    return [f"{run.count} {what} from {run.first} to {run.last}, and the next is {run.following}"]


def fallen(before: Head, now: Head) -> list[str]:
    """What of a partition went back, and never may."""
    numbers = (
        ("next offset", before.next_offset, now.next_offset),
        ("next fact", before.next_seq, now.next_seq),
        ("log time", before.log_time_ms, now.log_time_ms),
        ("published facts", before.relayed_seq, now.relayed_seq),
    )
    found = [f"the term went from {before.term} back to {now.term}"] if now.term < before.term else []
    return found + [f"the {name} went from {was} back to {at}" for name, was, at in numbers if at < was]


@dataclass(slots=True)
class Checker:
    """Runs rounds while it holds the grant `checker`. `partitions` is how many there are."""

    samples: Samples
    queries: Queries
    notices: Notices
    clock: Clock
    metrics: CheckMetrics
    partitions: int
    interval_s: float = limits.CHECK_INTERVAL_S
    _after: str = ""
    _heads: dict[int, Head] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)

    async def run(self, coordinator: Coordinator) -> None:
        """Wait for the grant and check; start again when it is lost. Ends by cancellation."""
        while True:
            try:
                grant = await coordinator.acquire(RESOURCE)
                _log.info("checker_elected", term=str(grant.term))
                self.metrics.checker_active(True)
                try:
                    await self._check_while(grant)
                finally:
                    self.metrics.checker_active(False)
                    await coordinator.release(grant)
            except PortError as error:
                _log.debug("checker_waits", error=str(error))
            await asyncio.sleep(self.interval_s)

    async def _check_while(self, grant: Grant) -> None:
        while not grant.lost.is_set():
            began_s = self.clock.monotonic_s()
            try:
                await self.round()
            except PortError as error:  # engines fail; that is told elsewhere
                _log.debug("not_checked", error=str(error))
            except Exception:  # a defect of the checker's own must not end it
                _log.exception("checking_failed")
            self.metrics.check_round(self.clock.monotonic_s() - began_s)
            await asyncio.sleep(self.interval_s)

    async def round(self) -> None:
        """Look at everything once, as far as a round goes."""
        recent: set[str] = set()
        unplanned: dict[int, int] = {}
        most = max(1, limits.CHECK_NOTICES // self.partitions)
        for partition in range(self.partitions):
            head = await self.queries.head(partition)
            if head is None:
                continue
            self._progress(head)
            await self._gaps(partition)
            planned = await self.notices.position(partition)
            unplanned[partition] = max(0, head.relayed_seq - planned)
            after = max(0, min(planned, head.relayed_seq) - most)
            facts = await self.queries.facts(partition, after, most)
            recent.update(each.fact.event for each in facts)
            await self._told_all([each for each in facts if each.seq <= planned])
        self.metrics.unplanned(unplanned)
        await self._balances(sorted(recent)[-limits.CHECK_EVENTS :])

    def _progress(self, head: Head) -> None:
        before = self._heads.get(head.partition)
        self._heads[head.partition] = head
        if before is not None:
            self._found("terms_grow", fallen(before, head), partition=head.partition)

    async def _gaps(self, partition: int) -> None:
        decisions = await self.samples.decisions(partition, limits.CHECK_SAMPLE)
        if decisions is not None:
            self._found("decisions_without_gap", broken("decisions", decisions), partition=partition)
        facts = await self.samples.facts(partition, limits.CHECK_SAMPLE)
        if facts is not None:
            self._found("facts_without_gap", broken("facts", facts), partition=partition)

    async def _told_all(self, facts: Iterable[NumberedFact]) -> None:
        """Facts that are planned have a notice of everybody whom they concern."""
        for numbered in facts:
            for registration in {each.registration.id for each in addressees(numbered.fact)}:
                noticed = await self.notices.of_registration(registration)
                seqs = {notice.seq for notice, *_ in noticed if notice.partition == numbered.partition}
                missing = [] if numbered.seq in seqs else [f"fact {numbered.seq} has no notice"]
                self._found(
                    "decisions_have_notices",
                    missing,
                    partition=numbered.partition,
                    offset=numbered.offset,
                    registration=registration,
                )

    async def _balances(self, recent: Iterable[str]) -> None:
        """The events of the newest facts, and some others in turn."""
        others = await self.samples.events(self._after, limits.CHECK_EVENTS)
        self._after = others[-1] if len(others) == limits.CHECK_EVENTS else ""
        for event in dict.fromkeys([*recent, *others]):
            balance = await self.samples.balance(event)
            if balance is not None:
                self._found("pools_balance", unbalanced(balance), event=event)
                self._found("pools_within_capacity", overfull(balance), event=event)

    def _found(self, invariant: str, violations: list[str], **where: str | int) -> None:
        """Count a look; what is found is said the first time."""
        self.metrics.checked(invariant, len(violations))
        for found in violations:
            key = (invariant, str(sorted(where.items())))
            if key not in self._told and len(self._told) < _TOLD_MAX:
                self._told.add(key)
                _log.error("invariant_violated", invariant=invariant, found=found, **where)
