"""Every setting: its name, kind, default and meaning. The reference in docs/ is printed from here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

from veltrix.config.defining import password, password_file, setting
from veltrix.config.engines import Etcd, Kafka, Operations, Postgres, Secrets
from veltrix.config.kinds import (
    BounceAddress,
    Choice,
    Duration,
    FilePath,
    Flag,
    Integer,
    Kind,
    Mailbox,
    Networks,
    Secret,
    Size,
    Text,
    Url,
)
from veltrix.config.tracing import Tracing
from veltrix.domain import limits
from veltrix.domain.decider import NEWEST_RULES

ENVIRONMENT_PREFIX: Final = "VELTRIX_"
FILE_VARIABLE: Final = "VELTRIX_CONFIG"
# In the file an amount carries its unit; in the program its name does.
UNIT_SUFFIXES: Final[dict[type, str]] = {Duration: "_s", Size: "_bytes"}
SMTP_PORTS: Final = {"none": 25, "starttls": 587, "tls": 465}


@dataclass(frozen=True, slots=True)
class Http:
    """How Veltrix is reached, and how much it takes on at once."""

    host: str = setting(Text(), "127.0.0.1", "Address to listen on. `0.0.0.0` or `::` means all of them.")
    port: int = setting(Integer(0, 65_535), 8080, "Port to listen on; 0 takes a free one.")
    public_url: str | None = setting(
        Url(),
        None,
        "Where people reach Veltrix: the beginning of every link in pages and mails.",
        derived="`http://` and the address and port listened on",
    )
    trusted_proxies: tuple[str, ...] = setting(
        Networks(),
        (),
        "Networks of the reverse proxies whose `Forwarded` and `X-Forwarded-…` headers are believed.",
    )
    wait_default_s: float = setting(
        Duration(0.0, limits.WAIT_MAX_S),
        limits.WAIT_DEFAULT_S,
        "How long a request is held open for its decision when it says nothing (`Prefer: wait=N`).",
    )
    held_requests_max: int = setting(
        Integer(1, 1_000_000),
        limits.HELD_REQUESTS_MAX,
        "Requests held open at once; those beyond it get 202 and look again.",
    )
    rate_per_address: int = setting(
        Integer(1, 1_000_000),
        limits.RATE_PER_ADDRESS_PER_S,
        "Requests a second that one client address may send in the long run.",
    )
    rate_burst: int = setting(
        Integer(1, 10_000_000),
        limits.RATE_BURST_PER_ADDRESS,
        "Requests that one client address may send at once before the rate counts.",
    )
    body_max_bytes: int = setting(
        Size(1024, limits.BODY_MAX_BYTES),
        limits.BODY_MAX_BYTES,
        "Largest body of a request; imports have a bound of their own.",
    )
    backlog: int = setting(
        Integer(1, 65_535),
        limits.LISTEN_BACKLOG,
        "Connections that may wait to be accepted; the operating system may allow fewer.",
    )

    def url(self, port: int | None = None) -> str:
        """Where people reach Veltrix when it listens on `port` (default: the configured one)."""
        return self.public_url or self.local_url(port)

    def local_url(self, port: int | None = None) -> str:
        """Where this machine reaches Veltrix when it listens on `port` (default: the configured one)."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compares only
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.port if port is None else port}"


@dataclass(frozen=True, slots=True)
class Data:
    """Where everything is kept."""

    directory: Path = setting(
        FilePath(),
        None,
        "Directory of the log, the ledger, the keys and the notices. Back it up as a whole.",
        derived="`$XDG_DATA_HOME/veltrix`, else `~/.local/share/veltrix`",
    )


@dataclass(frozen=True, slots=True)
class Log:
    """The durable record of commands."""

    partitions: int = setting(
        Integer(1, limits.PARTITIONS_MAX),
        1,
        "Partitions of the log. More can be added later (new events take them), never fewer.",
    )
    undecided_max: int = setting(
        Integer(1_000, 100_000_000),
        limits.UNDECIDED_MAX,
        "Undecided commands a partition; beyond it requests get 429 or 503 with `Retry-After`.",
    )


@dataclass(frozen=True, slots=True)
class Processing:
    """How commands are decided."""

    batch_max: int = setting(
        Integer(1, 100_000), limits.READ_BATCH_MAX, "Commands decided and committed together."
    )
    tick_interval_s: float = setting(
        Duration(0.05, 60.0), limits.TICK_INTERVAL_S, "How often due work (holds that expire) is looked for."
    )
    rules_version: int = setting(
        Integer(1, NEWEST_RULES),
        NEWEST_RULES,
        "Newest rules version that partitions are brought under. Keep the former one while a rolling upgrade "
        "lasts: a process that does not know a partition's version stops deciding it.",
    )


