"""The addresses that registration gives out: capabilities, made by the signer, never stored."""

from __future__ import annotations

from typing import Final, NamedTuple

from veltrix.domain.credentials import Link, Receipt, Signer
from veltrix.sealing import KeyedHashes

OFFSET_UNKNOWN: Final = (1 << 63) - 1
"""The offset in the receipt of a command of which nobody knows whether it was appended."""

HOLDERS_TRIED: Final = 256
_FINGERPRINT_CHARS: Final = 16


class Proof(NamedTuple):
    """A registration, and the holder version that somebody's link proves."""

    registration: str
    holder: int


class SeatProof(NamedTuple):
    """A seat, and the holder version that somebody's ticket proves."""

    seat: int
    holder: int


class Links:
    """Makes and reads links, ticket codes and receipts; `link` and `ticket` are the signer's own."""

    __slots__ = ("_base_url", "_hashes", "_signer", "link", "ticket")

    def __init__(self, signer: Signer, base_url: str) -> None:
        self._signer = signer
        self._base_url = base_url
        self._hashes = KeyedHashes(signer.secret)
        self.link = signer.link
        self.ticket = signer.ticket

    def page(self, link: str) -> str:
        """The address of the page that a link opens."""
        return f"{self._base_url}/r/{link}"

    def event_page(self, event: str) -> str:
        """The address of an event's public page."""
        return f"{self._base_url}/e/{event}"

    def read_choice(self, text: str, organizer: str, category: str) -> str | None:
        """Whose choice about mail of a category a token allows; None when it is forged."""
        return self._signer.read_choice(text, organizer, category)

    def read_link(self, text: str) -> Link | None:
        """What a link names, its tag unchecked; None when it has not the shape of one."""
        return self._signer.read_link(text)

    def link_holds(self, link: Link, holder: int) -> bool:
        """Whether a link is that of this holder version."""
        return self._signer.link_holds(link, holder)

    def prove(self, link: Link, newest: int = HOLDERS_TRIED) -> Proof | None:
        """Which holder version a link is of, tried from the newest down; None when it is forged."""
        for holder in range(newest, 0, -1):
            if self._signer.link_holds(link, holder):
                return Proof(link.registration, holder)
        return None

    def prove_ticket(self, event: str, text: str) -> SeatProof | None:
        """Which seat and holder version a ticket code is of; None when it is no ticket of the event."""
        ticket = self._signer.read_ticket(text)
        if ticket is None:
            return None
        for holder in range(1, HOLDERS_TRIED + 1):
            if self._signer.ticket_holds(ticket, event, holder):
                return SeatProof(ticket.seat, holder)
        return None

    def fingerprint(self, content: bytes) -> str:
        """What stands for the body of a request that belongs to no event yet."""
        return self._hashes.request(content)

    def receipt(self, command: str, partition: int, offset: int, fingerprint: str) -> str:
        """The receipt of an appended command. The beginning of the fingerprint tells it from another
        request under the same key, whose decision is not this one's."""
        return self._signer.receipt(command, partition, offset) + "." + fingerprint[:_FINGERPRINT_CHARS]

    def read_receipt(self, text: str) -> tuple[Receipt, str] | None:
        """A receipt and the beginning of its fingerprint; None when it is not one of ours."""
        token, _, beginning = text.partition(".")
        receipt = self._signer.read_receipt(token)
        if receipt is None or len(beginning) != _FINGERPRINT_CHARS:
            return None
        return receipt, beginning

    def decision_path(self, command: str, partition: int, offset: int, fingerprint: str) -> str:
        """Where the decision of an appended command can be read."""
        return f"/v1/decisions/{self.receipt(command, partition, offset, fingerprint)}"
