"""Mails that an organizer has sent to an address of their own, to see a text as it arrives."""

from __future__ import annotations

from typing import Final

import msgspec

from veltrix.ports.channel import Mail
from veltrix.ports.fulfilment import ORDERED
from veltrix.ports.notices import Notice
from veltrix.ports.outreach import Order, OrderKind, Outreach
from veltrix.sealing import BoxBroken, open_secret

TRIAL: Final = "test"
"""The kind of their notices, of which no fact knows."""

_decoder = msgspec.msgpack.Decoder(tuple[str, bytes])


def is_trial(notice: Notice) -> bool:
    """Whether a notice follows from an order of such a mail."""
    return notice.partition == ORDERED and notice.kind == TRIAL


def trial_notice(order: Order, identity: str, channel: str) -> Notice:
    """The notice of an order. It keeps the order's number: the mail stands sealed in the order."""
    return Notice(
        id=identity,
        organizer=order.organizer,
        event="",
        partition=ORDERED,
        seq=order.seq,
        kind=TRIAL,
        registration="",
        recipient=TRIAL,
        channel=channel,
        key_id="",
        created_ms=order.created_ms,
    )


async def trial_mail(outreach: Outreach, secret_key: bytes, notice: Notice, sender: str) -> Mail | None:
    """The mail that was ordered, None where it cannot be opened. Raises the port's errors."""
    orders = await outreach.orders(notice.seq - 1, 1)
    if not orders or orders[0].seq != notice.seq or orders[0].kind is not OrderKind.TEST_MAIL:
        return None
    try:
        opened = open_secret(orders[0].payload, secret_key, notice.organizer, OrderKind.TEST_MAIL)
        recipient, content = _decoder.decode(opened)
    except (BoxBroken, msgspec.DecodeError):
        return None
    return Mail(notice.id, sender, recipient, content)
