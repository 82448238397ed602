"""What follows from an attempt: over, or again after a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veltrix.domain import limits
from veltrix.ports.channel import Attempt, Sent
from veltrix.ports.notices import HELD_UNKNOWN, Claimed, NoticeStatus, Result
from veltrix.ports.system import Entropy

_OVER = {Sent.ACCEPTED: NoticeStatus.ACCEPTED, Sent.REFUSED: NoticeStatus.REFUSED}


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to wait before each attempt, in s; there are as many as delays. Beyond `retry_after_max_s` the
    other side's wish is not followed."""

    delays_s: tuple[float, ...]
    retry_after_max_s: float

    @property
    def most(self) -> int:
        """How many attempts there are."""
        return len(self.delays_s)


MAIL: Final = Schedule(limits.MAIL_RETRY_S, limits.MAIL_RETRY_AFTER_MAX_S)
WEBHOOKS: Final = Schedule(limits.WEBHOOK_RETRY_S, limits.WEBHOOK_RETRY_AFTER_MAX_S)


def delay_ms(
    attempt: int, entropy: Entropy, retry_after_s: float | None = None, schedule: Schedule = MAIL
) -> int:
    """How long to wait after the `attempt`-th attempt failed: the schedule's delay, spread by chance.

    What the other side asks for is kept to when it is longer, up to a cap.
    """
    planned_s = schedule.delays_s[min(attempt, schedule.most - 1)]
    draw = int.from_bytes(entropy.token(2), "big") / 0xFFFF
    delay_s = planned_s * (1 + limits.MAIL_RETRY_JITTER * (2 * draw - 1))
    if retry_after_s is not None:
        delay_s = max(delay_s, min(retry_after_s, schedule.retry_after_max_s))
    return round(delay_s * 1000)


def result_of(
    claimed: Claimed,
    attempt: Attempt,
    now_ms: int,
    entropy: Entropy,
    schedule: Schedule = MAIL,
    *,
    hold: bool = False,
    started_ms: int | None = None,
) -> Result:
    """How an attempt ends. An unknown one is tried again too, for one too many is better than none; with
    `hold` it waits for an operator."""
    status, detail, next_ms = _after(claimed, attempt, now_ms, entropy, schedule, hold)
    expires_ms = claimed.notice.expires_ms
    if next_ms is not None and expires_ms is not None:
        next_ms = min(next_ms, max(now_ms, expires_ms))  # to be ended then
    return Result(
        claimed.notice.id,
        claimed.fence,
        status,
        detail,
        now_ms,
        next_ms,
        attempt.sent.value,
        now_ms if started_ms is None else started_ms,
        attempt.code,
        attempt.excerpt,
    )


def _after(
    claimed: Claimed, attempt: Attempt, now_ms: int, entropy: Entropy, schedule: Schedule, hold: bool
) -> tuple[NoticeStatus, str, int | None]:
    """Status, detail and next try."""
    over = _OVER.get(attempt.sent)
    if over is not None:
        return over, attempt.detail, None
    if attempt.sent is Sent.UNKNOWN and hold:
        return NoticeStatus.UNKNOWN, f"{HELD_UNKNOWN}: {attempt.detail}".removesuffix(": "), None
    if claimed.attempt >= schedule.most:
        last = f"{attempt.sent} {attempt.detail}".strip()
        return NoticeStatus.DEAD, f"gave up after {claimed.attempt} attempts; the last: {last}", None
    status = NoticeStatus.UNKNOWN if attempt.sent is Sent.UNKNOWN else NoticeStatus.PENDING
    return (
        status,
        attempt.detail,
        now_ms + delay_ms(claimed.attempt, entropy, attempt.retry_after_s, schedule),
    )


def ended(claimed: Claimed, status: NoticeStatus, detail: str, now_ms: int) -> Result:
    """An end without an attempt."""
    return Result(claimed.notice.id, claimed.fence, status, detail, now_ms)


def put_back(claimed: Claimed, detail: str, now_ms: int, wait_ms: int) -> Result:
    """Nothing was tried, for a reason that is not the notice's: it is due again later."""
    return Result(claimed.notice.id, claimed.fence, NoticeStatus.PENDING, detail, now_ms, now_ms + wait_ms)
