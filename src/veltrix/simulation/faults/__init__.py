"""What goes wrong: a class for each kind of fault, and the nemesis that draws when which of them happens."""

from veltrix.simulation.faults.kinds import FAULTS, Fault, Scene
from veltrix.simulation.faults.mailbox import FickleMailbox
from veltrix.simulation.faults.nemesis import Nemesis, Strike

__all__ = ["FAULTS", "Fault", "FickleMailbox", "Nemesis", "Scene", "Strike"]
