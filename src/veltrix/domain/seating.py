"""Who gets a seat: what fits, who must queue, and whom a freed seat is offered to."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from veltrix.domain import limits
from veltrix.domain.event import EventStatus, WaitlistMode
from veltrix.domain.facts import Fact, FactKind, Skipped
from veltrix.domain.registration import Registration, RegistrationStatus
from veltrix.domain.state import EventState, Need


def fits(event: EventState, need: Need) -> bool:
    """Whether there is room for the whole party now."""
    pools = event.pools
    for pool, count in need:
        has = pools[pool]
        if has.capacity - has.taken < count:  # also when the capacity was lowered below what is taken
            return False
    return True


def could_ever_fit(event: EventState, need: Need) -> bool:
    """Whether the party would have room if every seat were free."""
    return all(event.pools[pool].capacity >= count for pool, count in need)


def must_queue(event: EventState, need: Need) -> bool:
    """Whether a newcomer with this need stands behind those who wait, by the event's waitlist mode."""
    waitlist = event.event.spec.waitlist
    if not event.waiting.parties:
        return False
    if waitlist is not None and waitlist.mode is WaitlistMode.STRICT:
        return event.waiting.waits_for(need)
    return any_waiting_fits(event)


def any_waiting_fits(event: EventState) -> bool:
    """Whether there is room now for anyone who waits."""
    return any(fits(event, need) for need, _ in event.waiting.lines())


def may_promote(event: EventState) -> bool:
    """Whether freed seats go to the waitlist in the event's present state."""
    status, waitlist = event.event.status, event.event.spec.waitlist
    if status is EventStatus.OPEN:
        return True
    return status is EventStatus.CLOSED and waitlist is not None and waitlist.promote_after_close


def seated(event: EventState, registration: Registration, log_time_ms: int) -> Registration:
    """The registration as it stands once it has its seats: held, where the event uses holds."""
    holds = event.event.spec.holds
    if holds is None:
        return replace(
            registration,
            status=RegistrationStatus.CONFIRMED,
            hold_deadline_ms=None,
            changed_ms=log_time_ms,
            version=registration.version + 1,
        )
    return replace(
        registration,
        status=RegistrationStatus.HELD,
        hold_number=registration.hold_number + 1,
        hold_deadline_ms=log_time_ms + holds.ttl_s * 1000,
        changed_ms=log_time_ms,
        version=registration.version + 1,
    )


def promotions(event: EventState, log_time_ms: int, most: int, *, offering: bool) -> list[Fact]:
    """Seat who waits, in arrival order, up to `most` parties; each fits whole or is passed over.

    Offering: something was freed, and what is free is offered to all. Otherwise, where the event is strict,
    only to whom nobody who came earlier stands in the way: a newcomer does not get by queuing what it was
    not given at once. A party that is passed over is named, with the pool that it is short of, in the fact
    of the promotion that takes from a pool that it waits for.
    """
    if not event.waiting.parties or not may_promote(event) or not any_waiting_fits(event):
        return []
    waitlist = event.event.spec.waitlist
    in_line = not offering and waitlist is not None and waitlist.mode is WaitlistMode.STRICT
    free = {key: pool.free for key, pool in event.pools.items()}
    lines = {need: deque(line[:most]) for need, line in event.waiting.lines()}
    facts: list[Fact] = []
    while len(facts) < most:
        fitting = [
            (line[0], need)
            for need, line in lines.items()
            if all(free[pool] >= count for pool, count in need)
            if not (in_line and _ahead(lines, need, line[0][0]))
        ]
        if not fitting:
            break
        (arrival, chosen), need = min(fitting)
        skipped = _skipped(_ahead(lines, need, arrival), free)
        for pool, count in need:
            free[pool] -= count
        lines[need].popleft()
        if not lines[need]:
            del lines[need]
        waiting = event.registrations[chosen]
        assert waiting is not None, "every waiting registration is loaded"
        facts.append(
            Fact(
                FactKind.REGISTRATION_PROMOTED,
                event.event.id,
                event.event.organizer,
                registration=seated(event, waiting, log_time_ms),
                skipped=skipped,
            )
        )
    return facts


def _ahead(
    lines: dict[Need, deque[tuple[int, str]]], need: Need, arrival: int
) -> list[tuple[int, str, Need]]:
    """Who came earlier and waits for one of the same pools: of each kind of party, the first."""
    pools = {pool for pool, _ in need}
    return [
        (*line[0], other)
        for other, line in lines.items()
        if line[0][0] < arrival and any(pool in pools for pool, _ in other)
    ]


def _skipped(ahead: list[tuple[int, str, Need]], free: dict[str, int]) -> tuple[Skipped, ...]:
    passed: list[Skipped] = []
    for _, registration, need in sorted(ahead)[: limits.SKIPPED_SHOWN]:
        pool, count = next((pool, count) for pool, count in need if free[pool] < count)
        passed.append(Skipped(registration, pool, count, free[pool]))
    return tuple(passed)
