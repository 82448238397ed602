"""Whether log and ledger belong together, as registration sees it: nothing is let onto a log that nobody may
decide. Processing checks the same at each take-over, in a process of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from veltrix.domain import limits
from veltrix.observability.logging import get_logger
from veltrix.ports.errors import Mismatch, PortError
from veltrix.ports.feed import Feed
from veltrix.ports.ledger import MOVING, Head, Term
from veltrix.ports.log import Log
from veltrix.ports.queries import Queries
from veltrix.processing.batch import record_hash

_log = get_logger("registration")

_CHECK_S: Final = 5.0
_AGAIN_S: Final = 1.0
_LOOKS: Final = 3
_BOTH: Final = "they do not belong together. Restore both from the same time."


@dataclass(slots=True)
class Soundness:
    """Keeps `halted` (partition: reason) as it is now; who takes commands in looks there."""

    log: Log
    queries: Queries
    feed: Feed | None = None
    halted: dict[int, str] = field(default_factory=dict)
    _compared: dict[int, tuple[Term, str]] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)
    _unlike: dict[int, tuple[Term, str]] = field(default_factory=dict)

    async def check(self) -> None:
        """Look at every partition. What cannot be looked at now stays as it was."""
        for partition in range(self.log.identity.partitions):
            try:
                wrong = await self._wrong(partition)
            except PortError as error:
                _log.debug("not_compared", partition=partition, error=str(error))
                continue
            if wrong and self.halted.get(partition) != wrong:
                _log.error("partition_halted", partition=partition, error=wrong)
                self.halted[partition] = wrong
            elif not wrong and self.halted.pop(partition, ""):
                _log.info("partition_sound_again", partition=partition)

    async def run(self) -> None:
        """Again and again, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_S)
            await self.check()

    async def _wrong(self, partition: int) -> str:
        """Why a partition must not be used; empty when it may be."""
        head = await self.queries.head(partition)
        if head is None:
            return ""
        if head.topic_id.startswith(MOVING):
            return f"partition {partition}: a deployment is on its way here; let `veltrix move` end"
        if head.topic_id and head.topic_id != self.log.identity.topic_id:
            return (
                f"partition {partition}: the ledger belongs to the log {head.topic_id}, this one is "
                f"{self.log.identity.topic_id}; {_BOTH} If that log is lost: veltrix restore --new-log"
            )
        try:
            return (
                await self._other_end(head)
                or await self._other_record(head)
                or await self._published_ahead(head)
            )
        except Mismatch as error:
            return str(error)

    async def _other_end(self, head: Head) -> str:
        """The end of a partition that is being read may be known a moment late: it is looked at again."""
        high = self._ends.get(head.partition, 0)  # a log only grows
        if head.next_offset <= high:
            return ""
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(_AGAIN_S)
            _, high = await self.log.bounds(head.partition)
            if head.next_offset <= high:
                self._ends[head.partition] = high
                return ""
        return (
            f"partition {head.partition}: the ledger stands at offset {head.next_offset}, the log ends at "
            f"{high}; {_BOTH}"
        )

    async def _published_ahead(self, head: Head) -> str:
        """Facts beyond the ledger's last, looked at once a term: it was restored from an older state."""
        if self.feed is None:
            return ""
        partition = head.partition
        known = self._unlike.get(partition)
        if known is not None and known[0] == head.term:
            return known[1]
        published = await self.feed.last_seq(partition)
        now = await self.queries.head(partition)  # after it: facts are committed before they are published
        wrong = ""
        if now is not None and published >= now.next_seq:
            wrong = (
                f"partition {partition}: fact {published} was published, the ledger knows "
                f"{now.next_seq - 1}; it was restored from an older state. Stop all services and run: "
                "veltrix restore"
            )
        self._unlike[partition] = (head.term, wrong)
        return wrong

    async def _other_record(self, head: Head) -> str:
        """Compare the record before the ledger's position, once a term: later ones follow from it."""
        partition = head.partition
        known = self._compared.get(partition)
        if not head.last_hash:  # nothing of this log is decided
            return ""
        if known is not None and known[0] == head.term:
            return known[1]
        records = await self.log.read(partition, head.next_offset - 1, 1, limits.READ_WAIT_S)
        if not records:
            return ""
        wrong = ""
        if record_hash(records[0].value) != head.last_hash:
            wrong = (
                f"partition {partition}: record {head.next_offset - 1} of the log is not the one that the "
                f"ledger decided; {_BOTH}"
            )
        self._compared[partition] = (head.term, wrong)
        return wrong
