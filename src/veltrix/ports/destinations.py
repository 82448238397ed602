"""Whether a URL is one that webhooks may be sent to, as far as can be said before one is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Unfit(StrEnum):
    """What is wrong with a URL; the first that applies."""

    NO_URL = "no_url"
    NOT_HTTPS = "not_https"
    CREDENTIALS = "credentials"
    FRAGMENT = "fragment"
    NOT_PUBLIC = "not_public"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and for `NOT_PUBLIC` which address it is and what that is set aside for."""

    unfit: Unfit
    shown: str = ""


class Destinations(Protocol):
    """Judges URLs."""

    async def judge(self, url: str) -> Finding | None:
        """What is wrong with a URL that somebody wants to save, None when nothing is.

        Names are resolved, within `limits.WEBHOOK_LOOKUP_S`. One that does not resolve now is let pass: the
        address is judged again at every connection, and that judgement alone protects.
        """
        ...
