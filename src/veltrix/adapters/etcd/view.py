"""What a process knows of the keys, from the watch and from its own transactions, whichever comes first."""

from __future__ import annotations

from collections.abc import Iterator

from veltrix.adapters.etcd.client import Entry, Listing
from veltrix.adapters.etcd.following import Change


class View:
    """Keys and their entries; what is older than what is known of a key changes nothing. Not locked."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._known: dict[str, int] = {}
        self._listed_at = 0
        self._cluster_id = 0

    def get(self, key: str) -> Entry | None:
        """The entry of a key."""
        return self._entries.get(key)

    def below(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """What stands below a prefix: the rest of the key, and the entry."""
        for key, entry in self._entries.items():
            if key.startswith(prefix):
                yield key.removeprefix(prefix), entry

    def listed(self, listing: Listing) -> None:
        """Everything there is; when etcd went back in time, whatever was known before is forgotten."""
        if listing.cluster_id != self._cluster_id or listing.revision < self._listed_at:
            self._entries.clear()
            self._known.clear()
        self._cluster_id, self._listed_at = listing.cluster_id, listing.revision
        found = {entry.key: entry for entry in listing.entries}
        for key in [key for key in self._entries if key not in found]:
            self.gone(key, listing.revision)
        for entry in listing.entries:
            self.stands(entry)

    def changed(self, change: Change) -> None:
        """One change that the watch told."""
        self._listed_at = max(self._listed_at, change.revision)
        if change.entry is not None:
            self.stands(change.entry)
        else:
            self.gone(change.key, change.revision)

    def stands(self, entry: Entry) -> None:
        """A key has this entry."""
        if entry.mod_revision >= self._known.get(entry.key, 0):
            self._known[entry.key] = entry.mod_revision
            self._entries[entry.key] = entry

    def gone(self, key: str, revision: int) -> None:
        """A key is not there, as of a revision."""
        if revision >= self._known.get(key, 0):
            self._known[key] = revision
            self._entries.pop(key, None)

    def lease_ended(self, lease: int) -> None:
        """Everything that hung on a lease is not there any more."""
        for key in [key for key, entry in self._entries.items() if entry.lease == lease]:
            del self._entries[key]
