"""When a mailbox does not exist: what mail servers say of it, at once (SMTP) or later (a report, RFC 3464).

Only what will never change is a hard bounce: the address is wrong, or the mailbox is gone. A full mailbox, a
refusal for policy or suspected spam, or a server that is away says nothing about the address.
"""

from __future__ import annotations

import re
from typing import Final

ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\d)")
"""An enhanced status code (RFC 3463)."""

# RFC 3463, 3.2, of the recipient's address (.7 and .8 are about the sender's); 5.2.1: the mailbox is
# disabled; 5.4.4: the domain has no host that takes mail (in reports: the next relay found out).
_HARD: Final = re.compile(r"5\.1\.(?!(?:7|8)$)\d{1,3}|5\.2\.1|5\.4\.4")
_GENERIC: Final = frozenset({"", "5.0.0"})
_MAILBOX_CODES: Final = frozenset({550, 551, 553})
_WHAT: Final = "user|mailbox|recipient|address|account"
_NO_SUCH: Final = re.compile(
    rf"no such (?:{_WHAT})|unknown (?:{_WHAT})|(?:{_WHAT}) unknown"
    rf"|(?:{_WHAT}) (?:\S+ )?(?:not found|does not exist|doesn't exist|is unknown)",
    re.IGNORECASE,
)
_TEXT_MAX_CHARS: Final = 1_000


def is_hard(enhanced: str, code: int | None, text: str) -> bool:
    """Whether a refusal for good says that the address takes no mail, now or ever.

    Servers without enhanced codes are taken by their words, and only where the code is that of a mailbox.
    """
    if enhanced not in _GENERIC:
        return _HARD.fullmatch(enhanced) is not None
    return code in _MAILBOX_CODES and _NO_SUCH.search(text[:_TEXT_MAX_CHARS]) is not None
