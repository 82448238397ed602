"""What the dispatcher says now and then of what is still to be sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from veltrix.domain import limits
from veltrix.notification.meters import NotificationMetrics
from veltrix.notification.standing import Standing
from veltrix.ports.deliveries import Deliveries
from veltrix.ports.notices import Notices
from veltrix.ports.system import Clock

_SHARE: Final = 0.02
"""The part of the time that counting may take: of very much that waits, it is counted less often."""


@dataclass(slots=True)
class Gauging:
    """Sets the gauges every `limits.NOTICE_GAUGE_S`. `oldest_ms` is told of what is in hand."""

    notices: Notices
    deliveries: Deliveries | None
    clock: Clock
    metrics: NotificationMetrics
    oldest_ms: dict[str, int] = field(default_factory=dict)
    _next_s: float = float("-inf")

    async def look(self, now_ms: int, standing: Standing | None) -> None:
        """Set them, if it is time. Raises the ports' errors."""
        began_s = self.clock.monotonic_s()
        if began_s < self._next_s:
            return
        self._next_s = began_s + limits.NOTICE_GAUGE_S
        counts = await self.notices.counts()
        oldest_ms = min(self.oldest_ms.values(), default=now_ms)
        if self.deliveries is not None:
            backlog = await self.deliveries.backlog()
            waiting: dict[str, int] = {}
            for each in backlog:
                waiting[each.channel] = waiting.get(each.channel, 0) + each.waiting
                if each.oldest_created_ms is not None:
                    oldest_ms = min(oldest_ms, each.oldest_created_ms)
            self.metrics.queues(waiting, await self.notices.held())
        if standing is not None:
            self.metrics.targets({state.value: count for state, count in standing.states().items()})
        self.metrics.notices(
            {str(status): count for status, count in counts.items()}, max(0.0, (now_ms - oldest_ms) / 1000)
        )
        took_s = self.clock.monotonic_s() - began_s
        self._next_s = max(self._next_s, began_s + took_s / _SHARE)
