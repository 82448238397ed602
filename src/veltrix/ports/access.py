"""Organizers' API keys. Only a hash of each is kept; registration alone reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Scope(StrEnum):
    """What a key may do. `write` includes `read`; `check-in` stands alone."""

    READ = "read"
    WRITE = "write"
    CHECK_IN = "check-in"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored. `secret_hash` is SHA-256 of a secret of 256 random bits, in hex."""

    id: str
    organizer: str
    scopes: frozenset[Scope]
    secret_hash: str
    created_ms: int
    label: str = ""


class Access(Protocol):
    """The store of API keys."""

    async def add(self, key: ApiKey) -> None:
        """Store a key; durable when it returns. Raises `Rejected` when its id exists."""
        ...

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id, unless it was revoked."""
        ...

    async def keys(self) -> list[ApiKey]:
        """All keys, by organizer and time."""
        ...

    async def revoke(self, key_id: str) -> bool:
        """Remove a key; False when there is none."""
        ...

    async def close(self) -> None:
        """Close; safe to call twice."""
        ...
