"""What goes wrong: a class for each kind of fault, and the nemesis that draws when which of them happens."""

from veltrix.ports.simulated import MARKS, SITES
from veltrix.simulation.faults.kinds import FAULTS, Fault, Scene
from veltrix.simulation.faults.mailbox import FickleMailbox
from veltrix.simulation.faults.nemesis import Nemesis, Strike

__all__ = ["FAULTS", "REACHABLE", "Fault", "FickleMailbox", "Nemesis", "Scene", "Strike"]

REACHABLE = (*FAULTS, *(f"site {site}" for site in SITES), *(f"mark {mark}" for mark in MARKS))
"""All that a sweep has to reach, by the names under which a run counts it."""
