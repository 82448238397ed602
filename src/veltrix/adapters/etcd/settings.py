"""How etcd is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """Where etcd is, as whom to log in, and how long to wait. `endpoints` are "host:port".

    TLS is used when `ca_file` or `certificate_file` is given. All keys of Veltrix begin with `prefix`.
    `lease_ttl_s` is rounded up to whole seconds by etcd, which also has a least of 1.5 election time-outs.
    `call_timeout_s` is the deadline of each try of a call at one endpoint.
    """

    endpoints: tuple[str, ...]
    prefix: str = "/veltrix"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    lease_ttl_s: float = 2.0
    call_timeout_s: float = 1.0

    @property
    def tls(self) -> bool:
        """Whether the connections are encrypted."""
        return self.ca_file is not None or self.certificate_file is not None
