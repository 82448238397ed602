"""Contradictions among the settings of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from veltrix.config.model import is_loopback

Values = Mapping[str, Any]
Found = Iterator[tuple[tuple[str, ...], str, str]]

ENGINES: Final = ("kafka.bootstrap_servers", "postgres.hosts", "etcd.endpoints")


def _complete(values: Values) -> Found:
    named = [key for key in ENGINES if values[key]]
    missing = [key for key in ENGINES if not values[key]]
    if named and missing:
        yield (
            (named[0], *missing),
            "a cluster needs all three engines, and a deployment without servers none of them",
            f"set {' and '.join(missing)}, or leave {' and '.join(named)} out",
        )
    if not missing and values["http.public_url"] is None and values["http.port"] == 0:
        yield (
            ("http.port", "http.public_url"),
            "the processes that write links could not know where registration listens",
            "set http.public_url, or give http.port a number",
        )


def _kafka(values: Values) -> Found:
    security = values["kafka.security"]
    if values["kafka.min_insync"] > values["kafka.replication"]:
        yield (
            ("kafka.min_insync", "kafka.replication"),
            "more copies would have to acknowledge than there are, so nothing could ever be appended",
            "lower min_insync or raise replication",
        )
    login = values["kafka.username"] is not None and values["kafka.password"] is not None
    if "sasl" in security and not login:
        yield (
            ("kafka.security", "kafka.username", "kafka.password"),
            "there is nobody to log in as",
            "give both username and password, or choose a security without sasl",
        )
    if "sasl" not in security and (values["kafka.username"] or values["kafka.password"]):
        yield (
            ("kafka.username", "kafka.password", "kafka.security"),
            "nobody logs in",
            'set security to "sasl+tls", or leave them out',
        )
    beyond = [host for host in values["kafka.bootstrap_servers"] if not _near(host)]
    if security == "sasl" and values["kafka.mechanism"] == "PLAIN" and beyond:
        yield (
            ("kafka.mechanism", "kafka.security", "kafka.bootstrap_servers"),
            "the password would cross the network in clear",
            'set security to "sasl+tls", or mechanism to "SCRAM-SHA-512"',
        )
    yield from _certificates(values, "kafka", "tls" in security, "kafka.security")


def _postgres(values: Values) -> Found:
    yield from _certificates(values, "postgres", values["postgres.tls"] != "disable", "postgres.tls")
    if values["postgres.lock_timeout"] >= values["postgres.statement_timeout"]:
        yield (
            ("postgres.lock_timeout", "postgres.statement_timeout"),
            "the statement would end before its wait for a lock does, and nobody could tell why",
            "make the lock's time shorter than the statement's",
        )
    if values["postgres.connect_timeout"] >= values["postgres.statement_timeout"]:
        yield (
            ("postgres.connect_timeout", "postgres.statement_timeout"),
            "one server that hangs would take the whole time that a request may wait for the ledger",
            "make the connection's time shorter than the statement's",
        )
    hosts, vault_hosts = values["postgres.hosts"], values["postgres.vault_hosts"]
    same = bool(set(hosts) & set(vault_hosts or hosts)) and hosts
    if same and values["postgres.database"] == values["postgres.vault_database"]:
        yield (
            ("postgres.vault_database", "postgres.database"),
            "keys would be backed up with what they protect, and erasing a person would undo nothing there",
            "give the vault a database of its own",
        )


def _etcd(values: Values) -> Found:
    if values["etcd.call_timeout"] >= values["etcd.lease_ttl"]:
        yield (
            ("etcd.call_timeout", "etcd.lease_ttl"),
            "one member that does not answer would cost a process its lease, and all of its partitions",
            "make the call's time shorter than the lease's",
        )
    if (values["etcd.username"] is None) != (values["etcd.password"] is None):
        yield (
            ("etcd.username", "etcd.password"),
            "only one of them is given",
            "give both, or neither when etcd wants no login",
        )
    yield from _pair(values, "etcd")
    secured = values["etcd.ca_file"] or values["etcd.certificate_file"]
    if values["etcd.password"] and not secured and not all(map(_near, values["etcd.endpoints"])):
        yield (
            ("etcd.password", "etcd.ca_file", "etcd.endpoints"),
            "the password would cross the network in clear",
            "set ca_file, so that TLS is used",
        )


def _certificates(values: Values, section: str, tls: bool, switch: str) -> Found:
    yield from _pair(values, section)
    given = [key for key in ("ca_file", "certificate_file") if values[f"{section}.{key}"] is not None]
    if given and not tls:
        yield (
            (f"{section}.{given[0]}", switch),
            "no certificate is looked at where nothing is encrypted",
            f"turn TLS on with {switch}, or leave the files out",
        )


def _pair(values: Values, section: str) -> Found:
    certificate, key = f"{section}.certificate_file", f"{section}.key_file"
    if (values[certificate] is None) != (values[key] is None):
        yield (certificate, key), "only one of them is given", "give both, or neither"


def _near(endpoint: str) -> bool:
    return is_loopback(endpoint.rpartition(":")[0])


ENGINE_CHECKS: Final = (_complete, _kafka, _postgres, _etcd)


def engine_remarks(values: Values) -> Iterator[str]:
    """What a cluster may be told to do, but should perhaps not."""
    if not values["postgres.hosts"]:
        return
    if values["http.public_url"] is None:
        yield (
            "http.public_url is not set: links in mails lead to http.host and http.port of the process that "
            "sends them"
        )
    if values["kafka.min_insync"] == 1:
        yield "kafka.min_insync is 1: a registration that was acknowledged is lost with one broker's disk"
