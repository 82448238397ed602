"""The vault: the keys of the boxes, and nothing else. Destroying a key is how a person is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Vault(Protocol):
    """Keys of 32 random bytes by key id."""

    async def reserve(self, count: int) -> list[tuple[str, bytes]]:
        """Make `count` new keys and return (key id, key) once they are durable. Raises `Unavailable`."""
        ...

    async def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """The keys that still exist among `key_ids`."""
        ...

    async def destroy(self, key_ids: Sequence[str]) -> None:
        """Destroy keys for good, also in side files; unknown ids are ignored. Durable when it returns."""
        ...

    async def close(self) -> None:
        """Close; safe to call twice."""
        ...
