"""What a process shows of itself: its metrics, and what is read for them from services and engines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from veltrix import __version__
from veltrix.config import Config
from veltrix.observability import catalogue, engines
from veltrix.observability.logging import get_logger, line_counts
from veltrix.observability.metrics import Metrics
from veltrix.ports.system import Clock

if TYPE_CHECKING:
    from veltrix.adapters.etcd import EtcdCoordinator
    from veltrix.bootstrap.engines import EngineChecks
    from veltrix.registration.service import RegistrationService

_log = get_logger("metrics")

_TLS_FILES: Final = ("ca_file", "certificate_file")
_TLS_SECTIONS: Final = ("kafka", "postgres", "etcd")


def metrics_of(service: str, clock: Clock) -> Metrics:
    """The metrics of one process of a cluster; `service` is its kind."""
    metrics = Metrics(__version__, service, catalogue.GROUPS_OF[service] | engines.CLUSTER_GROUPS)
    return _begun(metrics, clock)


def embedded_metrics(clock: Clock) -> Metrics:
    """The metrics of everything in one process."""
    groups = frozenset().union(*catalogue.GROUPS_OF.values()) | engines.EMBEDDED_GROUPS
    groups -= {engines.COORDINATE}
    return _begun(Metrics(__version__, "embedded", groups), clock)


def _begun(metrics: Metrics, clock: Clock) -> Metrics:
    metrics.hot.timed(clock.monotonic_s)
    metrics.lines(line_counts)
    return metrics


def watch_registration(metrics: Metrics, service: RegistrationService) -> None:
    """Read what registration holds, what bounds it, and whether it is ready."""
    core = service.core
    metrics.reads("held_requests", lambda: core.desk.held)
    metrics.reads("keys_reserved", lambda: len(core.reserve))
    metrics.readiness(service.readiness)
    for name, (used, most) in service.bounded().items():
        metrics.bound(name, used, most)


def watch_engines(metrics: Metrics, checks: EngineChecks, coordinator: EtcdCoordinator | None) -> None:
    """Read which engines answer, and how long the lease lasts."""
    if coordinator is None:
        metrics.engines_up(lambda: checks.answers)
        return
    metrics.engines_up(lambda: checks.answers | {"etcd": not coordinator.unsure})
    metrics.lease(lambda: coordinator.margin_s, lambda: coordinator.leases_lost)


def watch_certificates(metrics: Metrics, config: Config) -> None:
    """Tell when the certificates in configured files end. What cannot be read is said, once."""
    ends: dict[str, float] = {}
    for key, path in _tls_files(config):
        try:
            ends[key] = not_after_s(path)
        except (OSError, ValueError) as error:
            _log.warning("certificate_not_read", setting=key, file=str(path), error=str(error))
    metrics.certificates(ends)


def not_after_s(path: Path) -> float:
    """When the first of a file's certificates ends, since the epoch. Raises `OSError` or `ValueError`."""
    from cryptography import x509

    found = x509.load_pem_x509_certificates(path.read_bytes())
    return min(one.not_valid_after_utc.timestamp() for one in found)


def _tls_files(config: Config) -> Iterator[tuple[str, Path]]:
    for section in _TLS_SECTIONS:
        for name in _TLS_FILES:
            path = getattr(getattr(config, section), name)
            if path is not None:
                yield f"{section}.{name}", path


def watch_storage(metrics: Metrics, config: Config) -> None:
    """Read the room that is left, and how large the files of the data directory are."""
    directory, spool = config.data.directory, config.notification.spool_directory

    def free() -> Mapping[str, float]:
        found = {}
        for name, path in (("data", directory), ("spool", spool)):
            try:
                found[name] = float(shutil.disk_usage(path).free)
            except OSError:
                continue  # it is not there yet, or not reachable now
        return found

    def used() -> Mapping[str, float]:
        sizes: dict[str, float] = {}
        for path in directory.glob("*.db*"):
            name = f"{path.name.partition('.db')[0]}.db"
            try:
                sizes[name] = sizes.get(name, 0.0) + path.stat().st_size
            except OSError:
                continue  # a side file that has just gone
        return sizes

    metrics.storage(free, used)
