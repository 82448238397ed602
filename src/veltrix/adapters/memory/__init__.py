"""Every port in memory: the reference for the other adapters, and what the simulation runs on.

Nothing survives the objects. A method does its work in one step, without giving way to other tasks
in between, so its effect is atomic; values given in and handed out are shared, not copied, where the
domain treats them as values.
"""

from veltrix.adapters.memory.access import MemoryAccess
from veltrix.adapters.memory.coordinator import MemoryCluster, MemoryCoordinator
from veltrix.adapters.memory.feed import MemoryFeed, MemoryReplies
from veltrix.adapters.memory.ledger import MemoryLedger
from veltrix.adapters.memory.log import MemoryLog
from veltrix.adapters.memory.mailbox import MemoryMailbox
from veltrix.adapters.memory.notices import MemoryNotices
from veltrix.adapters.memory.outreach import MemoryOutreach
from veltrix.adapters.memory.settings import MemoryClusterSettings, MemorySettingsStore
from veltrix.adapters.memory.vault import MemoryVault

__all__ = [
    "MemoryAccess",
    "MemoryCluster",
    "MemoryClusterSettings",
    "MemoryCoordinator",
    "MemoryFeed",
    "MemoryLedger",
    "MemoryLog",
    "MemoryMailbox",
    "MemoryNotices",
    "MemoryOutreach",
    "MemoryReplies",
    "MemorySettingsStore",
    "MemoryVault",
]
