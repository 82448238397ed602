"""The stores in SQLite files, for one process on one machine, with no server to install.

Each store is a file of its own with one writing connection: its statements run on the event loop, its
COMMITs and checkpoints in a thread (`writer`). `open` of each class creates what is missing.
"""

from veltrix.adapters.sqlite.access import SqliteAccess
from veltrix.adapters.sqlite.coordinator import SqliteCoordinator
from veltrix.adapters.sqlite.ledger import SqliteLedger
from veltrix.adapters.sqlite.lock import DataDirectoryLock
from veltrix.adapters.sqlite.log import SqliteLog
from veltrix.adapters.sqlite.notices import SqliteNotices
from veltrix.adapters.sqlite.outreach import SqliteOutreach
from veltrix.adapters.sqlite.vault import SqliteVault

__all__ = [
    "DataDirectoryLock",
    "SqliteAccess",
    "SqliteCoordinator",
    "SqliteLedger",
    "SqliteLog",
    "SqliteNotices",
    "SqliteOutreach",
    "SqliteVault",
]
