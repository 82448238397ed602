"""The port `ClusterSettings`: one document, one version after the other, seen by everyone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.conformance.adapters import Subject
from veltrix.domain import limits
from veltrix.ports.errors import Rejected
from veltrix.ports.settings import ClusterSettings, SettingsDocument

FIRST = SettingsDocument(
    1, {"http.rate_burst": 70_000, "http.wait_default": "5 s"}, 1_800_000_000_000, "ops", "a"
)


async def test_nothing_is_set_at_first(cluster_settings: Subject[ClusterSettings]):
    """Version 0 stands, without values and without history."""
    assert await cluster_settings.it.get() == SettingsDocument()
    assert await cluster_settings.it.history() == []
    assert await cluster_settings.it.version(1) is None


async def test_what_is_set_stands_for_everyone(cluster_settings: Subject[ClusterSettings]):
    """A document comes back as it was given, elsewhere too, and is in the history."""
    other = await cluster_settings.another()
    await cluster_settings.it.set(FIRST)
    assert await other.get() == FIRST
    second = SettingsDocument(2, {"logging.level": "debug"}, changed_by="ops")
    await other.set(second)
    assert await cluster_settings.it.get() == second
    assert await cluster_settings.it.history() == [second, FIRST]
    assert await other.version(1) == FIRST


async def test_of_two_changes_of_one_version_one_is_refused(cluster_settings: Subject[ClusterSettings]):
    """Whoever did not see what stands changes nothing."""
    await cluster_settings.it.set(FIRST)
    for version in (0, 1, 3):
        with pytest.raises(Rejected, match="version 1 stands"):
            await cluster_settings.it.set(replace(FIRST, version=version))
    assert await cluster_settings.it.get() == FIRST
    second = [SettingsDocument(2, {"log.undecided_max": 1_000 + number}) for number in range(8)]
    done = await asyncio.gather(
        *(cluster_settings.it.set(document) for document in second), return_exceptions=True
    )
    assert sum(result is None for result in done) == 1
    assert all(result is None or isinstance(result, Rejected) for result in done)
    assert await cluster_settings.it.get() == second[done.index(None)]


async def test_changes_are_followed(cluster_settings: Subject[ClusterSettings]):
    """A watch tells what stands, then what stands after it, within two seconds; closing ends it."""
    other = await cluster_settings.another()
    watch = other.watch()
    assert await anext(watch) == SettingsDocument()
    for version in range(1, 4):
        document = replace(FIRST, version=version)
        await cluster_settings.it.set(document)
        async with asyncio.timeout(2.0):
            assert await anext(watch) == document
    ending = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await other.close()
    with pytest.raises(StopAsyncIteration):
        await ending


async def test_history_is_bounded(
    cluster_settings: Subject[ClusterSettings], monkeypatch: pytest.MonkeyPatch
):
    """Only the newest versions are kept."""
    monkeypatch.setattr(limits, "SETTINGS_HISTORY_MAX", 3)
    for version in range(1, 6):
        await cluster_settings.it.set(replace(FIRST, version=version))
    assert [document.version for document in await cluster_settings.it.history()] == [5, 4, 3]
    assert await cluster_settings.it.version(2) is None
