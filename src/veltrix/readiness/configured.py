"""What the configuration alone shows. Contradictions that no process starts with are refused earlier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from veltrix.config import Config
from veltrix.config.model import is_loopback
from veltrix.readiness.findings import Finding, advice, danger

CLIENTS_WAIT_S: Final = 30.0
"""What most clients and proxies wait for an answer."""
NOTICED_S: Final = 6.0
"""In this time Kafka has a new leader and clients have found it, set as docs/operations.md says."""
BLIND_S: Final = 20.0
"""As long as Patroni needs for a new primary; who waits longer for the old one is late."""
FILES_SPARE: Final = 1_000


def beyond(endpoints: Iterable[str]) -> list[str]:
    """Those of "host:port" that are not on this machine."""
    return [each for each in endpoints if not is_loopback(each.rpartition(":")[0] or each)]


def judge_configuration(config: Config) -> Iterator[Finding]:
    """Everything that a configuration gives away."""
    yield from _web(config)
    yield from _mail(config)
    if not config.clustered:
        yield danger(
            "single_machine",
            "no engines are configured",
            str(config.data.directory),
            "log, ledger and keys are on one disk: when it is lost, everything since the last backup is",
            "name kafka.bootstrap_servers, postgres.hosts and etcd.endpoints (docs/operations.md)",
        )
        return
    yield from _in_clear(config)
    yield from _one_of_each(config)
    yield from _copies(config)
    yield from _times(config)


def _web(config: Config) -> Iterator[Finding]:
    http, operations = config.http, config.operations
    url = http.public_url
    secure = url is not None and url.startswith("https://")
    if not is_loopback(http.host) and not secure:
        yield danger(
            "http_in_clear",
            "http.host listens beyond this machine, and http.public_url is no https address",
            f"{http.host}, {url or 'not set'}",
            "names, addresses, links and API keys cross the network in clear",
            "put a proxy that speaks TLS in front, listen where only it can reach, and set http.public_url",
        )
    elif not secure:
        yield danger(
            "public_url",
            "http.public_url is no https address",
            url or "not set",
            "links in pages and mails lead to this machine alone, or through the network in clear",
            "set it to the https address that people type",
        )
    if secure and not http.trusted_proxies:
        yield advice(
            "trusted_proxies",
            "http.trusted_proxies",
            "none",
            "the proxy's address counts as the client's, so all people share one rate limit",
            "name the network of the proxy",
        )
    if config.clustered and not is_loopback(operations.host):
        yield advice(
            "operations_open",
            "operations.host",
            operations.host,
            "whoever reaches the port reads all metrics; nobody is asked for a key there",
            "let only Prometheus and the orchestrator reach it",
        )


def _mail(config: Config) -> Iterator[Finding]:
    smtp = config.smtp
    if config.notification.channel == "spool":
        yield danger(
            "nobody_told",
            "notification.channel",
            "spool",
            "mails are written to files: nobody is told anything",
            'set it to "smtp", and smtp.host',
        )
    elif smtp.security == "none" and smtp.host is not None and not is_loopback(smtp.host):
        yield danger(
            "smtp_in_clear",
            "smtp.security",
            "none",
            "names, addresses and links cross the network in clear",
            'set it to "starttls" or "tls"',
        )
    record_s = 2 * config.postgres.statement_timeout_s if config.clustered else 0.0
    if config.clustered and config.notification.lease_s <= smtp.timeout_s + record_s:
        yield danger(
            "notice_lease",
            "notification.lease against smtp.timeout and postgres.statement_timeout",
            f"{config.notification.lease_s:g} s against {smtp.timeout_s:g} s + {record_s:g} s",
            "an attempt and the recording of its result may outlive the lease: people get a mail twice",
            f"set notification.lease above {smtp.timeout_s + record_s:g} s",
        )


def _in_clear(config: Config) -> Iterator[Finding]:
    kafka, postgres, etcd = config.kafka, config.postgres, config.etcd
    if "tls" not in kafka.security and (far := beyond(kafka.bootstrap_servers)):
        yield danger(
            "kafka_in_clear",
            "kafka.security",
            f"{kafka.security} to {', '.join(far)}",
            "whoever is on the network reads every command, and can append or change some",
            'give the brokers TLS listeners, and set it to "sasl+tls" (or "tls" with a certificate)',
        )
    if "sasl" not in kafka.security and kafka.certificate_file is None and beyond(kafka.bootstrap_servers):
        yield danger(
            "kafka_nobody",
            "kafka.username, kafka.certificate_file",
            "neither is set",
            "Kafka cannot tell Veltrix from anybody else, who may then append commands and read facts",
            'log in: security = "sasl+tls" with username and password_file, or a certificate of its own',
        )
    hosts = [*postgres.hosts, *(postgres.vault_hosts or ())]
    if postgres.tls != "verify-full" and (far := beyond(hosts)):
        yield danger(
            "postgres_in_clear",
            "postgres.tls",
            f"{postgres.tls} to {', '.join(dict.fromkeys(far))}",
            "whoever is on the network reads or alters the ledger's traffic, the vault's keys among it"
            if postgres.tls == "disable"
            else "nobody makes sure that it is the server who answers: a stranger can sit in between",
            'set it to "verify-full", with ca_file',
        )
    if etcd.ca_file is None and etcd.certificate_file is None and (far := beyond(etcd.endpoints)):
        yield danger(
            "etcd_in_clear",
            "etcd.ca_file",
            f"not set, to {', '.join(far)}",
            "whoever is on the network can read and alter who owns which partition",
            "give the members https listeners, and set ca_file",
        )
    if etcd.username is None and etcd.certificate_file is None and beyond(etcd.endpoints):
        yield danger(
            "etcd_nobody",
            "etcd.username, etcd.certificate_file",
            "neither is set",
            "whoever reaches etcd can take partitions and change the cluster's settings",
            "enable etcd's authentication, and give Veltrix a user with the keys below etcd.prefix alone",
        )


def _one_of_each(config: Config) -> Iterator[Finding]:
    vault_hosts = config.postgres.vault_hosts or config.postgres.hosts
    for key, given in (
        ("kafka.bootstrap_servers", config.kafka.bootstrap_servers),
        ("postgres.hosts", config.postgres.hosts),
        ("postgres.vault_hosts", vault_hosts),
        ("etcd.endpoints", config.etcd.endpoints),
    ):
        if len(given) < 2 and not (key == "postgres.vault_hosts" and vault_hosts == config.postgres.hosts):
            yield danger(
                "one_address",
                key,
                ", ".join(given),
                "while that one is down, whoever looks for the others does not find them",
                "name all of them",
            )
    if set(vault_hosts) & set(config.postgres.hosts):
        yield advice(
            "vault_beside_ledger",
            "postgres.vault_hosts",
            f"{', '.join(vault_hosts)}: the ledger's servers",
            "a physical backup of these servers holds the keys beside what they open, and brings back "
            "the keys of people who were erased",
            "give the vault servers of its own, or back both databases up by themselves (pg_dump)",
        )


def _copies(config: Config) -> Iterator[Finding]:
    kafka = config.kafka
    if kafka.replication < 3:
        yield danger(
            "replication",
            "kafka.replication",
            kafka.replication,
            "with fewer than three copies a broker's end stops intake, or what it acknowledged is lost",
            "run three brokers, and set it to 3",
        )
    if kafka.min_insync < 2:
        yield danger(
            "min_insync",
            "kafka.min_insync",
            kafka.min_insync,
            "a registration that was acknowledged is lost with one broker's disk",
            "set it to 2",
        )
    elif kafka.min_insync >= kafka.replication:
        yield danger(
            "min_insync",
            "kafka.min_insync against kafka.replication",
            f"{kafka.min_insync} of {kafka.replication}",
            "every broker must live for anything to be appended",
            "let replication be one more than min_insync",
        )


def _times(config: Config) -> Iterator[Finding]:
    kafka, postgres, etcd = config.kafka, config.postgres, config.etcd
    if kafka.delivery_timeout_s < NOTICED_S:
        yield advice(
            "delivery_timeout",
            "kafka.delivery_timeout",
            f"{kafka.delivery_timeout_s:g} s",
            f"a new leader takes up to {NOTICED_S:g} s: people get 503 who could have been answered",
            'set it to "10 s"',
        )
    longest_s = max(config.http.wait_default_s, kafka.delivery_timeout_s)
    if longest_s >= CLIENTS_WAIT_S:
        yield advice(
            "outlives_clients",
            "kafka.delivery_timeout, http.wait_default",
            f"{kafka.delivery_timeout_s:g} s, {config.http.wait_default_s:g} s",
            f"most clients and proxies give up after {CLIENTS_WAIT_S:g} s, and never hear the answer",
            f"keep both below {CLIENTS_WAIT_S:g} s",
        )
    if postgres.statement_timeout_s >= BLIND_S:
        yield advice(
            "statement_timeout",
            "postgres.statement_timeout",
            f"{postgres.statement_timeout_s:g} s",
            "a process waits so long for a primary that is gone, before it looks for the next one",
            'set it to "5 s"',
        )
    if etcd.call_timeout_s * 2 > etcd.lease_ttl_s:
        yield danger(
            "call_timeout",
            "etcd.call_timeout against etcd.lease_ttl",
            f"{etcd.call_timeout_s:g} s against {etcd.lease_ttl_s:g} s",
            "after one member that does not answer no second one can be asked before the lease ends",
            "make the call's time at most half of the lease's",
        )
    if etcd.lease_ttl_s > 10.0:
        yield advice(
            "lease_ttl",
            "etcd.lease_ttl",
            f"{etcd.lease_ttl_s:g} s",
            "the partitions of a process that died are decided by nobody that long",
            'set it to "2 s"',
        )


def judge_open_files(config: Config, limit: int) -> Iterator[Finding]:
    """The limit of open files, which connections are: `limit` is this process's, -1 without one."""
    needed = config.http.held_requests_max + FILES_SPARE
    if 0 <= limit < needed:
        yield advice(
            "open_files",
            "the limit of open files (as this command has it)",
            limit,
            f"a connection is an open file: beyond {limit:,} nobody can connect, and nothing be opened",
            f"raise it above {needed:,} (ulimit -n, LimitNOFILE= in a unit), or lower http.held_requests_max",
        )
