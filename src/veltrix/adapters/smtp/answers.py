"""What a mail server's answers mean: for good or for now, about the address, the message, or us.

What a server says in words may name the person, so nothing but its codes is kept. The words are read for
two things alone: how long to wait, and, from servers without enhanced codes (RFC 3463), whether the mailbox
does not exist.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from veltrix.domain import limits
from veltrix.domain.bounces import ENHANCED, is_hard
from veltrix.ports.channel import Attempt, Sent

OK: Final = range(200, 300)
GO_ON: Final = 354
CLOSING: Final = 421

# Not about this mail but about us: a login that is missing or wrong, commands out of order.
_OURS: Final = frozenset({503, 530, 534, 535, 538})
_WAIT: Final = re.compile(r"\b(\d{1,5}) ?(s|sec|secs|seconds?|m|min|mins|minutes?)\b", re.IGNORECASE)


class Answer(NamedTuple):
    """An answer: its code, and what its lines say."""

    code: int
    said: bytes

    @property
    def text(self) -> str:
        """What it says, as text; most answers are a yes that nobody reads."""
        return self.said.decode("utf-8", "replace").strip()

    @property
    def ok(self) -> bool:
        """Whether it says yes."""
        return self.code in OK

    @property
    def enhanced(self) -> str:
        """The enhanced status code that it begins with, or nothing."""
        found = ENHANCED.match(self.text)
        return found.group() if found else ""


def refusal(step: str, answer: Answer) -> Attempt:
    """The result of an attempt that ended with this answer to a step: MAIL, RCPT, DATA or content.

    5xx is for good, unless it is about us; all else may pass another time. An answer about one recipient or
    one message shows that the server works; one about the connection, the sender or the load does not.
    """
    for_good = 500 <= answer.code < 600 and not _is_about_us(step, answer)
    return Attempt(
        Sent.REFUSED if for_good else Sent.NOT_SENT,
        said(step, answer),
        None if for_good else retry_after_s(answer),
        code=answer.code,
        bounced=for_good
        and step in ("RCPT", "content")
        and is_hard(answer.enhanced, answer.code if step == "RCPT" else None, answer.text),
        own_fault=for_good or _is_about_this_mail(step, answer),
    )


def retry_after_s(answer: Answer) -> float | None:
    """How long the server asks to wait (greylisting says so), if it names a time."""
    found = _WAIT.search(answer.text)
    if found is None or not 400 <= answer.code < 500:
        return None
    unit_s = 60.0 if found.group(2).lower().startswith("m") else 1.0
    return min(int(found.group(1)) * unit_s, limits.MAIL_RETRY_AFTER_MAX_S)


def said(step: str, answer: Answer) -> str:
    """What is told of an answer: the step and the codes."""
    return f"{step}: {answer.code} {answer.enhanced}".rstrip()


def _is_about_us(step: str, answer: Answer) -> bool:
    """A login, an order of commands, or a sender that the server does not let us use: for an operator to
    mend, while mails wait. Only the size of a message (552, 5.3.4) is that mail's own at MAIL."""
    if answer.code in _OURS:
        return True
    return step == "MAIL" and answer.code != 552 and answer.enhanced != "5.3.4"


def _is_about_this_mail(step: str, answer: Answer) -> bool:
    """A greylisted or overfull mailbox is; a server that is closing, overloaded or out of space is not."""
    if answer.code in _OURS or answer.code == CLOSING or step not in ("RCPT", "content"):
        return False
    return not answer.enhanced.startswith(("4.3.", "4.4."))  # of the mail system, of the network
