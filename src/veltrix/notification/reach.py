"""What notification has beside mail: what organizers and people chose, webhooks, and operators' orders."""

from __future__ import annotations

from dataclasses import dataclass

from veltrix.ports.channel import Poster
from veltrix.ports.deliveries import Deliveries
from veltrix.ports.fulfilment import Fulfilment
from veltrix.ports.outreach import Outreach


@dataclass(frozen=True, slots=True)
class Reach:
    """`deliveries` and `fulfilment` are of the store that also holds the notices. `secret_key` (32 bytes)
    opens what registration sealed for organizers (`sealing.seal_secret`)."""

    outreach: Outreach
    deliveries: Deliveries
    fulfilment: Fulfilment
    poster: Poster
    secret_key: bytes
