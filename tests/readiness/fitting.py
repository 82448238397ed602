"""A configuration without a flaw, to be given one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from veltrix.config import Loaded, load
from veltrix.readiness import Finding

FLAWLESS = {
    "HOME": "/home/someone",
    "VELTRIX_HTTP_PUBLIC_URL": "https://tickets.example.org",
    "VELTRIX_HTTP_TRUSTED_PROXIES": "10.0.0.0/24",
    "VELTRIX_LOG_PARTITIONS": "12",
    "VELTRIX_NOTIFICATION_CHANNEL": "smtp",
    "VELTRIX_NOTIFICATION_SENDER": "tickets@example.org",
    "VELTRIX_SMTP_HOST": "mail.example.org",
    "VELTRIX_KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9092,kafka-2:9092,kafka-3:9092",
    "VELTRIX_KAFKA_SECURITY": "sasl+tls",
    "VELTRIX_KAFKA_USERNAME": "veltrix",
    "VELTRIX_KAFKA_PASSWORD": "pw",
    "VELTRIX_POSTGRES_HOSTS": "pg-1:5432,pg-2:5432,pg-3:5432",
    "VELTRIX_POSTGRES_VAULT_HOSTS": "vault-1:5432,vault-2:5432",
    "VELTRIX_POSTGRES_TLS": "verify-full",
    "VELTRIX_ETCD_ENDPOINTS": "etcd-1:2379,etcd-2:2379,etcd-3:2379",
    "VELTRIX_ETCD_CA_FILE": "/etc/veltrix/ca.pem",
    "VELTRIX_ETCD_USERNAME": "veltrix",
    "VELTRIX_ETCD_PASSWORD": "pw",
}


def configured(file: Path | None = None, **variables: str | None) -> Loaded:
    """The flawless configuration with these variables (without prefix) instead; None takes one away."""
    changed = {f"VELTRIX_{name.upper()}": value for name, value in variables.items()}
    environ = {name: value for name, value in (FLAWLESS | changed).items() if value is not None}
    return load(file, environ=environ)


def codes(findings: Iterable[Finding]) -> set[str]:
    """What was found, by code."""
    return {finding.code for finding in findings}


def about(findings: Iterable[Finding], code: str) -> list[str]:
    """What the findings of a code name, with its value."""
    return [f"{finding.what}: {finding.value}" for finding in findings if finding.code == code]
