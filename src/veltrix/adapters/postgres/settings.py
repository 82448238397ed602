"""How to reach PostgreSQL, and how long to wait for it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from veltrix.ports.errors import Rejected

PORT: Final = 5432
ANSWER_SLACK_S: Final = 1.0
NAME_MAX_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """A database on a cluster of servers, of which one is the primary. `hosts` are "host:port" each.

    `statement_timeout_s` and `lock_timeout_s` are the server's; a server that has said nothing a second
    after the statement's time is taken for lost, and the connection is dropped.
    """

    hosts: tuple[str, ...]
    database: str = "veltrix"
    user: str = "veltrix"
    password: str | None = field(default=None, repr=False)
    tls: Literal["disable", "require", "verify-full"] = "disable"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    pool_max: int = 8
    connect_timeout_s: float = 1.0
    statement_timeout_s: float = 5.0
    lock_timeout_s: float = 2.0
    application: str = "veltrix"

    @property
    def answer_timeout_s(self) -> float:
        """How long a call may take before its connection is dropped."""
        return self.statement_timeout_s + ANSWER_SLACK_S

    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each; raises `Rejected` for what is neither."""
        return [_address(host) for host in self.hosts]

    def session_settings(self, session: str) -> dict[str, str]:
        """What each connection asks of the server."""
        statement_ms = round(self.statement_timeout_s * 1000)
        return {
            "application_name": session,
            "statement_timeout": str(statement_ms),
            "lock_timeout": str(round(self.lock_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": str(statement_ms * 4),
            "tcp_user_timeout": str(statement_ms),
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "1",
            "tcp_keepalives_count": "3",
            "timezone": "UTC",
            # Plans are kept, and a table may grow from nothing to millions of rows under a kept plan: so
            # plan for the large table from the start, which for every query here means by index.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "jit": "off",
        }

    def ssl_context(self) -> ssl.SSLContext | Literal["disable"]:
        """What asyncpg takes as `ssl`. `require` encrypts and believes any server."""
        if self.tls == "disable":
            return "disable"
        context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        if self.tls == "require":
            context.check_hostname = False
            if self.ca_file is None:
                context.verify_mode = ssl.CERT_NONE
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def _address(host: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    if not colon or (":" in name and not name.endswith("]")):
        return host.strip("[]"), PORT
    if not port.isdecimal():
        raise Rejected(f"{host!r} is no host:port")
    return name.strip("[]"), int(port)
