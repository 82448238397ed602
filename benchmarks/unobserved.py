"""`veltrix` with nothing that observes it, to be compared with the one that is shipped; for nothing else.

What the request's way tells is not counted, no lag is looked at, nobody checks invariants. Notices go on
being counted, for the benchmark waits for them.
"""

import asyncio
from typing import Any

from veltrix import cli
from veltrix.observability import looplag
from veltrix.observability.checker import Checker
from veltrix.observability.metrics import Metrics
from veltrix.processing.lagging import LagWatch

QUIET = (
    "answered", "appended", "waited", "line", "gauge", "batch", "decided", "progress", "oldest_undecided",
    "unpublished", "decision_latency", "published", "attempted", "delivered", "loop_lag",
)  # fmt: skip


def _nothing(self: Any, *told: Any) -> None:
    """Nobody listens."""


async def _never(self: Any, *asked: Any) -> None:
    """Looks at nothing, until cancelled."""
    await asyncio.Event().wait()


def main() -> None:
    """Run a command of `veltrix` so."""
    for name in QUIET:
        setattr(Metrics, name, _nothing)
    looplag.INTERVAL_S = 3600.0  # type: ignore[misc] # that is what this program is for
    setattr(Checker, "run", _never)  # noqa: B010 - a method, and mypy keeps methods from being assigned
    setattr(LagWatch, "run", _never)  # noqa: B010 - likewise
    cli.main()


if __name__ == "__main__":
    main()
