"""The engines behind the simulated network: one log, one ledger, one vault, one store of notices.

Each is one server whose state is that of the adapters in memory. They are meaner than real ones: what was
appended is seen late, effects happen whose answers are lost or that come long after, replicas are behind.
How mean, their `moods` say; without any they are calm.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from veltrix.adapters.memory import MemoryNotices, MemoryVault
from veltrix.simulation.ledger import EngineLedger, SimLedger
from veltrix.simulation.log import LogEngine, SimLog
from veltrix.simulation.loop import SimulatedLoop
from veltrix.simulation.network import Network, Server
from veltrix.simulation.stores import SimNotices, SimVault

__all__ = ["Engines", "SimLedger", "SimLog", "SimNotices", "SimVault"]


@dataclass
class Engines:
    """The state behind the network."""

    network: Network
    log: LogEngine
    ledger: EngineLedger
    vault: MemoryVault
    notices: MemoryNotices
    servers: dict[str, Server]
    random: Random

    @property
    def loop(self) -> SimulatedLoop:
        """The loop that all of it runs on."""
        return self.network.loop
