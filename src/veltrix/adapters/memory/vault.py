"""Keys in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence

from veltrix.domain.identifiers import KEY
from veltrix.ports.errors import Unavailable
from veltrix.ports.system import Entropy

KEY_BYTES = 32


class _SystemEntropy:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


class MemoryVault:
    """A dictionary of keys. A simulation passes a seeded entropy."""

    def __init__(self, entropy: Entropy | None = None) -> None:
        self._entropy = entropy or _SystemEntropy()
        self._keys: dict[str, bytes] = {}
        self._tag = self._entropy.token(8).hex()
        self._made = 0
        self._closed = False

    async def reserve(self, count: int) -> list[tuple[str, bytes]]:
        """Make new keys."""
        self._check_open()
        made: list[tuple[str, bytes]] = []
        for _ in range(count):
            self._made += 1
            made.append((f"{KEY}{self._tag}{self._made:016x}", self._entropy.token(KEY_BYTES)))
        self._keys.update(made)
        return made

    async def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """Those that still exist."""
        self._check_open()
        return {key_id: self._keys[key_id] for key_id in key_ids if key_id in self._keys}

    async def destroy(self, key_ids: Sequence[str]) -> None:
        """Forget keys."""
        self._check_open()
        for key_id in key_ids:
            self._keys.pop(key_id, None)

    async def close(self) -> None:
        """Close; the keys go with the object."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the vault is closed")
