"""What an operator may change about registration; the defaults are the limits' own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from veltrix.domain import limits


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one registration process. `base_url` has no trailing slash."""

    base_url: str = "http://127.0.0.1:8080"
    version: str = "0"
    trusted_proxies: tuple[str, ...] = ()
    body_max_bytes: int = limits.BODY_MAX_BYTES
    wait_default_s: float = limits.WAIT_DEFAULT_S
    held_requests_max: int = limits.HELD_REQUESTS_MAX
    undecided_max: int = limits.UNDECIDED_MAX
    rate_per_address_per_s: float = limits.RATE_PER_ADDRESS_PER_S
    rate_burst_per_address: float = limits.RATE_BURST_PER_ADDRESS
    stream_clients_max: int = limits.STREAM_CLIENTS_MAX
    stream_heartbeat_s: float = limits.STREAM_HEARTBEAT_S
    stream_coalesce_s: float = limits.STREAM_COALESCE_S
    import_max_bytes: int = limits.IMPORT_MAX_BYTES
    import_max_rows: int = limits.IMPORT_MAX_ROWS
    import_in_flight: int = limits.IMPORT_IN_FLIGHT
    imports_at_once: int = 4
    key_block: int = limits.KEY_BLOCK
    keys_reserved_low: int = limits.KEYS_RESERVED_LOW
    stop_timeout_s: float = 15.0
    halted: Mapping[int, str] = field(default_factory=dict)
    """Partitions that an operator must repair before they are decided again, with the reason; may change."""
    ready_checks: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """What else must hold for this process to be ready, by name."""
    hot_events: Callable[[], Mapping[str, object]] | None = None
    """Gives what `/hot-events` answers; without it there is no such page."""
    metrics_page: Callable[[str], tuple[bytes, str]] | None = None
    """Gives body and content type of `/metrics` for an Accept header; without it there is no such page."""
