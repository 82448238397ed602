"""What follows from an attempt: over, or again after a while."""

from __future__ import annotations

from veltrix.domain import limits
from veltrix.ports.channel import Attempt, Sent
from veltrix.ports.notices import Claimed, NoticeStatus, Result
from veltrix.ports.system import Entropy

_OVER = {Sent.ACCEPTED: NoticeStatus.ACCEPTED, Sent.REFUSED: NoticeStatus.REFUSED}


def delay_ms(attempt: int, entropy: Entropy, retry_after_s: float | None = None) -> int:
    """How long to wait after the `attempt`-th attempt failed: the schedule's delay, spread by chance.

    What the other side asks for is kept to when it is longer, up to a cap.
    """
    schedule = limits.MAIL_RETRY_S
    planned_s = schedule[min(attempt, len(schedule) - 1)]
    draw = int.from_bytes(entropy.token(2), "big") / 0xFFFF
    delay_s = planned_s * (1 + limits.MAIL_RETRY_JITTER * (2 * draw - 1))
    if retry_after_s is not None:
        delay_s = max(delay_s, min(retry_after_s, limits.MAIL_RETRY_AFTER_MAX_S))
    return round(delay_s * 1000)


def result_of(claimed: Claimed, attempt: Attempt, now_ms: int, entropy: Entropy) -> Result:
    """How an attempt ends: an unknown one is tried again too, for a mail too many is better than none."""
    status = _OVER.get(attempt.sent)
    if status is not None:
        return Result(claimed.notice.id, claimed.fence, status, attempt.detail, now_ms)
    if claimed.attempt >= limits.MAIL_ATTEMPTS_MAX:
        detail = (
            f"gave up after {claimed.attempt} attempts; the last: {attempt.sent} {attempt.detail}".strip()
        )
        return ended(claimed, NoticeStatus.DEAD, detail, now_ms)
    status = NoticeStatus.UNKNOWN if attempt.sent is Sent.UNKNOWN else NoticeStatus.PENDING
    next_ms = now_ms + delay_ms(claimed.attempt, entropy, attempt.retry_after_s)
    return Result(claimed.notice.id, claimed.fence, status, attempt.detail, now_ms, next_ms)


def ended(claimed: Claimed, status: NoticeStatus, detail: str, now_ms: int) -> Result:
    """An end without an attempt."""
    return Result(claimed.notice.id, claimed.fence, status, detail, now_ms)


def put_back(claimed: Claimed, detail: str, now_ms: int, wait_ms: int) -> Result:
    """Nothing was tried, for a reason that is not the notice's: it is due again later."""
    return Result(claimed.notice.id, claimed.fence, NoticeStatus.PENDING, detail, now_ms, now_ms + wait_ms)
