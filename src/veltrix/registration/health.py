"""Whether the process lives, whether it is ready, and what it counts."""

from __future__ import annotations

import msgspec

from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core
from veltrix.registration.problems import Problem


class Health(msgspec.Struct):
    """Whether the process can do its work, and what keeps it from it."""

    status: str
    checks: dict[str, bool]


class Probes:
    """Handlers for whoever watches the process."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.started = False
        self.stopping = False

    async def live(self, call: Call) -> Answer:
        """The process answers."""
        return json_answer(Health("live", {}))

    async def ready(self, call: Call) -> Answer:
        """The process takes requests: it has started, has keys in reserve, does not stop, and every
        partition can be decided."""
        checks = self.checks()
        ready = all(checks.values())
        return json_answer(Health("ready" if ready else "not_ready", checks), 200 if ready else 503)

    def checks(self) -> dict[str, bool]:
        """What must hold for this process to be ready, and whether it does."""
        return {
            "started": self.started,
            "not_stopping": not self.stopping,
            "keys_reserved": self._core.reserve.ready,
            "partitions_sound": not self._core.settings.halted,
        } | {name: check() for name, check in self._core.settings.ready_checks.items()}

    async def hot_events(self, call: Call) -> Answer:
        """The events that are asked for most just now, as this process sees them."""
        document = self._core.settings.hot_events
        if document is None:
            raise Problem("not_found")
        return json_answer(document())

    async def metrics(self, call: Call) -> Answer:
        """What is counted, for Prometheus."""
        page = self._core.settings.metrics_page
        if page is None:
            raise Problem("not_found")
        body, content_type = page(call.headers.get(b"accept", b"").decode("latin-1"))
        return Answer(200, body, content_type=content_type.encode())
