"""The coordinator: who owns which partition, and who ticks. Never what is right: that is the fence's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from veltrix.ports.ledger import Term


@dataclass(slots=True)
class Grant:
    """Sole ownership of a resource under a term, until `lost` is set.

    `owner` is the member's name. `lost` is a hint that comes late or not at all (a paused process): writes
    are fenced by the term. It is set when another one owns the resource, and before that to ask for an
    orderly hand-over: whoever sees it ends what is at hand and releases the grant. It is not set because the
    coordinator is silent: an owner goes on until it is fenced or sees a successor.
    """

    resource: str
    term: Term
    owner: str
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class Coordinator(Protocol):
    """Elects one owner a resource among the processes that want it. A resource is e.g. `partition/3`."""

    @property
    def member(self) -> str:
        """The name of this process, unique per process start."""
        ...

    async def acquire(self, resource: str) -> Grant:
        """Wait until this process owns the resource. Each grant's term is greater than all before it,
        also across restarts of every process."""
        ...

    async def acquire_any(self, resources: Sequence[str]) -> Grant:
        """Wait until this process owns one of the resources, whichever: the first that is free."""
        ...

    async def release(self, grant: Grant) -> None:
        """Give it up, so that the next owner need not wait for a lease to end; safe to call twice."""
        ...

    async def verify(self, term: Term) -> None:
        """Raises `TermsBehind`, with the remedy, when no grant can have had a term so great: the coordinator
        was restored from an older state, and what it grants now is fenced by the ledger. One that may do so
        counts past the term instead, so that the next grant is greater."""
        ...

    async def close(self) -> None:
        """Give everything up; safe to call twice."""
        ...
