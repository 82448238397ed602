"""Who waits, by arrival, for the events in which somebody asks for a place on the waitlist.

Kept by facts, so that a newcomer learns their place without a read of the ledger.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Final

from veltrix.domain.facts import NumberedFact
from veltrix.domain.registration import Registration, RegistrationStatus
from veltrix.ports.queries import Filter, Queries

_LINES_MAX: Final = 100
_PAGE: Final = 5_000


class _Line:
    """The arrival numbers of one event's waitlist, and what changed while it was being read."""

    __slots__ = ("arrivals", "changes", "partition", "settled")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.arrivals: list[int] = []
        self.changes: list[tuple[int, bool]] | None = []
        self.settled = asyncio.Event()

    def put(self, arrival: int, waits: bool) -> None:
        """Somebody with this arrival number waits, or does not any more; repeatable."""
        if self.changes is not None:
            self.changes.append((arrival, waits))
            return
        if waits and (not self.arrivals or arrival > self.arrivals[-1]):
            self.arrivals.append(arrival)
            return
        index = bisect_left(self.arrivals, arrival)
        present = index < len(self.arrivals) and self.arrivals[index] == arrival
        if waits and not present:
            insort(self.arrivals, arrival)
        elif present and not waits:
            del self.arrivals[index]


class WaitLines:
    """The waitlists of the events that were asked for last."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._lines: OrderedDict[str, _Line] = OrderedDict()

    def apply(self, fact: NumberedFact) -> None:
        """A fact about a registration: it waits, or it does not."""
        registration = fact.fact.registration
        if registration is None:
            return
        line = self._lines.get(registration.event)
        if line is not None:
            line.put(registration.arrival, registration.status is RegistrationStatus.WAITLISTED)

    def forget(self, partition: int) -> None:
        """Facts of this partition went missing."""
        for event in [key for key, line in self._lines.items() if line.partition == partition]:
            del self._lines[event]

    async def ahead(self, registration: Registration, partition: int) -> int:
        """How many of its event's waitlist arrived before it, as far as this process knows."""
        line = self._lines.get(registration.event)
        if line is None:
            line = await self._read(registration.event, partition)
        elif line.changes is not None:
            await line.settled.wait()
        if line.changes is not None:  # whoever read it failed
            return await self._queries.waiting_ahead(registration)
        return bisect_left(line.arrivals, registration.arrival)

    async def _read(self, event: str, partition: int) -> _Line:
        line = self._lines[event] = _Line(partition)
        if len(self._lines) > _LINES_MAX:
            self._lines.popitem(last=False)
        wanted = Filter(event, statuses=frozenset({RegistrationStatus.WAITLISTED}))
        after = -1
        try:
            while True:
                page = await self._queries.registrations(wanted, after, _PAGE)
                line.arrivals.extend(registration.arrival for registration in page)
                if len(page) < _PAGE:
                    break
                after = page[-1].arrival
            changes, line.changes = line.changes, None
            for arrival, waits in changes or ():
                line.put(arrival, waits)
        finally:
            if line.changes is not None and self._lines.get(event) is line:
                del self._lines[event]
            line.settled.set()
        return line
