"""Erasures that are carried out again, for a vault that is older than they are.

A backup of the vault holds the keys of persons who were erased since. Log and ledger know of them: what they
say is carried out again before anything can be read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final

from veltrix.domain import limits
from veltrix.domain.commands import ErasePerson
from veltrix.ports.ledger import Ledger
from veltrix.ports.log import Log
from veltrix.ports.vault import Vault
from veltrix.wire import WireError, decode_command

_PAGE: Final = 500


async def erased_keys(
    ledger: Ledger, partitions: Iterable[int], before_offset: int | None = None
) -> AsyncIterator[list[str]]:
    """The keys of everybody who was erased (before an offset), an erasure at a time."""
    for partition in partitions:
        after = -1
        while page := await ledger.erasures(partition, after, _PAGE):
            for offset, event, person in page:
                if before_offset is not None and offset >= before_offset:
                    break
                yield await ledger.keys_of(event, person, offset)
            after = page[-1][0]


async def forget_again(ledger: Ledger, vault: Vault, partitions: Iterable[int]) -> int:
    """Destroy the keys of erased persons that are there again, and say how many were."""
    found = 0
    keys: list[str] = []
    async for theirs in erased_keys(ledger, partitions):
        keys += theirs
        if len(keys) >= _PAGE:
            found += await _forget(vault, keys)
            keys = []
    return found + await _forget(vault, keys)


async def remembered(ledger: Ledger, vault: Vault, partitions: Iterable[int]) -> int:
    """How many keys of persons whose erasure was carried out are there: none, but in an older vault."""
    found = 0
    for partition in partitions:
        upto = await _carried_out(ledger, partition)
        keys: list[str] = []
        async for theirs in erased_keys(ledger, [partition], upto):
            keys += theirs
            if len(keys) >= _PAGE:
                found += len(await vault.keys(keys))
                keys = []
        found += len(await vault.keys(keys)) if keys else 0
    return found


async def _carried_out(ledger: Ledger, partition: int) -> int:
    """Below which offset every fact is published, and so every erasure carried out."""
    head = await ledger.head(partition)
    if head is None:
        return 0
    following = await ledger.facts(partition, head.relayed_seq, 1)
    return following[0].offset if following else head.next_offset


async def undecided_erasures(log: Log, ledger: Ledger, partition: int) -> int:
    """Beyond which offset every erasure in the log is decided; 0 when each is.

    Raises `Mismatch` when the log does not hold what the ledger goes on with.
    """
    head = await ledger.head(partition)
    first, end = await log.bounds(partition)
    offset, upto = max(first, 0 if head is None else head.next_offset), 0
    while offset < end:
        records = await log.read(partition, offset, limits.READ_BATCH_MAX, limits.READ_WAIT_S)
        if not records:
            break
        for record in records:
            try:
                if isinstance(decode_command(record.value).body, ErasePerson):
                    upto = record.offset + 1
            except WireError:
                continue
        offset = records[-1].offset + 1
    return upto


async def _forget(vault: Vault, keys: list[str]) -> int:
    there = await vault.keys(keys) if keys else {}
    if there:
        await vault.destroy(list(there))
    return len(there)
