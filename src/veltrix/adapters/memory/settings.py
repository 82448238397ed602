"""Cluster settings in memory, shared by whoever shares the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.ports.errors import Rejected
from veltrix.ports.settings import SettingsDocument


@dataclass
class MemorySettingsStore:
    """What all processes of one simulated cluster see."""

    documents: list[SettingsDocument] = field(default_factory=lambda: [SettingsDocument()])
    waiting: set[asyncio.Event] = field(default_factory=set)


class MemoryClusterSettings:
    """One process's door to a store; by default one of its own."""

    def __init__(self, store: MemorySettingsStore | None = None) -> None:
        self._store = store or MemorySettingsStore()
        self._changed = asyncio.Event()
        self._store.waiting.add(self._changed)
        self._closed = False

    async def get(self) -> SettingsDocument:
        """What stands."""
        return self._store.documents[-1]

    async def set(self, document: SettingsDocument) -> None:
        """Make it stand, if it is the next version."""
        standing = self._store.documents[-1]
        if document.version != standing.version + 1:
            raise Rejected(f"version {standing.version} stands, so the next one is not {document.version}")
        self._store.documents.append(document)
        for event in self._store.waiting:
            event.set()

    async def version(self, number: int) -> SettingsDocument | None:
        """A version of the history."""
        return next((each for each in await self.history() if each.version == number), None)

    async def history(self) -> list[SettingsDocument]:
        """The newest versions first."""
        kept = self._store.documents[1:][-limits.SETTINGS_HISTORY_MAX :]
        return kept[::-1]

    async def watch(self) -> AsyncIterator[SettingsDocument]:
        """What stands, and what stands after it."""
        seen = None
        while not self._closed:
            self._changed.clear()
            standing = self._store.documents[-1]
            if standing is not seen:
                yield standing
                seen = standing
            else:
                await self._changed.wait()

    async def close(self) -> None:
        """End the watches."""
        self._closed = True
        self._changed.set()
        self._store.waiting.discard(self._changed)
