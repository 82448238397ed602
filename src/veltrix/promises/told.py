"""Who was told what: one notice a fact, recipient and channel, and no message without need."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from veltrix.domain.facts import NumberedFact
from veltrix.domain.notices import addressees, fan_out
from veltrix.ports.notices import Notice, NoticeStatus

OVER: Final = frozenset(
    {NoticeStatus.ACCEPTED, NoticeStatus.REFUSED, NoticeStatus.SUPPRESSED, NoticeStatus.DEAD}
)
Place = tuple[int, int]
"""(partition, sequence) of a fact."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A notice, how it ended, and how often it was tried."""

    notice: Notice
    status: NoticeStatus
    attempts: int
    detail: str = ""


def one_notice_each(
    facts: Iterable[NumberedFact], standings: Iterable[Standing], channels: int = 1
) -> Iterator[str]:
    """Each fact that concerns people led to one notice for each of them and channel, and to none besides."""
    found: dict[Place, Counter[str]] = defaultdict(Counter)
    for standing in standings:
        notice = standing.notice
        found[notice.partition, notice.seq][notice.recipient, notice.channel] += 1  # type: ignore[index]  # a pair
    known: set[Place] = set()
    for fact in facts:
        place = fact.partition, fact.seq
        known.add(place)
        ours = found.get(place, Counter())
        yield from (
            f"fact {place[0]}-{place[1]}: {count} notices to one recipient"
            for count in ours.values()
            if count > 1
        )
        if fan_out(fact.fact) is not None:
            continue  # to whom depends on who was there when each page was made
        told = len(addressees(fact.fact)) * channels
        if told != ours.total():
            yield f"fact {place[0]}-{place[1]} ({fact.fact.kind}): {told} to tell, {ours.total()} notices"
    for place in found.keys() - known:
        yield f"a notice of fact {place[0]}-{place[1]}, which there is not"


def all_over(standings: Iterable[Standing]) -> Iterator[str]:
    """When nothing is left to do, every notice has come to its end, and none was given up."""
    for standing in standings:
        if standing.status not in OVER:
            attempts = f"after {standing.attempts} attempts"
            yield f"notice {standing.notice.id} is still {standing.status} {attempts}: {standing.detail}"
        elif standing.status is NoticeStatus.DEAD:
            yield f"notice {standing.notice.id} was given up: {standing.detail}"


def delivered(standings: Iterable[Standing], arrived: Mapping[str, int]) -> Iterator[str]:
    """What is accepted has arrived; nothing arrives more often than it was tried."""
    known: set[str] = set()
    for standing in standings:
        notice, came = standing.notice.id, arrived.get(standing.notice.id, 0)
        known.add(notice)
        if standing.status is NoticeStatus.ACCEPTED and not came:
            yield f"notice {notice} is accepted and never arrived"
        if came > standing.attempts:
            yield f"notice {notice} arrived {came} times in {standing.attempts} attempts"
    for notice in sorted(arrived.keys() - known):
        yield f"a message of notice {notice} arrived, which nobody owed"
