"""The port `Vault`: keys that are durable when handed out, and gone for good when destroyed."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.conformance.adapters import Subject
from veltrix.domain.identifiers import KEY, is_id
from veltrix.ports.errors import Unavailable
from veltrix.ports.vault import Vault


def remains(subject: Subject[Vault], keys: list[bytes]) -> list[bytes]:
    """Keys whose bytes stand in any file of the vault's directory."""
    content = b"".join(path.read_bytes() for path in sorted(subject.directory.rglob("*")) if path.is_file())
    return [key for key in keys if key in content]


async def test_reserved_keys_are_random_and_distinct(vault: Subject[Vault]):
    """Each block has new ids of the right shape and keys of 32 bytes, none like another."""
    made = [*await vault.it.reserve(100), *await vault.it.reserve(1), *await vault.it.reserve(50)]
    assert len({key_id for key_id, _ in made}) == len({key for _, key in made}) == 151
    assert all(is_id(KEY, key_id) and len(key) == 32 for key_id, key in made)
    assert await vault.it.reserve(0) == []


async def test_keys_are_found_by_id(vault: Subject[Vault]):
    """Those that exist come back; ids that are unknown, or no ids at all, are left out."""
    made = dict(await vault.it.reserve(10))
    wanted = list(made)[3:6]
    odd = [KEY + "f" * 32, KEY + "0" * 32, KEY, "", "reg_" + "0" * 32, KEY + "x" * 32, KEY + "1" * 31]
    assert await vault.it.keys([*wanted, *odd]) == {key_id: made[key_id] for key_id in wanted}
    assert await vault.it.keys([]) == {}
    await vault.it.destroy(odd)
    assert await vault.it.keys(list(made)) == made


async def test_a_destroyed_key_is_gone(vault: Subject[Vault]):
    """It is not found and its id never given again; the others stay; destroying again is harmless."""
    made = dict(await vault.it.reserve(10))
    gone = list(made)[::2]
    await vault.it.destroy([*gone, KEY + "e" * 32])
    await vault.it.destroy(gone)
    left = {key_id: key for key_id, key in made.items() if key_id not in gone}
    assert await vault.it.keys(list(made)) == left
    assert not made.keys() & dict(await vault.it.reserve(20)).keys()


async def test_blocks_may_be_reserved_at_once(vault: Subject[Vault]):
    """Several callers reserve, look up and destroy at the same time; every key is handed out once."""
    blocks = await asyncio.gather(*(vault.it.reserve(700) for _ in range(4)))
    ids = [key_id for block in blocks for key_id, _ in block]
    assert len(set(ids)) == 2_800
    await asyncio.gather(vault.it.destroy(ids[:10]), vault.it.destroy(ids[5:20]), vault.it.reserve(5))
    assert set(await vault.it.keys(ids)) == set(ids[20:])


async def test_a_closed_vault_says_so(vault: Subject[Vault]):
    """Closing twice is harmless; whoever asks gets `Unavailable`."""
    await vault.it.close()
    await vault.it.close()
    for asking in (vault.it.reserve(1), vault.it.keys(["key_"]), vault.it.destroy(["key_"])):
        with pytest.raises(Unavailable):
            await asking


async def test_keys_survive_a_reopening(lasting_vault: Subject[Vault]):
    """Keys that were handed out are there again, destroyed ones are not, and new ids are new."""
    made = dict(await lasting_vault.it.reserve(5))
    await lasting_vault.it.destroy([next(iter(made))])
    vault = await lasting_vault.reopen()
    assert await vault.keys(list(made)) == dict(list(made.items())[1:])
    assert not made.keys() & dict(await vault.reserve(10)).keys()


async def test_nothing_of_a_destroyed_key_is_left_in_any_file(lasting_vault: Subject[Vault]):
    """When `destroy` returns, the bytes of the key are in no file, main or beside it; the others are."""
    if lasting_vault.entry.engine:
        pytest.skip("its files are a server's; its own tests say what remains in them, and until when")
    made = dict(await lasting_vault.it.reserve(3_000))
    assert len(remains(lasting_vault, list(made.values()))) == 3_000  # the search would find them
    order = list(made)
    random.Random(7).shuffle(order)
    for start, size in ((0, 1), (1, 500), (501, 1_999)):
        gone = order[start : start + size]
        await lasting_vault.it.destroy(gone)
        assert remains(lasting_vault, [made[key_id] for key_id in order[: start + size]]) == []
        await lasting_vault.it.reserve(100)
        assert remains(lasting_vault, [made[key_id] for key_id in order[: start + size]]) == []
    left = order[2_500:]
    assert len(remains(lasting_vault, [made[key_id] for key_id in left])) == 500
    vault = await lasting_vault.reopen()
    assert await vault.keys(order) == {key_id: made[key_id] for key_id in left}
