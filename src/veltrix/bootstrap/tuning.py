"""Applies the cluster settings to what runs in this process, as they change.

    async with following_settings(EtcdClusterSettings(client), config, apply):
        ...

`apply` is called with each new configuration, the first time before the block begins if etcd answers:

    def apply(config: Config) -> None:
        apply_logging(config)
        registration.reconfigure(registration_settings(config, port, metrics, halted))
        processing.reconfigure(config.processing.batch_max, config.processing.tick_interval_s)

A process keeps what it has while etcd is away, and starts with its own configuration when etcd is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from veltrix.config import Config
from veltrix.config.runtime import overlaid
from veltrix.observability import logging
from veltrix.ports.settings import ClusterSettings, SettingsDocument

_log = logging.get_logger("cluster")

_FIRST_S: Final = 2.0


@asynccontextmanager
async def following_settings(
    settings: ClusterSettings,
    config: Config,
    apply: Callable[[Config], None],
    told: Callable[[int], None] = lambda version: None,
) -> AsyncIterator[None]:
    """Call `apply` with `config` and the cluster's values on top, at first and after each change.

    What a process cannot use it leaves out, and says so. `told` learns each version that is taken over.
    Closes `settings` at the end.
    """
    first = asyncio.Event()
    task = asyncio.create_task(_follow(settings, config, apply, told, first), name="cluster-settings")
    try:
        with suppress(TimeoutError):  # etcd is away: begin with what is configured
            await asyncio.wait_for(first.wait(), _FIRST_S)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await settings.close()


async def _follow(
    settings: ClusterSettings,
    config: Config,
    apply: Callable[[Config], None],
    told: Callable[[int], None],
    first: asyncio.Event,
) -> None:
    applied = config
    async for document in settings.watch():
        try:
            overlay = _overlay(config, document)
            if overlay != applied:
                apply(overlay)
                applied = overlay
                _log.info("cluster_settings_applied", version=document.version, values=dict(document.values))
            told(document.version)
        except Exception:  # what one version does wrong must not keep the next one out
            _log.exception("cluster_settings_failed", version=document.version)
        first.set()


def _overlay(config: Config, document: SettingsDocument) -> Config:
    overlay, problems = overlaid(config, document.values)
    for problem in problems:
        _log.warning("cluster_setting_wrong", version=document.version, problem=str(problem))
    return overlay


def apply_logging(config: Config) -> None:
    """Write lines from the configured level on, to wherever they go already."""
    logging.set_level(config.logging.level)
