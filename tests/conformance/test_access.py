"""The port `Access`: API keys, of which only a hash is kept."""

from __future__ import annotations

import pytest

from tests.conformance.adapters import Subject
from veltrix.ports.access import Access, ApiKey, Scope
from veltrix.ports.errors import Rejected, Unavailable


def api_key(name: str, organizer: str = "org_1", created_ms: int = 1) -> ApiKey:
    """A key of that id."""
    return ApiKey(name, organizer, frozenset({Scope.WRITE, Scope.CHECK_IN}), "hash", created_ms, "label")


async def test_a_key_is_found_as_it_was_added(access: Subject[Access]):
    """Every field comes back, with no scope, one or all; unknown ids find nothing."""
    keys = [
        api_key("a"),
        ApiKey("b", "org_1", frozenset(), "hash-b", 2),
        ApiKey("c", "org_1", frozenset(Scope), "hash-c", 3, "büro"),
    ]
    for key in keys:
        await access.it.add(key)
    assert [await access.it.find(key.id) for key in keys] == keys
    assert await access.it.find("none") is None


async def test_an_id_is_taken_once(access: Subject[Access]):
    """Adding an id that exists is rejected, and the key that was there stays."""
    await access.it.add(api_key("a"))
    with pytest.raises(Rejected):
        await access.it.add(api_key("a", "org_2"))
    found = await access.it.find("a")
    assert found is not None and found.organizer == "org_1"


async def test_keys_are_listed_by_organizer_and_time(access: Subject[Access]):
    """All of them, in that order."""
    for key in (api_key("d", "org_2", 1), api_key("c", "org_1", 5), api_key("b", "org_1", 2)):
        await access.it.add(key)
    assert [key.id for key in await access.it.keys()] == ["b", "c", "d"]


async def test_a_revoked_key_opens_nothing(access: Subject[Access]):
    """After a revocation it is not found; revoking what is not there says so."""
    await access.it.add(api_key("a"))
    await access.it.add(api_key("b"))
    assert await access.it.revoke("a")
    assert not await access.it.revoke("a")
    assert await access.it.find("a") is None
    assert [key.id for key in await access.it.keys()] == ["b"]


async def test_a_closed_store_says_so(access: Subject[Access]):
    """Closing twice is harmless; whoever asks gets `Unavailable`."""
    await access.it.close()
    await access.it.close()
    for asking in (access.it.add(api_key("a")), access.it.find("a"), access.it.keys(), access.it.revoke("a")):
        with pytest.raises(Unavailable):
            await asking


async def test_keys_survive_a_reopening(lasting_access: Subject[Access]):
    """What was added is there again, what was revoked is not."""
    await lasting_access.it.add(api_key("a"))
    await lasting_access.it.add(api_key("b"))
    await lasting_access.it.revoke("a")
    access = await lasting_access.reopen()
    assert await access.keys() == [api_key("b")]


async def test_a_key_made_elsewhere_is_seen(lasting_access: Subject[Access]):
    """The command line adds and revokes keys while the platform runs: it sees both at once."""
    elsewhere = await lasting_access.another()
    await elsewhere.add(api_key("a"))
    assert await lasting_access.it.find("a") == api_key("a")
    await elsewhere.revoke("a")
    assert await lasting_access.it.find("a") is None
