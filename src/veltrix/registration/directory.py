"""The directory of events: a bounded cache, so that no registration waits for a read of the ledger.

It is kept right by facts about events (from the feed and from replies). After a gap in them its entries are
read anew, beside the requests: while the ledger is away, an event that is known here goes on taking
registrations.
What is decided about them the decider says, by what the ledger holds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.identifiers import EVENT, CommandIds, is_id, partition_of
from veltrix.observability.logging import get_logger
from veltrix.ports.errors import PortError
from veltrix.ports.queries import Queries
from veltrix.ports.simulated import buggify
from veltrix.ports.vault import Vault
from veltrix.registration.freshness import Freshness
from veltrix.registration.problems import Problem
from veltrix.sealing import KeyedHashes

REGISTER: Final = "POST /v1/events/{event}/registrations"
PUBLIC: Final = "public"
_READS_AT_ONCE: Final = 32
_AGAIN_S: Final = 1.0

_log = get_logger("registration")


class Entry:
    """An event with its keyed hashes, and the ids of the public's registrations for it.

    `event` is replaced when a fact says so; `stale` while facts may have been missed.
    """

    __slots__ = ("event", "hashes", "partition", "public_ids", "stale")

    def __init__(self, event: Event, hashes: KeyedHashes) -> None:
        self.event = event
        self.hashes = hashes
        self.partition = partition_of(event.id)
        self.public_ids = CommandIds((event.organizer, REGISTER, event.id, PUBLIC))
        self.stale = False


class Directory:
    """Events by id, the latest used ones."""

    def __init__(
        self,
        queries: Queries,
        vault: Vault,
        most: int = limits.EVENTS_CACHED,
        fresh: Freshness | None = None,
    ) -> None:
        self._queries = queries
        self._fresh = fresh or Freshness(lambda: self._queries)
        self._vault = vault
        self._most = most
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._loading: dict[str, asyncio.Future[Entry | None]] = {}
        self._overtaking: dict[str, Event] = {}
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._refreshing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, event: str) -> Entry | None:
        """The entry, if it is here."""
        entry = self._entries.get(event)
        if entry is not None:
            self._entries.move_to_end(event)
            if (entry.stale or buggify("directory.forget")) and event not in self._loading:
                self._refresh(event)
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
        """Facts of this partition went missing: its events are read anew when they are asked for next."""
        for entry in self._entries.values():
            if entry.partition == partition:
                entry.stale = True

    def _refresh(self, event: str) -> None:
        """Read a stale entry anew, once, beside whoever asked."""
        task = asyncio.create_task(self._read_anew(event), name="directory/refresh")
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)
        self._loading[event] = loading = asyncio.get_running_loop().create_future()
        task.add_done_callback(lambda _: self._refreshed(event, loading))

    def _refreshed(self, event: str, loading: asyncio.Future[Entry | None]) -> None:
        self._loading.pop(event, None)
        if not loading.done():
            loading.set_result(self._entries.get(event))

    async def _read_anew(self, event: str) -> None:
        try:
            if await self._read(event) is None:
                self._entries.pop(event, None)
        except PortError as error:
            _log.warning("event_not_read", event=event, error=str(error))
            await asyncio.sleep(_AGAIN_S)  # nobody else tries meanwhile: the entry serves as it is

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
                view = await self._fresh.find(lambda: self._queries.event(event))
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
            standing = self._entries.get(event)  # a stale one, which facts may have brought further
            if standing is not None and standing.event.version > newest.version:
                newest = standing.event
            entry = Entry(newest, KeyedHashes(key))
            self._entries[event] = entry
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
            return entry
        finally:
            self._overtaking.pop(event, None)
