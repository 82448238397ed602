"""Who gets a seat: what fits, who must queue, and whom a freed seat is offered to."""

from __future__ import annotations

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
    if not len(event.waiting):
        return False
    if waitlist is not None and waitlist.mode is WaitlistMode.STRICT:
        return event.waiting.waits_for(need)
    return any_waiting_fits(event)


def any_waiting_fits(event: EventState) -> bool:
    """Whether there is room now for anyone who waits."""
    return any(fits(event, waiting) for waiting, _ in event.waiting.lines())


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


def promotions(event: EventState, log_time_ms: int, most: int) -> list[Fact]:
    """Offer what is free to the waitlist, in arrival order: whoever fits whole is promoted, up to `most`.

    A party that does not fit is passed over and named, with the pool that is short, in the fact of the
    promotion that overtook it.
    """
    if not len(event.waiting) or not may_promote(event) or not any_waiting_fits(event):
        return []
    free = {key: pool.free for key, pool in event.pools.items()}
    heads = {need: 0 for need, _ in event.waiting.lines()}
    lines = dict(event.waiting.lines())
    facts: list[Fact] = []
    while len(facts) < most:
        fitting = [
            (lines[need][head], need)
            for need, head in heads.items()
            if head < len(lines[need]) and all(free[pool] >= count for pool, count in need)
        ]
        if not fitting:
            break
        (arrival, chosen), need = min(fitting)
        skipped = _skipped(lines, heads, free, arrival)
        for pool, count in need:
            free[pool] -= count
        heads[need] += 1
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


def _skipped(
    lines: dict[Need, list[tuple[int, str]]], heads: dict[Need, int], free: dict[str, int], before: int
) -> tuple[Skipped, ...]:
    passed: list[tuple[int, Skipped]] = []
    for need, line in lines.items():
        head = heads[need]
        if head >= len(line) or line[head][0] >= before:
            continue
        pool, count = next((pool, count) for pool, count in need if free[pool] < count)
        passed.append((line[head][0], Skipped(line[head][1], pool, count, free[pool])))
    return tuple(skipped for _, skipped in sorted(passed, key=lambda each: each[0]))[: limits.SKIPPED_SHOWN]
