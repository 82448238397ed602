"""What notification is told by whoever puts it together."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parseaddr

from veltrix.domain import limits
from veltrix.domain.credentials import Signer
from veltrix.notification.letters import Sender
from veltrix.notification.mime import address


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """`sender` and `reply_to` are addresses, perhaps with a display name; `base_url` is where links begin.

    `lease_s` must be longer than a channel's longest attempt. `in_flight` bounds the mails being sent at
    once: where a channel has few connections, twice their number, so that none waits long for its turn.
    `hold_unknown`: a mail that may have arrived waits for an operator. Rates of 0 are as fast as it goes;
    `webhook_rate_per_s` is that of each endpoint that has none of its own.
    """

    base_url: str
    sender: str
    signer: Signer
    partitions: int
    reply_to: str | None = None
    lease_s: float = limits.NOTICE_LEASE_S
    in_flight: int = limits.NOTICE_IN_FLIGHT_MAX
    hold_unknown: bool = False
    bounces: str | None = None
    mail_rate_per_s: float = 0.0
    webhook_rate_per_s: float = 0.0

    def mail_sender(self) -> Sender:
        """The sender, taken apart. Raises `ValueError` for what cannot stand in a mail."""
        name, found = parseaddr(self.sender)
        checked = address(found)
        if checked is None or not self.sender.isprintable():
            raise ValueError(f"{self.sender!r} is no sender of mail; write it like 'Name <name@example.org>'")
        answers = None
        if self.reply_to is not None:
            answers = address(parseaddr(self.reply_to)[1])
            if answers is None:
                raise ValueError(f"{self.reply_to!r} is no address for answers")
        returns = None if self.bounces is None else address(self.bounces)
        if self.bounces is not None and returns is None:
            raise ValueError(f"{self.bounces!r} is no address for mail that comes back")
        return Sender(
            name or checked.rpartition("@")[2], checked, self.base_url.rstrip("/"), answers, returns
        )
