"""Adapters on the run's etcd, below a prefix of their own that follows from the directory."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from veltrix.adapters.etcd import EtcdClient, EtcdClusterSettings, EtcdCoordinator, EtcdSettings


def settings_in(directory: Path, engine: str) -> EtcdSettings:
    """The same keys for the same directory, and no others."""
    return EtcdSettings((engine,), prefix=f"/tests/{sha256(str(directory).encode()).hexdigest()[:16]}")


class OwnClient(EtcdCoordinator):
    """A coordinator that closes its client too."""

    async def close(self) -> None:
        """Close both."""
        await super().close()
        await self._client.close()


async def etcd_coordinator(directory: Path, *, engine: str) -> EtcdCoordinator:
    """A member of a group."""
    return await OwnClient.open(await EtcdClient.open(settings_in(directory, engine)), group="processing")


class OwnClientSettings(EtcdClusterSettings):
    """Cluster settings that close their client too."""

    async def close(self) -> None:
        """Close both."""
        await super().close()
        await self._client.close()


async def etcd_settings(directory: Path, *, engine: str) -> EtcdClusterSettings:
    """The settings of a cluster."""
    return OwnClientSettings(await EtcdClient.open(settings_in(directory, engine)))
