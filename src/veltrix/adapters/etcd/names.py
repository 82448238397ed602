"""What the keys of Veltrix are called, all below one prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PARTITION: Final = "partition/"
"""Resources that begin so are spread over the members of a group; all others are simply campaigned for."""


@dataclass(frozen=True, slots=True)
class Names:
    """The keys below a prefix, which has no final slash."""

    prefix: str

    @property
    def epoch(self) -> str:
        """The epoch: the first part of every term."""
        return f"{self.prefix}/epoch"

    @property
    def log(self) -> str:
        """Which log is in use: its topic id and generation."""
        return f"{self.prefix}/log"

    @property
    def coordination(self) -> str:
        """Everything that hangs on the lease of a process."""
        return f"{self.prefix}/coordination/"

    @property
    def owners(self) -> str:
        """Below it: who owns a resource."""
        return f"{self.prefix}/coordination/owners/"

    @property
    def members(self) -> str:
        """Below it: the living processes, by group."""
        return f"{self.prefix}/coordination/members/"

    @property
    def settings(self) -> str:
        """The cluster settings that stand."""
        return f"{self.prefix}/settings/current"

    @property
    def settings_history(self) -> str:
        """Below it: the cluster settings by version."""
        return f"{self.prefix}/settings/history/"
