"""What the clients of the engines tell, and the process about itself: one half of the facade."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from veltrix.observability import engines
from veltrix.observability.instruments import Family, Number, Spread, numbers, spreads
from veltrix.observability.kinds import Metric
from veltrix.observability.reading import Readings
from veltrix.ports.figures import ClientFigures, PoolFigures


class EngineMetrics:
    """Counts what concerns engines and the process. Every method is cheap, and called from the loop only."""

    def __init__(self) -> None:
        self._families: dict[str, Family[Number] | Family[Spread]] = {}
        self._readings = Readings(self._families)
        self._connect_seconds = self._spread(engines.CONNECT_SECONDS).child()
        self._connects_failed = self._number(engines.CONNECTS_FAILED)
        self._connections = self._number(engines.CONNECTIONS)
        self._pool_waiting = self._number(engines.POOL_WAITING)
        self._pool_wait_seconds = self._spread(engines.POOL_WAIT_SECONDS).child()
        self._call_seconds = self._spread(engines.CALL_SECONDS)
        self._calls_failed = self._number(engines.CALLS_FAILED)
        self._failovers = self._number(engines.FAILOVERS)
        self._kafka_clients = [
            self._number(metric)
            for metric in (
                engines.QUEUE_MESSAGES,
                engines.QUEUE_BYTES,
                engines.SENT_MESSAGES,
                engines.SENT_BYTES,
                engines.RECEIVED_MESSAGES,
                engines.RECEIVED_BYTES,
            )
        ]
        self._kafka_brokers = [
            self._number(metric)
            for metric in (
                engines.BROKER_UP,
                engines.BROKER_RTT,
                engines.BROKER_RTT_MAX,
                engines.BROKER_ERRORS,
                engines.BROKER_TIMEOUTS,
                engines.BROKER_RETRIES,
            )
        ]
        self._lease_margin = self._number(engines.LEASE_MARGIN).child()
        self._leases_lost = self._number(engines.LEASES_LOST).child()
        self._engine_up = self._number(engines.ENGINE_UP)
        self._certificates = self._number(engines.CERTIFICATE)
        self._settings_version = self._number(engines.SETTINGS_VERSION).child()
        self._storage_free = self._number(engines.STORAGE_FREE)
        self._storage_used = self._number(engines.STORAGE_USED)
        self._loop_lag = self._spread(engines.LOOP_LAG).child()
        self._ready = self._number(engines.READY)
        self._bound_used = self._number(engines.BOUND_USED)
        self._bound_max = self._number(engines.BOUND_MAX)
        self._log_lines = self._number(engines.LOG_LINES)
        self._spans = self._number(engines.SPANS)

    def _number(self, metric: Metric) -> Family[Number]:
        self._families[metric.name] = family = numbers(metric)
        return family

    def _spread(self, metric: Metric) -> Family[Spread]:
        self._families[metric.name] = family = spreads(metric)
        return family

    # -- PostgreSQL ------------------------------------------------------------------------------
    def connected(self, seconds: float) -> None:
        """A connection to PostgreSQL was made, from the first packet until it was found to be of use."""
        self._connect_seconds.observe(seconds)

    def connection_failed(self, timed_out: bool) -> None:
        """No connection to PostgreSQL could be made, or not in time."""
        self._connects_failed.child("timed_out" if timed_out else "refused").add()

    def called(self, writing: bool, waited_s: float, seconds: float) -> None:
        """A call had its connection after waiting, and took so long on it, however it ended."""
        self._pool_wait_seconds.observe(waited_s)
        self._call_seconds.child("write" if writing else "read").observe(seconds)

    def call_failed(self, unknown: bool) -> None:
        """A call failed for want of a server, or its commit's outcome is unknown."""
        self._calls_failed.child("unknown" if unknown else "unavailable").add()

    def pool(self, database: str, read: Callable[[], PoolFigures], most: int) -> None:
        """Read the pool of a database for each page."""
        in_use, idle = (self._connections.child(database, state) for state in ("in_use", "idle"))
        self._readings.number(in_use, lambda: read().in_use)
        self._readings.number(idle, lambda: read().idle)
        self._readings.number(self._pool_waiting.child(database), lambda: read().waiting)
        self._readings.number(self._failovers.child(database), lambda: read().failovers)
        self.bound(f"postgres_pool_{database}", lambda: read().in_use, most)

    # -- Kafka and etcd --------------------------------------------------------------------------
    def kafka_client(self, client: str, figures: ClientFigures) -> None:
        """What one client of Kafka says of itself, every few seconds."""
        for family, count in zip(self._kafka_clients, figures[:6], strict=True):
            family.child(client).set(count)
        for broker, of_broker in figures.brokers.items():
            for family, value in zip(self._kafka_brokers, of_broker, strict=True):
                family.child(client, broker).set(float(value))

    def lease(self, margin_s: Callable[[], float], lost: Callable[[], int]) -> None:
        """Read for each page how long the lease surely lasts, and how many were lost."""
        self._readings.number(self._lease_margin, margin_s)
        self._readings.number(self._leases_lost, lost)

    def engines_up(self, read: Callable[[], Mapping[str, bool]]) -> None:
        """Read for each page which engines answer."""
        self._readings.table(
            self._engine_up, lambda: {(name,): float(answers) for name, answers in read().items()}
        )

    def certificates(self, not_after_s: Mapping[str, float]) -> None:
        """When the certificates of files end, since the epoch, by setting."""
        for setting, seconds in not_after_s.items():
            self._certificates.child(setting).set(seconds)

    def settings_applied(self, version: int) -> None:
        """That version of the cluster settings was taken over."""
        self._settings_version.set(version)

    # -- the process -----------------------------------------------------------------------------
    def storage(
        self, free: Callable[[], Mapping[str, float]], used: Callable[[], Mapping[str, float]]
    ) -> None:
        """Read for each page the room left by directory, and the size of files by name, in bytes."""
        self._readings.table(self._storage_free, lambda: {(name,): size for name, size in free().items()})
        self._readings.table(self._storage_used, lambda: {(name,): size for name, size in used().items()})

    def loop_lag(self, seconds: float) -> None:
        """The event loop came back that much later than asked."""
        self._loop_lag.observe(seconds)

    def readiness(self, read: Callable[[], Mapping[str, bool]]) -> None:
        """Read for each page which checks of /readyz hold."""
        self._readings.table(self._ready, lambda: {(name,): float(holds) for name, holds in read().items()})

    def bound(self, name: str, used: Callable[[], float], most: float | Callable[[], float]) -> None:
        """Read for each page how much of a bounded thing is in use, and how much there may be."""
        self._readings.number(self._bound_used.child(name), used)
        if callable(most):
            self._readings.number(self._bound_max.child(name), most)
        else:
            self._bound_max.child(name).set(most)

    def lines(self, counted: Callable[[], Mapping[str, int]]) -> None:
        """Read for each page how many lines of each level were logged."""
        self._readings.table(
            self._log_lines, lambda: {(level,): float(count) for level, count in counted().items()}
        )

    def spans(self, counted: Callable[[], tuple[int, int]]) -> None:
        """Read for each page how many spans were recorded, and dropped."""
        self._readings.number(self._spans.child("recorded"), lambda: counted()[0])
        self._readings.number(self._spans.child("dropped"), lambda: counted()[1])
