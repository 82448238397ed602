"""The cluster settings: what an operator changes for every process at once, while they run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

SettingValue = str | int | float | bool | list[str]


@dataclass(frozen=True, slots=True)
class SettingsDocument:
    """All cluster settings of one version, each by its key and as the configuration would write it.

    What is not in `values` is as each process is configured. Version 0 is what stands before the first
    change; each change makes the next version. `changed_ms` is the wall clock of whoever changed it.
    """

    version: int = 0
    values: Mapping[str, SettingValue] = field(default_factory=dict)
    changed_ms: int = 0
    changed_by: str = ""
    note: str = ""


class ClusterSettings(Protocol):
    """One document for the whole cluster, with its history. What stands in it was checked by who wrote it:
    this port keeps it, and every reader checks for itself what it is able to apply."""

    async def get(self) -> SettingsDocument:
        """What stands, linearizable."""
        ...

    async def set(self, document: SettingsDocument) -> None:
        """Make it stand, in place of the version before it.

        Raises `Rejected` when another version stands by now (nothing is changed), `Unavailable`, or
        `OutcomeUnknown`: look with `get`.
        """
        ...

    async def version(self, number: int) -> SettingsDocument | None:
        """A version of the history, to go back to; None when there is none, or none any more."""
        ...

    async def history(self) -> list[SettingsDocument]:
        """The newest versions, newest first; at most `limits.SETTINGS_HISTORY_MAX`."""
        ...

    def watch(self) -> AsyncIterator[SettingsDocument]:
        """What stands, then each version that stands after it; one that is quickly replaced may be left out.
        Goes on through every outage, in silence; ends when the settings are closed."""
        ...

    async def close(self) -> None:
        """Close; safe to call twice."""
        ...