@dataclass(frozen=True, slots=True)
class Notification:
    """How people are told."""

    channel: str = setting(
        Choice(("spool", "smtp")),
        "spool",
        "`spool` writes each mail as an .eml file; `smtp` sends it.",
    )
    spool_directory: Path = setting(
        FilePath(), None, "Where the .eml files go.", derived="`spool` below the data directory"
    )
    sender: str = setting(
        Mailbox(), "Veltrix <no-reply@veltrix.invalid>", "From whom mails come, and who gets their bounces."
    )
    reply_to: str | None = setting(Mailbox(), None, "Where answers to mails go.", derived="the sender")
    bounces: str | None = setting(
        BounceAddress(),
        None,
        "Where mail that comes back goes; `+` and what names the notice follow its local part.",
        derived="the sender, without that",
    )
    lease_s: float = setting(
        Duration(1.0, 3600.0),
        limits.NOTICE_LEASE_S,
        "How long an attempt may go without a result before it counts as unknown and is tried again.",
    )
    on_unknown: str = setting(
        Choice(("retry", "hold")),
        "retry",
        "What follows when a mail may have arrived: `retry` (it may come twice), or `hold` until an operator "
        "says. For webhooks the organizer chooses, for each endpoint.",
    )
    mails_per_s: int = setting(
        Integer(0, 1_000_000), 0, "Mails a second that are sent at the most, by all processes; 0: no limit."
    )


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server, when `notification.channel` is `smtp`."""

    host: str | None = setting(
        Text(), None, "Name or address of the mail server.", derived="nothing: required"
    )
    port: int = setting(
        Integer(1, 65_535),
        None,
        "Port of the mail server.",
        derived="by `security`: " + ", ".join(f"{port} ({name})" for name, port in SMTP_PORTS.items()),
    )
    security: str = setting(
        Choice(("none", "starttls", "tls")),
        "starttls",
        "`tls` from the first byte, `starttls` before anything is sent (both verify), or `none`.",
    )
    username: str | None = setting(Text(), None, "User name, when the server wants one.", derived="no login")
    password: Secret | None = password()
    password_file: Path | None = password_file()
    connections: int = setting(
        Integer(1, 100), limits.MAIL_CONNECTIONS_MAX, "Connections to the server at once."
    )
    timeout_s: float = setting(
        Duration(1.0, 600.0), limits.SEND_TIMEOUT_S, "Longest time that one attempt may take."
    )


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Where organizers may have facts posted."""

    allow_networks: tuple[str, ...] = setting(
        Networks(),
        (),
        "Networks that webhooks may go to although they are not public, also without TLS. Everybody who may "
        "save an endpoint reaches them through Veltrix.",
    )
    per_endpoint_per_s: int = setting(
        Integer(0, 1_000_000),
        0,
        "Webhooks a second that an endpoint gets at the most, where it has no limit of its own; 0: no limit.",
    )


@dataclass(frozen=True, slots=True)
class Imports:
    """Bounds of bulk imports."""

    body_max_bytes: int = setting(Size(1024, 1024**3), limits.IMPORT_MAX_BYTES, "Largest body of an import.")
    rows_max: int = setting(Integer(1, 1_000_000), limits.IMPORT_MAX_ROWS, "Most rows of an import.")
    in_flight: int = setting(
        Integer(1, 10_000), limits.IMPORT_IN_FLIGHT, "Rows of one import that are undecided at once."
    )


@dataclass(frozen=True, slots=True)
class Logging:
    """What is written to standard error while Veltrix runs."""

    level: str = setting(
        Choice(("debug", "info", "warning", "error")), "info", "The least level that is written."
    )
    format: str = setting(
        Choice(("auto", "json", "console")),
        "auto",
        "`json`: one object a line; `console`: for people; `auto`: for people when it is a terminal.",
    )
    tracebacks: bool = setting(
        Flag(), False, "Show the traceback of an unexpected error at once, beside the report that is written."
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; paths are absolute."""

    http: Http
    data: Data
    log: Log
    processing: Processing
    notification: Notification
    smtp: Smtp
    webhooks: Webhooks
    imports: Imports
    logging: Logging
    kafka: Kafka
    postgres: Postgres
    etcd: Etcd
    operations: Operations
    secrets: Secrets
    tracing: Tracing

    @property
    def clustered(self) -> bool:
        """Whether the engines of a cluster are named; without them everything lives in `data.directory`."""
        return bool(self.postgres.hosts)


class Setting(NamedTuple):
    """One setting, as it is defined. `attribute` is `name` with its unit, as the program calls it."""

    section: str
    name: str
    attribute: str
    kind: Kind
    default: Any
    meaning: str
    derived: str

    @property
    def key(self) -> str:
        """`section.name`, as it is called in messages."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{ENVIRONMENT_PREFIX}{self.section}_{self.name}".upper()


SECTIONS: Final[dict[str, type]] = {
    "http": Http,
    "data": Data,
    "log": Log,
    "processing": Processing,
    "notification": Notification,
    "smtp": Smtp,
    "webhooks": Webhooks,
    "imports": Imports,
    "logging": Logging,
    "kafka": Kafka,
    "postgres": Postgres,
    "etcd": Etcd,
    "operations": Operations,
    "secrets": Secrets,
    "tracing": Tracing,
}


def _settings() -> Iterator[Setting]:
    for section, definition in SECTIONS.items():
        for item in fields(definition):
            kind, meaning, derived = (item.metadata[part] for part in ("kind", "meaning", "derived"))
            name = item.name.removesuffix(UNIT_SUFFIXES.get(type(kind), ""))
            yield Setting(section, name, item.name, kind, item.default, meaning, derived)


SETTINGS: Final[dict[str, Setting]] = {setting.key: setting for setting in _settings()}


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost")
