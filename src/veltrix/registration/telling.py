"""What registration needs to let organizers choose, and operators see, how people and systems are told."""

from __future__ import annotations

from dataclasses import dataclass

from veltrix.ports.deliveries import Deliveries
from veltrix.ports.destinations import Destinations
from veltrix.ports.outreach import Outreach
from veltrix.ports.proofs import Proofs


@dataclass(frozen=True, slots=True)
class Telling:
    """Ports beside those of registering. `secret_key` (32 bytes) seals what organizers entrust
    (`sealing.seal_secret`); notification opens it with the same. Without `proofs` nobody has texts of their
    own."""

    outreach: Outreach
    deliveries: Deliveries
    destinations: Destinations
    secret_key: bytes
    proofs: Proofs | None = None
