"""Who was erased stays erased, also with an older vault: before anything can be read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from veltrix.observability.logging import get_logger
from veltrix.ports.errors import Mismatch
from veltrix.ports.ledger import Ledger
from veltrix.ports.log import Log
from veltrix.ports.vault import Vault
from veltrix.processing.erasures import forget_again, remembered, undecided_erasures
from veltrix.processing.service import ProcessingService

_log = get_logger("serve")
RESTORING: Final = "restoring"
"""A file in a data directory whose restore has begun and not ended."""
_POLL_S: Final = 0.01


@dataclass(slots=True)
class Forgetting:
    """Carries out again what the ledger knows, and lets processing decide what only the log knows yet."""

    log: Log
    ledger: Ledger
    vault: Vault
    processing: ProcessingService

    async def before_reading(self) -> bool:
        """Return once no erased person's key is there; says whether processing was started for it."""
        partitions = range(self.log.identity.partitions)
        again = await forget_again(self.ledger, self.vault, partitions)
        if again:
            _log.warning("erased_again", keys=again)
        upto = {partition: await self._undecided(partition) for partition in partitions}
        if not any(upto.values()):
            return False
        await self.processing.start()
        for partition, offset in upto.items():
            while not await self._decided(partition, offset):  # noqa: ASYNC110 - a ledger gives no signal
                await asyncio.sleep(_POLL_S)
        await forget_again(self.ledger, self.vault, partitions)
        return True

    async def _undecided(self, partition: int) -> int:
        head = await self.ledger.head(partition)
        if head is not None and head.topic_id != self.log.identity.topic_id:
            return 0  # another log says nothing about these persons; nothing of it is decided either
        try:
            return await undecided_erasures(self.log, self.ledger, partition)
        except Mismatch:  # the owner of the partition will say so, and decide nothing
            return 0

    async def _decided(self, partition: int, offset: int) -> bool:
        head = await self.ledger.head(partition)
        if partition in self.processing.failed:
            return True
        return offset == 0 or (head is not None and head.next_offset >= offset)


async def refuse_remembered(ledger: Ledger, vault: Vault, partitions: int) -> None:
    """For who reads keys and may not destroy them. Raises `Mismatch` when keys of erased persons are there,
    although the erasure was carried out: the vault was restored from an older state."""
    found = await remembered(ledger, vault, range(partitions))
    if found:
        raise Mismatch(
            f"the vault holds {found} key(s) of persons who were erased: it was restored from an older "
            "state. Stop all services and run: veltrix restore"
        )
