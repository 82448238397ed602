"""What is kept at hand between planning a notice and sending it; all of it can be read again."""

from __future__ import annotations

from dataclasses import dataclass, field

from veltrix.domain import limits
from veltrix.domain.event import Event
from veltrix.domain.facts import NumberedFact
from veltrix.domain.registration import Registration
from veltrix.ports.queries import Queries
from veltrix.ports.system import Clock


class Recent:
    """The facts of notices that were planned just now: the dispatcher usually wants them next.

    Each is taken once. When it is full the oldest goes; the ledger still has it.
    """

    def __init__(self, most: int = limits.NOTICE_RECENT_MAX) -> None:
        self._most = most
        self._kept: dict[str, tuple[NumberedFact, Registration | None]] = {}

    def put(self, notice: str, numbered: NumberedFact, registration: Registration | None) -> None:
        """Keep what a notice is about; of a webhook, the fact alone."""
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[notice] = (numbered, registration)

    def take(self, notice: str) -> tuple[NumberedFact, Registration | None] | None:
        """What the notice is about, if it is still here."""
        return self._kept.pop(notice, None)


@dataclass(slots=True)
class Events:
    """Events as mails describe them: at most `limits.EVENT_FRESH_S` old, newer where a fact said so."""

    queries: Queries
    clock: Clock
    _kept: dict[str, tuple[Event, float]] = field(default_factory=dict)

    def put(self, event: Event) -> None:
        """An event as a fact says that it is now."""
        known = self._kept.get(event.id)
        if known is not None and known[0].version > event.version:
            return
        self._keep(event)

    async def get(self, event: str) -> Event | None:
        """The event, or None when the ledger has none of that id."""
        known = self._kept.get(event)
        if known is not None and self.clock.monotonic_s() - known[1] < limits.EVENT_FRESH_S:
            return known[0]
        view = await self.queries.event(event)
        if view is None:
            return None
        if known is None or view.event.version >= known[0].version:
            self._keep(view.event)
            return view.event
        return known[0]  # a fact told of a newer one than this reader of the ledger has seen

    def _keep(self, event: Event) -> None:
        self._kept.pop(event.id, None)
        if len(self._kept) >= limits.EVENTS_CACHED:
            del self._kept[next(iter(self._kept))]
        self._kept[event.id] = (event, self.clock.monotonic_s())
