"""Cluster settings reach what runs, as they change."""

from __future__ import annotations

import asyncio

from veltrix.adapters.memory import MemoryClusterSettings, MemorySettingsStore
from veltrix.bootstrap.tuning import apply_logging, following_settings
from veltrix.config import Config, load
from veltrix.observability import logging
from veltrix.ports.settings import SettingsDocument

CONFIG = load(environ={"HOME": "/home/nobody"}).config


class Applied:
    """What was applied, and a signal of it."""

    def __init__(self) -> None:
        self.configs: asyncio.Queue[Config] = asyncio.Queue()

    def __call__(self, config: Config) -> None:
        """Apply."""
        self.configs.put_nowait(config)

    async def next(self) -> Config:
        """The next configuration, within the two seconds that are promised."""
        return await asyncio.wait_for(self.configs.get(), 2.0)


async def test_what_stands_is_applied_before_anything_runs_and_each_change_after():
    """The block begins with the cluster's values; each change is applied once, and back again."""
    store = MemorySettingsStore()
    writer, applied = MemoryClusterSettings(store), Applied()
    await writer.set(SettingsDocument(1, {"http.rate_burst": 70_000}))
    async with following_settings(MemoryClusterSettings(store), CONFIG, applied):
        assert applied.configs.qsize() == 1
        assert (await applied.next()).http.rate_burst == 70_000
        await writer.set(SettingsDocument(2, {"processing.batch_max": 7}))
        changed = await applied.next()
        assert (changed.processing.batch_max, changed.http) == (7, CONFIG.http)
        await writer.set(SettingsDocument(3, {}))
        assert await applied.next() == CONFIG


async def test_nothing_set_changes_nothing():
    """Without cluster settings nothing is applied."""
    applied = Applied()
    async with following_settings(MemoryClusterSettings(), CONFIG, applied):
        assert applied.configs.empty()


async def test_what_cannot_be_applied_keeps_nothing_else_out():
    """A value that this version does not know is told and left out; a version that fails is passed over."""
    store, fail = MemorySettingsStore(), True
    writer, applied = MemoryClusterSettings(store), Applied()

    def apply(config: Config) -> None:
        if fail:
            raise ZeroDivisionError
        applied(config)

    with logging.captured() as lines:
        async with following_settings(MemoryClusterSettings(store), CONFIG, apply):
            await writer.set(SettingsDocument(1, {"http.rate_burst": 70_000}))
            async with asyncio.timeout(2.0):
                while "cluster_settings_failed" not in [line["message"] for line in lines]:  # noqa: ASYNC110 - lines give no signal
                    await asyncio.sleep(0)
            fail = False
            await writer.set(SettingsDocument(2, {"http.rate_burst": 80_000, "http.unheard_of": 1}))
            assert (await applied.next()).http.rate_burst == 80_000
    assert any(line["message"] == "cluster_setting_wrong" for line in lines)


async def test_an_etcd_that_is_away_delays_nothing_for_long(monkeypatch):
    """Where nobody says what stands, the process begins with its own configuration."""

    class Silent(MemoryClusterSettings):
        async def watch(self):
            await asyncio.Event().wait()
            yield SettingsDocument()

    monkeypatch.setattr("veltrix.bootstrap.tuning._FIRST_S", 0.01)
    applied = Applied()
    async with asyncio.timeout(2.0), following_settings(Silent(), CONFIG, applied):
        assert applied.configs.empty()


def test_the_level_of_logs_changes():
    """A new level counts for the next line."""
    with logging.captured(logging.INFO) as lines:
        log = logging.get_logger("tests")
        log.debug("one")
        apply_logging(load(environ={"HOME": "/", "VELTRIX_LOGGING_LEVEL": "debug"}).config)
        log.debug("two")
    assert [line["message"] for line in lines] == ["two"]
