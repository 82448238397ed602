"""What an answer means for the notice, after Standard Webhooks 1.0."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from veltrix.ports.channel import Sent

_GONE: Final = 410
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_UNSHOWABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def meaning(status: int) -> Sent:
    """2xx is accepted and 410 a refusal for good; whatever else was answered may be otherwise next time.

    A redirect is such a "no" too: following it would take the notice to where nobody judged the address.
    """
    if 200 <= status < 300:
        return Sent.ACCEPTED
    return Sent.REFUSED if status == _GONE else Sent.NOT_SENT


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """`Retry-After` (RFC 9110, 10.2.3) in seconds from now, whichever way it is written; None without one."""
    text = "" if value is None else value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now_s, UTC)).total_seconds())


def excerpt(content: bytes) -> str:
    """The beginning of an answer as people may see it: text, whatever it was."""
    return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", content.decode("utf-8", "replace"))
