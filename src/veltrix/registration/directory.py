"""The directory of events: a bounded cache, so that no registration waits for a read of the ledger.

It is kept right by facts about events (from the feed and from replies); a gap in them empties it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.identifiers import EVENT, CommandIds, is_id, partition_of
from veltrix.ports.queries import Queries
from veltrix.ports.vault import Vault
from veltrix.registration.problems import Problem
from veltrix.sealing import KeyedHashes

REGISTER: Final = "POST /v1/events/{event}/registrations"
PUBLIC: Final = "public"
_READS_AT_ONCE: Final = 32


class Entry:
    """An event with its keyed hashes, and the ids of the public's registrations for it.

    `event` is replaced when a fact says so.
    """

    __slots__ = ("event", "hashes", "partition", "public_ids")

    def __init__(self, event: Event, hashes: KeyedHashes) -> None:
        self.event = event
        self.hashes = hashes
        self.partition = partition_of(event.id)
        self.public_ids = CommandIds((event.organizer, REGISTER, event.id, PUBLIC))


class Directory:
    """Events by id, the latest used ones."""

    def __init__(self, queries: Queries, vault: Vault, most: int = limits.EVENTS_CACHED) -> None:
        self._queries = queries
        self._vault = vault
        self._most = most
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._loading: dict[str, asyncio.Future[Entry | None]] = {}
        self._overtaking: dict[str, Event] = {}
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, event: str) -> Entry | None:
        """The entry, if it is here."""
        entry = self._entries.get(event)
        if entry is not None:
            self._entries.move_to_end(event)
        return entry

    async def find(self, event: str) -> Entry:
        """The entry, read from the ledger where it is not here. Raises `Problem` unknown_event."""
        entry = self.known(event)
        if entry is not None:
            return entry
        if not is_id(EVENT, event):
            raise Problem("unknown_event")
        entry = await self._load(event)
        if entry is None:
            raise Problem("unknown_event")
        return entry

    def apply(self, fact: NumberedFact) -> None:
        """A fact about an event: what is here becomes what is after it."""
        after = fact.fact.event_after
        if after is None:
            return
        entry = self._entries.get(after.id)
        if entry is not None and after.version > entry.event.version:
            entry.event = after
        elif after.id in self._loading:
            before = self._overtaking.get(after.id)
            if before is None or after.version > before.version:
                self._overtaking[after.id] = after

    def forget(self, partition: int) -> None:
        """Facts of this partition went missing: read its events anew."""
        for event in [key for key, entry in self._entries.items() if entry.partition == partition]:
            del self._entries[event]

    async def _load(self, event: str) -> Entry | None:
        """Read an event once, however many ask."""
        loading = self._loading.get(event)
        if loading is None:
            loading = asyncio.ensure_future(self._read(event))
            self._loading[event] = loading
            loading.add_done_callback(lambda _: self._loading.pop(event, None))
        return await asyncio.shield(loading)

    async def _read(self, event: str) -> Entry | None:
        try:
            async with self._reads:
                view = await self._queries.event(event)
                if view is None:
                    return None
                hash_key = view.event.hash_key
                key = (await self._vault.keys([hash_key])).get(hash_key)
            if key is None:  # destroyed after the event's retention: nobody can be told apart any more
                return None
            overtaking = self._overtaking.get(event)
            newest = view.event
            if overtaking is not None and overtaking.version > newest.version:
                newest = overtaking
            entry = Entry(newest, KeyedHashes(key))
            self._entries[event] = entry
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
            return entry
        finally:
            self._overtaking.pop(event, None)
