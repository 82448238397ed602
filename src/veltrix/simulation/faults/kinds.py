"""All kinds of faults."""

from __future__ import annotations

from typing import Final

from veltrix.simulation.faults.networks import NETWORK_FAULTS
from veltrix.simulation.faults.processes import PROCESS_FAULTS
from veltrix.simulation.faults.scene import Fault, Scene
from veltrix.simulation.faults.servers import SERVER_FAULTS
from veltrix.simulation.faults.zombies import LATE_FAULTS

__all__ = ["FAULTS", "Fault", "Scene"]

FAULTS: Final[dict[str, type[Fault]]] = {
    fault.name: fault for fault in (*PROCESS_FAULTS, *NETWORK_FAULTS, *SERVER_FAULTS, *LATE_FAULTS)
}
"""By name, which is what stories and scenarios say."""
