"""API keys in memory."""

from __future__ import annotations

from veltrix.ports.access import ApiKey
from veltrix.ports.errors import Rejected, Unavailable


class MemoryAccess:
    """A dictionary of API keys."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._closed = False

    async def add(self, key: ApiKey) -> None:
        """Store a key."""
        self._check_open()
        if key.id in self._keys:
            raise Rejected(f"key {key.id} exists already")
        self._keys[key.id] = key

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id."""
        self._check_open()
        return self._keys.get(key_id)

    async def keys(self) -> list[ApiKey]:
        """All keys, by organizer and time."""
        self._check_open()
        return sorted(self._keys.values(), key=lambda key: (key.organizer, key.created_ms, key.id))

    async def revoke(self, key_id: str) -> bool:
        """Remove a key."""
        self._check_open()
        return self._keys.pop(key_id, None) is not None

    async def close(self) -> None:
        """Close."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of API keys is closed")
