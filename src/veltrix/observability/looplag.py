"""How late the event loop is: what every request waits for when something blocks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

INTERVAL_S: Final = 0.1


async def watch_event_loop(observe: Callable[[float], None], interval_s: float = INTERVAL_S) -> None:
    """Measure until cancelled: one timer every `interval_s`, whatever the load."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        observe(max(0.0, loop.time() - due_s))
