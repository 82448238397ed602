"""etcd: who owns which partition and who ticks, the epoch, and the settings of the whole cluster."""

from veltrix.adapters.etcd.client import EtcdClient
from veltrix.adapters.etcd.cluster_settings import EtcdClusterSettings
from veltrix.adapters.etcd.coordinator import EtcdCoordinator
from veltrix.adapters.etcd.epoch import (
    LogGeneration,
    newest_term,
    prepare_epoch,
    prepare_log,
    raise_epoch,
    raise_log,
    read_log,
)
from veltrix.adapters.etcd.settings import EtcdSettings

__all__ = [
    "EtcdClient",
    "EtcdClusterSettings",
    "EtcdCoordinator",
    "EtcdSettings",
    "LogGeneration",
    "newest_term",
    "prepare_epoch",
    "prepare_log",
    "raise_epoch",
    "raise_log",
    "read_log",
]
