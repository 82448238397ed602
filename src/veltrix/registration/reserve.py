"""The reserve of keys for boxes: taken without waiting, refilled in the background."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from veltrix.observability.logging import get_logger
from veltrix.ports.errors import PortError
from veltrix.ports.simulated import buggify
from veltrix.ports.vault import Vault
from veltrix.registration.problems import Problem

_log = get_logger("registration")

_WAIT_MAX_S: Final = 5.0
_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 5.0


class KeyReserve:
    """Keys whose reservation is durable. Only an empty reserve makes anyone wait, and not for long."""

    def __init__(self, vault: Vault, block: int, low: int) -> None:
        self._vault = vault
        self._block = block
        self._low = low
        self._keys: deque[tuple[str, bytes]] = deque()
        self._filled = asyncio.Event()
        self._refilling: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def ready(self) -> bool:
        """Whether there is a key to take."""
        return bool(self._keys)

    async def start(self) -> None:
        """Fetch the first block, then go on in the background."""
        self._keys.extend(await self._vault.reserve(self._block))
        self._refill()

    async def stop(self) -> None:
        """Stop refilling, and destroy what nobody took: it sealed nothing."""
        if self._refilling is not None:
            self._refilling.cancel()
            with suppress(asyncio.CancelledError):
                await self._refilling
        unused = [key_id for key_id, _ in self._keys]
        self._keys.clear()
        with suppress(PortError):
            await self._vault.destroy(unused)

    def take_now(self) -> tuple[str, bytes] | None:
        """A key, if there is one."""
        if len(self._keys) <= self._low:
            self._refill()
        return self._keys.popleft() if self._keys else None

    async def take(self) -> tuple[str, bytes]:
        """A key; waits for the reserve to be filled, for a bounded time. Raises `Problem` unavailable."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_MAX_S):
                while True:
                    found = self.take_now()
                    if found is not None:
                        return found
                    self._filled.clear()
                    await self._filled.wait()
        raise Problem("unavailable").retry_after(1)

    def _refill(self) -> None:
        if self._refilling is None or self._refilling.done():
            self._refilling = asyncio.create_task(self._fill(), name="key-reserve")

    async def _fill(self) -> None:
        delay_s = _RETRY_MIN_S
        while len(self._keys) <= self._low:
            try:
                block = 3 if buggify("reserve.tiny_block") else self._block
                self._keys.extend(await self._vault.reserve(block))
            except PortError as error:
                _log.warning("keys_not_reserved", left=len(self._keys), error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _RETRY_MAX_S)
            else:
                delay_s = _RETRY_MIN_S
                self._filled.set()
