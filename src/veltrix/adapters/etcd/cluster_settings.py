"""The cluster settings in etcd: one key with what stands, and one for each version of the history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from veltrix.adapters.etcd.client import Entry, EtcdClient, Listing, changed_at, delete, put
from veltrix.adapters.etcd.following import Change, Follower
from veltrix.adapters.etcd.names import Names
from veltrix.domain import limits
from veltrix.ports.errors import Mismatch, OutcomeUnknown, Rejected
from veltrix.ports.settings import SettingsDocument


class EtcdClusterSettings:
    """See the port. Closing it does not close `client`."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._names = Names(client.prefix)
        self._followers: dict[Follower, asyncio.Queue[SettingsDocument | None]] = {}

    async def get(self) -> SettingsDocument:
        """What stands."""
        return (await self._client.run(self._standing))[0]

    async def set(self, document: SettingsDocument) -> None:
        """Make it stand, if the version before it does."""
        await self._client.run(self._set, document)

    async def version(self, number: int) -> SettingsDocument | None:
        """A version of the history."""
        entry, _ = await self._client.run(self._client.look, self._history_key(number))
        return None if entry is None else _decode(entry)

    async def history(self) -> list[SettingsDocument]:
        """The newest versions first."""
        listing = await self._client.run(self._client.list, self._names.settings_history)
        return [_decode(entry) for entry in reversed(listing.entries)]

    async def watch(self) -> AsyncIterator[SettingsDocument]:
        """What stands, and what stands after it."""
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[SettingsDocument | None] = asyncio.Queue()

        def tell(entry: Entry | None) -> None:
            with suppress(RuntimeError, Mismatch):  # nobody listens any more; or it cannot be understood
                document = SettingsDocument() if entry is None else _decode(entry)
                loop.call_soon_threadsafe(told.put_nowait, document)

        def listed(listing: Listing) -> None:
            tell(next(iter(listing.entries), None))

        def changed(changes: Sequence[Change]) -> None:
            tell(changes[-1].entry)

        follower = Follower(self._client, self._names.settings, listed, changed)
        self._followers[follower] = told
        follower.start()
        try:
            seen = None
            while (document := await told.get()) is not None:
                if document != seen:
                    seen = document
                    yield document
        finally:
            self._followers.pop(follower, None)
            await asyncio.to_thread(follower.close)

    async def close(self) -> None:
        """End the watches."""
        for told in list(self._followers.values()):
            told.put_nowait(None)

    def _standing(self) -> tuple[SettingsDocument, int]:
        """What stands, and the revision of its key."""
        entry, _ = self._client.look(self._names.settings)
        return (SettingsDocument(), 0) if entry is None else (_decode(entry), entry.mod_revision)

    def _set(self, document: SettingsDocument) -> None:
        standing, revision = self._standing()
        if document.version != standing.version + 1:
            raise Rejected(f"version {standing.version} stands, so the next one is not {document.version}")
        value = _encode(document)
        changes = [put(self._names.settings, value), put(self._history_key(document.version), value)]
        if (outdated := document.version - limits.SETTINGS_HISTORY_MAX) > 0:
            changes.append(delete(self._history_key(outdated)))
        try:
            done = self._client.txn([changed_at(self._names.settings, revision)], changes).succeeded
        except OutcomeUnknown:
            if self._standing()[0] != document:
                raise
            return
        if not done:
            raise Rejected(f"another version than {standing.version} stands by now; nothing was changed")

    def _history_key(self, version: int) -> str:
        return f"{self._names.settings_history}{version:012d}"


def _encode(document: SettingsDocument) -> bytes:
    return json.dumps(
        {
            "version": document.version,
            "values": dict(document.values),
            "changed_ms": document.changed_ms,
            "changed_by": document.changed_by,
            "note": document.note,
        },
        ensure_ascii=False,
    ).encode()


def _decode(entry: Entry) -> SettingsDocument:
    try:
        found = json.loads(entry.value)
        return SettingsDocument(
            int(found["version"]),
            dict(found["values"]),
            int(found["changed_ms"]),
            str(found["changed_by"]),
            str(found["note"]),
        )
    except (ValueError, KeyError, TypeError):
        raise Mismatch(
            f"etcd's key {entry.key} is damaged: it is no document of cluster settings; put one of the "
            "history in its place"
        ) from None
